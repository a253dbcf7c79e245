"""Pushes that wait: one armed row for each principal and stream, extended, never doubled.

When a push is due and what a mark makes of it is `desk/fallback`'s to say; what becomes of one that
is due is `outbox`'s.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, delete, func, insert, select, update
from sqlalchemy.engine import Row

from deskwire.desk import access
from deskwire.desk.events import Stream
from deskwire.desk.fallback import (
    ENDED,
    ArmPush,
    Push,
    Stage,
    Why,
    after_mark,
    covering,
    due_at,
    second_rung,
)
from deskwire.desk.marks import Mark
from deskwire.desk.office import DeskSettings
from deskwire.desk.people import PersonId, Principal, Realm
from deskwire.storage import office
from deskwire.storage.engine import Transaction
from deskwire.storage.tables import agent, message, person, push

ARMED = Stage.ARMED.value


@dataclass(frozen=True, slots=True)
class _Stored:
    push_id: str
    push: Push
    due: int


async def arm(
    conn: Transaction,
    armed: Sequence[ArmPush],
    places: Mapping[str, Mapping[Stream, int]],
) -> None:
    """Arm or extend. `places` says where each event stands, by its id.

    People without a WeCom id and agents who switched pushes off are left out.
    """
    if not armed:
        return
    reached = await reachable(conn, {each.who for each in armed})
    wanted = [each for each in armed if each.who in reached]
    settings = await office.settings(conn)
    # Rows are locked in one order, after the streams whose lock keeps twins away.
    for each in sorted(wanted, key=lambda each: (*each.who, each.stream)):
        position = places[each.event_id][each.stream]
        stored = await _stored(conn, each.who, each.stream)
        grown = covering(stored.push if stored else None, position, each.why, each.at)
        due = await _due(conn, each.who, each.stream, grown, settings)
        await _save(conn, each, stored, grown, due)


async def marked(conn: Transaction, risen: Iterable[tuple[Principal, Stream, Mark]]) -> None:
    """Disarm what has been delivered; what is left covers less, and waits for no gap any more.

    What is delivered to an employee and not read may become a second rung.
    """
    every = list(risen)
    waiting = await _waiting(conn, {stream for _, stream, _ in every})
    ours = [each for each in every if (each[0], each[1]) in waiting]
    if not ours:
        return
    settings = await office.settings(conn)
    for who, stream, mark in sorted(ours, key=lambda each: (*each[0], each[1])):
        stored = await _stored(conn, who, stream)
        if stored is None:
            continue
        left = after_mark(stored.push, delivered=mark.delivered, read=mark.read)
        if left is None:
            left = await _rung(conn, who, stream, stored.push, mark, settings)
        await _replace(conn, who, stream, stored, left, settings)


async def wrote(conn: Transaction, who: Principal, stream: Stream) -> None:
    """They have written there: no gap holds back what waits for them."""
    if (who, stream) not in await _waiting(conn, {stream}):
        return
    stored = await _stored(conn, who, stream)
    if stored is not None:
        settings = await office.settings(conn)
        await _replace(conn, who, stream, stored, stored.push, settings)


async def _rung(
    conn: Transaction,
    who: Principal,
    stream: Stream,
    delivered: Push,
    mark: Mark,
    settings: DeskSettings,
) -> Push | None:
    if delivered.is_second_rung:
        return None
    reminded = await _is_reminded(conn, who, stream)
    return second_rung(
        delivered, who, read=mark.read, is_reminded=reminded, settings=settings, now=mark.at
    )


async def _is_reminded(conn: Transaction, who: Principal, stream: Stream) -> bool:
    """Whether a second rung has gone out since they last wrote, which ended the agent's turn."""
    wrote_at = await wrote_at_of(conn, who, stream)
    rows = await conn.execute(
        select(push.c.whys).where(
            *of_key(who, stream),
            push.c.state != ARMED,
            push.c.tried_at > (wrote_at or 0),
        )
    )
    return any(Why.SECOND_RUNG.value in json.loads(row.whys) for row in rows)


async def _replace(
    conn: Transaction,
    who: Principal,
    stream: Stream,
    stored: _Stored,
    left: Push | None,
    settings: DeskSettings,
) -> None:
    """Another push in the place of this one, or none."""
    if left is None:
        await conn.execute(delete(push).where(push.c.push_id == stored.push_id))
        return
    due = await _due(conn, who, stream, left, settings)
    if left != stored.push or due != stored.due:
        await conn.execute(
            update(push)
            .where(push.c.push_id == stored.push_id)
            .values(**written(left), due=due, lease_no=push.c.lease_no + 1, lease_until=0)
        )


