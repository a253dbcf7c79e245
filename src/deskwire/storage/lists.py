"""Which conversations a list shows: by the view that is chosen, by filters, by what is looked for.

Conditions on rows of `conversation`, nothing else. Invariant: every view is within what its
principal may see; a filter only narrows it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sql
from sqlalchemy import and_, func, or_, select

from deskwire.desk.conversation import Status
from deskwire.desk.people import Actor, Principal
from deskwire.storage import search
from deskwire.storage.engine import Transaction
from deskwire.storage.tables import (
    conversation,
    conversation_tag,
    mark,
    message,
    participant,
    person,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What a list is narrowed to; none: not by this.

    `agent` is the assignee, `requester` who asked. `q` is part of the number or of the requester's
    name, or words that stand together in one public message.
    """

    group: str | None = None
    category: str | None = None
    tag: str | None = None
    agent: str | None = None
    requester: str | None = None
    q: str | None = None


NO_FILTERS: Final = Filters()


def in_view(who: Actor, view: str) -> sql.ColumnElement[bool]:
    """What belongs to an agent's view; an employee has one, all they asked or are invited to.

    `mine`, `queue`, `unread`, `mentioned`, `on_hold`, `closed`; `any` is everything they may see in
    a list, and whatever else is said means all of it that is not closed.
    """
    taking_part = conversation.c.conv_id.in_(_taken_part_in(who))
    if not who.is_agent:
        return or_(_is_own(who), taking_part)
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
        case "mentioned":
            return and_(seen, _is_mentioned(who))
        case "on_hold":
            return and_(seen, _is(Status.ON_HOLD))
        case "closed":
            return and_(seen, closed)
        case "any":
            return seen
        case _:
            return and_(seen, ~closed)


def passes(conn: Transaction, who: Actor, filters: Filters) -> sql.ColumnElement[bool]:
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
    if filters.tag is not None:
        tagged = select(conversation_tag.c.conv_id).where(conversation_tag.c.tag_id == filters.tag)
        # Of tags employees never learn, also not by what passes.
        conditions.append(and_(conversation.c.conv_id.in_(tagged), sql.literal(who.is_agent)))
    if filters.q is not None:
        conditions.append(_has_words(conn, who, filters.q))
    return and_(sql.true(), *conditions)


def by_others(who: Principal) -> sql.ColumnElement[bool]:
    """Messages that this principal has not written."""
    return or_(message.c.realm != who.realm.value, message.c.person_id != who.person)


def _has_words(conn: Transaction, who: Actor, asked: str) -> sql.ColumnElement[bool]:
    # SQLite's LIKE ends at a NUL, and what is left of the pattern would match everything.
    part = asked.replace("\0", "\ufffd").strip()
    named = select(person.c.person_id).where(person.c.name.icontains(part, autoescape=True))
    return or_(
        conversation.c.no.icontains(part, autoescape=True),
        conversation.c.requester_id.in_(named),
        # Who is invited may not see all of it, so its words are not looked through for them.
        and_(
            conversation.c.conv_id.in_(search.conversations_with(conn, asked)),
            sql.true() if who.is_agent else _is_own(who),
        ),
    )


def _is_own(who: Actor) -> sql.ColumnElement[bool]:
    return conversation.c.requester_id == who.principal.person


def _is_mentioned(who: Actor) -> sql.ColumnElement[bool]:
    """In a note that stands. An id is looked for as it is written, in quotes, case and all."""
    name = json.dumps(who.principal.person)
    return (
        select(message.c.msg_id)
        .where(message.c.conv_id == conversation.c.conv_id)
        .where(message.c.stream_id == "conv:" + conversation.c.conv_id + ":staff")
        .where(func.replace(message.c.mentions, name, "") != message.c.mentions)
        .where(message.c.withdrawn.is_(None))
        .correlate(conversation)
        .exists()
    )


def _is(status: Status) -> sql.ColumnElement[bool]:
    return conversation.c.status == status.value


def _taken_part_in(who: Actor) -> sql.Select[Any]:
    return select(participant.c.conv_id).where(
        participant.c.realm == who.principal.realm.value,
        participant.c.person_id == who.principal.person,
        participant.c.left_at.is_(None),
    )


def visible_to(who: Principal) -> sql.ColumnElement[bool]:
    """A public message that lies within what this participant may see: the invited came later."""
    return (
        select(participant.c.conv_id)
        .where(participant.c.conv_id == message.c.conv_id)
        .where(participant.c.realm == who.realm.value, participant.c.person_id == who.person)
        .where(participant.c.visible_from <= message.c.position)
        .where(or_(participant.c.left_at.is_(None), participant.c.left_at >= message.c.position))
        .correlate(message)
        .exists()
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
        .where(message.c.withdrawn.is_(None), visible_to(who))
        .correlate(conversation)
        .exists()
    )
