"""Marks as stored: what each person's devices have confirmed, per stream. Monotone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import insert, select, update

from deskwire.desk.events import Stream
from deskwire.desk.marks import Mark
from deskwire.desk.people import Principal, Realm
from deskwire.storage.engine import Transaction
from deskwire.storage.tables import mark


async def of_streams(
    conn: Transaction, streams: Sequence[Stream]
) -> Mapping[Stream, Sequence[Mark]]:
    """Everybody's marks on these streams, in a stable order."""
    rows = await conn.execute(
        select(mark)
        .where(mark.c.stream_id.in_(streams))
        .order_by(mark.c.stream_id, mark.c.realm, mark.c.person)
    )
    found: dict[Stream, list[Mark]] = {}
    for row in rows:
        found.setdefault(Stream(row.stream_id), []).append(
            Mark(
                realm=Realm(row.realm),
                person=row.person,
                delivered=row.delivered,
                read=row.read,
                at=row.at,
            )
        )
    return found


async def of_principal(
    conn: Transaction, who: Principal, streams: Sequence[Stream]
) -> Mapping[Stream, Mark]:
    """One principal's own marks on these streams."""
    everyone = await of_streams(conn, streams)
    return {
        stream: own
        for stream, marks in everyone.items()
        for own in marks
        if (own.realm, own.person) == who
    }


async def save(conn: Transaction, stream: Stream, raised: Mark) -> None:
    """Store a mark that has risen. The caller read the former one in this transaction."""
    at = (
        mark.c.stream_id == stream,
        mark.c.realm == raised.realm.value,
        mark.c.person == raised.person,
    )
    values = {"delivered": raised.delivered, "read": raised.read, "at": raised.at}
    changed = await conn.execute(update(mark).where(*at).values(**values))
    if not changed.rowcount:
        await conn.execute(
            insert(mark).values(
                stream_id=stream, realm=raised.realm.value, person=raised.person, **values
            )
        )
