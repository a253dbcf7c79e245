from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sqlite3
import stat
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from deskwire.app import Desk
from deskwire.cli import app
from deskwire.cli.demo import _accounts, _announce, _configuration, _listen
from deskwire.desk.people import Realm
from deskwire.flows.login import SignedIn
from deskwire.storage import migrate
from deskwire.storage.engine import Store


def run(*arguments: str, **environment: str) -> Any:
    return CliRunner().invoke(app, ["demo", *arguments], env=environment)


# What stops it before it begins -------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["DESKWIRE_WECOM_CORP_ID", "DESKWIRE_WECOM_SECRET", "DESKWIRE_WECOM_AGENT_ID"]
)
def test_beside_a_real_wecom_it_refuses_in_one_sentence(tmp_path: Path, name: str) -> None:
    said = run("--data-dir", str(tmp_path / "data"), **{name: "ww-real"})

    assert said.exit_code == 1
    assert said.output.strip().count("\n") == 0
    assert "does not start" in said.output
    assert "ww-real" not in said.output
    assert not (tmp_path / "data").exists()


def test_a_setting_without_a_meaning_is_named(tmp_path: Path) -> None:
    said = run("--data-dir", str(tmp_path), DESKWIRE_PORT="eighty")

    assert said.exit_code == 1
    assert said.output.startswith("DESKWIRE_PORT='eighty': ")


def test_a_folder_in_use_is_said_with_what_to_do(tmp_path: Path) -> None:
    store = Store(f"sqlite+aiosqlite:///{tmp_path / 'desk.db'}")
    store.hold()

    said = run("--data-dir", str(tmp_path))

    asyncio.run(store.close())
    assert said.exit_code == 1
    assert "in use by another deskwire process" in said.output
    assert "--data-dir" in said.output


def test_a_folder_that_cannot_be_one_is_said_in_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("not a folder")

    for folder in (file, file / "inside"):
        said = run("--data-dir", str(folder))

        assert (said.exit_code, said.output.strip().count("\n")) == (1, 0)
        assert said.output.startswith("Cannot use ")


@pytest.mark.parametrize("name", ["demo.json", "desk.db"])
def test_a_damaged_file_is_named_and_nothing_is_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("{" * 2_000)

    said = run("--data-dir", str(tmp_path))

    assert (said.exit_code, said.output.strip().count("\n")) == (1, 0)
    assert "cannot be used" in said.output
    assert (tmp_path / name).read_text() == "{" * 2_000


def test_the_database_lies_in_its_folder_whatever_the_folder_is_called(tmp_path: Path) -> None:
    folder = tmp_path / "a?b#c%41 d"
    folder.mkdir()

    _, desk = started(folder)

    stopped(desk)
    assert (folder / "desk.db").exists()
    assert not (tmp_path / "a").exists()


def test_a_taken_port_leads_to_the_next_free_one_and_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with _listen(port) as listening:
            found = listening.getsockname()

    assert found[0] == "127.0.0.1"
    assert found[1] > port
    assert capsys.readouterr().out == f"Port {port} is taken; using {found[1]}.\n"


def test_no_free_port_at_all_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    last = 65535
    with socket.socket() as taken, contextlib.suppress(OSError):
        taken.bind(("127.0.0.1", last))  # or somebody else has it, which serves as well
        with pytest.raises(SystemExit):
            _listen(last)

        assert "No free port from 65535 on" in capsys.readouterr().err


# What it makes ------------------------------------------------------------------------------------


def started(folder: Path) -> tuple[list[dict[str, str]], Desk]:
    """As far as a start goes before it serves."""
    configuration = _configuration(folder, 8000)
    desk = Desk(configuration)
    migrate.upgrade(configuration.database_url)
    accounts = asyncio.run(_accounts(folder, desk, configuration))
    _announce(folder, configuration.origins[0], accounts)
    return accounts, desk


def stopped(desk: Desk) -> None:
    desk.logins.close()
    asyncio.run(desk.store.close())


def rows(folder: Path, statement: str) -> list[Any]:
    with sqlite3.connect(folder / "desk.db") as conn:
        found = conn.execute(statement).fetchall()
    conn.close()
    return found


def test_a_first_start_makes_people_a_little_history_and_a_private_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    accounts, desk = started(tmp_path)
    stopped(desk)

    said = capsys.readouterr().out
    file = tmp_path / "demo.json"
    kept = json.loads(file.read_text("utf-8"))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert kept == {
        "url": "http://127.0.0.1:8000",
        "workbench": "http://127.0.0.1:8000/workbench",
        "phone": "http://127.0.0.1:8000/_wecom/",
        "agents": accounts,
    }
    assert [account["login_name"] for account in accounts] == [
        "lina",
        "wangqiang",
        "zhaomin",
        "chenjie",
    ]
    assert all(account["password"] in said for account in accounts)
    assert kept["workbench"] in said
    assert kept["phone"] in said
    statuses = "SELECT status, closed_how FROM conversation ORDER BY opened_at"
    assert rows(tmp_path, statuses) == [("closed", "rated"), ("active", None), ("queued", None)]
    assert rows(tmp_path, "SELECT count(*) FROM person") == [(24,)]


def test_a_second_start_finds_everything_as_it_was(tmp_path: Path) -> None:
    first, desk = started(tmp_path)
    stopped(desk)
    before = rows(tmp_path, "SELECT event_id, body FROM event ORDER BY event_id")

    second, desk = started(tmp_path)
    signed_in = asyncio.run(desk.logins.by_password(second[0]["login_name"], second[0]["password"]))
    stopped(desk)

    assert second == first
    assert rows(tmp_path, "SELECT event_id, body FROM event ORDER BY event_id") == before
    assert isinstance(signed_in, SignedIn)
    assert signed_in.identity.principal.realm is Realm.AGENT


def test_a_first_start_that_was_cut_off_is_made_good(tmp_path: Path) -> None:
    """Seeded, but killed before the passwords were written down."""
    _, desk = started(tmp_path)
    stopped(desk)
    (tmp_path / "demo.json").unlink()

    accounts, desk = started(tmp_path)
    signed_in = asyncio.run(
        desk.logins.by_password(accounts[1]["login_name"], accounts[1]["password"])
    )
    stopped(desk)

    assert isinstance(signed_in, SignedIn)
    assert rows(tmp_path, "SELECT count(*) FROM conversation") == [(3,)]
    assert rows(tmp_path, "SELECT login_name, load FROM agent WHERE load > 0") == [("lina", 1)]


def test_each_demo_has_passwords_of_its_own(tmp_path: Path) -> None:
    found = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        accounts, desk = started(tmp_path / name)
        stopped(desk)
        found += [account["password"] for account in accounts]

    assert len(set(found)) == len(found)
    assert all(len(password) >= 12 for password in found)


def test_no_password_stands_in_the_database(tmp_path: Path) -> None:
    accounts, desk = started(tmp_path)
    stopped(desk)

    raw = (tmp_path / "desk.db").read_bytes()
    assert not any(account["password"].encode() in raw for account in accounts)
