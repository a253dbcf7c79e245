"""Where SQLite and PostgreSQL differ: every such statement, both forms side by side.

All other SQL of this room is the same on both. Must never know: a table of ours, or what a
transaction is for.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from sqlalchemy import (
    AsyncAdaptedQueuePool,
    BigInteger,
    Column,
    ColumnElement,
    Integer,
    NullPool,
    Select,
    Table,
    Text,
    cast,
    column,
    event,
    exc,
    func,
    literal,
    literal_column,
    select,
    table,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

DRIVERS: Final = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}

SQLITE_WRITERS: Final = 1
SQLITE_READERS: Final = 4
SQLITE_ACQUIRE_S: Final = 5.0  # writers take turns in one connection, so a crowd has to wait

SQLITE_WAL_PAUSE_S: Final = 0.02

# Ten connections a node. Apart, so that writers who wait for a lock leave readers their own.
PG_WRITERS: Final = 6
PG_READERS: Final = 4
PG_ACQUIRE_S: Final = 2.0
PG_CONNECT_S: Final = 2.0
PG_ANSWER_S: Final = 8.0  # above the server's own 5 s: it is for a network that says nothing at all
PG_TIMEOUTS: Final = {
    "statement_timeout": "5000",
    "lock_timeout": "2000",
    "idle_in_transaction_session_timeout": "10000",
}
PG_MIGRATION_LOCK: Final = 0x6465736B  # "desk": one process changes the schema at a time

Insert: TypeAlias = sqlite.Insert | postgresql.Insert

NUMBER: Final = BigInteger().with_variant(Integer(), "sqlite")  # that a key counts up by itself
TERMS: Final = Text().with_variant(postgresql.TSVECTOR(), "postgresql")


# Addresses and connections ------------------------------------------------------------------------


def driven(address: str | URL) -> URL:
    """The address with the driver that we use. Raises ValueError for another database."""
    try:
        url = make_url(address)
    except exc.ArgumentError:
        raise ValueError("not an address such as postgresql://user:password@host/name") from None
    name = url.get_backend_name()
    if name not in DRIVERS:
        raise ValueError(f"SQLite or PostgreSQL, not {url.drivername!r}")
    if name == "postgresql" and "sslmode" in url.query:
        # libpq's word, which every other program wants there, is `ssl` for our driver.
        url = url.update_query_dict({"ssl": url.query["sslmode"]})
        url = url.difference_update_query(["sslmode"])
    return url.set(drivername=DRIVERS[name])


def is_sqlite(url: URL) -> bool:
    """Whether one process alone owns this database."""
    return url.get_backend_name() == "sqlite"


def writer(url: URL, *, acquire_s: float | None = None) -> AsyncEngine:
    """Connections whose transactions may write. On SQLite there is one: writers take turns."""
    if is_sqlite(url):
        return _sqlite(url, SQLITE_WRITERS, acquire_s, begin="BEGIN IMMEDIATE")
    engine = _postgresql(url, PG_WRITERS, acquire_s, isolation="READ COMMITTED")
    _insist_on_durable_commits(engine)
    return engine


def reader(url: URL, *, acquire_s: float | None = None) -> AsyncEngine:
    """Connections that cannot write; each transaction sees one moment of the database."""
    if is_sqlite(url):
        return _sqlite(url, SQLITE_READERS, acquire_s, begin="BEGIN", pragmas=("query_only=ON",))
    settings = {"default_transaction_read_only": "on"}
    return _postgresql(url, PG_READERS, acquire_s, isolation="REPEATABLE READ", settings=settings)


def migrator(url: URL) -> AsyncEngine:
    """One connection to change the schema with, however long it takes.

    On SQLite references are not enforced meanwhile, for a table is changed by replacing it.
    """
    if is_sqlite(url):
        engine = create_async_engine(url, poolclass=NullPool)
        _on_sqlite_connect(engine, "BEGIN IMMEDIATE", ("foreign_keys=OFF",))
        return engine
    return create_async_engine(
        url, poolclass=NullPool, connect_args={"timeout": PG_CONNECT_S, "server_settings": {}}
    )


def _sqlite(
    url: URL, size: int, acquire_s: float | None, *, begin: str, pragmas: tuple[str, ...] = ()
) -> AsyncEngine:
    engine = create_async_engine(
        url,
        poolclass=AsyncAdaptedQueuePool,
        pool_size=size,
        max_overflow=0,
        pool_timeout=SQLITE_ACQUIRE_S if acquire_s is None else acquire_s,
    )
    _on_sqlite_connect(engine, begin, ("foreign_keys=ON", *pragmas))
    return engine


def _on_sqlite_connect(engine: AsyncEngine, begin: str, pragmas: tuple[str, ...]) -> None:
    # FULL: "accepted" means the commit has reached the disk, not only the page cache.
    settings = ("busy_timeout=5000", "synchronous=FULL", *pragmas)

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        # We begin transactions ourselves: the driver's own rules would begin them late and not at
        # once exclusively.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in settings:
            cursor.execute(f"PRAGMA {pragma}")
        _turn_to_wal(connection, cursor)
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)


def _turn_to_wal(connection: Any, cursor: Any) -> None:
    """A new file is turned once; who meets another at it is told "locked" at once, and asks again.

    SQLite calls no busy handler where two would wait for each other's lock
    (sqlite.org/c3ref/busy_handler.html). Bounded by SQLITE_ACQUIRE_S.
    """
    until = time.monotonic() + SQLITE_ACQUIRE_S
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as fault:
            if time.monotonic() > until or fault.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            connection.run_async(lambda _: asyncio.sleep(SQLITE_WAL_PAUSE_S))
        else:
            return


def _postgresql(
    url: URL,
    size: int,
    acquire_s: float | None,
    *,
    isolation: str,
    settings: dict[str, str] | None = None,
) -> AsyncEngine:
    engine = create_async_engine(
        url,
        pool_size=size,
        max_overflow=0,
        pool_timeout=PG_ACQUIRE_S if acquire_s is None else acquire_s,
        isolation_level=isolation,
        connect_args={
            "timeout": PG_CONNECT_S,
            "command_timeout": PG_ANSWER_S,
            "server_settings": {**PG_TIMEOUTS, "application_name": "deskwire", **(settings or {})},
        },
    )
    _without_nul(engine)
    return engine


def _without_nul(engine: AsyncEngine) -> None:
    """No text here holds NUL, and the server takes none, not even to find nothing by it.

    What the rules let in has none; a name that a stranger asks for may.
    """

    @event.listens_for(engine.sync_engine, "before_cursor_execute", retval=True)
    def replaced(
        _conn: Connection,
        _cursor: Any,
        statement: str,
        values: Any,
        _context: Any,
        executemany: bool,  # noqa: FBT001  SQLAlchemy's words
    ) -> tuple[str, Any]:
        if executemany:
            return statement, [_row_without_nul(row) for row in values]
        return statement, _row_without_nul(values)


def _row_without_nul(values: Any) -> Any:
    if not any(isinstance(value, str) and "\0" in value for value in values):
        return values
    return tuple(v.replace("\0", "\ufffd") if isinstance(v, str) else v for v in values)


def _insist_on_durable_commits(engine: AsyncEngine) -> None:
    """A server set to answer COMMIT before it is on the disk would make "accepted" a lie."""

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute(
            "SELECT set_config('synchronous_commit', 'on', false)"
            " WHERE current_setting('synchronous_commit') = 'off'"
        )
        cursor.close()
        connection.commit()


async def is_durable(conn: AsyncConnection) -> bool:
    """Whether a commit is on the disk: our own pragma says so here, the server's owner there."""
    if conn.dialect.name == "sqlite":
        return True
    return bool((await conn.exec_driver_sql("SHOW fsync")).scalar_one() == "on")


