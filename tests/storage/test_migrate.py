from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
import sqlalchemy as sql
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

from deskwire.storage import migrate
from deskwire.storage.engine import StoreUnavailable
from deskwire.storage.lists import Filters
from deskwire.storage.migrate import Standing
from deskwire.storage.tables import metadata
from tests.flows.conftest import KINDS
from tests.flows.office import ANN, BO, LINA, MEI, WANG, Office, agent, employee, url_of
from tests.kit.databases import INDEX, Database, PostgresDatabase, SqliteFile, inspected

SCRIPT = ScriptDirectory(str(migrate.MIGRATIONS))
CY = employee("cy")
GIN = "ix_searchable_terms"
REVISIONS = [step.revision for step in SCRIPT.walk_revisions()]  # newest first


@pytest.fixture(params=KINDS)
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database with nothing in it."""
    if request.param == "sqlite":
        file = SqliteFile(tmp_path, None)
        yield file
        file.close()
        return
    found = PostgresDatabase(request.getfixturevalue("postgres"), "template0")
    yield found
    found.drop()


def epoch(database: Database) -> str:
    return str(database.sql("SELECT epoch FROM store")[0][0])


Columns = dict[str, list[str]]


def columns(database: Database) -> Columns:
    def look(conn: Connection) -> Columns:
        tables = sql.inspect(conn)
        return {
            name: [column["name"] for column in tables.get_columns(name)]
            for name in tables.get_table_names()
            if not name.startswith(INDEX)
        }

    return inspected(database.url, look)


def rows(database: Database, of: Columns) -> dict[str, set[Any]]:
    """What stands in these columns."""
    return {
        table: set(database.sql(f"SELECT {', '.join(names)} FROM {table}"))
        for table, names in of.items()
    }


# Up and down --------------------------------------------------------------------------------------


def test_the_migrations_make_exactly_the_tables_that_the_code_knows(empty: Database) -> None:
    migrate.upgrade(empty.url)

    def differences(conn: Connection) -> Any:
        def is_compared(item: Any, name: str, kind: str, is_there: bool, _other: Any) -> bool:
            if kind == "table":
                return not name.startswith(INDEX)
            # An index of PostgreSQL's alone is looked for there alone.
            return is_there or kind != "index" or name != GIN or conn.dialect.name != "sqlite"

        options = {
            "compare_type": True,
            "compare_server_default": True,
            "include_object": is_compared,
        }
        context = MigrationContext.configure(conn, opts=options)
        checks = {
            table: {check["name"] for check in sql.inspect(conn).get_check_constraints(table)}
            for table in metadata.tables
        }
        return compare_metadata(context, metadata), checks

    found, checks = inspected(empty.url, differences)
    assert found == []
    assert checks == {
        name: {
            constraint.name
            for constraint in table.constraints
            if isinstance(constraint, sql.CheckConstraint)
        }
        for name, table in metadata.tables.items()
    }


def test_the_way_down_leads_back_to_nothing_and_up_again(empty: Database) -> None:
    migrate.upgrade(empty.url)
    whole = empty.tables()

    migrate.downgrade(empty.url, "base")
    left = empty.tables()
    migrate.upgrade(empty.url)

    assert left == ["alembic_version"]
    assert empty.tables() == whole == sorted([*metadata.tables, "alembic_version"])


@pytest.fixture
async def busy(office: Office) -> Database:
    """A desk in which something has happened, closed."""
    conv = await office.claimed(ANN)
    await office.note(WANG, conv)
    await office.yes(WANG, "resolve_conversation", conv)
    await office.yes(ANN, "rate_conversation", conv, score=4)
    await office.opened(BO)
    await office.post(WANG, await office.claimed(ANN))
    await office.claimed(CY)
    await office.yes(WANG, "resolve_conversation", await office.claimed(MEI))
    saving = {"scope": "mine", "shortcut": "hi", "text": "您好", "version": 0}
    await office.yes(WANG, "save_canned_reply", reply_id="hi", **saving)
    await office.yes(WANG, "save_draft", conv, mode="note", text="草稿", rev=0)
    await office.yes(agent("root"), "save_settings", values={"auto_close_h": 24}, version=0)
    office.write("INSERT INTO access (n, login_id, why, at) VALUES (1, 'l', 'logged_out', 0)")
    office.write("UPDATE store SET access = 1")
    await office.close()
    return office.database


async def test_what_was_said_before_the_search_came_is_found(busy: Database) -> None:
    await asyncio.to_thread(migrate.downgrade, busy.url, "0004")
    await asyncio.to_thread(migrate.upgrade, busy.url)

    office = await Office.at(busy)
    found = [
        await office.views.rows(LINA, view="any", filters=Filters(q=words), after=None, limit=50)
        for words in ("连不上", "内部")
    ]
    await office.close()

    assert [len(page["rows"]) for page in found if page] == [5, 0]


@pytest.mark.parametrize("down_to", REVISIONS[1:])
async def test_a_step_back_and_forth_keeps_what_the_desk_holds(
    busy: Database, down_to: str
) -> None:
    whole = await asyncio.to_thread(columns, busy)
    every = {name: busy.sql(f"SELECT {', '.join(whole[name])} FROM {name}") for name in whole}

    await asyncio.to_thread(migrate.downgrade, busy.url, down_to)
    stood = await asyncio.to_thread(migrate.standing, busy.url)
    known = await asyncio.to_thread(columns, busy)
    known.pop("alembic_version")
    await asyncio.to_thread(migrate.upgrade, busy.url)

    before = {
        name: {tuple(row[whole[name].index(each)] for each in kept) for row in every[name]}
        for name, kept in known.items()
    }
    assert stood is Standing.BEHIND
    assert rows(busy, known) == before
    assert len(known["conversation"]) > 10


async def test_what_an_older_desk_holds_counts_as_saved_once(busy: Database) -> None:
    await asyncio.to_thread(migrate.downgrade, busy.url, "0006")
    for table in ("agent_group", "category"):
        busy.write(f"UPDATE {table} SET version = 0")
    await asyncio.to_thread(migrate.upgrade, busy.url)

    tables = ("agent_group", "category", "person", "agent")
    found = {row[0] for name in tables for row in busy.sql(f"SELECT version FROM {name}")}

    assert found == {1}


KNOWN_FROM_THE_LOG = {
    "conversation": ["conv_id", "assigned_at", "resolved_at", "assignee_answered"],
    "timer": ["kind", "key", "due"],
}


async def test_an_older_desk_learns_from_its_log_since_when_and_until_when(
    busy: Database,
) -> None:
    before = rows(busy, KNOWN_FROM_THE_LOG)
    in_hand = "SELECT conv_id, agent_id, began_at FROM assignment WHERE ended_at IS NULL"
    had = set(busy.sql(in_hand))

    await asyncio.to_thread(migrate.downgrade, busy.url, "0003")
    busy.write("DELETE FROM timer")
    await asyncio.to_thread(migrate.upgrade, busy.url)

    assert rows(busy, KNOWN_FROM_THE_LOG) == before
    assert set(busy.sql(in_hand)) == had
    assert {row[0] for row in before["timer"]} == {
        "dispatch", "first_answer", "reminder", "auto_resolve", "auto_close",
    }  # fmt: skip


async def test_an_older_desk_keeps_only_the_pushes_that_wait(busy: Database) -> None:
    waiting = {row[0] for row in busy.sql("SELECT push_id FROM push")}
    busy.write(
        "INSERT INTO push (push_id, realm, person, stream_id, first, last, since, newest, whys,"
        " state, due, lease_no, lease_until, settled_at) SELECT 'x' || substr(push_id, 2), realm,"
        " person, stream_id, first, last, since, newest, whys, 'notified', due, 1, 0, 1 FROM push"
    )

    await asyncio.to_thread(migrate.downgrade, busy.url, "0008")
    kept = {row[0] for row in busy.sql("SELECT push_id FROM push")}
    await asyncio.to_thread(migrate.upgrade, busy.url)

    assert kept == waiting != set()
    assert {tuple(row) for row in busy.sql("SELECT tries, announces FROM push")} == {(0, "[]")}


def test_a_second_upgrade_changes_nothing_and_keeps_the_epoch(empty: Database) -> None:
    migrate.upgrade(empty.url)
    before = epoch(empty)

    migrate.upgrade(empty.url)

    assert epoch(empty) == before
    assert re.fullmatch("[a-z0-9]{8}", before)


def test_two_upgrades_at_once_are_one(empty: Database) -> None:
    with ThreadPoolExecutor() as threads:
        list(threads.map(migrate.upgrade, [empty.url] * 3))

    assert migrate.standing(empty.url) is Standing.CURRENT
    assert len(empty.sql("SELECT epoch FROM store")) == 1


def test_a_new_file_that_another_process_is_writing_is_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "desk.db"
    other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")  # not in WAL yet: SQLite refuses the turn to it at once
    done = Timer(0.1, other.execute, ["COMMIT"])
    done.start()

    migrate.upgrade(url_of(file))

    done.join()
    other.close()
    assert migrate.standing(url_of(file)) is Standing.CURRENT


def test_a_step_that_fails_leaves_the_schema_as_it_was(empty: Database) -> None:
    migrate.upgrade(empty.url, REVISIONS[-1])
    empty.write("ALTER TABLE access RENAME TO hidden")
    before = empty.tables()

    with pytest.raises(StoreUnavailable, match="access"):
        migrate.upgrade(empty.url)

    assert empty.tables() == before
    assert migrate.revision_of(empty.url) == REVISIONS[-1]


def test_every_store_gets_an_epoch_of_its_own(tmp_path: Path) -> None:
    files = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        files.append(SqliteFile(tmp_path / name, None))
        migrate.upgrade(files[-1].url)

    assert epoch(files[0]) != epoch(files[1])
    for file in files:
        file.close()


def test_the_folder_of_a_new_store_is_made(tmp_path: Path) -> None:
    migrate.upgrade(url_of(tmp_path / "new" / "desk.db"))

    assert (tmp_path / "new" / "desk.db").is_file()


def test_the_migrations_form_one_line() -> None:
    assert len(SCRIPT.get_heads()) == len(SCRIPT.get_bases()) == 1


# How it stands ------------------------------------------------------------------------------------


def test_an_empty_database_has_no_schema_and_is_left_so(empty: Database) -> None:
    found = migrate.standing(empty.url)

    assert found is Standing.MISSING
    assert empty.tables() == []


def test_looking_makes_no_file(tmp_path: Path) -> None:
    found = migrate.standing(url_of(tmp_path / "none" / "desk.db"))

    assert found is Standing.MISSING
    assert list(tmp_path.iterdir()) == []


def test_a_step_of_a_newer_program_is_foreign(empty: Database) -> None:
    migrate.upgrade(empty.url)
    empty.write("UPDATE alembic_version SET version_num = '9999'")

    assert migrate.standing(empty.url) is Standing.FOREIGN


def test_a_database_that_does_not_answer_is_said(tmp_path: Path) -> None:
    (tmp_path / "desk.db").write_text("{" * 2_000)

    for url in (url_of(tmp_path / "desk.db"), "postgresql://nobody@127.0.0.1:9/desk"):
        with pytest.raises(StoreUnavailable):
            migrate.standing(url)


# Restored -----------------------------------------------------------------------------------------


async def test_a_restore_gives_every_stream_another_epoch_and_moves_no_position(
    busy: Database,
) -> None:
    streams = "SELECT stream_id, head, floor FROM stream ORDER BY stream_id"
    before, positions = epoch(busy), busy.sql(streams)

    count = await asyncio.to_thread(migrate.restored, busy.url)

    epochs = {row[0] for row in busy.sql("SELECT epoch FROM stream")}
    assert count == len(positions) > 5
    assert epochs == {epoch(busy)}
    assert epochs != {before}
    assert busy.sql(streams) == positions
