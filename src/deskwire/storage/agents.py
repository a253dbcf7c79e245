"""Agents as routing sees them: load, availability, presence, whether they are being asked.

Presence is read from the timer rows by which an agent would be lost, so no registry is asked.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, select, update
from sqlalchemy.engine import Row

from deskwire.desk.deadlines import TimerKind, presence_of
from deskwire.desk.people import (
    Agent,
    AgentChanged,
    Availability,
    PersonId,
    PersonRef,
    Preferences,
    Presence,
    Role,
)
from deskwire.storage.engine import Transaction
from deskwire.storage.tables import agent, group_member, offer, person, timer


class Present(NamedTuple):
    """Whether an agent is there, and how much they have in hand."""

    agent: PersonId
    presence: Presence
    load: int


async def present(
    conn: Transaction, *, grace_s: int, now: int, limit: int | None = None
) -> list[Present]:
    """The agents who are not disabled, in a stable order, at most so many."""
    rows = await conn.execute(
        select(agent.c.person_id, agent.c.load, timer.c.due)
        .select_from(
            agent.join(person, person.c.person_id == agent.c.person_id).outerjoin(timer, _lost())
        )
        .where(person.c.disabled_at.is_(None))
        .order_by(agent.c.person_id)
        .limit(limit)
    )
    return [
        Present(PersonId(row.person_id), presence_of(row.due, grace_s, now), row.load)
        for row in rows
    ]


async def read(conn: Transaction, ids: Collection[str], *, grace_s: int, now: int) -> list[Agent]:
    """Those of these people who are agents, disabled ones too, in a stable order."""
    return await _agents(conn, agent.c.person_id.in_(ids), grace_s=grace_s, now=now)


async def of_group(conn: Transaction, group_id: str, *, grace_s: int, now: int) -> list[Agent]:
    """The members of a group."""
    members = select(group_member.c.person_id).where(group_member.c.group_id == group_id)
    return await _agents(conn, agent.c.person_id.in_(members), grace_s=grace_s, now=now)


async def groups_of(conn: Transaction, ids: Collection[str]) -> list[str]:
    """The groups in which one of these is a member."""
    rows = await conn.execute(
        select(group_member.c.group_id)
        .where(group_member.c.person_id.in_(ids))
        .distinct()
        .order_by(group_member.c.group_id)
    )
    return [row.group_id for row in rows]


async def change_load(
    conn: Transaction, person_id: PersonId, by: int, *, may_exceed: bool = False
) -> bool:
    """Add to an agent's load.

    False, and nothing is changed, where that would exceed their capacity and may not.
    """
    statement = update(agent).where(agent.c.person_id == person_id).values(load=agent.c.load + by)
    if by > 0 and not may_exceed:
        statement = statement.where(agent.c.load + by <= agent.c.capacity)
    return bool((await conn.execute(statement)).rowcount)


async def change(conn: Transaction, changes: Iterable[AgentChanged]) -> None:
    """Write what decisions change in agents' rows, in one order of locks."""
    for each in sorted(changes, key=lambda each: each.agent):
        values = _values(each)
        if values:
            await conn.execute(
                update(agent).where(agent.c.person_id == each.agent).values(**values)
            )


def _values(each: AgentChanged) -> dict[str, Any]:
    values: dict[str, Any] = {
        "missed_offers": each.missed_offers,
        "last_assigned_at": each.last_assigned_at,
        "availability": each.availability.value if each.availability else None,
        "availability_since": each.availability_since,
    }
    found = {name: value for name, value in values.items() if value is not None}
    if each.availability is not None:
        found["availability_reason"] = each.availability_reason
    return found


async def _agents(
    conn: Transaction, which: ColumnElement[bool], *, grace_s: int, now: int
) -> list[Agent]:
    asked = and_(offer.c.agent_id == agent.c.person_id, offer.c.outcome.is_(None))
    rows = (
        await conn.execute(
            select(
                agent,
                person.c.name,
                person.c.avatar,
                person.c.disabled_at,
                timer.c.due.label("lost_due"),
                offer.c.offer_id,
            )
            .select_from(
                agent.join(person, person.c.person_id == agent.c.person_id)
                .outerjoin(timer, _lost())
                .outerjoin(offer, asked)
            )
            .where(which)
            .order_by(agent.c.person_id)
        )
    ).all()
    groups = await _groups(conn, [row.person_id for row in rows])
    return [_agent(row, groups.get(row.person_id, frozenset()), grace_s, now) for row in rows]


def _lost() -> ColumnElement[bool]:
    """The row by which an agent would be lost."""
    return and_(timer.c.kind == TimerKind.AGENT_LOST.value, timer.c.key == agent.c.person_id)


async def _groups(conn: Transaction, ids: Sequence[str]) -> Mapping[str, frozenset[str]]:
    rows = await conn.execute(select(group_member).where(group_member.c.person_id.in_(ids)))
    found: dict[str, set[str]] = {}
    for row in rows:
        found.setdefault(row.person_id, set()).add(row.group_id)
    return {person_id: frozenset(groups) for person_id, groups in found.items()}


def _agent(row: Row[Any], groups: frozenset[str], grace_s: int, now: int) -> Agent:
    return Agent(
        person=PersonRef(id=PersonId(row.person_id), name=row.name, avatar=row.avatar),
        role=Role(row.role),
        groups=groups,
        skills=frozenset(json.loads(row.skills)),
        capacity=row.capacity,
        load=row.load,
        availability=Availability(row.availability),
        availability_reason=row.availability_reason,
        availability_since=row.availability_since,
        presence=presence_of(row.lost_due, grace_s, now),
        is_disabled=row.disabled_at is not None,
        has_offer=row.offer_id is not None,
        missed_offers=row.missed_offers,
        last_assigned_at=row.last_assigned_at,
        preferences=Preferences(pushes=row.pushes),
    )
