"""Marks as stored: what each person's devices have confirmed, per stream. Monotone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import select

from deskwire.desk.events import Stream
from deskwire.desk.marks import Mark
from deskwire.desk.people import Principal, Realm
from deskwire.storage import dialects
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


async def save(conn: Transaction, risen: Iterable[tuple[Stream, Mark]]) -> None:
    """Store marks that have risen; what another node stored higher meanwhile stays.

    Rows are locked in one order, whoever stores which.
    """
    rows = [
        {
            "stream_id": stream,
            "realm": raised.realm.value,
            "person": raised.person,
            "delivered": raised.delivered,
            "read": raised.read,
            "at": raised.at,
        }
        for stream, raised in risen
    ]
    if not rows:
        return
    saving = dialects.insert(conn, mark)
    rising = {
        name: dialects.Greatest(mark.c[name], saving.excluded[name])
        for name in ("delivered", "read", "at")
    }
    keys = [column.name for column in mark.primary_key]
    await conn.execute(
        saving.on_conflict_do_update(index_elements=keys, set_=rising),
        sorted(rows, key=lambda row: [str(row[key]) for key in keys]),
    )
