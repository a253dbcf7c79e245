"""The transport over any ASGI server: first write in the call, one writer, gone is CLOSED."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from deskwire.realtime import frames
from deskwire.realtime.asgi import AsgiOutlet, AsgiSocket, AsgiTransport, serve_websocket
from deskwire.realtime.connection import Closed
from deskwire.realtime.frames import Framed
from deskwire.realtime.gate import Acked, LoginId
from deskwire.realtime.tasks import Tasks
from deskwire.realtime.transport import CLOSED
from tests.realtime.nodes import EPOCH, FOREVER_MS, LI, Node, node, settle, sign
from tests.realtime.serving import serving, until
from tests.realtime.sockets import Server


def framed(n: int, size: int = 0) -> Framed:
    return Framed(msgspec.json.encode({"n": n, "x": "x" * size}))


def over(server: Server, *, joins: bool = False) -> tuple[AsgiTransport, Tasks]:
    tasks = Tasks()
    return AsgiTransport(AsgiOutlet(server._send), tasks, joins=joins), tasks


async def test_what_the_server_takes_at_once_is_gone_when_write_returns() -> None:
    server = Server()
    transport, tasks = over(server)

    transport.write([framed(1), framed(2)])

    assert len(server.texts) == 2
    assert len(tasks) == 0
    assert transport.room() == 256 * 1024


async def test_a_send_that_suspends_is_finished_by_one_task_and_order_is_kept() -> None:
    server = Server()
    transport, tasks = over(server)
    server.stalls = True
    woken: list[int] = []
    transport.on_room(lambda: woken.append(transport.room()))

    transport.write([framed(1)])
    transport.write([framed(2), framed(3)])
    assert (server.texts, len(tasks)) == ([], 1)
    assert transport.room() == 256 * 1024 - 3 * framed(1).size
    server.reads_on()
    await settle()

    assert [msgspec.json.decode(t)["n"] for t in server.texts] == [1, 2, 3]
    assert woken[-1] == 256 * 1024
    assert len(tasks) == 0


async def test_what_waits_is_joined_for_streams_only() -> None:
    for joins, messages in ((True, 3), (False, 131)):
        server = Server()
        transport, _ = over(server, joins=joins)
        server.stalls = True

        transport.write([framed(n) for n in range(130)])
        transport.write([framed(130)])
        server.reads_on()
        await settle(400)

        assert len(server.texts) == messages
        lines = [line for text in server.texts for line in text.split("\n")]
        assert [msgspec.json.decode(line)["n"] for line in lines] == list(range(131))


async def test_joined_messages_stay_under_64_kib() -> None:
    server = Server()
    transport, _ = over(server, joins=True)
    server.stalls = True

    transport.write([framed(n, 20_000) for n in range(12)])
    server.reads_on()
    await settle()

    assert max(len(text) for text in server.texts) <= 64 * 1024


@pytest.mark.parametrize("stalls", [False, True])
async def test_every_way_a_server_says_gone_is_closed(stalls: bool) -> None:
    for fault in (RuntimeError("closed"), OSError(), ConnectionResetError(), KeyError("state")):
        server = Server()
        transport, tasks = over(server)
        woken: list[int] = []
        transport.on_room(lambda woken=woken, t=transport: woken.append(t.room()))  # type: ignore[misc]
        server.stalls = stalls
        transport.write([framed(1)])
        server.breaks = fault

        transport.write([framed(2)])
        server.reads_on()
        await settle()

        assert transport.room() == CLOSED
        assert woken[-1] == CLOSED
        assert len(tasks) == 0
        transport.write([framed(3)])
        transport.close(1000, "")


async def test_the_close_goes_behind_what_waits() -> None:
    server = Server()
    transport, _ = over(server)
    server.stalls = True
    transport.write([framed(1)])

    transport.close(4001, "drain")
    assert transport.room() == 0
    transport.write([framed(2)])
    server.reads_on()
    await settle()

    assert [m["type"] for m in server.messages] == ["websocket.send", "websocket.close"]
    assert transport.room() == CLOSED


async def test_abort_drops_what_waits_and_ends_the_task_that_serves() -> None:
    server = Server()
    transport, tasks = over(server)
    server.stalls = True
    serving_task = asyncio.get_running_loop().create_task(asyncio.Event().wait())
    transport.ends(serving_task)
    transport.write([framed(1)])

    transport.abort()
    await settle()

    assert transport.room() == CLOSED
    assert serving_task.cancelled()
    assert len(tasks) == 0


async def test_256_frames_leave_no_room_however_small() -> None:
    server = Server()
    transport, _ = over(server)
    server.stalls = True
    transport.write([Framed(b"1")] * 255)
    assert transport.room() > 0

    transport.write([Framed(b"1")])

    assert transport.room() == 0
    transport.abort()


async def test_a_future_that_is_awaited_deep_inside_is_carried_over() -> None:
    class Deep:
        async def inner(self, future: asyncio.Future[None]) -> None:
            async with asyncio.Lock():
                await asyncio.shield(future)
            await asyncio.sleep(0)

    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    done: list[str] = []

    async def send(message: Any) -> None:
        await Deep().inner(future)
        done.append(message["text"])

    transport = AsgiTransport(AsgiOutlet(send), Tasks(), joins=False)
    transport.write([Framed(b"1")])
    assert done == []
    future.set_result(None)
    await settle()

    assert done == ["1"]


async def test_an_event_behind_256_frames_that_wait_is_paged_and_not_lost() -> None:
    server = Server()
    said: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def says(data: bytes) -> None:
        said.put_nowait({"type": "websocket.receive", "text": data.decode()})

    async with node() as it:
        it.gate.allow(LI, "conv:1")
        socket = AsgiSocket(said.get, server._send, it.manager.tasks)
        it.manager.tasks.start(
            it.manager.serve(socket, LI, LoginId("L1"), until_ms=FOREVER_MS), "serving"
        )
        says(identify(**{"conv:1": None}))
        await settle()
        server.stalls = True
        for _ in range(255):
            it.commit("conv:1")
            await settle(5)
        it.manager.sign(sign("conv:1"))  # the 256th that waits
        it.commit("conv:1")
        await settle()

        server.reads_on()
        await settle(100)
        says(frames.encode(frames.Ack(positions={"conv:1": 255})))
        await settle(100)

    down = [msgspec.json.decode(line) for text in server.texts for line in text.split("\n")]
    assert [each["position"] for each in down if each["op"] == "event"] == list(range(1, 257))


# --- desk.v1 under a real server -----------------------------------------------------------------


def desk_app(it: Node, ends: list[Closed | None]) -> Callable[..., Awaitable[None]]:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "websocket"
        assert (await receive())["type"] == "websocket.connect"
        ends.append(
            await serve_websocket(it.manager, receive, send, LI, LoginId("L1"), until_ms=FOREVER_MS)
        )

    return app


def identify(**watch: Any) -> bytes:
    return frames.encode(
        frames.Identify(
            protocol=1, client="test/1", device="device-1", tab="tab-00001", visible=True,
            watch=watch,
        )
    )  # fmt: skip


def dial(port: int) -> connect:
    return connect(f"ws://127.0.0.1:{port}", subprotocols=[Subprotocol("desk.v1")])


async def read(peer: Any, ops: int) -> list[dict[str, Any]]:
    """The next `ops` frames, split where the server joined them."""
    got: list[dict[str, Any]] = []
    while len(got) < ops:
        got += [msgspec.json.decode(line) for line in str(await peer.recv()).split("\n")]
    return got


async def test_a_real_socket_identifies_receives_acks_and_resumes() -> None:
    ends: list[Closed | None] = []
    async with node() as it, serving(desk_app(it, ends)) as port:
        it.gate.allow(LI, "desk")
        async with dial(port) as peer:
            assert peer.subprotocol == "desk.v1"
            await peer.send(identify(desk=None).decode())
            assert [f["op"] for f in await read(peer, 3)] == ["hello", "watched", "live"]
            it.commit("desk", 3)
            assert [f["position"] for f in await read(peer, 3)] == [1, 2, 3]
            await peer.send('{"op":"ack","positions":{"desk":2}}')
            await until(lambda: any(isinstance(r, Acked) for r in it.gate.reports))
        await until(lambda: ends)
        assert isinstance(ends[0], Closed)
        assert ends[0].code == 1006

        async with dial(port) as peer:
            await peer.send(identify(desk=[EPOCH, 2]).decode())
            got = await read(peer, 4)
            assert [f["op"] for f in got] == ["hello", "watched", "event", "live"]
            await it.manager.kick(LI)
            (bye,) = await read(peer, 1)
            assert (bye["op"], bye["code"]) == ("bye", 4506)
            with pytest.raises(ConnectionClosed):
                await peer.recv()
            assert (peer.close_code, peer.close_reason) == (4506, "kicked")
        await until(lambda: it.manager.stats().connections == 0)


@pytest.mark.parametrize("bad", ["not json", '{"op":"ack"}', b"\x00binary"])
async def test_a_malformed_frame_closes_its_sender_with_4501_and_nobody_else(bad: Any) -> None:
    async with node() as it, serving(desk_app(it, [])) as port:
        it.gate.allow(LI, "desk")
        async with dial(port) as good, dial(port) as sender:
            await good.send(identify(desk=None).decode())
            await read(good, 3)
            await sender.send(bad)

            (bye,) = await read(sender, 1)

            assert bye == {"op": "bye", "code": 4501, "why": "protocol error", "retry_ms": None}
            it.commit("desk")
            assert [f["op"] for f in await read(good, 1)] == ["event"]


async def test_a_frame_over_32_kib_is_an_error_and_the_connection_stays() -> None:
    async with node() as it, serving(desk_app(it, [])) as port, dial(port) as peer:
        await peer.send(identify().decode())
        await read(peer, 1)

        await peer.send('{"op":"pong","x":"%s"}' % ("x" * 40_000))
        (error,) = await read(peer, 1)
        assert (error["op"], error["code"]) == ("error", "too_large")

        await peer.send('{"op":"probe","n":7}')
        assert (await read(peer, 1))[0] == {"op": "alive", "n": 7}
