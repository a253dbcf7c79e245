"""The schema: brought up to date step by step, each step in `migrations/versions`."""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, exc, insert, select
from sqlalchemy.engine import URL, Engine, make_url

from deskwire.storage.engine import StoreUnavailable
from deskwire.storage.tables import store

MIGRATIONS = Path(__file__).parent / "migrations"


def upgrade(url: str | URL, revision: str = "head") -> None:
    """Create or upgrade the schema, and give a new store its epoch.

    Blocks: call it off the event loop. Raises StoreUnavailable, also for a file that is no
    database.
    The caller holds the store, so that no server reads while its tables change.
    """
    engine = _engine(url)
    try:
        _run(engine, command.upgrade, revision)
        with engine.begin() as conn:
            if conn.execute(select(store.c.one)).first() is None:
                conn.execute(insert(store).values(one=1, epoch=new_epoch()))
    except exc.DatabaseError as fault:
        raise StoreUnavailable(str(fault.orig)) from fault
    finally:
        engine.dispose()


def downgrade(url: str | URL, revision: str) -> None:
    """Take the schema back to a revision; "base" leaves nothing."""
    engine = _engine(url)
    try:
        _run(engine, command.downgrade, revision)
    finally:
        engine.dispose()


def new_epoch() -> str:
    """Eight random characters: two lives of a stream are never mistaken for one."""
    letters = string.ascii_lowercase + string.digits
    return "".join(secrets.choice(letters) for _ in range(8))


def _engine(url: str | URL) -> Engine:
    plain = make_url(url)
    driver = plain.get_backend_name()
    if driver == "sqlite" and plain.database:
        Path(plain.database).parent.mkdir(parents=True, exist_ok=True)
    return create_engine(plain.set(drivername=driver))


def _run(engine: Engine, step: Callable[[Config, str], None], revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as conn:
        config.attributes["connection"] = conn
        step(config, revision)
