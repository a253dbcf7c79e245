"""The engine and the unit of work: one command, one transaction.

SQLite here: WAL, synchronous=FULL, one writer. Application code never commits; the block that
opened the transaction does, at its end. Invariant: what `writing` yields is rolled back whole
unless its block ends without an exception.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO, Any, TypeAlias

from sqlalchemy import event, exc
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

Transaction: TypeAlias = AsyncConnection
DatabaseUrl: TypeAlias = URL

READERS_MAX = 4
POOL_WAIT_S = 5.0


class StoreUnavailable(Exception):
    """The database did not answer, or not in time.

    Nothing of the transaction is known to be kept.
    """


class StoreInUse(Exception):
    """Another process holds this SQLite database."""


def sqlite_at(path: Path) -> URL:
    """The address of a SQLite file, whatever characters its path has."""
    return URL.create("sqlite+aiosqlite", database=str(path))


class Store:
    """One database. `writing` and `reading` give a connection inside a transaction of their own."""

    def __init__(self, url: str | URL) -> None:
        self.url = make_url(url)
        if self.url.get_backend_name() != "sqlite":
            raise ValueError(f"only SQLite is supported so far, not {self.url.drivername!r}")
        self._writer = _engine(self.url, writer=True)
        self._reader = _engine(self.url, writer=False)
        self._lock: IO[str] | None = None

    @property
    def path(self) -> Path:
        return Path(str(self.url.database))

    def hold(self) -> None:
        """Keep every other process from opening this database as a server. Raises StoreInUse.

        The lock belongs to the process: the system gives it back after a kill as well.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(self.path.with_name(self.path.name + ".lock"))

    async def close(self) -> None:
        await self._writer.dispose()
        await self._reader.dispose()
        if self._lock is not None:
            self._lock.close()

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Transaction]:
        """A transaction that may write; writers take turns. Raises StoreUnavailable."""
        with _faults_named():
            async with self._writer.begin() as conn:
                yield conn

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Transaction]:
        """A transaction whose reads all see one moment of the database. Raises StoreUnavailable."""
        with _faults_named():
            async with self._reader.begin() as conn:
                yield conn


@contextmanager
def _faults_named() -> Iterator[None]:
    """Database faults leave this room under our own name, with the cause attached."""
    try:
        yield
    except (exc.OperationalError, exc.InterfaceError, exc.TimeoutError) as fault:
        raise StoreUnavailable(type(fault).__name__) from fault


def _engine(url: URL, *, writer: bool) -> AsyncEngine:
    engine = create_async_engine(
        url, pool_size=1 if writer else READERS_MAX, max_overflow=0, pool_timeout=POOL_WAIT_S
    )
    begin = "BEGIN IMMEDIATE" if writer else "BEGIN"

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        # We begin transactions ourselves: the driver's own rules would begin them late and not at
        # once exclusively.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in _pragmas(writer=writer):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _pragmas(*, writer: bool) -> tuple[str, ...]:
    # FULL: "accepted" means the commit has reached the disk, not only the page cache.
    shared = ("busy_timeout=5000", "foreign_keys=ON", "journal_mode=WAL", "synchronous=FULL")
    return shared if writer else (*shared, "query_only=ON")


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
