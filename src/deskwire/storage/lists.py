"""Which conversations a list shows: by the view that is chosen, by filters, by what is looked for.

Conditions on rows of `conversation`, nothing else. Invariant: every view is within what its
principal may see; a filter only narrows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sql
from sqlalchemy import and_, func, or_, select

from deskwire.desk.conversation import Status
from deskwire.desk.people import Actor, Principal
from deskwire.storage import search
from deskwire.storage.engine import Transaction
from deskwire.storage.tables import conversation, mark, message, participant, person


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What a list is narrowed to; none: not by this.

    `agent` is the assignee, `requester` who asked. `q` is part of the number or of the requester's
    name, or words that stand together in one public message.
    """

    group: str | None = None
    category: str | None = None
    agent: str | None = None
    requester: str | None = None
    q: str | None = None


NO_FILTERS: Final = Filters()


def in_view(who: Actor, view: str) -> sql.ColumnElement[bool]:
    """What belongs to an agent's view; an employee has one, all their own.

    `mine`, `queue`, `unread`, `on_hold`, `closed`; `any` is everything they may see in a list, and
    whatever else is said means all of it that is not closed.
    """
    if not who.is_agent:
        return conversation.c.requester_id == who.principal.person
    taking_part = conversation.c.conv_id.in_(_taken_part_in(who))
    of_groups = or_(conversation.c.group_id.in_(who.groups), sql.literal(who.is_admin))
    seen = or_(taking_part, of_groups)
    closed = _is(Status.CLOSED)
    match view:
        case "mine":
            return and_(taking_part, ~closed)
        case "queue":
            return and_(of_groups, _is(Status.QUEUED))
        case "unread":
            return and_(taking_part, _has_unread(who.principal))
        case "on_hold":
            return and_(seen, _is(Status.ON_HOLD))
        case "closed":
            return and_(seen, closed)
        case "any":
            return seen
        case _:
            return and_(seen, ~closed)


def passes(conn: Transaction, filters: Filters) -> sql.ColumnElement[bool]:
    """What passes all the filters."""
    conditions = [
        column == wanted
        for column, wanted in (
            (conversation.c.group_id, filters.group),
            (conversation.c.category_id, filters.category),
            (conversation.c.assignee_id, filters.agent),
            (conversation.c.requester_id, filters.requester),
        )
        if wanted is not None
    ]
    if filters.q is not None:
        conditions.append(_has_words(conn, filters.q))
    return and_(sql.true(), *conditions)


def by_others(who: Principal) -> sql.ColumnElement[bool]:
    """Messages that this principal has not written."""
    return or_(message.c.realm != who.realm.value, message.c.person_id != who.person)


def _has_words(conn: Transaction, asked: str) -> sql.ColumnElement[bool]:
    # SQLite's LIKE ends at a NUL, and what is left of the pattern would match everything.
    part = asked.replace("\0", "\ufffd").strip()
    named = select(person.c.person_id).where(person.c.name.icontains(part, autoescape=True))
    return or_(
        conversation.c.no.icontains(part, autoescape=True),
        conversation.c.requester_id.in_(named),
        conversation.c.conv_id.in_(search.conversations_with(conn, asked)),
    )


def _is(status: Status) -> sql.ColumnElement[bool]:
    return conversation.c.status == status.value


def _taken_part_in(who: Actor) -> sql.Select[Any]:
    return select(participant.c.conv_id).where(
        participant.c.realm == who.principal.realm.value,
        participant.c.person_id == who.principal.person,
        participant.c.left_at.is_(None),
    )


def _has_unread(who: Principal) -> sql.ColumnElement[bool]:
    own = and_(
        mark.c.stream_id == message.c.stream_id,
        mark.c.realm == who.realm.value,
        mark.c.person == who.person,
    )
    return (
        select(message.c.msg_id)
        .select_from(message.outerjoin(mark, own))
        .where(message.c.conv_id == conversation.c.conv_id)
        .where(message.c.stream_id == "conv:" + conversation.c.conv_id)
        .where(message.c.position > func.coalesce(mark.c.read, 0), by_others(who))
        .where(message.c.withdrawn.is_(None))
        .correlate(conversation)
        .exists()
    )
