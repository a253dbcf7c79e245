"""The log: events in streams, dense positions, what was asked under a command id.

Positions are taken inside the transaction, streams in sorted order, last thing before COMMIT: so
position order is commit order, and an abort leaves no hole. An autoincrement id is never a cursor.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, TextClause, insert, select, text, true, update
from sqlalchemy.engine import Row

from deskwire.desk.events import Event, Stream, encode, tombstone
from deskwire.desk.messages import Withdrawn
from deskwire.desk.people import Principal
from deskwire.storage import dialects
from deskwire.storage.engine import Store, StoreBusy, Transaction
from deskwire.storage.tables import command, event, store, stream, stream_event

Name = TypeVar("Name", bound=str)

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
            rows = (await conn.execute(_page(name, after, limit))).all()
        first = rows[0]
        return Page(
            epoch=first.epoch if first.head is None else first.stream_epoch,
            events=_written(row for row in rows if row.position is not None),
            head=first.head or 0,
            access=first.access,
        )


def _page(name: Stream, after: int, limit: int) -> Select[Any]:
    """Head, events and access number in one statement: one moment, and one way to the server."""
    events = (
        select(stream_event.c.position, event.c.body, stream_event.c.voids)
        .join(event, event.c.event_id == stream_event.c.event_id)
        .where(stream_event.c.stream_id == name, stream_event.c.position > after)
        .order_by(stream_event.c.position)
        .limit(limit)
        .subquery()
    )
    at = store.outerjoin(stream, stream.c.stream_id == name).outerjoin(events, true())
    return (
        select(
            store.c.epoch,
            store.c.access,
            stream.c.epoch.label("stream_epoch"),
            stream.c.head,
            events,
        )
        .select_from(at)
        .order_by(events.c.position)
    )


def _written(rows: Iterable[Row[Any]]) -> tuple[Written, ...]:
    page: list[Written] = []
    size = 0
    for row in rows:
        size += len(row.body)
        if page and size > PAGE_BYTES_MAX:
            break
        page.append(Written(row.position, bytes(row.body), row.voids))
    return tuple(page)


async def heads(conn: Transaction, streams: Collection[Stream]) -> dict[Stream, Head]:
    """The heads, within the caller's transaction."""
    found: dict[Stream, Head] = {}
    for some in chunks(sorted(streams)):
        of_store = store.outerjoin(stream, stream.c.stream_id.in_(some))
        rows = (await conn.execute(select(store.c.epoch, stream).select_from(of_store))).all()
        found |= dict.fromkeys(some, Head(rows[0][0], 0, 1))
        found |= {Stream(name): Head(*at) for _, name, *at in rows if name is not None}
    return found


async def epoch_of(conn: Transaction) -> str:
    """The epoch that new streams take."""
    return str((await conn.execute(select(store.c.epoch))).scalar_one())


async def access_number(conn: Transaction) -> int:
    """How many losses of sight there have been, as of this transaction's moment."""
    return int((await conn.execute(select(store.c.access))).scalar_one())


async def next_access(conn: Transaction) -> int:
    """The number of a loss of sight, taken as a position is: dense, in the order of commits.

    Every other loss waits for the end of this transaction, so it is the last thing locked.
    """
    raised = update(store).values(access=store.c.access + 1).returning(store.c.access)
    return int((await conn.execute(raised)).scalar_one())


@dataclass(frozen=True, slots=True)
class Stored:
    """An event as it lies in the log: where, and its body."""

    event_id: str
    places: Mapping[Stream, int]
    body: bytes


async def at(conn: Transaction, name: Stream, position: int) -> Stored:
    """The event at a place that is taken, with all its other places."""
    here = stream_event.c.stream_id == name, stream_event.c.position == position
    event_id = (await conn.execute(select(stream_event.c.event_id).where(*here))).scalar_one()
    body = (
        await conn.execute(select(event.c.body).where(event.c.event_id == event_id))
    ).scalar_one()
    rows = await conn.execute(
        select(stream_event.c.stream_id, stream_event.c.position).where(
            stream_event.c.event_id == event_id
        )
    )
    places = {Stream(row.stream_id): row.position for row in rows}
    return Stored(event_id, places, bytes(body))


async def bury(conn: Transaction, stored: Stored, how: Withdrawn) -> None:
    """Put the tombstone in the place of a message's or note's text: the log's one rewrite."""
    await conn.execute(
        update(event)
        .where(event.c.event_id == stored.event_id)
        .values(body=tombstone(stored.body, how))
    )


