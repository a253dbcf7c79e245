from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from itertools import chain

import pytest

from deskwire.storage import due
from deskwire.storage.due import CLAIMS_MAX, LEASE_MS, TIMERS, Claim, DatabaseClock
from deskwire.storage.engine import Store, Transaction
from tests.flows.office import START, Office

on_postgresql = pytest.mark.parametrize("database", ["postgresql"], indirect=True)


class Node:
    """A process that looks after timers, and its clock: the office's, which stands still."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self.store = Store(office.database.url, acquire_s=30)

    async def now(self, _conn: Transaction) -> int:
        return self.office.now_ms

    async def arm(self, key: str, due_ms: int, kind: str = "auto_close") -> None:
        async with self.store.writing() as conn:
            await due.arm(conn, kind, key, due_ms)

    async def claim(self, limit: int = CLAIMS_MAX) -> list[Claim]:
        async with self.store.writing() as conn:
            return await TIMERS.claim(conn, self, limit=limit)

    async def finish(self, claim: Claim) -> bool:
        async with self.store.writing() as conn:
            return await TIMERS.finish(conn, claim)


@pytest.fixture
async def node(office: Office) -> AsyncIterator[Node]:
    node = await asyncio.to_thread(Node, office)
    yield node
    await node.store.close()


@pytest.fixture
async def other(office: Office) -> AsyncIterator[Node]:
    other = await asyncio.to_thread(Node, office)
    yield other
    await other.store.close()


def keys(claims: list[Claim]) -> list[str]:
    return [claim.key[1] for claim in claims]


async def test_a_timer_is_claimed_when_it_is_due_and_not_before(node: Node) -> None:
    await node.arm("conv-1", START + 1)

    early = await node.claim()
    node.office.now_ms = START + 1
    claims = await node.claim()

    assert early == []
    assert [(claim.key, claim.due) for claim in claims] == [(("auto_close", "conv-1"), START + 1)]
    assert claims[0].lease_until == START + 1 + LEASE_MS


async def test_the_oldest_come_first_and_sixteen_at_once(node: Node) -> None:
    for number in (7, 3, 18, *range(8, 18), *range(3), *range(4, 7)):
        await node.arm(f"{number:02}", START - 100 + number)

    first = await node.claim()
    rest = await node.claim()

    assert keys(first) == [f"{number:02}" for number in range(16)]
    assert keys(rest) == ["16", "17", "18"]


async def test_what_is_claimed_is_nobody_elses_until_the_lease_ends(
    node: Node, other: Node
) -> None:
    await node.arm("conv-1", START)
    (claim,) = await node.claim()

    node.office.now_ms = claim.lease_until
    meanwhile = await other.claim()
    node.office.now_ms += 1
    afterwards = await other.claim()

    assert meanwhile == []
    assert keys(afterwards) == ["conv-1"]
    assert afterwards[0].lease_no == claim.lease_no + 1


async def test_whoever_comes_back_after_the_lease_ended_changes_nothing(
    node: Node, other: Node
) -> None:
    await node.arm("conv-1", START)
    (late,) = await node.claim()
    node.office.now_ms += LEASE_MS + 1
    (current,) = await other.claim()

    by_the_late = await node.finish(late)
    still_armed = node.office.one("SELECT count(*) FROM timer")
    by_the_current = await other.finish(current)

    assert (by_the_late, still_armed, by_the_current) == (False, 1, True)
    assert node.office.one("SELECT count(*) FROM timer") == 0


async def test_the_end_of_an_older_run_does_not_end_what_was_armed_again(node: Node) -> None:
    await node.arm("conv-1", START)
    (claim,) = await node.claim()
    await node.arm("conv-1", START + 500)

    ended = await node.finish(claim)
    node.office.now_ms = START + 500
    claims = await node.claim()

    assert not ended
    assert keys(claims) == ["conv-1"]


async def test_a_timer_armed_again_is_due_at_its_new_time_alone(node: Node) -> None:
    await node.arm("conv-1", START)
    await node.arm("conv-1", START + 500)

    early = await node.claim()
    node.office.now_ms = START + 500

    assert early == []
    assert keys(await node.claim()) == ["conv-1"]
    assert await node.claim() == []


async def test_a_claim_of_a_former_life_does_not_fit_the_next(node: Node, other: Node) -> None:
    await node.arm("conv-1", START)
    (claim,) = await node.claim()
    async with node.store.writing() as conn:
        await due.disarm(conn, [("auto_close", "conv-1"), ("auto_close", "none")])
    gone = await node.claim()
    await node.arm("conv-1", START)
    await other.claim()

    ended = await node.finish(claim)

    assert gone == []
    assert not ended
    assert node.office.one("SELECT count(*) FROM timer") == 1


async def test_what_is_given_back_is_claimed_from_its_new_time_on(node: Node, other: Node) -> None:
    await node.arm("conv-1", START)
    (claim,) = await node.claim()
    async with node.store.writing() as conn:
        given_back = await TIMERS.postpone(conn, claim, START + 100)

    early = await other.claim()
    node.office.now_ms = START + 100
    (second,) = await other.claim()
    async with node.store.writing() as conn:
        again = await TIMERS.postpone(conn, claim, START + 900)

    assert (given_back, early, again) == (True, [], False)
    assert second.due == START + 100


async def test_a_claim_that_was_not_committed_is_none(node: Node, other: Node) -> None:
    await node.arm("conv-1", START)

    async def broken_off() -> None:
        async with node.store.writing() as conn:
            await TIMERS.claim(conn, node)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await broken_off()

    assert keys(await other.claim()) == ["conv-1"]


async def test_of_two_who_claim_at_once_each_row_goes_to_one(node: Node, other: Node) -> None:
    async with node.store.writing() as conn:
        for number in range(100):
            await due.arm(conn, "auto_close", f"conv-{number:03}", START - number % 7)

    async def work_off(at: Node) -> list[str]:
        done: list[str] = []
        while claims := await at.claim(limit=5):
            done += keys(claims)
            for claim in claims:
                assert await at.finish(claim)
        return done

    done = await asyncio.gather(work_off(node), work_off(other), work_off(node))

    assert sorted(chain(*done)) == [f"conv-{number:03}" for number in range(100)]
    assert node.office.one("SELECT count(*) FROM timer") == 0


@on_postgresql
async def test_nobody_waits_for_rows_that_another_is_just_claiming(node: Node, other: Node) -> None:
    for number in range(3):
        await node.arm(f"conv-{number}", START)

    async with node.store.writing() as conn:
        mine = await TIMERS.claim(conn, node, limit=2)
        others = await other.claim()

    assert len(mine) == 2
    assert len(others) == 1
    assert not set(keys(mine)) & set(keys(others))


async def test_kinds_do_not_meet(node: Node) -> None:
    await node.arm("conv-1", START, kind="auto_close")
    await node.arm("conv-1", START, kind="reminder")
    claims = await node.claim()

    for claim in claims[:1]:
        await node.finish(claim)

    assert sorted(claim.key for claim in claims) == [
        ("auto_close", "conv-1"),
        ("reminder", "conv-1"),
    ]
    assert node.office.sql("SELECT kind FROM timer") == [("reminder",)]


async def test_the_databases_clock_is_read_in_unix_milliseconds(node: Node) -> None:
    before = time.time_ns() // 1_000_000
    async with node.store.reading() as conn:
        read = await DatabaseClock().now(conn)
    after = time.time_ns() // 1_000_000

    assert before - 1 <= read <= after + 1
