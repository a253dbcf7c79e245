"""Rows with a due time, claimed under a lease: timers, and by the same code pushes and callbacks.

A claim is a promise to have done by the lease's end. It may be broken: a process stops, stands
still, dies. Then the row is claimed anew under a higher number, and what the older claim still
does to the row matches nothing. Whatever a row leads to asks its own guard again, so it may run
late or twice. Must never know: what a kind means.

Invariant: due times and leases are compared with one clock, the database's.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from sqlalchemy import ColumnElement, Table, and_, delete, select, true, update
from sqlalchemy.engine import Row

from deskwire.storage import dialects
from deskwire.storage.engine import Transaction
from deskwire.storage.tables import timer

CLAIMS_MAX: Final = 16
ROWS_MAX: Final = 500  # of one statement: between two the loop gets its turn
LEASE_MS: Final = 30_000


class Clock(Protocol):
    """What due times and leases are compared with. Tests move theirs."""

    async def now(self, conn: Transaction) -> int:
        """Unix ms."""


class DatabaseClock:
    """One clock for all nodes, however wrong their own are."""

    async def now(self, conn: Transaction) -> int:
        return int((await conn.execute(select(dialects.ClockMs()))).scalar_one())


class GivenClock:
    """A clock that somebody else sets: of a test, or of a story about yesterday."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now

    async def now(self, _conn: Transaction) -> int:
        return self._now()


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A row that is ours until the lease ends, by the database's clock (Unix ms).

    Whoever carries it out measures the time left on a clock that nobody sets.
    """

    key: tuple[str, ...]  # the values of the table's primary key, in its order
    due: int
    lease_no: int
    lease_until: int


class DueRows:
    """The rows of one table that has `due`, `lease_no` and `lease_until`.

    `waiting` narrows what may be claimed, for a table that also keeps what is settled.
    """

    def __init__(self, table: Table, *, waiting: ColumnElement[bool] | None = None) -> None:
        self._table = table
        self._waiting = true() if waiting is None else waiting
        self._key = list(table.primary_key)

    async def claim(
        self,
        conn: Transaction,
        clock: Clock,
        *,
        lease_ms: int = LEASE_MS,
        limit: int = CLAIMS_MAX,
    ) -> list[Claim]:
        """What is due and nobody's, the oldest first. Rows that others are claiming are left out.

        Commit before doing anything: until then the claim is not one.
        """
        table, now = self._table, await clock.now(conn)
        picked = (
            select(*self._key)
            .where(table.c.due <= now, table.c.lease_until < now, self._waiting)
            .order_by(table.c.due)
            .limit(limit)
            .with_for_update(skip_locked=True)  # SQLite has one writer, and leaves this out
            .cte("picked")
        )
        rows = await conn.execute(
            update(table)
            .where(and_(*(column == picked.c[column.name] for column in self._key)))
            .values(lease_no=table.c.lease_no + 1, lease_until=now + lease_ms)
            .returning(*self._key, table.c.due, table.c.lease_no, table.c.lease_until)
        )
        return sorted((self._claim(row) for row in rows), key=lambda found: (found.due, found.key))

    async def finish(self, conn: Transaction, claim: Claim) -> bool:
        """Remove a row that is done. False: it is not ours any more, and stands as it is."""
        return bool((await conn.execute(delete(self._table).where(self.ours(claim)))).rowcount)

    async def postpone(self, conn: Transaction, claim: Claim, due: int) -> bool:
        """Give a row back, to be claimed from `due` on. False: it is not ours any more."""
        changed = await conn.execute(
            update(self._table).where(self.ours(claim)).values(due=due, lease_until=0)
        )
        return bool(changed.rowcount)

    def ours(self, claim: Claim) -> ColumnElement[bool]:
        """The fence: the row, if nobody has claimed or armed it since."""
        same = (column == value for column, value in zip(self._key, claim.key, strict=True))
        return and_(self._table.c.lease_no == claim.lease_no, *same)

    def _claim(self, row: Row[Any]) -> Claim:
        key = tuple(row._mapping[column] for column in self._key)  # noqa: SLF001  its public name
        return Claim(key=key, due=row.due, lease_no=row.lease_no, lease_until=row.lease_until)


TIMERS: Final = DueRows(timer)


async def arm(conn: Transaction, kind: str, key: str, due: int) -> None:
    """Let a timer be due at `due` (Unix ms), whether or not it was armed before.

    Whoever is just carrying it out as it was before does not end it as it is now.
    """
    await arm_all(conn, kind, {key: due})


async def arm_all(conn: Transaction, kind: str, dues: Mapping[str, int]) -> None:
    """Arm timers of one kind, each key for its due time (Unix ms), in one order of locks."""
    arming = dialects.insert(conn, timer)
    again = {"due": arming.excluded.due, "lease_no": timer.c.lease_no + 1, "lease_until": 0}
    arming = arming.on_conflict_do_update(index_elements=[timer.c.kind, timer.c.key], set_=again)
    rows = [
        {"kind": kind, "key": key, "due": due, "lease_no": _first_lease_no(), "lease_until": 0}
        for key, due in sorted(dues.items())
    ]
    for start in range(0, len(rows), ROWS_MAX):
        await conn.execute(arming, rows[start : start + ROWS_MAX])


async def arm_once(conn: Transaction, kind: str, key: str, due: int) -> None:
    """Arm a timer for `due` (Unix ms), unless it is armed for whatever time."""
    arming = dialects.insert(conn, timer).values(
        kind=kind, key=key, due=due, lease_no=_first_lease_no(), lease_until=0
    )
    await conn.execute(arming.on_conflict_do_nothing())


async def disarm(conn: Transaction, timers: Sequence[tuple[str, str]]) -> None:
    """Take back timers by kind and key; those that are not armed are none."""
    for kind, key in sorted(timers):
        await conn.execute(delete(timer).where(timer.c.kind == kind, timer.c.key == key))


async def not_before(conn: Transaction, kind: str, due: int) -> None:
    """Let no timer of this kind be due before this time (Unix ms)."""
    await conn.execute(
        update(timer)
        .where(timer.c.kind == kind, timer.c.due < due)
        .values(due=due, lease_no=timer.c.lease_no + 1, lease_until=0)
    )


def _first_lease_no() -> int:
    """Not 0: a claim from before a row was disarmed must not fit the row of its next life."""
    return secrets.randbits(53)
