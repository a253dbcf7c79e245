from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sql
from sqlalchemy import exc

from deskwire.desk.events import Stream
from deskwire.storage import dialects, engine, log
from deskwire.storage.engine import (
    Store,
    StoreBusy,
    StoreInUse,
    StoreLost,
    StoreUnavailable,
    uncut,
)
from deskwire.storage.tables import agent_group
from tests.flows.office import ANN, Office, url_of
from tests.kit.databases import PostgresDatabase
from tests.kit.severing import Cut, Wire

HOLDER = """
import sys
from deskwire.storage.engine import Store
store = Store(sys.argv[1])
store.hold()
print("held", flush=True)
sys.stdin.read()
"""
NEW_GROUP = sql.insert(agent_group).values(group_id="x", name="x", queue_max=1)

on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("database", ["postgresql"], indirect=True)


# One process for a file ---------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "desk.db"


@contextmanager
def another_process_holds(file: Path) -> Iterator[subprocess.Popen[str]]:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, url_of(file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield holder
    finally:
        holder.kill()
        holder.communicate()


def test_a_second_process_cannot_hold_the_store(file: Path) -> None:
    with another_process_holds(file), pytest.raises(StoreInUse, match="in use by another"):
        Store(url_of(file)).hold()


def test_the_system_gives_a_killed_processs_store_back(file: Path) -> None:
    with another_process_holds(file) as holder:
        holder.kill()
        holder.wait()

        store = Store(url_of(file))
        store.hold()

    asyncio.run(store.close())


def test_a_closed_store_can_be_held_again(file: Path) -> None:
    first, second = Store(url_of(file)), Store(url_of(file))
    first.hold()

    asyncio.run(first.close())
    second.hold()

    asyncio.run(second.close())


def test_holding_makes_the_folder(tmp_path: Path) -> None:
    store = Store(url_of(tmp_path / "new" / "folder" / "desk.db"))

    store.hold()

    assert (tmp_path / "new" / "folder").is_dir()
    asyncio.run(store.close())


async def test_postgresql_is_for_any_number_of_processes(of_module: PostgresDatabase) -> None:
    stores = [Store(of_module.url) for _ in range(2)]

    for store in stores:
        store.hold()

    assert not any(store.is_for_one_process for store in stores)
    for store in stores:
        await store.close()


# Addresses ----------------------------------------------------------------------------------------


def test_another_database_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="SQLite or PostgreSQL, not 'mysql'"):
        Store("mysql://localhost/desk")


@pytest.mark.parametrize(
    "given, driven",
    [
        ("postgresql://desk@db/desk", "postgresql+asyncpg://desk@db/desk"),
        ("postgresql://db/desk?sslmode=require", "postgresql+asyncpg://db/desk?ssl=require"),
        ("sqlite:///desk.db", "sqlite+aiosqlite:///desk.db"),
    ],
)
def test_an_address_as_other_programs_write_it_gets_our_driver(given: str, driven: str) -> None:
    store = Store(given)

    assert store.url.render_as_string() == driven


def test_a_store_shows_its_password_to_nobody() -> None:
    assert "s3cr3t" not in repr(Store("postgresql://desk:s3cr3t@db/desk"))


# Transactions -------------------------------------------------------------------------------------


async def test_what_fails_is_rolled_back_whole(office: Office) -> None:
    async def broken_off() -> None:
        async with office.store.writing() as conn:
            await conn.execute(NEW_GROUP)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await broken_off()

    assert office.one("SELECT count(*) FROM agent_group") == 2


async def test_a_reader_sees_one_moment_whatever_is_committed_meanwhile(office: Office) -> None:
    conv = await office.opened()
    async with office.store.reading() as conn:
        before = await log.heads(conn, [Stream(f"conv:{conv}")])
        await office.post(ANN, conv)

        after = await log.heads(conn, [Stream(f"conv:{conv}")])

    assert before == after
    assert office.head(f"conv:{conv}") == 3


async def test_a_reader_cannot_write(office: Office) -> None:
    with pytest.raises(StoreUnavailable):
        async with office.store.reading() as conn:
            await conn.execute(NEW_GROUP)


async def test_readers_go_on_while_somebody_writes(office: Office) -> None:
    conv = await office.opened()
    async with office.store.writing():
        page = await office.log.read(f"conv:{conv}", 0)

    assert page.head == 2


@on_sqlite
async def test_accepted_means_on_the_disk_and_references_hold(office: Office) -> None:
    async with office.store.writing() as conn:
        found = {
            name: (await conn.exec_driver_sql(f"PRAGMA {name}")).scalar_one()
            for name in ("synchronous", "journal_mode", "foreign_keys")
        }

    assert found == {"synchronous": 2, "journal_mode": "wal", "foreign_keys": 1}


