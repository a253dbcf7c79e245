"""Our uvicorn class: ASGI whole, the bytes of bad peers, and the socket a manager takes over."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from deskwire import ConnectionManager
from deskwire.realtime import frames
from deskwire.realtime.asgi import own_socket, serve_websocket
from deskwire.realtime.frames import Framed
from deskwire.realtime.gate import LoginId
from deskwire.realtime.uvicorn_protocol import UvicornProtocol
from tests.realtime import serving as servers
from tests.realtime import test_baseline_sockets as doors
from tests.realtime.nodes import FOREVER_MS, LI, Node, node
from tests.realtime.serving import until
from tests.realtime.wirepeer import (
    BINARY,
    CLOSE,
    GONE,
    PING,
    PONG,
    TEXT,
    WirePeer,
    close,
    everybody_leaves,
    frame,
    request,
)

serving = partial(servers.serving, ws=UvicornProtocol)


@pytest.fixture(params=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """Everything here holds on both loops."""
    return "asyncio", {"use_uvloop": request.param == "uvloop"}


@pytest.fixture(autouse=True)
async def _peers() -> AsyncIterator[None]:
    yield
    await everybody_leaves()


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """What comes goes back, until the end. /slow does not read before it is told to."""
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


def saying(*messages: dict[str, Any]) -> Callable[..., Awaitable[None]]:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        for message in messages:
            await send(message)

    return app


# --- the baseline's door -------------------------------------------------------------------------

DOORS = {
    name: test
    for name, test in vars(doors).items()
    if name.startswith("test_") and inspect.iscoroutinefunction(test)
}


@pytest.mark.parametrize("door", DOORS)
async def test_at_the_baselines_door(door: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doors, "serving", serving)
    await DOORS[door]()


# --- ASGI ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("http", ["h11", "httptools"])
async def test_an_app_hears_and_says_everything_under_both_http_classes(http: str) -> None:
    async with (
        serving(echo, http=http) as port,
        connect(f"ws://127.0.0.1:{port}/é?q=1", max_size=None) as peer,
    ):
        for said in ("李工", "", "x" * 70_000, b"", b"\0" * 300):
            await peer.send(said)
            assert await peer.recv() == said
        await peer.send(["in ", "three ", "pieces"])
        assert await peer.recv() == "in three pieces"
        await (await peer.ping())
        assert peer.response is not None
        assert "Sec-WebSocket-Extensions" not in peer.response.headers


async def test_the_scope_is_whole() -> None:
    seen: dict[str, Any] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.update(scope)
        await send({"type": "websocket.accept", "subprotocol": "b", "headers": [(b"X-A", b"1")]})

    async with serving(app, root_path="/root") as port:
        lines = ("Sec-WebSocket-Protocol: a, b", "Cookie: x=\xe9")
        peer = await WirePeer.open(port, "/a%20b?q=%E9", *lines)

        assert await peer.close_code() == 1000

    assert seen["path"] == "/root/a b"
    assert (seen["raw_path"], seen["query_string"]) == (b"/root/a%20b", b"q=%E9")
    assert seen["subprotocols"] == ["a", "b"]
    assert seen["server"] == ("127.0.0.1", port)
    assert seen["scheme"] == "ws"
    assert (b"cookie", "x=é".encode()) in seen["headers"]
    assert b"sec-websocket-protocol: b\r\n" in peer.head
    assert b"x-a: 1\r\n" in peer.head


REFUSALS: dict[str, tuple[Callable[..., Awaitable[None]], int, str]] = {
    "a close": (saying({"type": "websocket.close", "code": 1008}), 403, ""),
    "an answer of its own": (
        saying(
            {"type": "websocket.http.response.start", "status": 429, "headers": [(b"a", b"b")]},
            {"type": "websocket.http.response.body", "body": b"not ", "more_body": True},
            {"type": "websocket.http.response.body", "body": b"now"},
        ),
        429,
        "not now",
    ),
    "no answer": (saying(), 500, "Internal Server Error"),
    "a fault": (saying({"type": "websocket.send", "text": "early"}), 500, "Internal Server Error"),
    "a header of two lines": (
        saying({"type": "websocket.accept", "headers": [(b"a", b"b\r\nc: d")]}),
        500,
        "Internal Server Error",
    ),
}


@pytest.mark.parametrize("how", REFUSALS)
async def test_an_app_may_refuse_the_upgrade(how: str) -> None:
    app, status, body = REFUSALS[how]
    async with serving(app) as port:
        with pytest.raises(InvalidStatus) as raised:
            await connect(f"ws://127.0.0.1:{port}/")

    response = raised.value.response
    assert (response.status_code, bytes(response.body or b"").decode()) == (status, body)
    assert response.headers["connection"] == "close"


UPGRADES = {
    "another version": (request(1, "/").replace(b"13", b"8"), 426),
    "no version": (request(1, "/").replace(b"Sec-WebSocket-Version: 13\r\n", b""), 426),
    "no key": (request(1, "/").replace(b"Sec-WebSocket-Key", b"X-Key"), 400),
    "a short key": (request(1, "/", key="c2hvcnQ="), 400),
    "a key that is none": (request(1, "/", key="?" * 24), 400),
    "two keys": (request(1, "/", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="), 400),
    "two Origins": (request(1, "/", "Origin: http://a", "origin: http://b"), 400),
    "two Hosts": (request(1, "/", "Host: b"), 400),
    "a body": (request(1, "/", "Content-Length: 5") + b"hello", 400),
    "another method": (request(1, "/").replace(b"GET", b"POST"), 400),
    "a target with a host": (request(1, "http://evil.test/"), 400),
}


@pytest.mark.parametrize("how", UPGRADES)
async def test_a_bad_upgrade_is_refused_before_the_app_sees_it(how: str) -> None:
    head, status = UPGRADES[how]
    async with serving(echo) as port:
        peer = await WirePeer.dial(port, head)

        assert peer.status == status
        await peer.leave()


async def test_a_fault_of_the_app_closes_its_own_socket_with_1011() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        raise LookupError("ours")

    async with serving(app) as port:
        peer = await WirePeer.open(port, "/")

        assert await peer.close_code() == 1011


async def test_the_app_learns_how_the_peer_left() -> None:
    ends: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        ends.append(await receive())
        ends.append(await receive())  # and again, for who asks twice
        with pytest.raises(OSError):
            await send({"type": "websocket.send", "text": "late"})

    async with serving(app) as port:
        for goodbye, code, reason in (
            (close(4321, "好".encode()), 4321, "好"),
            (frame(CLOSE), 1005, ""),
            (b"", 1006, ""),
        ):
            ends.clear()
            peer = await WirePeer.open(port, "/")
            peer.send(goodbye)
            if goodbye:
                assert await peer.close_code() == code
            await peer.leave()
            await until(lambda: len(ends) == 2)

            assert (ends[0]["code"], ends[0]["reason"]) == (code, reason)
            assert ends[0]["type"] == ends[1]["type"] == "websocket.disconnect"


async def test_an_app_that_sends_waits_for_its_peer_and_is_let_go_when_it_vanishes() -> None:
    sent: list[int] = []
    over = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        try:
            for n in range(4_000):
                await send({"type": "websocket.send", "bytes": b"x" * 60_000})
                sent.append(n)
        except OSError:
            over.set()

    async with serving(app) as port:
        peer = await WirePeer.open(port, "/", small=True)
        peer.reader._transport.pause_reading()  # type: ignore[attr-defined]
        count = -1
        while count != len(sent):
            count = len(sent)
            await asyncio.sleep(0.2)

        assert count < 400

        await peer.leave()
        async with asyncio.timeout(5):
            await over.wait()


async def test_an_app_that_does_not_read_is_not_read_for() -> None:
    go = asyncio.Event()
    heard: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await go.wait()
        while (message := await receive())["type"] == "websocket.receive":
            heard.append(message["text"])

    async with serving(app) as port:
        peer = await WirePeer.open(port, "/")
        for n in range(20_000):
            peer.send(frame(TEXT, b"%d" % n))
        peer.send(close(1000))
        await asyncio.sleep(0.1)
        go.set()

        assert await peer.close_code() == 1000

    assert heard == [str(n) for n in range(20_000)]


# --- the bytes of bad peers ----------------------------------------------------------------------

UNMASKED = b"\x81\x02hi"
ABUSE = {
    "no mask": (UNMASKED, 1002),
    "RSV1, as if compressed": (frame(TEXT, b"a", rsv=4), 1002),
    "RSV2": (frame(TEXT, b"a", rsv=2), 1002),
    "RSV3": (frame(PING, b"a", rsv=1), 1002),
    "an opcode of data nobody knows": (frame(3), 1002),
    "an opcode of control nobody knows": (frame(11), 1002),
    "a length of 2^63": (b"\x82\xff\x80" + b"\0" * 7 + b"mask", 1002),
    "a length of 2^62": (b"\x82\xff\x40" + b"\0" * 7 + b"mask", 1009),
    "a ping of 126 bytes": (frame(PING, b"a" * 126), 1002),
    "a ping in pieces": (frame(PING, b"a", final=False), 1002),
    "a piece of nothing": (frame(0, b"a"), 1002),
    "a message inside a message": (frame(TEXT, b"a", final=False) + frame(TEXT, b"b"), 1002),
    "bad UTF-8": (frame(TEXT, b"\xff"), 1007),
    "an overlong NUL": (frame(TEXT, b"\xc0\x80"), 1007),
    "a lone surrogate": (frame(TEXT, b"\xed\xa0\x80"), 1007),
    "a character that never ends": (frame(TEXT, b"\xe6\x9d"), 1007),
    "split bad UTF-8": (frame(TEXT, b"\xe6", final=False) + frame(0, b"\x28\xa1"), 1007),
    "bad UTF-8 before the last piece": (frame(TEXT, b"\xff", final=False), 1007),
    "one byte over the bound": (frame(BINARY, b"a" * 65_537), 1009),
    "over the bound in pieces": (
        frame(TEXT, b"a" * 65_536, final=False) + frame(0, b"a"), 1009,
    ),
    "a close of one byte": (frame(CLOSE, b"\x03"), 1002),
    "a close with bad UTF-8": (close(1000, b"\xff"), 1007),
    **{f"close code {n}": (close(n), 1002) for n in (0, 999, 1004, 1005, 1006, 1015, 2999, 5000)},
    **{f"close code {n}": (close(n), n) for n in (1000, 1001, 1003, 1007, 1014, 3000, 4999)},
}  # fmt: skip


@pytest.mark.parametrize("how", ABUSE)
async def test_a_bad_peer_is_closed_with_its_code_and_touches_nobody(how: str) -> None:
    data, code = ABUSE[how]
    async with serving(echo, ws_max_size=65_536) as port:
        neighbour = await WirePeer.open(port, "/")
        bad = await WirePeer.open(port, "/")

        bad.send(data)
        bad.send(frame(TEXT, b"more") * 50)  # what follows is nobody's

        assert await bad.close_code() == code
        neighbour.send(frame(TEXT, b"still here"))
        assert await neighbour.next() == (TEXT, b"still here")


async def test_pieces_pings_between_them_and_bytes_one_by_one_make_whole_messages() -> None:
    said = (
        frame(TEXT, "李".encode()[:1], final=False)
        + frame(PING, b"?")
        + frame(0, b"", final=False)
        + frame(0, "李".encode()[1:], final=False)
        + frame(0, b"!")
        + frame(BINARY, b"a" * 65_536)
    )
    async with serving(echo, ws_max_size=65_536) as port:
        for step in (1, 7, 4_096, len(said)):
            peer = await WirePeer.open(port, "/")
            for at in range(0, 40 if step == 1 else len(said), step):
                peer.send(said[at : at + step])
                if step == 1:
                    await asyncio.sleep(0)
            if step == 1:
                peer.send(said[40:])

            assert await peer.next() == (PONG, b"?")
            assert await peer.next() == (TEXT, "李!".encode())
            assert await peer.next() == (BINARY, b"a" * 65_536)
            await peer.leave()


async def test_a_hundred_thousand_empty_pieces_are_held_as_nothing() -> None:
    async with serving(echo, ws_max_size=65_536) as port:
        peer = await WirePeer.open(port, "/")
        peer.send(frame(TEXT, b"a", final=False))
        peer.send(frame(0, final=False) * 100_000)
        peer.send(frame(0, b"b"))

        assert await peer.next() == (TEXT, b"ab")


async def test_pings_of_a_peer_that_does_not_read_are_not_hoarded() -> None:
    seen: list[UvicornProtocol] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        socket = own_socket(scope)
        assert isinstance(socket, UvicornProtocol)
        seen.append(socket)
        await echo(scope, receive, send)

    async with serving(app) as port:
        peer = await WirePeer.open(port, "/", small=True)
        peer.reader._transport.pause_reading()  # type: ignore[attr-defined]
        for _ in range(60):
            peer.send(frame(PING, b"p" * 125) * 1_000)
            await asyncio.sleep(0.01)

        assert seen[0]._waiting_bytes < 256 * 1024
        await peer.leave()


async def test_a_silent_peer_is_closed_and_a_stuck_one_aborted() -> None:
    ends: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        if scope["path"] == "/stuck":
            for _ in range(300):
                socket = own_socket(scope)
                assert socket is not None
                socket.write([Framed(b'"' + b"x" * 60_000 + b'"')])
        ends.append((await receive())["code"])

    async with serving(app, ws_ping_interval=0.2, ws_ping_timeout=0.2) as port:
        silent = await WirePeer.open(port, "/")
        stuck = await WirePeer.open(port, "/stuck", small=True)
        stuck.reader._transport.pause_reading()  # type: ignore[attr-defined]
        async with connect(f"ws://127.0.0.1:{port}/") as healthy:
            await until(lambda: len(ends) == 2, 5)

            assert sorted(ends) == [1006, 1011]
            assert await silent.close_code() == 1011
            await asyncio.sleep(0.5)
            assert healthy.close_code is None


# --- one write per turn --------------------------------------------------------------------------


class Writes(asyncio.Transport):
    """A transport that counts."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...
    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True


