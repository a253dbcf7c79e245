from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from deskwire.app import Configuration, Desk, loopback_origins
from deskwire.cli import app
from deskwire.desk.people import Realm
from deskwire.desk.refusals import Refusal
from deskwire.flows.login import SignedIn
from deskwire.storage import migrate
from deskwire.storage.engine import Store
from tests.flows.conftest import database, of_module
from tests.kit.databases import Database, SqliteFile

__all__ = ["database", "of_module"]

PASSWORD = "a password of some length"


def run(on: Database, *arguments: str, said: str = PASSWORD) -> Any:
    url = {"DESKWIRE_DATABASE_URL": on.url}
    return CliRunner().invoke(app, ["admin", *arguments], env=url, input=f"{said}\n")


def create(on: Database, *more: str, login_name: str = "boss", said: str = PASSWORD) -> Any:
    return run(on, "create", "--login-name", login_name, "--name", "老板", *more, said=said)


def logs_in(on: Database, login_name: str, password: str) -> bool:
    return not isinstance(asyncio.run(_with(on, login_name, password)), Refusal)


async def _with(on: Database, login_name: str, password: str) -> SignedIn | Refusal:
    desk = Desk(Configuration(database_url=on.url, origins=loopback_origins(1), wecom=None))
    try:
        return await desk.logins.by_password(login_name, password)
    finally:
        desk.logins.close()
        await desk.store.close()


def test_the_first_administrator_can_log_in(database: Database) -> None:
    said = create(database)

    assert (said.exit_code, said.output) == (0, "Admin 'boss' can log in.\n")
    assert database.sql("SELECT role FROM agent WHERE login_name = 'boss'") == [("admin",)]
    assert logs_in(database, "BOSS", PASSWORD)
    assert not logs_in(database, "boss", "another password, as long")


def test_an_agent_joins_every_group(database: Database) -> None:
    create(database, "--role", "agent")

    found = database.sql(
        "SELECT group_id FROM group_member JOIN agent USING (person_id)"
        " WHERE login_name = 'boss' ORDER BY group_id"
    )
    assert found == [("facilities",), ("support",)]


def test_whoever_is_known_to_wecom_stays_one_person(database: Database) -> None:
    create(database, "--wecom-userid", "WX-Ann")

    found = database.sql("SELECT person_id FROM agent WHERE login_name = 'boss'")
    assert found == [("ann",)]
    assert database.sql("SELECT name FROM person WHERE person_id = 'ann'") == [("老板",)]


def test_an_empty_desk_gets_what_a_first_conversation_needs(tmp_path: Path) -> None:
    file = SqliteFile(tmp_path, None)
    migrate.upgrade(file.url)

    said = create(file)

    assert "Made a first group 'IT 支持' with the category '其他'." in said.output
    assert file.sql("SELECT group_id FROM category") == [("support",)]
    file.close()


@pytest.mark.parametrize("login_name", ["wang", "WANG"])
def test_a_login_name_that_is_taken_changes_nothing(database: Database, login_name: str) -> None:
    before = database.sql("SELECT password_hash FROM agent ORDER BY person_id")

    said = create(database, login_name=login_name)

    assert said.exit_code == 1
    assert "See: deskwire admin password" in said.output
    assert database.sql("SELECT password_hash FROM agent ORDER BY person_id") == before
    assert database.sql("SELECT count(*) FROM person WHERE name = '老板'") == [(0,)]


@pytest.mark.parametrize("given", ["", "11 letters.", "x" * 257])
def test_a_password_outside_its_bounds_is_refused(tmp_path: Path, given: str) -> None:
    file = SqliteFile(tmp_path, None)
    migrate.upgrade(file.url)

    said = create(file, said=given)

    assert (said.exit_code, said.output) == (1, "A password has 12 to 256 characters.\n")
    assert file.sql("SELECT count(*) FROM agent") == [(0,)]
    file.close()


@pytest.mark.parametrize("given", ["x" * 12, "x" * 256])
def test_a_password_at_its_bounds_is_taken(tmp_path: Path, given: str) -> None:
    file = SqliteFile(tmp_path, None)
    migrate.upgrade(file.url)

    said = create(file, said=given)

    assert said.exit_code == 0
    assert logs_in(file, "boss", given)
    file.close()


@pytest.mark.parametrize("name", ["", "   ", "x" * 65])
def test_a_name_outside_its_bounds_is_refused(tmp_path: Path, name: str) -> None:
    said = create(SqliteFile(tmp_path, None), login_name=name)

    assert (said.exit_code, said.output) == (1, "A login name has 1 to 64 characters.\n")


def test_a_lost_password_is_replaced_and_ends_the_logins_of_the_agent_alone(
    database: Database,
) -> None:
    logins = "INSERT INTO login VALUES (?, ?, ?, ?, 1, 1, 9000000000000, NULL, NULL, NULL)"
    database.write(logins, b"1" * 32, "login-1", Realm.AGENT.value, "mei")
    database.write(logins, b"2" * 32, "login-2", Realm.EMPLOYEE.value, "mei")
    database.write(logins, b"3" * 32, "login-3", Realm.AGENT.value, "wang")

    said = run(database, "password", "--login-name", "Mei")

    assert (said.exit_code, said.output) == (0, "'Mei' has a new password; 1 logins have ended.\n")
    assert logs_in(database, "mei", PASSWORD)
    ended = database.sql("SELECT login_id FROM login WHERE revoked IS NOT NULL")
    assert ended == [("login-1",)]
    assert database.sql("SELECT n, login_id, why FROM access") == [(1, "login-1", "password")]


def test_nobodys_password_is_said(database: Database) -> None:
    said = run(database, "password", "--login-name", "nobody")

    assert (said.exit_code, said.output) == (1, "There is no agent 'nobody'.\n")


def test_beside_a_running_server_on_sqlite_it_refuses(tmp_path: Path) -> None:
    file = SqliteFile(tmp_path, None)
    migrate.upgrade(file.url)
    store = Store(file.url)
    store.hold()

    said = create(file)

    asyncio.run(store.close())
    assert said.exit_code == 1
    assert "in use by another deskwire process. Stop it first." in said.output
    file.close()


def test_without_a_schema_it_names_the_command_to_run(tmp_path: Path) -> None:
    said = create(SqliteFile(tmp_path, None))

    assert said.exit_code == 1
    assert "Run: deskwire migrate" in said.output


@pytest.mark.parametrize("words", [[], ["create"], ["password"]])
def test_help_says_what_it_is_for(words: list[str]) -> None:
    said = CliRunner().invoke(app, ["admin", *words, "--help"])

    assert said.exit_code == 0
    assert "password" in said.output
