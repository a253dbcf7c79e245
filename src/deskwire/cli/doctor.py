"""`deskwire doctor`: whether what the desk promises of its rows is true of them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from deskwire.cli.console import DATA_DIR, fail, insist_on_schema, opened, settings
from deskwire.settings import Settings, SettingsFault
from deskwire.storage import doctor as rows
from deskwire.storage import migrate
from deskwire.storage.due import DatabaseClock
from deskwire.storage.engine import Store, StoreUnavailable


def doctor(data_dir: Path | None = typer.Option(None, help=DATA_DIR)) -> None:
    """Look for broken invariants in the database: each with its number, how often, and where.

    It only reads, so it may run beside the server. The status is 1 if something is broken.
    """
    given = settings()
    is_sending = _is_sending(given)
    url, store = opened(given, data_dir)
    try:
        insist_on_schema(migrate.standing(url))
        is_durable, findings = asyncio.run(_examined(store, is_sending))
    except StoreUnavailable as fault:
        fail(f"The database does not answer: {fault}.")
    except OSError as fault:
        fail(f"Cannot use {fault.filename}: {fault.strerror}.")
    _tell(findings)
    if not is_durable:
        typer.echo("The server has fsync off: a power failure loses what was accepted.", err=True)
    if any(each.is_broken for each in findings):
        sys.exit(1)


def _is_sending(given: Settings) -> bool:
    try:
        return given.wecom() is not None
    except SettingsFault as fault:
        fail(str(fault))


async def _examined(store: Store, is_sending: bool) -> tuple[bool, Sequence[rows.Finding]]:
    try:
        is_durable = await store.is_durable()
        findings = await rows.examine(store, DatabaseClock(), is_sending=is_sending)
    finally:
        await store.close()
    return is_durable, findings


def _tell(findings: Sequence[rows.Finding]) -> None:
    for each in findings:
        newest = "" if each.is_whole else " (of the newest)"
        if each.is_broken:
            where = ", ".join(each.examples)
            typer.echo(
                f"{each.law:<4} broken, {each.count}{newest}: {each.says}: {where}", err=True
            )
        else:
            typer.echo(f"{each.law:<4} holds{newest}: {each.says}")
    broken = sum(each.is_broken for each in findings)
    if broken:
        typer.echo(
            f"{broken} of {len(findings)} do not hold. Make a backup before anything is changed, "
            "and report it with these lines.",
            err=True,
        )