# Faults -------------------------------------------------------------------------------------------

# serialization_failure, deadlock_detected
_PG_LOST_A_RACE = ("40001", "40P01")
# A table, column or right that is not there says that the schema is not ours, not that a statement
# is wrong; all other faults of these classes are our own bugs.
_PG_NO_OUTAGE_CLASSES = ("22", "23", "42")
_PG_SCHEMA_IS_OTHER = ("42P01", "42703", "42501")
_SQLITE_PRIMARY = 0xFF  # an extended code's low byte is its primary one


def name_of(fault: Exception) -> str:
    """What may stand in a log: the kind and the database's own code, no value of any row."""
    cause = getattr(fault, "orig", None)
    code = getattr(cause, "sqlstate", None) or getattr(cause, "sqlite_errorname", None)
    return f"{type(fault).__name__} {code}" if code else type(fault).__name__


def lost_a_race(fault: Exception) -> bool:
    """Whether the database rolled back for another transaction's sake. Running again may do."""
    cause = fault.orig if isinstance(fault, exc.DBAPIError) else None
    if isinstance(cause, sqlite3.Error):
        return _sqlite_code(cause) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    return getattr(cause, "sqlstate", None) in _PG_LOST_A_RACE


def lost_the_connection(fault: Exception) -> bool:
    """Whether the answer never came: if the fault met a COMMIT, nobody knows what it did."""
    if not isinstance(fault, exc.DBAPIError):
        # The driver lets the system's own errors through; a connection not yet made is none lost.
        return isinstance(fault, TimeoutError | ConnectionResetError | BrokenPipeError)
    if isinstance(fault.orig, sqlite3.Error):
        return _sqlite_code(fault.orig) == sqlite3.SQLITE_IOERR
    return fault.connection_invalidated


