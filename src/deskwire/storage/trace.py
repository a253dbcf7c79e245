"""What became of a message on its way to each reader: acknowledged, pushed, and when.

Reads only. Must never give out its text, nor ask who may know.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.engine import Row

from deskwire.desk import events as ev
from deskwire.desk.marks import Mark, own_of, status_of
from deskwire.desk.people import PersonId, Principal, Realm
from deskwire.storage import log, marks
from deskwire.storage.engine import Transaction
from deskwire.storage.tables import event, message, participant, person, push, stream_event

PUSHES_MAX: Final = 20  # of a reader, the newest
OUTCOMES_MAX: Final = 200  # of a conversation, the newest

_OUTCOMES: Final = tuple(
    ev.TYPE_OF[each].name for each in (ev.PushNotified, ev.PushFailed, ev.PushRecalled)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """A push that covers the message. `due` is when it is to go out, or was. Times are Unix ms."""

    push_id: str
    state: str
    since: int
    newest: int
    due: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PushOutcome:
    """What WeCom said of a push, as the conversation's staff was told."""

    type: str
    at: int
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Somebody whom the message concerns, and how far it has come with them.

    `position` is where it stands for them; none: it was not told to them. `status` is then none as
    well, as for its author and for a note, whose reading nobody marks.
    """

    who: Principal
    name: str
    role: str
    position: int | None
    status: str | None
    delivered: int
    read: int
    marked_at: int | None
    pushes: tuple[Pushed, ...]
    outcomes: tuple[PushOutcome, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Traced:
    """A message or note, and its readers."""

    msg_id: str
    conv_id: str
    stream: str
    position: int
    at: int
    withdrawn: str | None
    readers: tuple[Reader, ...]


async def trace(conn: Transaction, msg_id: str) -> Traced | None:
    """The way of a message to everybody who takes part or did when it was said."""
    row = (await conn.execute(select(message).where(message.c.msg_id == msg_id))).one_or_none()
    if row is None:
        return None
    places = (await log.at(conn, ev.Stream(row.stream_id), row.position)).places
    stored = await marks.of_streams(conn, list(places))
    outcomes = await _outcomes(conn, row.conv_id)
    readers = [
        await _reader(conn, row, member, places, stored, outcomes)
        for member in await _members(conn, row.conv_id)
    ]
    return Traced(
        msg_id=row.msg_id,
        conv_id=row.conv_id,
        stream=row.stream_id,
        position=row.position,
        at=row.at,
        withdrawn=row.withdrawn,
        readers=tuple(readers),
    )


async def _members(conn: Transaction, conv_id: str) -> Sequence[Row[Any]]:
    rows = await conn.execute(
        select(participant, person.c.name)
        .join(person, person.c.person_id == participant.c.person_id)
        .where(participant.c.conv_id == conv_id)
        .order_by(participant.c.realm, participant.c.person_id)
    )
    return rows.all()


async def _reader(
    conn: Transaction,
    row: Row[Any],
    member: Row[Any],
    places: Mapping[ev.Stream, int],
    stored: Mapping[ev.Stream, Sequence[Mark]],
    outcomes: Mapping[str, Sequence[tuple[int, PushOutcome]]],
) -> Reader:
    who = Principal(Realm(member.realm), PersonId(member.person_id))
    name, position = _place(who, member, ev.conv_stream(row.conv_id), places)
    mark = own_of(stored.get(name, ()), who)
    is_author = who == (row.realm, row.person_id)
    told = [] if position is None or is_author else outcomes.get(who.person, ())
    return Reader(
        who=who,
        name=member.name,
        role=member.role,
        position=position,
        status=None if position is None or is_author else status_of(position, mark),
        delivered=mark.delivered,
        read=mark.read,
        marked_at=mark.at or None,
        pushes=await _pushes(conn, who, name, position) if position is not None else (),
        outcomes=tuple(said for up_to, said in told if position is not None and up_to >= position),
    )


def _place(
    who: Principal, member: Row[Any], public: ev.Stream, places: Mapping[ev.Stream, int]
) -> tuple[ev.Stream, int | None]:
    """The stream on which they are told, and where: a note that mentions them stands on theirs."""
    if public not in places:
        own = ev.personal_stream(who)
        return own, places.get(own)
    position = places[public]
    is_seen = member.visible_from <= position
    has_left = member.left_at is not None and member.left_at < position
    return public, position if is_seen and not has_left else None


async def _pushes(
    conn: Transaction, who: Principal, name: ev.Stream, position: int
) -> tuple[Pushed, ...]:
    rows = await conn.execute(
        select(push)
        .where(
            push.c.realm == who.realm.value,
            push.c.person == who.person,
            push.c.stream_id == name,
            push.c.first <= position,
            push.c.last >= position,
        )
        .order_by(push.c.newest.desc(), push.c.push_id)
        .limit(PUSHES_MAX)
    )
    return tuple(
        Pushed(
            push_id=row.push_id, state=row.state, since=row.since, newest=row.newest, due=row.due
        )
        for row in rows
    )


async def _outcomes(
    conn: Transaction, conv_id: str
) -> Mapping[str, Sequence[tuple[int, PushOutcome]]]:
    """By person: up to where each push led, and what became of it; the newest first."""
    rows = await conn.execute(
        select(event.c.type, event.c.at, event.c.body)
        .join(stream_event, stream_event.c.event_id == event.c.event_id)
        .where(stream_event.c.stream_id == ev.staff_stream(conv_id), event.c.type.in_(_OUTCOMES))
        .order_by(stream_event.c.position.desc())
        .limit(OUTCOMES_MAX)
    )
    found: dict[str, list[tuple[int, PushOutcome]]] = {}
    for row in rows:
        data = json.loads(row.body)["data"]
        said = PushOutcome(type=row.type, at=row.at, reason=data.get("reason"))
        # A card that was recalled names no position: it concerns all that went before.
        found.setdefault(data["person"], []).append((data.get("up_to", 2**53 - 1), said))
    return found
