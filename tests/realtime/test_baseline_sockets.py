"""The baseline's door, with a FastAPI app under a real uvicorn and real WebSocket clients."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

import deskwire
from deskwire import ConnectionManager
from tests.realtime.serving import RawPeer, serving, until

EMBEDDING = Path(__file__).parents[2] / "docs" / "embedding.md"


def baseline_app(manager: ConnectionManager) -> FastAPI:
    """An app as it was written for the baseline: nothing in it knows of ours."""
    app = FastAPI()

    @app.websocket("/agent/{agent_id}")
    async def agent(websocket: WebSocket, agent_id: str) -> None:
        await manager.connect(agent_id, websocket)
        try:
            while True:
                await websocket.receive_text()
        except WebSocketDisconnect:
            pass
        finally:
            manager.disconnect(agent_id)

    @app.websocket("/employee/{employee_id}")
    async def employee(websocket: WebSocket, employee_id: str) -> None:
        await manager.connect_employee(employee_id, websocket)
        try:
            while True:
                await websocket.receive_text()
        except WebSocketDisconnect:
            manager.disconnect_employee(employee_id)

    return app


@asynccontextmanager
async def desk(**options: Any) -> AsyncIterator[tuple[ConnectionManager, str, int]]:
    manager = ConnectionManager(**options)
    async with serving(baseline_app(manager)) as port:
        yield manager, f"ws://127.0.0.1:{port}", port
        await manager.tasks.close()


async def close_code(peer: ClientConnection) -> int | None:
    try:
        while True:
            await peer.recv()
    except ConnectionClosed:
        return peer.close_code


async def test_an_unmodified_endpoint_never_removes_its_successor() -> None:
    async with desk() as (manager, url, _), connect(f"{url}/agent/li") as old:
        await until(lambda: "li" in manager.active_connections)
        first = manager.active_connections["li"]
        async with connect(f"{url}/agent/li") as new:
            assert await close_code(old) == 4504
            await until(lambda: manager.active_connections["li"] is not first)
            await asyncio.sleep(0.05)  # time for the old endpoint's finally

            reach = await manager.send_to_agent("li", {"n": 1})

            assert (reach.people, reach.connections) == (1, 1)
            assert json.loads(await new.recv()) == {"n": 1}


async def test_the_old_sockets_late_disconnect_leaves_the_new_one_registered() -> None:
    async with desk() as (manager, url, _), connect(f"{url}/agent/li"):
        await until(lambda: "li" in manager.active_connections)
        old = manager.active_connections["li"]
        async with connect(f"{url}/agent/li"):
            await until(lambda: manager.active_connections["li"] is not old)

            assert manager.disconnect("li", old) == 0

            assert manager.is_agent_online("li")


async def test_one_peer_that_never_reads_delays_no_other() -> None:
    async with desk() as (manager, url, port), connect(f"{url}/agent/healthy") as healthy:
        stalled = await RawPeer.open(port, "/agent/stalled")
        await until(lambda: len(manager.active_connections) == 2)
        loop = asyncio.get_running_loop()
        text = "x" * 60_000
        worst = 0.0
        for n in range(200):  # 12 MB: more than any kernel hides
            begun = loop.time()
            await manager.broadcast({"n": n, "text": text})
            worst = max(worst, loop.time() - begun)
            assert json.loads(await healthy.recv())["n"] == n

        assert worst < 0.5
        assert list(manager.active_connections) == ["healthy"]  # the other was closed as slow
        assert manager.stats().slow_closed == 1
        stalled.close()


async def test_a_payload_json_cannot_carry_harms_no_connection() -> None:
    async with desk() as (manager, url, _), connect(f"{url}/agent/li") as li:
        await until(lambda: "li" in manager.active_connections)

        reach = await manager.broadcast({"rows": [1, {"bad": object()}]})

        assert (reach.people, reach.connections) == (0, 0)
        assert await manager.broadcast({"n": 2})
        assert json.loads(await li.recv()) == {"n": 2}


async def test_a_person_in_both_realms_gets_a_status_in_both_and_counts_once() -> None:
    async with (
        desk() as (manager, url, _),
        connect(f"{url}/agent/zhao") as as_agent,
        connect(f"{url}/employee/Zhao") as as_employee,
    ):
        await until(lambda: manager.is_agent_online("zhao") and manager.is_employee_online("zhao"))

        count = await manager.broadcast_message_status(
            "c1", "m1", "read", ["zhao", "ZHAO", "nobody"]
        )

        assert count == 1
        status = {"type": "message_status", "conv_id": "c1", "msg_id": "m1", "status": "read"}
        assert json.loads(await as_agent.recv()) == status
        assert json.loads(await as_employee.recv()) == status


async def test_nothing_raises_when_a_peer_is_gone() -> None:
    async with desk() as (manager, _, port):
        peers = [await RawPeer.open(port, f"/agent/a{n}") for n in range(5)]
        await until(lambda: len(manager.active_connections) == 5)
        for peer in peers:
            peer.vanish()

        for n in range(20):
            await manager.broadcast({"n": n})

        await until(lambda: not manager.active_connections)
        assert not await manager.broadcast({"n": 21})


async def test_concurrent_connects_leave_one_open_registered_connection() -> None:
    async with desk() as (manager, url, _):
        peers = await asyncio.gather(*(connect(f"{url}/agent/li") for _ in range(10)))
        await until(lambda: manager.stats().connections == 1)

        assert await manager.send_to_agent("li", {"n": 1})

        got = await asyncio.gather(*(first_frame(peer) for peer in peers))
        assert sorted(got, key=str) == sorted([4504] * 9 + ['{"n":1}'], key=str)
        await asyncio.gather(*(peer.close() for peer in peers))


async def first_frame(peer: ClientConnection) -> str | int | None:
    try:
        return str(await peer.recv())
    except ConnectionClosed:
        return peer.close_code


async def test_calls_keep_their_order() -> None:
    async with desk() as (manager, url, _), connect(f"{url}/agent/li") as li:
        await until(lambda: "li" in manager.active_connections)

        async def send(kind: str) -> None:
            for n in range(50):
                await manager.send_to_agent("li", {"kind": kind, "n": n})

        await asyncio.gather(send("a"), send("b"))

        got = [json.loads(await li.recv()) for _ in range(100)]
        for kind in "ab":
            assert [each["n"] for each in got if each["kind"] == kind] == list(range(50))


def example() -> str:
    block = re.search(r"```python\n(.*?)```", EMBEDDING.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    return block[1]


def test_the_example_is_under_30_lines() -> None:
    assert len(example().splitlines()) < 30


async def test_the_example_in_the_docs_runs() -> None:
    names: dict[str, Any] = {"__name__": "app"}
    exec(compile(example(), "app.py", "exec"), names)
    allowed = {"Origin": "http://127.0.0.1:8000", "Cookie": "login=secret-of-li"}
    async with serving(names["app"]) as port:
        url = f"ws://127.0.0.1:{port}/ws"
        async with connect(url, additional_headers=allowed) as li:
            await until(lambda: deskwire.manager.is_agent_online("li"))

            reach = await deskwire.manager.send_to_agent("li", {"hello": "李"})

            assert reach.people == 1
            assert json.loads(await li.recv()) == {"hello": "李"}
        await until(lambda: not deskwire.manager.is_agent_online("li"))
        for headers in ({"Origin": "http://evil.example"}, {}):
            with pytest.raises(Exception, match="403"):
                async with connect(url, additional_headers=headers):
                    pass