async def append(
    conn: Transaction,
    events: Sequence[Event],
    voids: Mapping[str, Mapping[Stream, int]] = MappingProxyType({}),
) -> tuple[dict[Stream, Head], list[dict[Stream, int]]]:
    """Append events to their streams in order. The last thing before COMMIT.

    Returns the new heads, and for each event its position in each of its streams. `voids` says by
    an event's id which position it has rewritten in a stream.
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
    await _insert(conn, events, bodies, placed, voids)
    return new_heads, placed


async def _take_positions(conn: Transaction, events: Sequence[Event]) -> dict[Stream, Head]:
    counts = Counter(name for item in events for name in item.streams)
    if not counts:
        return {}
    values: dict[str, Any] = {}
    for i, name in enumerate(sorted(counts)):  # the order in which the rows are locked
        values |= {f"name{i}": name, f"n{i}": counts[name]}
    rows = await conn.execute(_taking(len(counts)), values)
    return {Stream(row.stream_id): Head(row.epoch, row.head, row.floor) for row in rows}


@cache
def _taking(count: int) -> TextClause:
    """Raise the heads of so many streams, new ones from nothing.

    Written out, for SQLAlchemy composes an INSERT of several rows anew each time.
    """
    row = "(:name{0}, (SELECT epoch FROM store), :n{0}, 1)"
    return text(
        "INSERT INTO stream (stream_id, epoch, head, floor) VALUES "  # noqa: S608  names are bound
        + ", ".join(row.format(i) for i in range(count))
        + " ON CONFLICT (stream_id) DO UPDATE SET head = stream.head + excluded.head"
        " RETURNING stream_id, epoch, head, floor"
    )


async def _insert(
    conn: Transaction,
    events: Sequence[Event],
    bodies: Sequence[bytes],
    placed: Sequence[Mapping[Stream, int]],
    voids: Mapping[str, Mapping[Stream, int]],
) -> None:
    written = [
        {"event_id": e.id, "type": e.type.name, "v": e.type.v, "body": body, "at": e.at}
        for e, body in zip(events, bodies, strict=True)
    ]
    places = [
        {
            "stream_id": name,
            "position": position,
            "event_id": e.id,
            "anchor": _anchor(e, name),
            "voids": voids.get(e.id, {}).get(name),
        }
        for e, where in zip(events, placed, strict=True)
        for name, position in where.items()
    ]
    if written:
        await conn.execute(insert(event), written)
        await conn.execute(insert(stream_event), places)


def _anchor(item: Event, name: Stream) -> int | None:
    return item.anchor if name.endswith(":staff") else None


async def take_command(
    conn: Transaction, principal: Principal, command_id: str, content_hash: bytes, now: int
) -> Remembered | None:
    """Take a command id: the first thing in its transaction. Returns what it has led to before.

    None: it was free and is ours now, once `answer_command` has told its result. Somebody who is
    just using the same id is waited for.
    """
    taken = await conn.execute(
        dialects.insert(conn, command)
        .values(**_key(principal, command_id), content_hash=content_hash, result="", at=now)
        .on_conflict_do_nothing()
        .returning(command.c.command_id)
    )
    if taken.first() is not None:
        return None
    row = (
        await conn.execute(
            select(command.c.content_hash, command.c.result).where(*_is(principal, command_id))
        )
    ).one_or_none()
    if row is None:
        raise StoreBusy("a command id was forgotten while it was asked for")
    return Remembered(bytes(row.content_hash), json.loads(row.result))


async def answer_command(
    conn: Transaction, principal: Principal, command_id: str, result: Mapping[str, Any]
) -> None:
    """Keep the answer to a command id that was taken, in the transaction with its effect."""
    await conn.execute(
        update(command).where(*_is(principal, command_id)).values(result=json.dumps(result))
    )


def _key(principal: Principal, command_id: str) -> dict[str, str]:
    realm, person = principal
    return {"realm": realm.value, "person": person, "command_id": command_id}


def _is(principal: Principal, command_id: str) -> list[ColumnElement[bool]]:
    return [command.c[name] == value for name, value in _key(principal, command_id).items()]


def chunks(names: Sequence[Name]) -> Iterable[Sequence[Name]]:
    """As many as one `IN` may hold: PostgreSQL takes 32,767 parameters a statement."""
    return (names[i : i + _IN_MAX] for i in range(0, len(names), _IN_MAX))
