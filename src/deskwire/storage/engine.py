"""The engine and the unit of work: one command, one transaction, on SQLite or PostgreSQL.

Application code never commits; the block that opened the transaction does, at its end. Invariant:
what `writing` yields is rolled back whole unless its block ends without an exception.

Locks are taken in this order everywhere: command, office, person, conversation, agents, timers,
marks, streams in sorted order, pushes, logins, and the `access` number last. A day's number counts
as a conversation.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO, Any, TypeAlias, TypeVar

from sqlalchemy import exc
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from deskwire import telemetry
from deskwire.storage import dialects

_T = TypeVar("_T")

UNCUT_S = 5.0  # about as long as the databases themselves let one wait

_log = telemetry.logger("storage")

Transaction: TypeAlias = AsyncConnection
DatabaseUrl: TypeAlias = URL


class StoreUnavailable(Exception):
    """The database did not answer, or not in time. Nothing of the transaction is kept.

    Two kinds of it deserve another try at once; see below.
    """


class StoreBusy(StoreUnavailable):
    """The transaction lost against another one and was rolled back: run it again."""


class StoreLost(StoreUnavailable):
    """The connection ended within the transaction; whether COMMIT took effect is not known.

    Only what may take effect twice without harm is run again.
    """


class StoreInUse(Exception):
    """Another process holds this SQLite database."""


def sqlite_at(path: Path) -> URL:
    """The address of a SQLite file, whatever characters its path has."""
    return URL.create(dialects.DRIVERS["sqlite"], database=str(path))


class Store:
    """One database. `writing` and `reading` give a connection inside a transaction of their own.

    `acquire_s` bounds the wait for a connection; without it the database's own bound holds.
    """

    def __init__(self, url: str | URL, *, acquire_s: float | None = None) -> None:
        self.url = dialects.driven(url)
        self._writer = dialects.writer(self.url, acquire_s=acquire_s)
        self._reader = dialects.reader(self.url, acquire_s=acquire_s)
        self._lock: IO[str] | None = None

    def __repr__(self) -> str:
        return f"<Store {self.url.render_as_string(hide_password=True)}>"

    @property
    def is_for_one_process(self) -> bool:
        """Whether a second process must not serve this database."""
        return dialects.is_sqlite(self.url)

    def hold(self) -> None:
        """Keep every other process from opening this database as a server. Raises StoreInUse.

        Only where it is for one process. The lock belongs to this one: the system gives it back
        after a kill as well.
        """
        if not self.is_for_one_process:
            return
        path = Path(str(self.url.database))
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(path.with_name(path.name + ".lock"))

    async def is_durable(self) -> bool:
        """Whether what is committed outlives a power failure. Raises StoreUnavailable."""
        async with self.reading() as conn:
            return await dialects.is_durable(conn)

    async def close(self) -> None:
        await self._writer.dispose()
        await self._reader.dispose()
        self.release()

    def release(self) -> None:
        """Give back what `hold` took. That nothing was taken changes nothing."""
        if self._lock is not None:
            self._lock.close()

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Transaction]:
        """A transaction that may write. Raises StoreUnavailable.

        On SQLite writers take turns. On PostgreSQL they meet at locks: a row that was read may
        change until it is locked.
        """
        async with _transaction(self._writer) as conn:
            yield conn

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Transaction]:
        """A transaction whose reads all see one moment of the database. Raises StoreUnavailable."""
        async with _transaction(self._reader) as conn:
            yield conn


@asynccontextmanager
async def _transaction(engine: AsyncEngine) -> AsyncIterator[Transaction]:
    """Faults of the database leave under our own name, with the cause attached."""
    is_connected = False
    try:
        async with engine.connect() as conn, conn.begin():
            is_connected = True
            yield conn
    except (exc.DBAPIError, exc.TimeoutError, OSError) as fault:
        name = dialects.name_of(fault)
        if dialects.lost_a_race(fault):
            raise StoreBusy(name) from fault
        if is_connected and dialects.lost_the_connection(fault):
            raise StoreLost(name) from fault
        if dialects.is_outage(fault):
            raise StoreUnavailable(name) from fault
        raise


async def uncut(work: Coroutine[Any, Any, _T]) -> _T:
    """Await work that opens transactions; who is cancelled meanwhile lets it come to its end first.

    Cut within a statement a connection could not be used again, and whether COMMIT took effect
    would not be known. What has not ended after `UNCUT_S` is cut all the same, and rolled back.
    """
    task = asyncio.get_running_loop().create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await _ended(task)
        raise


async def _ended(task: asyncio.Task[Any]) -> None:
    await asyncio.wait({task}, timeout=UNCUT_S)
    task.cancel()
    await asyncio.wait({task}, timeout=UNCUT_S)
    if task.done() and not task.cancelled() and (fault := task.exception()) is not None:
        _log.warning("ended_with", fault=str(fault))


@contextmanager
def surviving(log: telemetry.Logger, *, waits: str, failed: str) -> Iterator[None]:
    """One round of a task that never ends: what goes wrong is said, as `waits` or `failed`.

    A store that does not answer is waited for; what breaks a rule of ours must not stop all rounds.
    """
    try:
        yield
    except StoreUnavailable as fault:
        log.warning(waits, fault=str(fault))
    except Exception:  # the root of its task
        log.exception(failed)


def _locked(path: Path) -> IO[str]:
    handle = path.open("a+")
    try:
        _take_lock(handle)
    except OSError:
        handle.close()
        raise StoreInUse(f"{path.parent} is in use by another deskwire process") from None
    return handle


def _take_lock(handle: IO[str]) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