async def opened(listens: bool) -> tuple[UvicornProtocol, Writes]:
    import uvicorn
    from uvicorn.server import ServerState

    taken = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        if listens:
            socket = own_socket(scope)
            assert socket is not None
            assert socket.listen(lambda _: None, lambda: None) is None
        taken.set()
        if not listens:
            await asyncio.Event().wait()

    config = uvicorn.Config(app, lifespan="off", log_config=None)
    it, transport = UvicornProtocol(config, ServerState(), {}), Writes()
    it.connection_made(transport)
    it.data_received(request(1, "/"))
    await taken.wait()
    await asyncio.sleep(0)
    transport.written.clear()
    return it, transport


def number(n: int) -> Framed:
    return Framed(b'{"n":%d}' % n)


async def test_frames_of_one_turn_leave_in_one_write() -> None:
    it, transport = await opened(listens=True)

    for n in range(10):
        it.write([number(n)])
    await asyncio.sleep(0)
    it.write([number(10)])
    await asyncio.sleep(0)

    assert transport.written == [b"".join(number(n).wire for n in range(10)), number(10).wire]
    assert it.room() == 256 * 1024


async def test_the_first_frame_to_an_apps_socket_leaves_within_the_call() -> None:
    it, transport = await opened(listens=False)

    it.write([number(0)])
    assert transport.written == [number(0).wire]
    it.write([number(1)])
    it.write([number(2)])
    await asyncio.sleep(0)

    assert transport.written == [number(0).wire, number(1).wire + number(2).wire]


