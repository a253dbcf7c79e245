from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import sqlalchemy as sql
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from deskwire.storage import migrate
from deskwire.storage.tables import metadata
from tests.flows.office import url_of


def tables(path: Path) -> set[str]:
    with sqlite3.connect(path) as conn:
        found = conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    conn.close()
    return {row[0] for row in found}


def epoch(path: Path) -> str:
    with sqlite3.connect(path) as conn:
        (found,) = conn.execute("SELECT epoch FROM store").fetchone()
    conn.close()
    return str(found)


def test_the_migrations_make_exactly_the_tables_that_the_code_knows(tmp_path: Path) -> None:
    migrate.upgrade(url_of(tmp_path / "desk.db"))

    engine = sql.create_engine(f"sqlite:///{tmp_path / 'desk.db'}")
    with engine.connect() as conn:
        context = MigrationContext.configure(
            conn, opts={"compare_type": True, "compare_server_default": True}
        )
        differences = compare_metadata(context, metadata)
        checks = {
            table: {check["name"] for check in sql.inspect(conn).get_check_constraints(table)}
            for table in metadata.tables
        }
    engine.dispose()

    assert differences == []
    assert checks == {
        name: {
            constraint.name
            for constraint in table.constraints
            if isinstance(constraint, sql.CheckConstraint)
        }
        for name, table in metadata.tables.items()
    }


def test_the_way_down_leads_back_to_nothing_and_up_again(tmp_path: Path) -> None:
    path = tmp_path / "desk.db"
    migrate.upgrade(url_of(path))
    whole = tables(path)

    migrate.downgrade(url_of(path), "base")
    left = tables(path)
    migrate.upgrade(url_of(path))

    assert left == {"alembic_version"}
    assert tables(path) == whole == set(metadata.tables) | {"alembic_version"}


def test_a_second_upgrade_changes_nothing_and_keeps_the_epoch(tmp_path: Path) -> None:
    path = tmp_path / "desk.db"
    migrate.upgrade(url_of(path))
    before = epoch(path)

    migrate.upgrade(url_of(path))

    assert epoch(path) == before
    assert re.fullmatch("[a-z0-9]{8}", before)


def test_every_store_gets_an_epoch_of_its_own(tmp_path: Path) -> None:
    for name in ("one.db", "two.db"):
        migrate.upgrade(url_of(tmp_path / name))

    assert epoch(tmp_path / "one.db") != epoch(tmp_path / "two.db")


def test_the_folder_of_a_new_store_is_made(tmp_path: Path) -> None:
    migrate.upgrade(url_of(tmp_path / "new" / "desk.db"))

    assert (tmp_path / "new" / "desk.db").is_file()


def test_the_migrations_form_one_line() -> None:
    script = ScriptDirectory(str(migrate.MIGRATIONS))

    assert len(script.get_heads()) == len(script.get_bases()) == 1
