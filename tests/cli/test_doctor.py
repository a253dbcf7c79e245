from __future__ import annotations

from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from deskwire.cli import app
from deskwire.desk.checkup import LAWS
from tests.flows.conftest import database, of_module
from tests.kit.databases import Database, SqliteFile

__all__ = ["database", "of_module"]


def run(on: Database, *more: str, **settings: str) -> Any:
    return CliRunner().invoke(
        app, ["doctor", *more], env={"DESKWIRE_DATABASE_URL": on.url, **settings}
    )


def test_a_desk_that_is_well_ends_with_0_and_a_line_for_each_invariant(database: Database) -> None:
    said = run(database)

    assert said.exit_code == 0
    assert [line.split()[:2] for line in said.stdout.splitlines()] == [
        [law, "holds:"] for law in LAWS
    ]
    assert "broken" not in said.output


def test_what_is_broken_is_named_and_the_status_is_1(database: Database) -> None:
    database.write("UPDATE agent SET load = 9 WHERE person_id = 'qian'")

    said = run(database)

    assert said.exit_code == 1
    assert f"I3   broken, 1: {LAWS['I3']}: agent:qian\n" in said.stderr
    assert "1 of 10 do not hold." in said.stderr


def test_a_setting_that_says_half_is_said(tmp_path: Path) -> None:
    said = run(SqliteFile(tmp_path, None), DESKWIRE_WECOM_CORP_ID="ww1")

    assert said.exit_code == 1
    assert "DESKWIRE_WECOM_AGENT_ID and DESKWIRE_WECOM_SECRET not set" in said.stderr


def test_an_empty_database_is_answered_with_the_command_to_run(tmp_path: Path) -> None:
    said = run(SqliteFile(tmp_path, None))

    assert said.exit_code == 1
    assert "Run: deskwire migrate" in said.output


def test_a_database_that_does_not_answer_is_said() -> None:
    said = CliRunner().invoke(
        app, ["doctor"], env={"DESKWIRE_DATABASE_URL": "postgresql://desk:s3cr3t@127.0.0.1:9/desk"}
    )

    assert said.exit_code == 1
    assert "does not answer" in said.output
    assert "s3cr3t" not in said.output


def test_it_explains_itself() -> None:
    said = CliRunner().invoke(app, ["doctor", "--help"])

    assert said.exit_code == 0
    assert "only reads" in said.output
