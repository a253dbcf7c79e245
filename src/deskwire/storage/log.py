"""The log: events in streams, dense positions, what was asked under a command id.

Positions are taken inside the transaction, streams in sorted order, last thing before COMMIT: so
position order is commit order, and an abort leaves no hole. An autoincrement id is never a cursor.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, insert, select, update

from deskwire.desk.events import Event, Stream, encode
from deskwire.desk.people import Principal
from deskwire.storage.engine import Store, Transaction
from deskwire.storage.tables import access, command, event, store, stream, stream_event

PAGE_BYTES_MAX = 256 * 1024
_IN_MAX = 500


@dataclass(frozen=True, slots=True)
class Head:
    """Where a stream ends. `floor` is the lowest position kept."""

    epoch: str
    position: int
    floor: int


@dataclass(frozen=True, slots=True)
class Written:
    """One event in one stream. `voids` names the position that this event rewrote, if any."""

    position: int
    body: bytes
    voids: int | None


@dataclass(frozen=True, slots=True)
class Page:
    """A dense piece of a stream, with its head and the `access` number of the same moment."""

    epoch: str
    events: tuple[Written, ...]
    head: int
    access: int


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a command id has led to before."""

    content_hash: bytes
    result: Mapping[str, Any]


class SqlLog:
    """The log as the connection manager reads it: committed events only."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def heads(self, streams: Collection[str]) -> Mapping[str, Head]:
        """The head of each stream; one that has no event yet stands at 0 of the store's epoch."""
        async with self._store.reading() as conn:
            return dict((await heads(conn, [Stream(name) for name in streams])).items())

    async def read(self, stream: str, after: int, limit: int = 256) -> Page:
        """Events from `after` + 1 on: at most `limit` and 256 KiB, at least one if there is one."""
        name = Stream(stream)
        async with self._store.reading() as conn:
            head = (await heads(conn, [name]))[name]
            events = await _events(conn, name, after, limit)
            narrowed = await conn.scalar(select(func.coalesce(func.max(access.c.n), 0)))
        return Page(epoch=head.epoch, events=events, head=head.position, access=int(narrowed or 0))


async def heads(conn: Transaction, streams: Collection[Stream]) -> dict[Stream, Head]:
    """The heads, within the caller's transaction."""
    found: dict[Stream, Head] = {}
    for some in _chunks(sorted(streams)):
        rows = await conn.execute(select(stream).where(stream.c.stream_id.in_(some)))
        for row in rows:
            found[Stream(row.stream_id)] = Head(row.epoch, row.head, row.floor)
    missing = [name for name in streams if name not in found]
    if missing:
        epoch = await epoch_of(conn)
        found |= {name: Head(epoch, 0, 1) for name in missing}
    return found


async def epoch_of(conn: Transaction) -> str:
    """The epoch that new streams take."""
    return str((await conn.execute(select(store.c.epoch))).scalar_one())


async def _events(
    conn: Transaction, stream_id: Stream, after: int, limit: int
) -> tuple[Written, ...]:
    rows = await conn.execute(
        select(stream_event.c.position, event.c.body, stream_event.c.voids)
        .join(event, event.c.event_id == stream_event.c.event_id)
        .where(stream_event.c.stream_id == stream_id, stream_event.c.position > after)
        .order_by(stream_event.c.position)
        .limit(limit)
    )
    page: list[Written] = []
    size = 0
    for position, body, voids in rows:
        size += len(body)
        if page and size > PAGE_BYTES_MAX:
            break
        page.append(Written(position, bytes(body), voids))
    return tuple(page)


async def append(
    conn: Transaction, events: Sequence[Event]
) -> tuple[dict[Stream, Head], list[dict[Stream, int]]]:
    """Append events to their streams in order. The last thing before COMMIT.

    Returns the new heads, and for each event its position in each of its streams.
    """
    bodies = [encode(item) for item in events]
    new_heads = await _take_positions(conn, events)
    nexts = {
        name: head.position - sum(name in item.streams for item in events)
        for name, head in new_heads.items()
    }
    placed: list[dict[Stream, int]] = []
    for item in events:
        for name in item.streams:
            nexts[name] += 1
        placed.append({name: nexts[name] for name in item.streams})
    await _insert(conn, events, bodies, placed)
    return new_heads, placed


async def _take_positions(conn: Transaction, events: Sequence[Event]) -> dict[Stream, Head]:
    taken: dict[Stream, Head] = {}
    for name in sorted({name for item in events for name in item.streams}):
        n = sum(name in item.streams for item in events)
        taken[name] = await _take(conn, name, n)
    return taken


async def _take(conn: Transaction, name: Stream, n: int) -> Head:
    raised = (
        update(stream)
        .where(stream.c.stream_id == name)
        .values(head=stream.c.head + n)
        .returning(stream.c.epoch, stream.c.head, stream.c.floor)
    )
    row = (await conn.execute(raised)).one_or_none()
    if row is None:
        epoch = await epoch_of(conn)
        await conn.execute(insert(stream).values(stream_id=name, epoch=epoch, head=0, floor=1))
        row = (await conn.execute(raised)).one()
    return Head(row.epoch, row.head, row.floor)


async def _insert(
    conn: Transaction,
    events: Sequence[Event],
    bodies: Sequence[bytes],
    placed: Sequence[Mapping[Stream, int]],
) -> None:
    written = [
        {"event_id": e.id, "type": e.type.name, "v": e.type.v, "body": body, "at": e.at}
        for e, body in zip(events, bodies, strict=True)
    ]
    places = [
        {"stream_id": name, "position": position, "event_id": e.id, "anchor": _anchor(e, name)}
        for e, where in zip(events, placed, strict=True)
        for name, position in where.items()
    ]
    if written:
        await conn.execute(insert(event), written)
        await conn.execute(insert(stream_event), places)


def _anchor(item: Event, name: Stream) -> int | None:
    return item.anchor if name.endswith(":staff") else None


async def remembered(conn: Transaction, principal: Principal, command_id: str) -> Remembered | None:
    """What this principal's command id has led to, or none."""
    row = (
        await conn.execute(
            select(command.c.content_hash, command.c.result).where(
                command.c.realm == principal.realm.value,
                command.c.person == principal.person,
                command.c.command_id == command_id,
            )
        )
    ).one_or_none()
    return Remembered(bytes(row.content_hash), json.loads(row.result)) if row else None


async def remember(
    conn: Transaction,
    principal: Principal,
    command_id: str,
    content_hash: bytes,
    result: Mapping[str, Any],
    now: int,
) -> None:
    """Keep the answer to a command id, in the transaction that carries its effect."""
    await conn.execute(
        insert(command).values(
            realm=principal.realm.value,
            person=principal.person,
            command_id=command_id,
            content_hash=content_hash,
            result=json.dumps(result),
            at=now,
        )
    )


def _chunks(names: Sequence[Stream]) -> Iterable[Sequence[Stream]]:
    return (names[i : i + _IN_MAX] for i in range(0, len(names), _IN_MAX))
