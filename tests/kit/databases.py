"""The databases that tests run on: a file of SQLite, a database of PostgreSQL; the same to a test.

A template is migrated and seeded once; a test gets a copy. `sql` and `write` go past our own code:
they see what is committed, and do what another program might do.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
import threading
import uuid
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

import asyncpg
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from deskwire.storage.tables import metadata
from tests.kit.postgres import Postgres

_T = TypeVar("_T")

PREFIX = "deskwire_test_"
INDEX = "searchable_index"  # FTS5's tables on SQLite: an index, though made of tables


class NotWritten(Exception):
    """The database itself refused a row."""


class Database(Protocol):
    """One test's own database. Blocks: a test's look past the code is not the code's."""

    url: str
    folder: Path

    @property
    def kind(self) -> str: ...

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows as another process sees them. Values stand for question marks."""

    def write(self, statement: str, *values: Any) -> None:
        """Something that another program does. Raises NotWritten."""

    def tables(self) -> list[str]: ...

    def reset(self) -> None:
        """Back to the template. Nothing else may be connected."""

    def close(self) -> None: ...


class SqliteFile:
    """A file, copied from the template's bytes."""

    kind = "sqlite"

    def __init__(self, folder: Path, template: bytes | None) -> None:
        self.folder = folder
        self.path = folder / "desk.db"
        self.url = f"sqlite+aiosqlite:///{self.path}"
        self._template = template
        self._conn: sqlite3.Connection | None = None
        self.reset()

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._open().execute(statement, values).fetchall()

    def write(self, statement: str, *values: Any) -> None:
        conn = self._open()
        try:
            with conn:
                conn.execute(statement, values)
        except sqlite3.IntegrityError as fault:
            raise NotWritten(str(fault)) from None

    def tables(self) -> list[str]:
        found = self.sql("SELECT name FROM sqlite_master WHERE type = 'table'")
        return sorted(row[0] for row in found if not row[0].startswith(INDEX))

    def reset(self) -> None:
        self.close()
        for name in ("desk.db", "desk.db-wal", "desk.db-shm"):
            (self.folder / name).unlink(missing_ok=True)
        if self._template is not None:
            self.path.write_bytes(self._template)

    def copied(self) -> sqlite3.Connection:
        """The database as it is now, in memory."""
        image = sqlite3.connect(":memory:", check_same_thread=False)
        self._open().backup(image)
        return image

    def put_back(self, image: sqlite3.Connection) -> None:
        """As it was when it was copied, under whoever has it open."""
        image.backup(self._open())

    def close(self) -> None:
        if self._conn is not None:
            self._conn.close()
            self._conn = None

    def _open(self) -> sqlite3.Connection:
        if self._conn is None:
            self._conn = sqlite3.connect(self.path, check_same_thread=False)
            self._conn.execute("PRAGMA foreign_keys = ON")
        return self._conn


class PostgresDatabase:
    """A database made from a template; between tests its rows are put back."""

    kind = "postgresql"

    folder: Path  # of the test that has it now

    def __init__(self, server: PostgresServer, template: str) -> None:
        self._server = server
        self._template = template
        self.name = PREFIX + uuid.uuid4().hex[:12]
        self._conn: asyncpg.Connection[Any] | None = None
        self.url = server.url(self.name)
        server.create(self.name, template)

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        found = self._server.run(self._do("fetch", statement, values))
        return [tuple(row) for row in found]

    def write(self, statement: str, *values: Any) -> None:
        try:
            self._server.run(self._do("execute", statement, values))
        except asyncpg.IntegrityConstraintViolationError as fault:
            raise NotWritten(str(fault)) from None

    def tables(self) -> list[str]:
        found = self.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return sorted(row[0] for row in found)

    def reset(self) -> None:
        try:
            self._server.run(self._do("execute", self._server.seeds[self._template], ()))
        except asyncpg.PostgresError:  # a test left it in pieces
            self.close()
            self._server.create(self.name, self._template)

    def close(self) -> None:
        if self._conn is not None:
            self._server.run(self._conn.close())
            self._conn = None

    def drop(self) -> None:
        self.close()
        self._server.drop(self.name)

    async def _do(self, how: str, statement: str, values: tuple[Any, ...]) -> Any:
        if self._conn is None:
            # A lock that the test itself holds would be waited for without end.
            settings = {"lock_timeout": "5000"}
            self._conn = await asyncpg.connect(_plain(self.url), server_settings=settings)
        numbers = iter(range(1, 100))
        return await getattr(self._conn, how)(
            re.sub(r"\?", lambda _: f"${next(numbers)}", statement), *values
        )


class PostgresServer:
    """A server, ours or a named one, with a loop on a thread that speaks to it."""

    def __init__(self, own: Postgres | None, named: str = "") -> None:
        self.own = own
        self.named = named
        self._templates: dict[str, str] = {}
        self.seeds: dict[str, str] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="looking", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for name in self._templates.values():
            self.drop(name)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def url(self, database: str) -> str:
        if self.own is not None:
            return self.own.url(database)
        return make_url(self.named).set(database=database).render_as_string(hide_password=False)

    def template(self, name: str, fill: Callable[[str], None]) -> str:
        """The database that is filled once and copied then; its rows can be put back later."""
        if name not in self._templates:
            database = PREFIX + f"template_{uuid.uuid4().hex[:12]}"
            self.create(database)
            self._templates[name] = database
            fill(self.url(database))
            self.seeds[database] = self.run(self._keep_rows(database))
        return self._templates[name]

    def create(self, name: str, template: str = "template0") -> None:
        """Make it anew, whoever is connected to one of that name."""
        self.drop(name)
        self.run(self._administer(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'))

    def drop(self, name: str) -> None:
        self.run(self._administer(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))

    async def _administer(self, statement: str) -> None:
        conn = await asyncpg.connect(_plain(self.url("postgres")))
        try:
            await conn.execute(statement)
        finally:
            await conn.close()

    async def _keep_rows(self, database: str) -> str:
        """Copies the rows into a schema beside, and returns the program that puts them back."""
        tables = [table.name for table in metadata.sorted_tables]
        conn = await asyncpg.connect(_plain(self.url(database)))
        try:
            await conn.execute("CREATE SCHEMA seeded")
            seeded = []
            for name in tables:
                await conn.execute(f"CREATE TABLE seeded.{name} AS TABLE public.{name}")
                if await conn.fetchval(f"SELECT count(*) FROM seeded.{name}"):
                    seeded.append(name)
            counters = await conn.fetch("SELECT sequencename FROM pg_sequences")
        finally:
            await conn.close()
        counting = [f"ALTER SEQUENCE public.{row[0]} RESTART;" for row in counters]
        gone = [f"DELETE FROM {name};" for name in reversed(tables)]
        back = [f"INSERT INTO {name} SELECT * FROM seeded.{name};" for name in seeded]
        # As in a copy of the template: what counts begins anew.
        return "\n".join([*gone, *back, *counting])


def inspected(url: str, look: Callable[[Connection], _T]) -> _T:
    """Run `look` on a plain connection to any database. Blocks."""

    async def looking() -> _T:
        engine = create_async_engine(url, poolclass=NullPool)
        try:
            async with engine.connect() as conn:
                return await conn.run_sync(look)
        finally:
            await engine.dispose()

    return asyncio.run(looking())


def _plain(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