def is_outage(fault: Exception) -> bool:
    """Whether the database is at fault; a statement that breaks a rule is ours."""
    if not isinstance(fault, exc.DBAPIError):
        return isinstance(fault, exc.TimeoutError | OSError)
    if isinstance(fault.orig, sqlite3.Error):
        return isinstance(fault, exc.OperationalError | exc.InterfaceError)
    state = getattr(fault.orig, "sqlstate", None) or ""
    return state in _PG_SCHEMA_IS_OTHER or not state.startswith(_PG_NO_OUTAGE_CLASSES)


def _sqlite_code(fault: sqlite3.Error) -> int:
    return getattr(fault, "sqlite_errorcode", 0) & _SQLITE_PRIMARY


# Statements ---------------------------------------------------------------------------------------


def insert(conn: AsyncConnection, table: Table) -> Insert:
    """An INSERT that can be told what to do where the row is there: the same words on both.

    Where somebody else's row of the same key is not committed yet, PostgreSQL waits for its end.
    """
    if conn.dialect.name == "sqlite":
        return sqlite.insert(table)
    return postgresql.insert(table)


class Greatest(FunctionElement[int]):
    """The greater of two numbers: `max` here, `greatest` there."""

    inherit_cache = True
    type = BigInteger()


@compiles(Greatest, "sqlite")
def _(element: Greatest, compiler: Any, **kw: Any) -> str:
    return f"max({compiler.process(element.clauses, **kw)})"


@compiles(Greatest, "postgresql")
def _(element: Greatest, compiler: Any, **kw: Any) -> str:
    return f"greatest({compiler.process(element.clauses, **kw)})"


class ClockMs(FunctionElement[int]):
    """The database's own clock, Unix ms: one for all nodes, whatever theirs say."""

    inherit_cache = True
    type = BigInteger()


@compiles(ClockMs, "sqlite")
def _(_element: ClockMs, _compiler: Any, **_kw: Any) -> str:
    return "CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)"


@compiles(ClockMs, "postgresql")
def _(_element: ClockMs, _compiler: Any, **_kw: Any) -> str:
    # Not now(): that is when the transaction began, which may have waited for a lock since.
    return "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)"


async def take_turns(conn: AsyncConnection, *about: int) -> None:
    """Wait until no other transaction has any of these numbers (64 bits, signed); keep them to the
    end of this one. That two subjects share a number costs a wait, nothing else.
    """
    if conn.dialect.name == "postgresql":  # on SQLite writers take turns in everything
        for number in sorted(set(about)):
            await conn.execute(select(func.pg_advisory_xact_lock(number)))


# Full text ----------------------------------------------------------------------------------------
#
# Both are given terms that are cut already (letters, digits and marks only) and keep their order.
# SQLite: a table with `terms` has an FTS5 index called `<table>_index` over it, by its numeric key,
# which triggers keep. PostgreSQL: the column is a tsvector under a GIN index.


def written_terms(conn: AsyncConnection | Connection, terms: Sequence[str]) -> str:
    """Terms as a column of type `TERMS` takes them."""
    if conn.dialect.name == "sqlite":
        return " ".join(terms)
    return " ".join(f"{_lexeme(term)}:{place}" for place, term in enumerate(terms, 1))


def has_phrases(
    conn: AsyncConnection, searched: Table, phrases: Sequence[Sequence[str]]
) -> ColumnElement[bool]:
    """Whether a row's terms have each phrase, its terms in a row and the last perhaps going on.

    There must be a phrase, and each must have a term.
    """
    if conn.dialect.name == "sqlite":
        name = f"{searched.name}_index"
        asked = " AND ".join(f'"{" ".join(phrase)}" *' for phrase in phrases)
        found: Select[Any] = select(column("rowid")).select_from(table(name))
        (key,) = searched.primary_key
        return key.in_(found.where(literal_column(name).bool_op("MATCH")(asked)))
    asked = " & ".join(f"({' <-> '.join(_lexemes_asked(phrase))})" for phrase in phrases)
    terms: Column[str] = searched.c.terms
    return terms.bool_op("@@")(cast(literal(asked, Text()), postgresql.TSQUERY()))


def _lexemes_asked(phrase: Sequence[str]) -> list[str]:
    return [*map(_lexeme, phrase[:-1]), f"{_lexeme(phrase[-1])}:*"]


def _lexeme(term: str) -> str:
    return f"'{term}'"


def lock_the_schema(conn: Connection) -> None:
    """Wait until no other process changes the schema. Held to the end of the transaction."""
    if conn.dialect.name == "postgresql":  # on SQLite BEGIN IMMEDIATE has done it
        conn.exec_driver_sql(f"SELECT pg_advisory_xact_lock({PG_MIGRATION_LOCK})")
