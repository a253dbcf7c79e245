"""Pushes that wait: one armed row for each principal and stream, extended, never doubled.

When a push is due and what a mark makes of it is `desk/fallback`'s to say. Nothing is sent here.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.engine import Row

from deskwire.desk import access
from deskwire.desk.events import Stream
from deskwire.desk.fallback import ENDED, ArmPush, Push, Why, after_mark, covering, due_at
from deskwire.desk.marks import Mark
from deskwire.desk.office import DeskSettings
from deskwire.desk.people import PersonId, Principal, Realm
from deskwire.storage import office
from deskwire.storage.engine import Transaction
from deskwire.storage.tables import agent, message, person, push

ARMED = "armed"


@dataclass(frozen=True, slots=True)
class _Stored:
    push_id: str
    push: Push


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
    reachable = await _reachable(conn, {each.who for each in armed})
    wanted = [each for each in armed if each.who in reachable]
    settings = await office.settings(conn)
    # Rows are locked in one order, after the streams whose lock keeps twins away.
    for each in sorted(wanted, key=lambda each: (*each.who, each.stream)):
        position = places[each.event_id][each.stream]
        stored = await _stored(conn, each.who, each.stream)
        grown = covering(stored.push if stored else None, position, each.why, each.at)
        due = await _due(conn, each, grown, settings)
        await _save(conn, each, stored, grown, due)


async def marked(conn: Transaction, risen: Iterable[tuple[Principal, Stream, Mark]]) -> None:
    """Disarm what has been delivered; what is left covers less."""
    every = list(risen)
    waiting = await _waiting(conn, {stream for _, stream, _ in every})
    ours = [each for each in every if (each[0], each[1]) in waiting]
    for who, stream, mark in sorted(ours, key=lambda each: (*each[0], each[1])):
        stored = await _stored(conn, who, stream)
        if stored is None:
            continue
        left = after_mark(stored.push, delivered=mark.delivered, read=mark.read)
        if left is None:
            await conn.execute(delete(push).where(push.c.push_id == stored.push_id))
        elif left != stored.push:
            await conn.execute(
                update(push)
                .where(push.c.push_id == stored.push_id)
                .values(first=left.first, lease_no=push.c.lease_no + 1, lease_until=0)
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


async def _reachable(conn: Transaction, people: Iterable[Principal]) -> set[Principal]:
    people = set(people)
    rows = await conn.execute(
        select(person.c.person_id, agent.c.pushes)
        .select_from(person.outerjoin(agent, agent.c.person_id == person.c.person_id))
        .where(
            person.c.person_id.in_({who.person for who in people}),
            person.c.wecom_userid.is_not(None),
            person.c.disabled_at.is_(None),
        )
    )
    wants = {row.person_id: row.pushes for row in rows}
    return {
        who
        for who in people
        if who.person in wants and (who.realm is Realm.EMPLOYEE or wants[who.person])
    }


async def _stored(conn: Transaction, who: Principal, stream: Stream) -> _Stored | None:
    row = (
        await conn.execute(
            select(push)
            .where(
                push.c.realm == who.realm.value,
                push.c.person == who.person,
                push.c.stream_id == stream,
                push.c.state == ARMED,
            )
            .with_for_update()
        )
    ).one_or_none()
    return _Stored(row.push_id, _push(row)) if row else None


def _push(row: Row[Any]) -> Push:
    return Push(
        first=row.first,
        last=row.last,
        since=row.since,
        newest=row.newest,
        whys=frozenset(Why(why) for why in json.loads(row.whys)),
    )


async def _due(conn: Transaction, each: ArmPush, grown: Push, settings: DeskSettings) -> int:
    wrote_at = await _wrote_at(conn, each)
    return due_at(grown, gap=ENDED, sent=(), wrote_at=wrote_at, settings=settings)


async def _wrote_at(conn: Transaction, each: ArmPush) -> int | None:
    """When they last wrote in this conversation."""
    if access.conversation_of(each.stream) is None:
        return None
    found = await conn.scalar(
        select(func.max(message.c.at)).where(
            message.c.stream_id == each.stream,
            message.c.realm == each.who.realm.value,
            message.c.person_id == each.who.person,
        )
    )
    return int(found) if found is not None else None


async def _save(
    conn: Transaction, each: ArmPush, stored: _Stored | None, grown: Push, due: int
) -> None:
    values = {
        "first": grown.first,
        "last": grown.last,
        "since": grown.since,
        "newest": grown.newest,
        "whys": json.dumps(sorted(grown.whys)),
        "due": due,
        "lease_until": 0,
    }
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
