"""`deskwire export`: everything the desk holds, as files that any program can read.

Reads only, from one moment, so it may run beside a server. Attachments come with the files they
belong to.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any, Final

import typer

from deskwire.app import now_ms
from deskwire.cli.console import DATA_DIR, database, fail, insist_on_schema, settings
from deskwire.storage import export as storage
from deskwire.storage import migrate
from deskwire.storage.engine import Store, StoreUnavailable

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"


def export(
    folder: Path = typer.Argument(..., help="A new or empty folder."),
    data_dir: Path | None = typer.Option(None, help=DATA_DIR),
) -> None:
    """Write everything the desk holds into a folder: a file for each kind, a line for each thing.

    Logins, passwords and other secrets stay out. manifest.json is written last.
    """
    os.umask(0o077)  # messages and notes are for the owner alone
    try:
        url = database(settings(), data_dir)
        store = Store(url)
    except ValueError as fault:
        fail(f"DESKWIRE_DATABASE_URL: {fault}.")
    try:
        insist_on_schema(migrate.standing(url))
        revision = migrate.revision_of(url)
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            fail(f"{folder} is not empty.")
        counts = asyncio.run(_write(store, folder))
        facts = {"format": FORMAT, "at": now_ms(), "schema": revision, "lines": counts}
        (folder / MANIFEST).write_text(json.dumps(facts, indent=2) + "\n", "utf-8")
    except StoreUnavailable as fault:
        fail(f"The database does not answer: {fault}. {folder} is not whole.")
    except OSError as fault:
        fail(f"Cannot write {fault.filename or folder}: {fault.strerror}.")
    typer.echo(f"{sum(counts.values())} lines in {len(counts)} files: {folder}")


async def _write(store: Store, folder: Path) -> Mapping[str, int]:
    """All files from one transaction; how many lines each has."""
    counts: dict[str, int] = {}
    try:
        async with store.reading() as conn:
            for name in storage.NAMES:
                with (folder / f"{name}.jsonl").open("w", encoding="utf-8") as file:
                    counts[name] = 0
                    async with aclosing(storage.lines(conn, name)) as lines:
                        async for line in lines:
                            file.write(_as_text(line))
                            counts[name] += 1
    finally:
        await store.close()
    return counts


def _as_text(line: Mapping[str, Any]) -> str:
    return json.dumps(line, ensure_ascii=False) + "\n"
