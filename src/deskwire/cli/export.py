"""`deskwire export`: everything the desk holds, as files that any program can read.

Reads only, from one moment, so it may run beside a server. Attachments come as files of their own,
as far as they stand.
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
from deskwire.cli.console import DATA_DIR, fail, files, insist_on_schema, opened, settings
from deskwire.storage import attachments, migrate
from deskwire.storage import export as storage
from deskwire.storage.engine import Store, StoreUnavailable, Transaction
from deskwire.storage.files import LocalFiles

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
ATTACHMENTS: Final = "attachments"


def export(
    folder: Path = typer.Argument(..., help="A new or empty folder."),
    data_dir: Path | None = typer.Option(None, help=DATA_DIR),
) -> None:
    """Write everything the desk holds into a folder: a file for each kind, a line for each thing.

    Logins, passwords and other secrets stay out. manifest.json is written last.
    """
    os.umask(0o077)  # messages and notes are for the owner alone
    given = settings()
    url, store = opened(given, data_dir)
    try:
        insist_on_schema(migrate.standing(url))
        facts = {"format": FORMAT, "at": now_ms(), "schema": migrate.revision_of(url)}
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            fail(f"{folder} is not empty.")
        local = LocalFiles(files(given, data_dir))
        found = asyncio.run(_write(store, local, folder))
        (folder / MANIFEST).write_text(json.dumps({**facts, **found}, indent=2) + "\n", "utf-8")
    except StoreUnavailable as fault:
        fail(f"The database does not answer: {fault}. {folder} is not whole.")
    except OSError as fault:
        fail(f"Cannot write {fault.filename or folder}: {fault.strerror}.")
    _tell(folder, found)


def _tell(folder: Path, found: Mapping[str, Any]) -> None:
    counts, copied, missing = found["lines"], found["attachments"], found["attachments_missing"]
    total = sum(counts.values())
    typer.echo(f"{total} lines in {len(counts)} files and {copied} attachments: {folder}")
    if missing:
        where = f"{len(missing)} attachments have no file; {MANIFEST} names them"
        typer.echo(f"{where}. Is DESKWIRE_DATA_DIR the server's?", err=True)


async def _write(store: Store, local: LocalFiles, folder: Path) -> Mapping[str, Any]:
    """All lines from one transaction, then the attachments of that moment."""
    counts: dict[str, int] = {}
    try:
        async with store.reading() as conn:
            for name in storage.NAMES:
                counts[name] = await _write_lines(conn, name, folder)
            ids = await attachments.standing(conn)
    finally:
        await store.close()
    missing = [each for each in ids if not await _is_copied(local, each, folder / ATTACHMENTS)]
    return {
        "lines": counts,
        "attachments": len(ids) - len(missing),
        "attachments_missing": missing,
    }


async def _write_lines(conn: Transaction, name: str, folder: Path) -> int:
    count = 0
    with (folder / f"{name}.jsonl").open("w", encoding="utf-8") as file:
        async with aclosing(storage.lines(conn, name)) as lines:
            async for line in lines:
                file.write(_as_text(line))
                count += 1
    return count


async def _is_copied(local: LocalFiles, attachment_id: str, folder: Path) -> bool:
    """Whether its file was there: it may have been withdrawn and destroyed a moment ago."""
    try:
        await local.copy(attachment_id, folder / attachment_id)
    except FileNotFoundError:
        return False
    return True


def _as_text(line: Mapping[str, Any]) -> str:
    return json.dumps(line, ensure_ascii=False) + "\n"