async def test_what_waits_for_a_turns_end_is_bounded() -> None:
    it, transport = await opened(listens=True)

    for _ in range(40):
        it.write([Framed(b'"' + b"x" * 9_998 + b'"')])

    assert sum(map(len, transport.written)) > 300_000
    assert max(map(len, transport.written)) <= 64 * 1024


async def test_a_peer_behind_gets_its_frames_in_order_and_room_tells_the_truth() -> None:
    it, transport = await opened(listens=True)
    rooms: list[int] = []
    it.on_room(lambda: rooms.append(it.room()))

    it.pause_writing()
    for n in range(256):
        it.write([number(n)])
    await asyncio.sleep(0)
    assert (transport.written, it.room()) == ([], 0)
    it.resume_writing()
    await asyncio.sleep(0)

    assert b"".join(transport.written) == b"".join(number(n).wire for n in range(256))
    assert rooms == [256 * 1024]


# --- taken over by a manager ---------------------------------------------------------------------


def desk_app(it: Node, ends: list[object]) -> Callable[..., Awaitable[None]]:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        ends.append(
            await serve_websocket(
                it.manager, receive, send, LI, LoginId("L1"), until_ms=FOREVER_MS, scope=scope
            )
        )

    return app


@asynccontextmanager
async def desk(**options: Any) -> AsyncIterator[tuple[Node, str, list[object]]]:
    ends: list[object] = []
    async with node() as it, serving(desk_app(it, ends), **options) as port:
        yield it, f"ws://127.0.0.1:{port}", ends


