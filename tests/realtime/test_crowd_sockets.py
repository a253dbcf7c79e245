"""The crowd over real sockets of our class: every way of sending mixed, on both loops."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from random import Random

import pytest
from fastapi import FastAPI, WebSocket

from deskwire import ConnectionManager
from deskwire.realtime.asgi import own_socket
from deskwire.realtime.plain import PlainConnection
from deskwire.realtime.uvicorn_protocol import UvicornProtocol
from tests.realtime.serving import serving, until
from tests.realtime.test_baseline_sockets import baseline_app
from tests.realtime.wirepeer import TEXT, WirePeer, everybody_leaves

PEOPLE = ("li", "wang", "zhao")


@pytest.fixture(params=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param == "uvloop"}


@pytest.fixture
async def manager() -> ConnectionManager:
    return ConnectionManager()


@pytest.fixture
async def port(manager: ConnectionManager) -> AsyncIterator[int]:
    async with serving(baseline_app(manager), ws=UvicornProtocol) as port:
        yield port
        await everybody_leaves()
        await manager.tasks.close()


async def arrives(
    manager: ConnectionManager, port: int, who: str, *, small: bool = False
) -> WirePeer:
    before = manager.active_connections.get(who)
    peer = await WirePeer.open(port, f"/agent/{who}", small=small)
    await until(lambda: manager.active_connections.get(who) not in (None, before))
    return peer


async def numbers(peer: WirePeer, count: int) -> list[int]:
    found = []
    for _ in range(count):
        opcode, payload = await peer.next()
        assert opcode == TEXT
        found.append(json.loads(payload)["n"])
    return found


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_the_way_each_gets_all_of_theirs_in_the_order_of_the_calls(
    manager: ConnectionManager, port: int, seed: int
) -> None:
    peers = {who: await arrives(manager, port, who) for who in PEOPLE}
    due: dict[str, list[int]] = {who: [] for who in PEOPLE}
    dice = Random(seed)

    for number in range(400):
        if dice.random() < 0.6:
            reach = await manager.broadcast({"n": number})
            assert (reach.people, reach.connections) == (3, 3)
            to = list(PEOPLE)
        else:
            to = dice.sample(PEOPLE, 1)
            assert await manager.send_to_agent(to[0], {"n": number})
        for who in to:
            due[who].append(number)
        if dice.random() < 0.2:
            await asyncio.sleep(dice.choice((0, 0, 0.002)))

    assert {who: await numbers(peer, len(due[who])) for who, peer in peers.items()} == due


async def test_who_falls_behind_misses_nothing_and_keeps_step_again(
    manager: ConnectionManager, port: int
) -> None:
    crowd = manager._crowds["agent"]
    slow = await arrives(manager, port, "li", small=True)
    quick = await arrives(manager, port, "wang")
    assert not crowd.apart
    sent = 0
    while not crowd.apart:  # until the kernel takes no more from the one that does not read
        reach = await manager.broadcast({"n": sent, "body": "x" * 60_000})
        sent += 1
        assert reach.connections == 2
        assert await numbers(quick, 1) == [sent - 1]

    assert [member.said_id for member in crowd.apart] == ["li"]
    for _ in range(3):
        assert (await manager.broadcast({"n": sent})).people == 2
        sent += 1
    assert await numbers(slow, sent) == list(range(sent))
    await until(lambda: not crowd.apart)
    await manager.broadcast({"n": sent})

    assert await numbers(slow, 1) == [sent]


async def test_a_broadcast_that_puts_somebody_half_behind_lets_the_loop_turn(
    manager: ConnectionManager, port: int
) -> None:
    await arrives(manager, port, "li", small=True)
    crowd, loop = manager._crowds["agent"], asyncio.get_running_loop()
    server = own_socket(manager.active_connections["li"].scope)
    assert isinstance(server, UvicornProtocol)
    kernel = server._transport.get_extra_info("socket")
    kernel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
    turned: list[bool] = []

    assert not crowd.apart
    loop.call_soon(turned.append, True)
    reach = await manager.broadcast("x" * 250_000)

    assert reach.connections == len(crowd.apart) == 1
    assert turned


async def test_who_connects_while_its_peer_is_behind_is_watched_like_any_other() -> None:
    manager = ConnectionManager()
    app = FastAPI()

    @app.websocket("/agent/{who}")
    async def sends_first(websocket: WebSocket, who: str) -> None:
        await websocket.accept()
        await websocket.send_text("x" * 5_000_000)  # more than any kernel takes from us
        await manager.connect(who, websocket)
        await websocket.receive()

    async with serving(app, ws=UvicornProtocol) as port:
        await WirePeer.open(port, "/agent/li", small=True)
        await until(lambda: "li" in manager.active_connections)
        (connection,) = manager._hub.connections.values()
        assert isinstance(connection, PlainConnection)

        assert connection.is_waiting
        assert connection.is_over_half
        await everybody_leaves()


async def test_who_was_replaced_or_taken_out_hears_no_broadcast(
    manager: ConnectionManager, port: int
) -> None:
    old = await arrives(manager, port, "li")
    new = await arrives(manager, port, "li")
    assert await old.close_code() == 4504
    await arrives(manager, port, "wang")

    manager.disconnect("wang", manager.active_connections["wang"])
    reach = await manager.broadcast({"n": 1})

    assert (reach.people, reach.connections) == (1, 1)
    assert await numbers(new, 1) == [1]


async def test_what_was_taken_before_a_disconnect_or_a_close_still_arrives(
    manager: ConnectionManager, port: int
) -> None:
    taken_out = await arrives(manager, port, "li")
    closed = await arrives(manager, port, "wang")
    for number in range(3):  # the last two wait for the end of the turn
        await manager.broadcast({"n": number})
    socket = manager.active_connections["wang"]

    manager.disconnect("li", manager.active_connections["li"])
    manager.disconnect("wang", socket)
    await socket.close(4506)

    assert await numbers(taken_out, 3) == [0, 1, 2]
    assert await numbers(closed, 3) == [0, 1, 2]
    assert await closed.close_code() == 4506


async def test_who_is_greeted_while_others_are_owed_keeps_step_after_that() -> None:
    manager = ConnectionManager()
    crowd = manager._crowds["agent"]
    app = FastAPI()

    @app.websocket("/agent/{who}")
    async def greets(websocket: WebSocket, who: str) -> None:
        for number in range(2):  # the second waits for the turn's end
            await manager.broadcast({"n": number})
        await manager.connect(who, websocket)
        await manager.send_to_agent(who, {"n": 2})
        await websocket.receive()

    async with serving(app, ws=UvicornProtocol) as port:
        li = await WirePeer.open(port, "/agent/li")
        assert await numbers(li, 1) == [2]
        wang = await WirePeer.open(port, "/agent/wang")

        assert (await numbers(wang, 1), await numbers(li, 2)) == ([2], [0, 1])
        assert not crowd.apart
        await everybody_leaves()


async def test_an_empty_realm_is_nobody(manager: ConnectionManager, port: int) -> None:
    await WirePeer.open(port, "/employee/li")
    await until(lambda: "li" in manager.employee_connections)

    assert not await manager.broadcast({"n": 1})