@on_postgresql
async def test_accepted_means_on_the_disk_whatever_the_server_is_set_to(office: Office) -> None:
    assert office.one("SHOW synchronous_commit") == "off"  # as of any other client of this server

    async with office.store.writing() as conn:
        found = {
            name: (await conn.exec_driver_sql(f"SHOW {name}")).scalar_one()
            for name in ("synchronous_commit", "statement_timeout", "lock_timeout",
                         "idle_in_transaction_session_timeout", "transaction_isolation")
        }  # fmt: skip

    assert found == {
        "synchronous_commit": "on",
        "statement_timeout": "5s",
        "lock_timeout": "2s",
        "idle_in_transaction_session_timeout": "10s",
        "transaction_isolation": "read committed",
    }


async def test_a_server_that_may_lose_commits_is_known(office: Office) -> None:
    """The tests' own server writes nothing through to the disk."""
    is_fast = office.database.kind == "postgresql" and office.one("SHOW fsync") == "off"

    assert await office.store.is_durable() is not is_fast


@on_postgresql
async def test_a_node_takes_at_most_ten_connections(office: Office) -> None:
    async with AsyncExitStack() as open_ones:
        for _ in range(dialects.PG_WRITERS):
            conn = await open_ones.enter_async_context(office.store.writing())
            await conn.exec_driver_sql("SELECT 1")
        for _ in range(dialects.PG_READERS):
            conn = await open_ones.enter_async_context(office.store.reading())
            await conn.exec_driver_sql("SELECT 1")

        taken = office.one(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE application_name = 'deskwire' AND datname = current_database()"
        )

    assert taken == 10


@on_postgresql
async def test_whoever_gets_no_connection_in_time_is_told_so(office: Office) -> None:
    store = Store(office.database.url, acquire_s=0.01)
    async with AsyncExitStack() as open_ones:
        for _ in range(dialects.PG_WRITERS):
            await open_ones.enter_async_context(store.writing())

        with pytest.raises(StoreUnavailable) as raised:
            async with store.writing():
                pass
        async with store.reading() as conn:  # writers who wait leave readers theirs
            read = (await conn.exec_driver_sql("SELECT 1")).scalar_one()

    await store.close()
    assert type(raised.value) is StoreUnavailable
    assert read == 1


@on_postgresql
async def test_a_text_with_nul_is_asked_for_and_not_found(office: Office) -> None:
    page = await office.log.read("conv:\0", 0)

    assert page.events == ()


@on_postgresql
async def test_the_connection_of_a_cancelled_request_is_nobodys_any_more(office: Office) -> None:
    """Or the next one might read its answer."""
    store = Store(office.database.url)
    pids: list[int] = []

    async def ask(statement: str) -> None:
        async with store.reading() as conn:
            pids.append((await conn.exec_driver_sql("SELECT pg_backend_pid()")).scalar_one())
            await conn.exec_driver_sql(statement)

    asking = asyncio.ensure_future(ask("SELECT pg_sleep(4)"))  # noqa: TID251  its owner is this test
    while not pids:  # noqa: ASYNC110  the answer is on its way
        await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await ask("SELECT 1")

    await store.close()
    assert asking.cancelled()
    assert len(set(pids)) == 2


# Faults -------------------------------------------------------------------------------------------


async def cancelled(office: Office, until: asyncio.Event, *, is_told: bool) -> list[str]:
    """Cancel whoever writes, in the middle of it; `is_told`: the work may go on then."""
    began = asyncio.Event()

    async def write() -> None:
        async with office.store.writing() as conn:
            await conn.execute(NEW_GROUP)
            began.set()
            await until.wait()

    writing = asyncio.ensure_future(uncut(write()))  # noqa: TID251  its owner is this test
    await began.wait()
    writing.cancel()
    await asyncio.sleep(0)
    if is_told:
        until.set()
    (ended,) = await asyncio.gather(writing, return_exceptions=True)
    assert isinstance(ended, asyncio.CancelledError)
    return [row[0] for row in office.sql("SELECT group_id FROM agent_group WHERE group_id = 'x'")]


async def test_what_is_uncut_is_committed_before_the_cancellation_goes_on(office: Office) -> None:
    assert await cancelled(office, asyncio.Event(), is_told=True) == ["x"]


async def test_what_never_ends_is_cut_after_a_while_and_rolled_back(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "UNCUT_S", 0.2)

    assert await cancelled(office, asyncio.Event(), is_told=False) == []

    async with office.store.writing() as conn:  # and the next one gets in
        await conn.execute(NEW_GROUP)