def identify(tab: str = "tab-00001", **watch: Any) -> str:
    return frames.encode(
        frames.Identify(
            protocol=1, client="t/1", device="device-1", tab=tab, visible=True, watch=watch
        )
    ).decode()


async def closing(peer: ClientConnection) -> AsyncIterator[str]:
    """What is still said until the close, whatever its code."""
    with suppress(ConnectionClosed):
        while True:
            yield str(await peer.recv())


DESK = [Subprotocol("desk.v1")]


async def test_a_stream_connection_leaves_no_task_waiting() -> None:
    async with desk() as (it, url, ends), connect(url, subprotocols=DESK) as peer:
        before = len(asyncio.all_tasks())
        await peer.send(identify())
        hello = json.loads(await peer.recv())
        async with connect(url, subprotocols=DESK) as second:
            await second.send(identify("tab-00002"))
            await second.recv()

            tasks = len(asyncio.all_tasks())

        assert hello["op"] == "hello"
        assert ends == [None, None]
        # of the second: its client's own keepalive, and nothing of ours
        assert tasks - before <= 1
        assert it.manager.stats().connections >= 1


async def test_what_was_said_before_the_manager_listened_is_heard() -> None:
    async with desk() as (_, url, _ends):
        port = int(url.rpartition(":")[2])
        peer = await WirePeer.open(port, "/", "Sec-WebSocket-Protocol: desk.v1")
        peer.send(frame(TEXT, identify().encode()))

        opcode, payload = await peer.next()

        assert (opcode, json.loads(payload)["op"]) == (TEXT, "hello")
        await peer.leave()


