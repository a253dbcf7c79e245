from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sql
from sqlalchemy import exc

from deskwire.desk.events import Stream
from deskwire.storage import log
from deskwire.storage.engine import Store, StoreInUse, StoreUnavailable
from deskwire.storage.tables import agent_group
from tests.flows.office import ANN, Office, url_of

HOLDER = """
import sys
from deskwire.storage.engine import Store
store = Store(sys.argv[1])
store.hold()
print("held", flush=True)
sys.stdin.read()
"""


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


def test_another_database_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="postgresql"):
        Store("postgresql+asyncpg://localhost/desk")


async def test_what_fails_is_rolled_back_whole(office: Office) -> None:
    async def broken_off() -> None:
        async with office.store.writing() as conn:
            await conn.execute(sql.insert(agent_group).values(group_id="x", name="x", queue_max=1))
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
            await conn.execute(sql.insert(agent_group).values(group_id="x", name="x", queue_max=1))


async def test_accepted_means_on_the_disk_and_references_hold(office: Office) -> None:
    async with office.store.writing() as conn:
        found = {
            name: (await conn.exec_driver_sql(f"PRAGMA {name}")).scalar_one()
            for name in ("synchronous", "journal_mode", "foreign_keys")
        }

    assert found == {"synchronous": 2, "journal_mode": "wal", "foreign_keys": 1}


async def test_readers_go_on_while_somebody_writes(office: Office) -> None:
    conv = await office.opened()
    async with office.store.writing():
        page = await office.log.read(f"conv:{conv}", 0)

    assert page.head == 2


async def test_a_fault_of_the_database_leaves_under_our_own_name(office: Office) -> None:
    with pytest.raises(StoreUnavailable) as raised:
        async with office.store.reading() as conn:
            await conn.exec_driver_sql("SELECT * FROM nothing")

    assert isinstance(raised.value.__cause__, exc.OperationalError)
