"""The schema: brought up to date step by step, each step in `migrations/versions`.

Every call blocks: call it off the event loop. One process changes the schema at a time; on SQLite
the caller holds the store besides, so that no server reads while its tables change.
"""

from __future__ import annotations

import asyncio
import secrets
import string
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import exc, insert, select, update
from sqlalchemy.engine import URL, Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from deskwire.storage import dialects
from deskwire.storage.engine import StoreUnavailable
from deskwire.storage.tables import store, stream

MIGRATIONS = Path(__file__).parent / "migrations"

_T = TypeVar("_T")


class Standing(StrEnum):
    """How a database's schema stands to this program's."""

    MISSING = "missing"  # there is none
    BEHIND = "behind"
    CURRENT = "current"
    FOREIGN = "foreign"  # a step that this program does not know: a newer one has been here


def upgrade(url: str | URL, revision: str = "head") -> None:
    """Create or upgrade the schema, and give a new store its epoch.

    Raises StoreUnavailable, also for a file that is no database.
    """

    def step(conn: Connection) -> None:
        _run(conn, command.upgrade, revision)
        if revision == "head" and conn.execute(select(store.c.one)).first() is None:
            conn.execute(insert(store).values(one=1, epoch=new_epoch(), access=0))

    _changing(url, step)


def downgrade(url: str | URL, revision: str) -> None:
    """Take the schema back to a revision; "base" leaves nothing, "-1" is one step."""
    _changing(url, lambda conn: _run(conn, command.downgrade, revision))


def restored(url: str | URL) -> int:
    """Give every stream a new epoch, after a restore and before the first server starts.

    Positions that clients hold from the lost time would else be taken for positions of other
    events. Returns how many streams there are.
    """

    def step(conn: Connection) -> int:
        epoch = new_epoch()
        conn.execute(update(store).values(epoch=epoch))
        return conn.execute(update(stream).values(epoch=epoch)).rowcount

    return _changing(url, step)


def standing(url: str | URL) -> Standing:
    """Where the schema stands. Raises StoreUnavailable where the database does not answer."""
    address = dialects.driven(url)
    if dialects.is_sqlite(address) and not Path(address.database or "").is_file():
        return Standing.MISSING  # and looking would make one
    found = revision_of(url)
    script = ScriptDirectory(str(MIGRATIONS))
    if found is None:
        return Standing.MISSING
    if found == script.get_current_head():
        return Standing.CURRENT
    known = {step.revision for step in script.walk_revisions()}
    return Standing.BEHIND if found in known else Standing.FOREIGN


def revision_of(url: str | URL) -> str | None:
    """The last step that this database has taken."""
    return _with(url, lambda conn: MigrationContext.configure(conn).get_current_revision())


def new_epoch() -> str:
    """Eight random characters: two lives of a stream are never mistaken for one."""
    letters = string.ascii_lowercase + string.digits
    return "".join(secrets.choice(letters) for _ in range(8))


def _changing(url: str | URL, step: Callable[[Connection], _T]) -> _T:
    def locked(conn: Connection) -> _T:
        dialects.lock_the_schema(conn)
        return step(conn)

    return _with(url, locked)


def _with(url: str | URL, work: Callable[[Connection], _T]) -> _T:
    """Run `work` in a transaction of its own, which changes all or nothing."""
    address = dialects.driven(url)
    if dialects.is_sqlite(address) and address.database:
        Path(address.database).parent.mkdir(parents=True, exist_ok=True)
    try:
        return asyncio.run(_within(dialects.migrator(address), work))
    except exc.DBAPIError as fault:
        raise StoreUnavailable(str(fault.orig)) from fault
    except OSError as fault:
        raise StoreUnavailable(str(fault) or type(fault).__name__) from fault


async def _within(engine: AsyncEngine, work: Callable[[Connection], _T]) -> _T:
    try:
        async with engine.begin() as conn:
            return await conn.run_sync(work)
    finally:
        await engine.dispose()


def _run(conn: Connection, step: Callable[[Config, str], None], revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = conn
    step(config, revision)