async def test_a_short_frame_too_is_held_to_the_servers_bound() -> None:
    async with desk(ws_max_size=100) as (_, url, _ends):
        port = int(url.rpartition(":")[2])
        peer = await WirePeer.open(port, "/", "Sec-WebSocket-Protocol: desk.v1")
        peer.send(frame(TEXT, b'"' + b"x" * 98 + b'"'))
        assert json.loads((await peer.next())[1])["code"] == 4501  # it was read, and no identify

        peer = await WirePeer.open(port, "/", "Sec-WebSocket-Protocol: desk.v1")
        peer.send(frame(TEXT, b'"' + b"x" * 99 + b'"'))

        assert await peer.close_code() == 1009


async def test_a_binary_message_is_a_protocol_error_with_bye() -> None:
    async with desk() as (_, url, _ends), connect(url, subprotocols=DESK) as peer:
        await peer.send(identify())
        await peer.recv()

        await peer.send(b"\0")

        assert json.loads(await peer.recv())["code"] == 4501
        with pytest.raises(ConnectionClosed):
            await peer.recv()
        assert peer.close_code == 4501


async def test_a_vanished_peer_is_out_of_the_registry_at_once() -> None:
    async with desk() as (it, url, _ends):
        port = int(url.rpartition(":")[2])
        for goodbye in (b"", close(1000)):
            peer = await WirePeer.open(port, "/", "Sec-WebSocket-Protocol: desk.v1")
            peer.send(frame(TEXT, identify().encode()))
            await peer.next()
            peer.send(goodbye)
            if goodbye:
                assert await peer.next() == (CLOSE, goodbye and b"\x03\xe8")
            else:
                await peer.leave()

            await until(lambda: it.manager.stats().connections == 0, 1)


async def test_drain_says_bye_before_the_close_and_nobody_sees_1006() -> None:
    async with desk() as (it, url, _ends):
        peers = [await connect(url, subprotocols=DESK) for _ in range(9)]
        for n, peer in enumerate(peers):
            await peer.send(identify(f"tab-0000{n}"))
            await peer.recv()

        await it.manager.drain(window_s=0.1)

        for peer in peers:
            said = [json.loads(text) async for text in closing(peer)]
            assert said[-1]["op"] == "bye"
            assert peer.close_code == 4001
        await until(lambda: it.manager.stats().connections == 0, 2)


async def test_a_server_that_ends_says_1012() -> None:
    async with serving(echo) as port:
        peer = await WirePeer.open(port, "/")
        peer.send(frame(TEXT, b"a"))
        await peer.next()

    assert await peer.close_code() == 1012


async def test_an_abort_is_real_while_the_peer_reads_nothing() -> None:
    manager = ConnectionManager()
    async with serving(doors.baseline_app(manager)) as port:
        stuck = await WirePeer.open(port, "/agent/li", small=True)
        stuck.reader._transport.pause_reading()  # type: ignore[attr-defined]
        await until(lambda: "li" in manager.active_connections)
        while await manager.send_to_agent("li", {"x": "x" * 60_000}):
            pass

        assert "li" not in manager.active_connections
        begun = asyncio.get_running_loop().time()
        stuck.reader._transport.resume_reading()  # type: ignore[attr-defined]
        while await stuck.next() != GONE:
            pass
        assert asyncio.get_running_loop().time() - begun < 5
        await manager.tasks.close()
