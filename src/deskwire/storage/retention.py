"""What has had its time: answers to commands, recalled originals, events that snapshots replace,
pushes that are settled.

A piece at a time, so that no transaction is long. Invariant: a stream keeps the positions from its
floor to its head without a hole, and a conversation's streams, which are its history, keep all.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import ColumnElement, Table, and_, delete, exists, func, select, tuple_, update

from deskwire.desk.events import TYPE_OF, OfferClosed, Stream
from deskwire.storage import dialects
from deskwire.storage.engine import Transaction
from deskwire.storage.tables import command, event, push, stream, stream_event, withdrawn_original

ROWS_MAX: Final = 500
STREAMS_MAX: Final = 20

CLEANING: Final = 0x636C656E  # "clen"
# The audit of a conversation shows a declined offer by its end, which stands in no stream of it.
_EXPLAINS: Final = TYPE_OF[OfferClosed].name


async def forget_commands(conn: Transaction, before: int) -> int:
    """Forget ids that were used before this time (Unix ms), at most 500. How many there were."""
    return await _forget(conn, command, command.c.at, before)


async def forget_originals(conn: Transaction, before: int) -> int:
    """Destroy what was recalled before this time (Unix ms), at most 500. How many there were."""
    return await _forget(conn, withdrawn_original, withdrawn_original.c.at, before)


async def forget_pushes(conn: Transaction, before: int) -> int:
    """Forget pushes that were settled before this time (Unix ms), at most 500. How many."""
    return await _forget(conn, push, push.c.settled_at, before)


async def _forget(conn: Transaction, table: Table, at: ColumnElement[int], before: int) -> int:
    key = list(table.primary_key)
    old = select(*key).where(at < before).order_by(at).limit(ROWS_MAX)
    gone = await conn.execute(delete(table).where(tuple_(*key).in_(old)))
    return gone.rowcount


async def overdue(conn: Transaction, before: int) -> list[Stream]:
    """Streams whose oldest event is from before this time (Unix ms), at most twenty.

    Boards, personal streams and the desk's: whoever is told to load anew finds all of it there.
    """
    oldest = and_(
        stream_event.c.stream_id == stream.c.stream_id, stream_event.c.position == stream.c.floor
    )
    rows = await conn.execute(
        select(stream.c.stream_id)
        .join(stream_event, oldest)
        .join(event, event.c.event_id == stream_event.c.event_id)
        .where(event.c.at < before, ~stream.c.stream_id.startswith("conv:"))
        .order_by(stream.c.stream_id)
        .limit(STREAMS_MAX)
    )
    return [Stream(row.stream_id) for row in rows]


async def trim(conn: Transaction, name: Stream, before: int) -> int:
    """Raise a stream's floor above what is from before this time (Unix ms), by at most 500.

    Returns by how much. An event that then stands in no stream is gone.
    """
    # Who takes the last place of an event away must see that it is the last.
    await dialects.take_turns(conn, CLEANING)
    here = stream.c.stream_id == name
    row = (await conn.execute(select(stream).where(here).with_for_update())).one()
    floor = await _floor(conn, name, row.floor, min(row.head, row.floor + ROWS_MAX - 1), before)
    if floor == row.floor:
        return 0
    below = stream_event.c.stream_id == name, stream_event.c.position < floor
    ids = list(await conn.scalars(select(stream_event.c.event_id).where(*below)))
    await conn.execute(update(stream).where(here).values(floor=floor))
    await conn.execute(delete(stream_event).where(*below))
    stands = exists().where(stream_event.c.event_id == event.c.event_id)
    await conn.execute(
        delete(event).where(event.c.event_id.in_(ids), event.c.type != _EXPLAINS, ~stands)
    )
    return int(floor - row.floor)


async def _floor(conn: Transaction, name: Stream, floor: int, last: int, before: int) -> int:
    """The first position from `floor` to `last` that is young enough, or the one behind them."""
    young = await conn.scalar(
        select(func.min(stream_event.c.position))
        .join(event, event.c.event_id == stream_event.c.event_id)
        .where(
            stream_event.c.stream_id == name,
            stream_event.c.position.between(floor, last),
            event.c.at >= before,
        )
    )
    return last + 1 if young is None else int(young)