async def test_a_fault_of_the_database_leaves_under_our_own_name(office: Office) -> None:
    with pytest.raises(StoreUnavailable) as raised:
        async with office.store.reading() as conn:
            await conn.exec_driver_sql("SELECT * FROM nothing")

    assert type(raised.value) is StoreUnavailable
    assert isinstance(raised.value.__cause__, exc.DBAPIError)
    codes = {"sqlite": "OperationalError SQLITE_ERROR", "postgresql": "ProgrammingError 42P01"}
    assert str(raised.value) == codes[office.database.kind]


async def test_a_row_that_no_rule_would_write_is_our_own_fault(office: Office) -> None:
    async def write_twice() -> None:
        async with office.store.writing() as conn:
            await conn.execute(NEW_GROUP)
            await conn.execute(NEW_GROUP)

    with pytest.raises(exc.IntegrityError):
        await write_twice()


@on_sqlite
async def test_a_file_that_another_program_writes_to_is_busy(office: Office) -> None:
    async with office.store.writing() as conn:
        await conn.exec_driver_sql("PRAGMA busy_timeout=1")
    other = sqlite3.connect(office.database.folder / "desk.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(StoreBusy):
        async with office.store.writing():
            pass

    other.close()


@on_postgresql
@pytest.mark.parametrize(
    "state, kind",
    [
        ("40001", StoreBusy),
        ("40P01", StoreBusy),
        ("55P03", StoreUnavailable),  # lock_timeout has waited long enough for all of us
        ("57014", StoreUnavailable),  # as has statement_timeout
        ("53100", StoreUnavailable),  # disk full
        ("42703", StoreUnavailable),  # a column that this schema lacks
    ],
)
async def test_a_servers_fault_is_named_by_what_may_be_done_about_it(
    office: Office, state: str, kind: type[Exception]
) -> None:
    with pytest.raises(kind) as raised:
        await raise_in_server(office, state)

    assert type(raised.value) is kind


@on_postgresql
@pytest.mark.parametrize("state", ["22012", "23514", "42601"])
async def test_a_fault_of_a_statement_is_our_own(office: Office, state: str) -> None:
    with pytest.raises(exc.DBAPIError):
        await raise_in_server(office, state)


async def raise_in_server(office: Office, state: str) -> None:
    async with office.store.writing() as conn:
        await conn.exec_driver_sql(f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{state}'; END $$")


@on_postgresql
async def test_of_two_who_wait_for_each_other_one_is_told_to_run_again(office: Office) -> None:
    """A real deadlock, which our order of locks avoids."""
    both_hold_one = asyncio.Barrier(2)

    async def lock(first: str, second: str) -> None:
        async with office.store.writing() as conn:
            locking = "UPDATE agent SET load = load WHERE person_id = '{}'"
            await conn.exec_driver_sql(locking.format(first))
            await both_hold_one.wait()
            await conn.exec_driver_sql(locking.format(second))

    ends = await asyncio.gather(lock("wang", "chen"), lock("chen", "wang"), return_exceptions=True)

    assert sorted(type(end).__name__ for end in ends) == ["NoneType", "StoreBusy"]


@on_postgresql
async def test_a_connection_that_ends_within_a_transaction_leaves_its_outcome_open(
    office: Office,
) -> None:
    async def cut_off() -> None:
        async with office.store.writing() as conn:
            pid = (await conn.exec_driver_sql("SELECT pg_backend_pid()")).scalar_one()
            office.sql("SELECT pg_terminate_backend(?, 5000)", pid)
            await conn.execute(NEW_GROUP)

    with pytest.raises(StoreLost):
        await cut_off()

    async with office.store.writing() as conn:
        await conn.execute(NEW_GROUP)
    assert office.one("SELECT count(*) FROM agent_group") == 3


@on_postgresql
@pytest.mark.parametrize("cut, kept", [(Cut.BEFORE_COMMIT, 2), (Cut.AFTER_COMMIT, 3)])
async def test_a_commit_without_an_answer_is_neither_kept_nor_lost_for_sure(
    office: Office, cut: Cut, kept: int
) -> None:
    async with Wire(office.database.url).laid() as wire:
        store = Store(wire.url)

        async def cut_off() -> None:
            async with store.writing() as conn:
                await conn.execute(NEW_GROUP)
                wire.cuts = [cut]

        with pytest.raises(StoreLost):
            await cut_off()

        await store.close()
    assert office.one("SELECT count(*) FROM agent_group") == kept


@on_postgresql
async def test_a_server_that_is_not_there_is_unavailable_and_nothing_is_in_doubt(
    office: Office,
) -> None:
    async with Wire(office.database.url).laid() as wire:
        nobody_listens = wire.url
    store = Store(nobody_listens)

    with pytest.raises(StoreUnavailable) as raised:
        async with store.writing() as conn:
            await conn.execute(NEW_GROUP)

    await store.close()
    assert type(raised.value) is StoreUnavailable
