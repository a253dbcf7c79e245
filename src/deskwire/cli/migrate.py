"""`deskwire migrate`: the schema, up and down; and what a restored backup needs."""

from __future__ import annotations

import asyncio
import os
from enum import StrEnum
from pathlib import Path

import typer

from deskwire.cli.console import DATA_DIR, fail, opened, settings
from deskwire.storage import migrate as schema
from deskwire.storage.engine import DatabaseUrl, StoreInUse, StoreUnavailable
from deskwire.storage.migrate import Standing


class Direction(StrEnum):
    """Which way."""

    UP = "up"
    DOWN = "down"


def migrate(
    direction: Direction = typer.Argument(
        Direction.UP, help="up: to this program's schema; down: a step back."
    ),
    restored: bool = typer.Option(
        False,
        "--restored",
        help="This database comes out of a backup: after going up, give every stream a new epoch, "
        "so that clients load anew. Before the first server starts.",
    ),
    data_dir: Path | None = typer.Option(None, help=DATA_DIR),
) -> None:
    """Bring the database up to this program's schema, or a step back down.

    Make a backup first. On SQLite the server must be stopped; on PostgreSQL stop all of them.
    """
    if restored and direction is Direction.DOWN:
        fail("--restored goes with up.")
    os.umask(0o077)  # a new file is its owner's alone
    url, store = opened(settings(), data_dir)
    try:
        store.hold()
        _move(url, direction)
        if restored:
            count = schema.restored(url)
            typer.echo(f"{count} streams have a new epoch: every client loads anew.")
    except StoreInUse as fault:
        fail(f"{fault}. Stop it first.")
    except StoreUnavailable as fault:
        fail(f"Nothing was changed: {fault}.")
    except OSError as fault:
        fail(f"Cannot use {fault.filename}: {fault.strerror}.")
    finally:
        asyncio.run(store.close())


def _move(url: str | DatabaseUrl, direction: Direction) -> None:
    standing, before = schema.standing(url), None
    if standing is not Standing.MISSING:
        before = schema.revision_of(url)
    if standing is Standing.FOREIGN:
        fail(f"The database is at step {before}, which this deskwire does not know. Run a newer.")
    if direction is Direction.UP:
        schema.upgrade(url)
    elif before is None:
        fail("There is no schema to go back from.")
    else:
        schema.downgrade(url, "-1")
    after = schema.revision_of(url)
    if after == before:
        typer.echo(f"The schema is at step {after} already.")
    else:
        typer.echo(f"The schema went from step {before or 'none'} to {after or 'none'}.")
