"""What stops `serve` before it serves. What it does then: `tests/system/test_serve.py`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from deskwire.cli import app
from deskwire.storage import migrate
from deskwire.storage.engine import Store
from tests.flows.office import url_of

PUBLIC = {"DESKWIRE_PUBLIC_URL": "http://127.0.0.1:8000"}


def run(*arguments: str, **environment: str) -> Any:
    return CliRunner().invoke(app, ["serve", *arguments], env=PUBLIC | environment)


def refusal(folder: Path, **environment: str) -> str:
    """The one sentence that it ends with."""
    said = run("--data-dir", str(folder), **environment)
    assert said.exit_code == 1
    assert said.output.count("\n") == 1
    return str(said.output)


@pytest.fixture
def ready(tmp_path: Path) -> Path:
    """A folder in which it would start."""
    migrate.upgrade(url_of(tmp_path / "desk.db"))
    return tmp_path


@pytest.mark.parametrize(
    "setting, value, says",
    [
        ("PUBLIC_URL", "http://desk.example.com", "only https leaves this machine"),
        ("PUBLIC_URL", "https://desk.example.com/", "is no origin"),
        ("ORIGINS", "*", "is no origin"),
        ("WECOM_CORP_ID", "ww1", "DESKWIRE_WECOM_AGENT_ID and DESKWIRE_WECOM_SECRET not set"),
        ("SHARE_PORT", "1", "SQLite is for one"),
        ("PORT", "0", "DESKWIRE_PORT='0'"),
    ],
)
def test_a_setting_that_breaks_a_promise_stops_it(
    ready: Path, setting: str, value: str, says: str
) -> None:
    assert says in refusal(ready, **{f"DESKWIRE_{setting}": value})


def test_without_a_public_address_it_does_not_start(ready: Path) -> None:
    said = CliRunner().invoke(app, ["serve", "--data-dir", str(ready)])

    assert said.exit_code == 1
    assert "DESKWIRE_PUBLIC_URL is not set" in said.output


@pytest.mark.parametrize(
    "url, says",
    [
        ("mysql://db/desk", "SQLite or PostgreSQL, not 'mysql'"),
        ("db/desk", "not an address such as"),
        ("postgresql://desk:s3cr3t@127.0.0.1:9/desk", "does not answer"),
    ],
)
def test_a_database_that_cannot_be_used_is_said_without_its_password(url: str, says: str) -> None:
    said = run(DESKWIRE_DATABASE_URL=url)

    assert said.exit_code == 1
    assert says in said.output
    assert "s3cr3t" not in said.output


def test_a_database_without_tables_is_answered_with_the_command_to_run(tmp_path: Path) -> None:
    assert "Run: deskwire migrate" in refusal(tmp_path)


def test_an_older_database_is_answered_with_the_command_to_run(ready: Path) -> None:
    migrate.downgrade(url_of(ready / "desk.db"), "-1")

    assert "older deskwire. Make a backup, then run: deskwire migrate" in refusal(ready)


def test_a_folder_in_use_is_said(ready: Path) -> None:
    store = Store(url_of(ready / "desk.db"))
    store.hold()

    said = refusal(ready)

    asyncio.run(store.close())
    assert "in use by another deskwire process" in said
    assert "several share a PostgreSQL" in said


def test_an_address_of_somebody_else_is_said(ready: Path) -> None:
    assert "Cannot listen on 192.0.2.1:8000" in refusal(ready, DESKWIRE_HOST="192.0.2.1")
