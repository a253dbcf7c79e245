"""The recording client on real sockets, against our own manager and servers that refuse."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from deskwire import ConnectionManager, Policy
from deskwire.bench.client import Client, Door, running
from deskwire.bench.phases import Kind
from deskwire.bench.record import Acked, Applied, Record
from deskwire.realtime.asgi import serve_websocket
from deskwire.realtime.frames import Place
from deskwire.realtime.gate import Acked as Reported
from deskwire.realtime.gate import LoginId, MemoryGate, Principal
from deskwire.realtime.log import MemoryLog, Stream
from tests.realtime.serving import serving, until

LI = Principal("agent", "li")
SOON_S = 10.0


class Site:
    """One log, and nodes that come and go before it; upgrades go to the newest one."""

    def __init__(self) -> None:
        self.log = MemoryLog(epoch="epoch-01")
        self.gate = MemoryGate()
        self.gate.allow(LI, "room:1")
        self.nodes: list[ConnectionManager] = []
        self.refusal: tuple[int, Mapping[str, str]] | None = None
        self.seen: list[dict[str, str]] = []  # headers of the upgrades

    async def new_node(self) -> ConnectionManager:
        node = ConnectionManager(policy=Policy.MANY, log=self.log, gate=self.gate)
        self.nodes.append(node)
        await node.start()
        return node

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.seen.append(headers)
        if self.refusal is not None and headers.get("cookie") != "login=good":
            await refuse(send, *self.refusal)
            return
        node, login = self.nodes[-1], LoginId("L1")
        await serve_websocket(node, receive, send, LI, login, until_ms=2**53 - 1, scope=scope)

    def commit(self, count: int = 1) -> int:
        position = 0
        for _ in range(count):
            number = self.log.head("room:1").position + 1
            position = self.log.append("room:1", json.dumps({"n": number}).encode())
        for node in self.nodes:
            node.ring("room:1", position)
        return position


async def refuse(
    send: Callable[[Any], Awaitable[None]], status: int, headers: Mapping[str, str]
) -> None:
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    start = {"type": "websocket.http.response.start", "status": status, "headers": pairs}
    await send(start)
    await send({"type": "websocket.http.response.body", "body": b""})


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    await site.new_node()
    yield site
    for node in site.nodes:
        await node.stop()


@asynccontextmanager
async def reader(site: Site, **door: Any) -> AsyncIterator[Client]:
    """A client that has the room from its first event, and whose dice are always 0."""
    async with serving(site) as port:
        url = f"ws://127.0.0.1:{port}/ws/agent"
        client = Client(Door(url=url, **door), lambda: 0.0)
        client.watch({"room:1": (None, 0)})
        async with asyncio.timeout(SOON_S), running(client):
            yield client


def is_live(client: Client) -> bool:
    return client.state.kind is Kind.LIVE


async def test_it_applies_each_event_once_in_order_and_says_so(site: Site) -> None:
    site.commit(3)
    async with reader(site) as client:
        await client.until(is_live)
        site.commit(2)
        await client.until(lambda it: it.record.applied_count == 5)
        await until(lambda: Acked("room:1", 5) in client.record.acked)
        await until(lambda: acked(site) == 5)

        assert client.record.positions("room:1") == [1, 2, 3, 4, 5]
        assert [applied.event for applied in client.record.applied][-1] == {"n": 5}
        assert client.places == {"room:1": ("epoch-01", 5)}


def acked(site: Site) -> int:
    reports = [report for report in site.gate.reports if isinstance(report, Reported)]
    return max((report.positions["room:1"] for report in reports), default=0)


async def test_its_end_confirms_what_it_applied_and_closes_with_1000(site: Site) -> None:
    async with reader(site) as client:
        site.commit(2)
        await client.until(lambda it: it.record.applied_count == 2)

    await until(lambda: acked(site) == 2)
    assert list(client.record.ended) == [1000]
    assert client.state.kind is Kind.STOPPED


async def test_cut_it_resumes_from_its_place_on_another_node_with_the_same_log(site: Site) -> None:
    async with reader(site) as client:
        site.commit(3)
        await client.until(lambda it: it.record.applied_count == 3)
        await site.new_node()
        client.cut()
        site.commit(3)
        await client.until(lambda it: it.record.applied_count == 6)

        assert client.record.positions("room:1") == [1, 2, 3, 4, 5, 6]
        assert list(client.record.ended) == [1006]
        nodes = [json.loads(line)["node"] for line in client.record.received if "hello" in line]
        assert len(set(nodes)) == 2


async def test_drained_it_comes_back_when_told_and_misses_nothing(site: Site) -> None:
    async with reader(site) as client:
        site.commit(1)
        await client.until(lambda it: it.record.applied_count == 1)
        old = site.nodes[-1]
        await site.new_node()
        await old.drain(0.1)
        await client.until(lambda it: it.state.retry_at is not None)
        least_ms = (client.state.retry_at or 0) - asyncio.get_running_loop().time() * 1_000
        site.commit(2)
        client.retry()
        await client.until(lambda it: it.record.applied_count == 3)

        assert 0 < least_ms <= 1_000, "as bye says, with the dice at 0"
        assert list(client.record.ended) == [4001]
        assert client.record.positions("room:1") == [1, 2, 3]


async def test_kicked_it_stops_and_a_retry_goes_on_from_its_place(site: Site) -> None:
    async with serving(site) as port, asyncio.timeout(SOON_S), asyncio.TaskGroup() as tasks:
        client = Client(Door(url=f"ws://127.0.0.1:{port}/ws/agent"), lambda: 0.0)
        client.watch({"room:1": None})
        first = tasks.create_task(client.run())
        await client.until(is_live)
        await site.nodes[-1].kick(LI)
        stopped = await first
        site.commit(2)
        client.retry()
        again = tasks.create_task(client.run())
        await client.until(lambda it: it.record.applied_count == 2)
        client.close()
        await again

    assert (stopped.kind, stopped.code) == (Kind.STOPPED, 4506)
    assert client.record.positions("room:1") == [1, 2]


async def test_refused_for_want_of_a_login_it_renews_it_and_comes_in(site: Site) -> None:
    site.refusal = (401, {})
    whys: list[int | None] = []

    async def renew(why: int | None) -> Mapping[str, str]:
        whys.append(why)
        return {"Cookie": "login=good"}

    headers = {"Cookie": "login=old"}
    async with reader(site, headers=headers, origin="http://desk", renew=renew) as client:
        await client.until(is_live)

    assert whys == [4500]
    assert [(seen["origin"], seen["cookie"]) for seen in site.seen] == [
        ("http://desk", "login=old"),
        ("http://desk", "login=good"),
    ]


async def test_refused_for_now_it_waits_as_long_as_it_is_told(site: Site) -> None:
    site.refusal = (503, {"Retry-After": "2"})
    async with reader(site) as client:
        await client.until(lambda it: it.state.retry_at is not None)
        wait_ms = (client.state.retry_at or 0) - asyncio.get_running_loop().time() * 1_000

        assert 1_000 < wait_ms <= 2_000
        assert client.state.kind is Kind.RECONNECTING


async def test_nobody_there_is_no_fault_of_the_client(site: Site) -> None:
    async with serving(site) as port:
        pass
    client = Client(Door(url=f"ws://127.0.0.1:{port}/ws/agent"), lambda: 0.5)
    async with asyncio.timeout(SOON_S), running(client):
        await client.until(lambda it: it.state.retry_at is not None)

        assert client.state.kind is Kind.RECONNECTING


async def test_after_a_reset_it_watches_from_the_snapshot_it_is_given(site: Site) -> None:
    site.commit(5)

    async def load(stream: Stream, why: str) -> Place | None:
        return ("epoch-01", 4) if (stream, why) == ("room:1", "epoch") else None

    async with reader(site, load=load) as client:
        client.watch({"room:1": ("epoch-00", 2)})
        await client.until(lambda it: it.record.positions("room:1") == [5])

        assert list(client.record.lost) == [("room:1", "epoch")]


async def test_one_that_does_not_read_can_still_be_closed(site: Site) -> None:
    async with reader(site) as client:
        await client.until(is_live)
        client.reads.clear()
        site.commit(3)

    assert client.record.applied_count <= 3
    assert client.state.kind is Kind.STOPPED


def test_a_record_keeps_the_newest_and_counts_them_all() -> None:
    record = Record(keep=2)

    for position in (1, 2, 3):
        record.hears(f'{{"n":{position}}}\n{{}}')
        record.applies(Applied(0.0, "a", position, None))
        record.acks({"a": position})

    assert list(record.received) == ['{"n":3}', "{}"]
    assert record.positions("a") == [2, 3]
    assert [acked.position for acked in record.acked] == [2, 3]
    assert (record.received_count, record.applied_count, record.acked_count) == (6, 3, 3)
