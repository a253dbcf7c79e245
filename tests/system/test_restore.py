"""Backup and restore as docs/operations.md has them: what was saved is there, lives do not mix."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.flows.office import filled
from tests.kit.databases import Database, PostgresDatabase, PostgresServer, SqliteFile
from tests.kit.employee import bodies, browser, logged_in, opened, received, say, socket_of
from tests.kit.server import DeskServer, free_port

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]


def served(folder: Path, database: Database) -> DeskServer:
    port = free_port()
    return DeskServer(
        folder,
        run="serve",
        port=port,
        DESKWIRE_PUBLIC_URL=f"http://127.0.0.1:{port}",
        DESKWIRE_DATABASE_URL=database.url,
    )


def migrate_restored(database: Database) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "deskwire", "migrate", "--restored"],
        env=os.environ | {"DESKWIRE_DATABASE_URL": database.url},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


def goes_back(
    server: DeskServer, database: Database, save: Callable[[], None], restore: Callable[[], None]
) -> None:
    """A desk is saved while it runs, goes on, is lost, and comes back as it was saved."""
    with ExitStack() as clients:
        with server:
            client = clients.enter_context(browser(server))
            logged_in(client, database, "employee", "ann")
            conv_id = opened(client, "开始")
            stream = f"conv:{conv_id}"
            say(client, conv_id, "保留")
            saved = places(client)
            save()
            say(client, conv_id, "在备份之后")
            lost = places(client)
            server.kill()
        database.close()

        restore()
        said = migrate_restored(database)
        with server:
            back = clients.enter_context(browser(server))
            logged_in(back, database, "employee", "ann")
            resets = [first_of(server, back, stream, at[stream]) for at in (saved, lost)]
            kept = bodies(back, conv_id)
            now = places(back)

    assert "streams have a new epoch" in said
    assert kept == ["开始", "保留"]
    assert [(frame["op"], frame["why"]) for frame in resets] == [("reset", "epoch")] * 2
    assert now[stream][0] != saved[stream][0] == lost[stream][0]
    assert now[stream][1] == saved[stream][1] < lost[stream][1]


def places(client: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/api/employee/boot").raise_for_status().json()
    return dict(found["positions"])


def first_of(server: DeskServer, client: httpx.Client, stream: str, at: Any) -> dict[str, Any]:
    """The first that a client hears of a stream which it resumes from this place."""
    with socket_of(server, client, {stream: at}) as socket:
        while True:
            for frame in received(socket):
                if frame.get("stream") == stream:
                    return frame


def test_a_file_saved_while_it_is_used_comes_back_and_clients_load_anew(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    file = SqliteFile(tmp_path / "data", None)
    filled(file.url)
    backup = tmp_path / "backup.db"

    def save() -> None:
        with sqlite3.connect(file.path) as source, sqlite3.connect(backup) as copy:
            source.backup(copy)
        source.close()
        copy.close()

    def restore() -> None:
        for name in ("desk.db-wal", "desk.db-shm"):
            (file.folder / name).unlink(missing_ok=True)
        file.path.write_bytes(backup.read_bytes())

    goes_back(served(tmp_path, file), file, save, restore)

    file.close()


def test_a_dump_of_postgresql_comes_back_and_clients_load_anew(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    if postgres.own is None:
        pytest.skip("optional: a named server's pg_dump is not ours to choose")
    database = PostgresDatabase(postgres, postgres.template("office", filled))
    own, name, dump = postgres.own, database.name, tmp_path / "desk.dump"

    def save() -> None:
        dump.write_bytes(own.run("pg_dump", "--format=custom", name))

    def restore() -> None:
        postgres.create(name)
        own.run("pg_restore", "--exit-on-error", f"--dbname={name}", str(dump))

    goes_back(served(tmp_path, database), database, save, restore)

    database.drop()
