"""Rules for every test: asyncio only, loopback only, and our code never blocks the event loop."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from blockbuster import blockbuster_ctx
from fastapi.dependencies import models as dependencies
from hypothesis import HealthCheck, settings

from tests.kit.databases import PostgresServer
from tests.kit.postgres import NAMED, NoPostgres, Postgres

MAY_BLOCK = (
    ("storage/migrate.py", "_run"),  # on a loop that serves nobody else
    ("asyncpg/connect_utils.py", "_parse_connect_dsn_and_args"),  # looks for ~/.pgpass, once a time
    ("flows/office.py", "ring"),  # a test's own look at the database, called by our code
)
# How long an example took says how busy the machine is, and nothing of ours.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

REMEMBERED = [each for each in vars(dependencies).values() if hasattr(each, "cache_clear")]

LOOPBACK = ("127.", "::1", "localhost", "0.0.0.0")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _an_app_ends_with_its_test() -> Iterator[None]:
    """The framework remembers 4,096 endpoints, and with each its whole application.

    Hundreds of them made every full collection a pause of seconds, in which connects timed out.
    """
    yield
    for remembered in REMEMBERED:
        remembered.cache_clear()


@pytest.fixture(autouse=True)
def _no_blocking(request: pytest.FixtureRequest) -> Iterator[None]:
    """A file, a sleep or a lock inside the loop fails the test that met it, if deskwire did it."""
    if not inspect.iscoroutinefunction(getattr(request, "function", None)):
        yield
        return
    with blockbuster_ctx("deskwire") as guard:
        for function in guard.functions.values():
            for file, name in MAY_BLOCK:
                function.can_block_in(file, name)
        yield


def _loopback_only(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "socket.connect":
        return
    address = arguments[1]
    if isinstance(address, tuple) and not str(address[0]).startswith(LOOPBACK):
        raise PermissionError(f"a test tried to reach {address[0]}: tests use the loopback only")


sys.addaudithook(_loopback_only)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for each worker; its databases are made from templates."""
    named = os.environ.get(NAMED)
    if named:
        with PostgresServer(None, named) as server:
            yield server
        return
    try:
        own = Postgres()
    except NoPostgres as missing:
        pytest.skip(str(missing))
    with own, PostgresServer(own) as server:
        yield server
