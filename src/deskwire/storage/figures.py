"""What supervisors count: a line for a conversation, with times, causes, counts and its rating.

Reads only, page by page, so that no transaction stays open for a slow reader. Invariant: nothing
that anybody has written is in a line.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, func, or_, select
from sqlalchemy.engine import Row

from deskwire.desk import events as ev
from deskwire.desk.people import Realm
from deskwire.storage.engine import Transaction
from deskwire.storage.tables import (
    agent_group,
    assignment,
    category,
    conversation,
    conversation_tag,
    message,
    person,
    rating,
    tag,
)

PAGE_MAX = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One conversation. Times are Unix ms; `rating` is that of its newest resolution."""

    no: str
    conv_id: str
    group: str
    category: str
    status: str
    priority: int
    tags: tuple[str, ...]
    last_agent: str | None
    opened_at: int
    first_assigned_at: int | None
    first_answered_at: int | None
    resolved_at: int | None
    closed_at: int | None
    closed_how: str | None
    assigned_by: tuple[str, ...]
    ended_by: tuple[str, ...]
    reopened: int
    messages_employee: int
    messages_agent: int
    notes: int
    rating: int | None


async def opened_between(
    conn: Transaction,
    *,
    groups: Collection[str] | None,
    start: int,
    end: int,
    after: tuple[int, str] | None = None,
    limit: int = PAGE_MAX,
) -> list[Figures]:
    """The conversations opened from `start` and before `end`, in that order.

    `groups` none: all of them. `after` is the key (opened_at, conv_id) of the last one seen.
    """
    at, conv_id = conversation.c.opened_at, conversation.c.conv_id
    statement = (
        select(
            conversation,
            agent_group.c.name.label("group_name"),
            category.c.name_zh,
            person.c.name.label("agent_name"),
        )
        .join(agent_group, agent_group.c.group_id == conversation.c.group_id)
        .join(category, category.c.category_id == conversation.c.category_id)
        .outerjoin(person, person.c.person_id == conversation.c.last_agent_id)
        .where(at >= start, at < end)
    )
    if groups is not None:
        statement = statement.where(conversation.c.group_id.in_(groups))
    if after is not None:
        statement = statement.where(or_(at > after[0], and_(at == after[0], conv_id > after[1])))
    rows = (await conn.execute(statement.order_by(at, conv_id).limit(limit))).all()
    known = await _known(conn, [row.conv_id for row in rows])
    return [_figures(row, known) for row in rows]


@dataclass(frozen=True, slots=True)
class _Known:
    """What belongs to the conversations of a page, by their ids."""

    counts: Mapping[tuple[str, str], int]
    assignments: Mapping[str, Sequence[Row[Any]]]
    tags: Mapping[str, Sequence[str]]
    ratings: Mapping[tuple[str, int], int]


async def _known(conn: Transaction, ids: Sequence[str]) -> _Known:
    assignments = await conn.execute(
        select(assignment)
        .where(assignment.c.conv_id.in_(ids))
        .order_by(assignment.c.began_at, assignment.c.assignment_id)
    )
    tags = await conn.execute(
        select(conversation_tag.c.conv_id, tag.c.name)
        .join(tag, tag.c.tag_id == conversation_tag.c.tag_id)
        .where(conversation_tag.c.conv_id.in_(ids))
        .order_by(conversation_tag.c.sort)
    )
    ratings = await conn.execute(
        select(rating.c.conv_id, rating.c.resolution_no, rating.c.score).where(
            rating.c.conv_id.in_(ids)
        )
    )
    return _Known(
        counts=await _counts(conn, ids),
        assignments=_grouped([(row.conv_id, row) for row in assignments]),
        tags=_grouped([(row.conv_id, row.name) for row in tags]),
        ratings={(row.conv_id, row.resolution_no): row.score for row in ratings},
    )


async def _counts(conn: Transaction, ids: Sequence[str]) -> dict[tuple[str, str], int]:
    """How much was written, also what was taken back: by realm, and notes."""
    rows = await conn.execute(
        select(message.c.conv_id, message.c.stream_id, message.c.realm, func.count().label("n"))
        .where(message.c.conv_id.in_(ids))
        .group_by(message.c.conv_id, message.c.stream_id, message.c.realm)
    )
    found: dict[tuple[str, str], int] = defaultdict(int)
    for row in rows:
        is_note = row.stream_id == ev.staff_stream(row.conv_id)
        found[row.conv_id, "note" if is_note else row.realm] += row.n
    return found


def _grouped(pairs: Sequence[tuple[str, Any]]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = defaultdict(list)
    for key, value in pairs:
        found[key].append(value)
    return found


def _figures(row: Row[Any], known: _Known) -> Figures:
    of_it = known.assignments.get(row.conv_id, ())
    count = known.counts.get
    return Figures(
        no=row.no,
        conv_id=row.conv_id,
        group=row.group_name,
        category=row.name_zh,
        status=row.status,
        priority=row.priority,
        tags=tuple(known.tags.get(row.conv_id, ())),
        last_agent=row.agent_name,
        opened_at=row.opened_at,
        first_assigned_at=of_it[0].began_at if of_it else None,
        first_answered_at=row.first_answered_at,
        resolved_at=row.resolved_at,
        closed_at=row.closed_at,
        closed_how=row.closed_how,
        assigned_by=tuple(each.cause for each in of_it),
        ended_by=tuple(each.ended_cause for each in of_it if each.ended_cause),
        reopened=row.reopen_count,
        messages_employee=count((row.conv_id, Realm.EMPLOYEE.value), 0),
        messages_agent=count((row.conv_id, Realm.AGENT.value), 0),
        notes=count((row.conv_id, "note"), 0),
        rating=known.ratings.get((row.conv_id, row.resolution_no)),
    )
