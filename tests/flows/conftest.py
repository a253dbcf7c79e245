from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.flows.office import Office, filled, template
from tests.kit.databases import Database, PostgresDatabase, PostgresServer, SqliteFile

KINDS = ("sqlite", "postgresql")


@pytest.fixture(scope="module")
def of_module(request: pytest.FixtureRequest) -> Iterator[PostgresDatabase]:
    """PostgreSQL's one database of a module; its rows are put back before each test."""
    server: PostgresServer = request.getfixturevalue("postgres")
    database = PostgresDatabase(server, server.template("office", filled))
    yield database
    database.drop()


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Migrated and seeded, and nobody else's."""
    with opened(request.param, request, tmp_path) as found:
        yield found


@contextmanager
def opened(kind: str, request: pytest.FixtureRequest, folder: Path) -> Iterator[Database]:
    if kind == "sqlite":
        file = SqliteFile(folder, template())
        yield file
        file.close()
        return
    found: PostgresDatabase = request.getfixturevalue("of_module")
    found.folder = folder
    found.reset()
    yield found
    found.close()


@pytest.fixture
async def office(database: Database) -> AsyncIterator[Office]:
    office = await Office.at(database)
    yield office
    await office.close()
