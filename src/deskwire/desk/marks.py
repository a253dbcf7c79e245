"""Delivered and read: marks of a person on a stream. They only rise, and reading lifts delivery."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from deskwire.desk.messages import Said
from deskwire.desk.people import PersonId, Principal, Realm

STAFF = "staff"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What one person's devices have confirmed of one stream: 0 ≤ read ≤ delivered ≤ head."""

    realm: Realm
    person: str
    delivered: int = 0
    read: int = 0
    at: int = 0


def raised(mark: Mark, *, delivered: int, read: int, head: int, now: int) -> Mark | None:
    """The mark after a report, or none if nothing rose.

    A report beyond the head counts up to the head.
    """
    new_read = max(mark.read, min(read, head))
    new_delivered = max(mark.delivered, min(delivered, head), new_read)
    if (new_delivered, new_read) == (mark.delivered, mark.read):
        return None
    return Mark(
        realm=mark.realm, person=mark.person, delivered=new_delivered, read=new_read, at=now
    )


def own_of(stored: Iterable[Mark], who: Principal) -> Mark:
    """This person's among the marks of a stream; where there is none yet, one at 0."""
    own = (mark for mark in stored if (mark.realm, mark.person) == who)
    return next(own, Mark(realm=who.realm, person=who.person))


def status_of(position: int, mark: Mark) -> str:
    """How far a message at this position has come with one reader."""
    if position <= mark.read:
        return "read"
    return "delivered" if position <= mark.delivered else "sent"


def unread(said: Iterable[Said], who: Principal, read: int) -> int:
    """How many of these messages, all visible to this person, they have not read.

    Neither their own nor what has been withdrawn counts.
    """
    return sum(
        each.position > read and each.author != who and not each.is_withdrawn for each in said
    )


def as_employees_see(marks: Iterable[Mark]) -> list[Mark]:
    """Employees see the agents as one reader, "staff": the maximum over agent participants."""
    everyone = list(marks)
    agents = [mark for mark in everyone if mark.realm is Realm.AGENT]
    employees = [mark for mark in everyone if mark.realm is Realm.EMPLOYEE]
    return [*employees, *([_together(agents)] if agents else [])]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rise:
    """How far a mark on `conv:<id>` has risen: from where, exclusive, to where, inclusive.

    The `shown_` ones are what employees see of it: of an agent's the rise of all agents together.
    """

    conv: str
    who: Principal
    at: int
    delivered: tuple[int, int]
    read: tuple[int, int]
    shown_delivered: tuple[int, int]
    shown_read: tuple[int, int]


def rises(conv: str, before: Iterable[Mark], risen: Iterable[Mark]) -> list[Rise]:
    """What these marks have risen by, one after the other; `before` are all that stood there."""
    known = {(mark.realm, mark.person): mark for mark in before}
    found = []
    for mark in risen:
        key = mark.realm, mark.person
        was, shown = known.get(key, Mark(realm=mark.realm, person=mark.person)), _shown(known, mark)
        known[key] = mark
        now_shown = _shown(known, mark)
        found.append(
            Rise(
                conv=conv,
                who=Principal(mark.realm, PersonId(mark.person)),
                at=mark.at,
                delivered=(was.delivered, mark.delivered),
                read=(was.read, mark.read),
                shown_delivered=(shown[0], now_shown[0]),
                shown_read=(shown[1], now_shown[1]),
            )
        )
    return found


def _shown(known: Mapping[tuple[Realm, str], Mark], of: Mark) -> tuple[int, int]:
    """How far employees see it: delivered, read."""
    if of.realm is Realm.AGENT:
        seen = [mark for mark in known.values() if mark.realm is Realm.AGENT]
    else:
        seen = [mark for key, mark in known.items() if key == (of.realm, of.person)]
    return max((m.delivered for m in seen), default=0), max((m.read for m in seen), default=0)


def _together(agents: list[Mark]) -> Mark:
    return Mark(
        realm=Realm.AGENT,
        person=STAFF,
        delivered=max(mark.delivered for mark in agents),
        read=max(mark.read for mark in agents),
        at=max(mark.at for mark in agents),
    )
