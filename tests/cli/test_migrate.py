from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from deskwire.cli import app
from deskwire.storage.engine import Store
from deskwire.storage.migrate import Standing, standing
from tests.flows.conftest import KINDS
from tests.kit.databases import Database, PostgresDatabase, SqliteFile


@pytest.fixture(params=KINDS)
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        file = SqliteFile(tmp_path, None)
        yield file
        file.close()
        return
    found = PostgresDatabase(request.getfixturevalue("postgres"), "template0")
    yield found
    found.drop()


def run(database: Database, *arguments: str) -> Any:
    url = {"DESKWIRE_DATABASE_URL": database.url}
    return CliRunner().invoke(app, ["migrate", *arguments], env=url)


def test_it_says_what_it_did_and_a_second_time_that_there_was_nothing(empty: Database) -> None:
    first, second = run(empty), run(empty)

    assert (first.exit_code, second.exit_code) == (0, 0)
    assert first.output.startswith("The schema went from step none to 0")
    assert second.output.endswith(" already.\n")
    assert standing(empty.url) is Standing.CURRENT


def test_a_step_down_is_one_step(empty: Database) -> None:
    run(empty)

    said = run(empty, "down")

    assert said.exit_code == 0
    assert "The schema went from step" in said.output
    assert standing(empty.url) is Standing.BEHIND


def test_from_nothing_there_is_no_way_down(empty: Database) -> None:
    said = run(empty, "down")

    assert (said.exit_code, said.output) == (1, "There is no schema to go back from.\n")


def test_a_restored_backup_is_brought_up_and_gets_new_epochs(empty: Database) -> None:
    run(empty)
    empty.write("INSERT INTO stream VALUES ('desk', 'epoch', 1, 1)")
    run(empty, "down")

    said = run(empty, "--restored")

    assert said.exit_code == 0
    assert "1 streams have a new epoch" in said.output
    assert empty.sql("SELECT epoch FROM stream") == empty.sql("SELECT epoch FROM store")
    assert standing(empty.url) is Standing.CURRENT


def test_restored_does_not_go_down(empty: Database) -> None:
    said = run(empty, "down", "--restored")

    assert (said.exit_code, said.output) == (1, "--restored goes with up.\n")


def test_the_database_of_a_newer_program_is_left_alone(empty: Database) -> None:
    run(empty)
    empty.write("UPDATE alembic_version SET version_num = '9999'")

    said = run(empty, "--restored")

    assert said.exit_code == 1
    assert "step 9999, which this deskwire does not know" in said.output


def test_beside_a_running_server_on_sqlite_it_refuses(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'desk.db'}")
    store.hold()

    said = CliRunner().invoke(app, ["migrate", "--data-dir", str(tmp_path)])

    asyncio.run(store.close())
    assert said.exit_code == 1
    assert "in use by another deskwire process. Stop it first." in said.output
    assert not (tmp_path / "desk.db").exists()


def test_a_new_file_is_its_owners_alone(tmp_path: Path) -> None:
    CliRunner().invoke(app, ["migrate", "--data-dir", str(tmp_path / "new")])

    assert (tmp_path / "new" / "desk.db").stat().st_mode & 0o077 == 0


def test_a_server_that_does_not_answer_is_said() -> None:
    nobody = {"DESKWIRE_DATABASE_URL": "postgresql://desk:s3cr3t@127.0.0.1:9/desk"}

    said = CliRunner().invoke(app, ["migrate"], env=nobody)

    assert said.exit_code == 1
    assert said.output.startswith("Nothing was changed: ")
    assert "s3cr3t" not in said.output