async def _waiting(conn: Transaction, streams: Collection[Stream]) -> set[tuple[Principal, Stream]]:
    """The keys with an armed row: few, where many marks rise."""
    rows = await conn.execute(
        select(push.c.realm, push.c.person, push.c.stream_id).where(
            push.c.stream_id.in_(streams), push.c.state == ARMED
        )
    )
    return {
        (Principal(Realm(row.realm), PersonId(row.person)), Stream(row.stream_id)) for row in rows
    }


async def reachable(conn: Transaction, people: Iterable[Principal]) -> set[Principal]:
    """Whom a push may go to: with a WeCom id that takes messages, agents unless they said no."""
    people = set(people)
    rows = await conn.execute(
        select(person.c.person_id, agent.c.pushes)
        .select_from(person.outerjoin(agent, agent.c.person_id == person.c.person_id))
        .where(
            person.c.person_id.in_({who.person for who in people}),
            person.c.wecom_userid.is_not(None),
            person.c.disabled_at.is_(None),
            person.c.unreachable_at.is_(None),
        )
    )
    wants = {row.person_id: row.pushes for row in rows}
    return {
        who
        for who in people
        if who.person in wants and (who.realm is Realm.EMPLOYEE or wants[who.person])
    }


async def waiting_of(conn: Transaction, who: Principal, stream: Stream) -> tuple[str, Push] | None:
    """The armed push of this key, locked, with its id."""
    stored = await _stored(conn, who, stream)
    return (stored.push_id, stored.push) if stored else None


async def _stored(conn: Transaction, who: Principal, stream: Stream) -> _Stored | None:
    row = (
        await conn.execute(
            select(push).where(*of_key(who, stream), push.c.state == ARMED).with_for_update()
        )
    ).one_or_none()
    return _Stored(row.push_id, covers(row), row.due) if row else None


def of_key(who: Principal, stream: Stream) -> tuple[ColumnElement[bool], ...]:
    """The pushes of one key, whatever has become of them."""
    return (
        push.c.realm == who.realm.value,
        push.c.person == who.person,
        push.c.stream_id == stream,
    )


def covers(row: Row[Any]) -> Push:
    """What a row of `push` covers, and why."""
    return Push(
        first=row.first,
        last=row.last,
        since=row.since,
        newest=row.newest,
        whys=frozenset(Why(why) for why in json.loads(row.whys)),
    )


def written(waiting: Push) -> dict[str, Any]:
    """The columns of what a push covers, and why."""
    return {
        "first": waiting.first,
        "last": waiting.last,
        "since": waiting.since,
        "newest": waiting.newest,
        "whys": json.dumps(sorted(waiting.whys)),
    }


async def _due(
    conn: Transaction, who: Principal, stream: Stream, waiting: Push, settings: DeskSettings
) -> int:
    """Gap and limits are looked at when it is due: they may well be over by then."""
    wrote_at = await wrote_at_of(conn, who, stream)
    return due_at(waiting, gap=ENDED, sent=(), wrote_at=wrote_at, settings=settings)


async def wrote_at_of(conn: Transaction, who: Principal, stream: Stream) -> int | None:
    """When they last wrote in this conversation."""
    if access.conversation_of(stream) is None:
        return None
    found = await conn.scalar(
        select(func.max(message.c.at)).where(
            message.c.stream_id == stream,
            message.c.realm == who.realm.value,
            message.c.person_id == who.person,
        )
    )
    return int(found) if found is not None else None


async def _save(
    conn: Transaction, each: ArmPush, stored: _Stored | None, grown: Push, due: int
) -> None:
    values = {**written(grown), "due": due, "lease_until": 0}
    if stored is not None:
        again = {**values, "lease_no": push.c.lease_no + 1}
        await conn.execute(update(push).where(push.c.push_id == stored.push_id).values(**again))
        return
    await conn.execute(
        insert(push).values(
            push_id=str(uuid.uuid4()),
            realm=each.who.realm.value,
            person=each.who.person,
            stream_id=each.stream,
            state=ARMED,
            lease_no=1,
            **values,
        )
    )
