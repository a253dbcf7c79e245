"""Watchers in step over real sockets of our class, on both loops: slow ones, other streams."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from random import Random
from typing import Any

import pytest

from deskwire import ConnectionManager
from deskwire.realtime.asgi import serve_websocket
from deskwire.realtime.connection import StreamConnection
from deskwire.realtime.gate import LoginId, Loss, MemoryGate, Principal
from deskwire.realtime.limits import Limits
from deskwire.realtime.log import MemoryLog
from deskwire.realtime.uvicorn_protocol import UvicornProtocol
from tests.realtime.serving import serving, until
from tests.realtime.wirepeer import TEXT, WirePeer, everybody_leaves, frame

STREAMS = ("desk", "queue:it")


@pytest.fixture(params=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param == "uvloop"}


class Desk:
    """A manager for whom one watcher is already many."""

    def __init__(self, **limits: int) -> None:
        self.log = MemoryLog(epoch="epoch-01")
        self.gate = MemoryGate()
        self.manager = ConnectionManager(
            log=self.log, gate=self.gate, limits=Limits(in_step_from=1, **limits)
        )

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        who = Principal("agent", scope["path"].rpartition("/")[2])
        for stream in STREAMS:
            self.gate.allow(who, stream)
        login = LoginId(f"login-{who.person}")
        await serve_websocket(self.manager, receive, send, who, login, until_ms=2**52, scope=scope)

    def commit(self, stream: str, text: str = "") -> int:
        position = self.log.append(stream, json.dumps({"text": text}).encode())
        self.manager.ring(stream, position, self.log.page(stream, position - 1))
        return position

    def connection(self, who: str) -> StreamConnection:
        return self.manager._node.streams_of(Principal("agent", who))[0]


class Watcher:
    """Reads, keeps its places, acknowledges by itself; asserts that positions are dense."""

    def __init__(self, peer: WirePeer) -> None:
        self.peer = peer
        self.places: dict[str, int] = {}

    @classmethod
    async def arrive(cls, port: int, who: str, *, small: bool = False) -> Watcher:
        watcher = cls(await WirePeer.open(port, f"/{who}", small=small))
        watcher.says(op="identify", protocol=1, client="t/1", device="d-00000001",
                     tab="t-00000001", visible=True, watch=dict.fromkeys(STREAMS))  # fmt: skip
        live = set[str]()
        while len(live) < len(STREAMS):
            live |= {each["stream"] for each in await watcher.frames() if each["op"] == "live"}
        return watcher

    def says(self, **said: Any) -> None:
        self.peer.send(frame(TEXT, json.dumps(said).encode()))

    async def frames(self) -> list[dict[str, Any]]:
        opcode, payload = await self.peer.next()
        assert opcode == TEXT, (opcode, payload)
        found = [json.loads(line) for line in payload.split(b"\n")]
        for each in found:
            if each["op"] == "event":
                assert each["position"] == self.places.get(each["stream"], 0) + 1
                self.places[each["stream"]] = each["position"]
        return found

    async def reach(self, places: dict[str, int]) -> None:
        unacked = 0
        while self.places != places:
            unacked += sum(each["op"] == "event" for each in await self.frames())
            if unacked >= 8 or self.places == places:
                self.says(op="ack", positions=self.places)
                unacked = 0


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    desk = Desk(unacked_events=64, frames_per_s=1_000)
    await desk.manager.start()
    yield desk
    await desk.manager.stop()


@pytest.fixture
async def port(desk: Desk) -> AsyncIterator[int]:
    async with serving(desk.app, ws=UvicornProtocol, interface="asgi3") as port:
        yield port
        await everybody_leaves()


@pytest.mark.parametrize("seed", range(4))
async def test_each_gets_all_of_every_stream_in_order_whatever_else_is_said(
    desk: Desk, port: int, seed: int
) -> None:
    watchers = [await Watcher.arrive(port, who) for who in ("li", "wang", "zhao")]
    dice = Random(seed)
    heads: dict[str, int] = {}

    for _ in range(300):
        stream = dice.choices(STREAMS, (9, 1))[0]
        heads[stream] = desk.commit(stream)
        if dice.random() < 0.1:
            dice.choice(watchers).says(op="probe", n=1)
        if dice.random() < 0.2:
            await asyncio.sleep(dice.choice((0, 0, 0.002)))
        if dice.random() < 0.1:
            await dice.choice(watchers).reach(heads)
    for watcher in watchers:
        await watcher.reach(heads)

    assert all(watcher.places == heads for watcher in watchers)
    assert {connection.delivery.phase.value for connection in desk.manager._node.all_streams()} == {
        "open"
    }


async def test_who_falls_behind_misses_nothing_and_keeps_step_again(desk: Desk, port: int) -> None:
    slow = await Watcher.arrive(port, "li", small=True)
    quick = await Watcher.arrive(port, "wang")
    heads = {"desk": desk.commit("desk")}
    for watcher in (slow, quick):
        await watcher.reach(heads)
    await until(lambda: desk.connection("li").stride is not None)

    while desk.connection("li").stride is not None:
        heads = {"desk": desk.commit("desk", "x" * 20_000)}
        await quick.reach(heads)
    for _ in range(20):
        heads = {"desk": desk.commit("desk")}
    await quick.reach(heads)
    await slow.reach(heads)

    async def is_in_step_again() -> bool:
        heads["desk"] = desk.commit("desk")
        await slow.reach(heads)
        return desk.connection("li").stride is not None

    async with asyncio.timeout(10):
        while not await is_in_step_again():
            pass
    assert slow.places == heads


async def test_who_never_acknowledges_is_written_a_window_and_no_more(
    desk: Desk, port: int
) -> None:
    silent = await Watcher.arrive(port, "li")

    for _ in range(200):
        desk.commit("desk")
        await asyncio.sleep(0)
    while silent.places.get("desk", 0) < 64:
        await silent.frames()

    delivery = desk.connection("li").delivery
    assert delivery.watches["desk"].sent == 64
    silent.says(op="ack", positions={"desk": 64})
    while silent.places["desk"] < 128:
        await silent.frames()


async def test_who_lost_sight_gets_nothing_more_of_the_stream(desk: Desk, port: int) -> None:
    watcher = await Watcher.arrive(port, "li")
    desk.commit("desk")
    await watcher.reach({"desk": 1})
    assert desk.connection("li").stride is not None

    desk.gate.lose(Loss(stream="desk", principal=Principal("agent", "li"), why="revoked"))
    await desk.manager.recheck(Principal("agent", "li"))
    desk.commit("desk")
    heads = {"desk": 1, "queue:it": desk.commit("queue:it")}
    await watcher.reach(heads)

    assert watcher.places == heads
