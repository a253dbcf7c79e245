"""One conformance suite for all transports: the twin, plain ASGI over uvicorn, our own class."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import pytest

from deskwire.realtime.asgi import AsgiSocket, own_socket
from deskwire.realtime.frames import Framed, MalformedFrame, PeerFault
from deskwire.realtime.tasks import Tasks
from deskwire.realtime.transport import CLOSED, MemoryTransport, Socket
from deskwire.realtime.uvicorn_protocol import UvicornProtocol
from tests.realtime.serving import serving, until
from tests.realtime.wirepeer import (
    BINARY,
    CLOSE,
    GONE,
    TEXT,
    WirePeer,
    close,
    everybody_leaves,
    frame,
)

KINDS = ("memory", "asgi", "own")
CAPACITY = 256 * 1024


@dataclass
class Case:
    """A socket and what its listener was told. `rooms`: what `room` said at each call."""

    socket: Socket
    peer: Peer
    heard: list[str | bytes | PeerFault] = field(default_factory=list)
    rooms: list[int] = field(default_factory=list)
    losses: int = 0
    is_writing: bool = False
    told_inside_write: bool = False

    def write(self, *frames: Framed) -> None:
        self.is_writing = True
        self.socket.write(frames)
        self.is_writing = False

    def told(self) -> None:
        self.told_inside_write = self.told_inside_write or self.is_writing
        self.rooms.append(self.socket.room())

    def lost(self) -> None:
        self.losses += 1


class Peer(Protocol):
    """The other end, however it is made."""

    async def lines(self, count: int) -> list[bytes]: ...
    async def end(self) -> tuple[int, str]: ...
    def says(self, text: str) -> None: ...
    def says_bytes(self) -> None: ...
    def stops(self) -> None: ...
    def goes_on(self) -> None: ...
    async def leaves(self, *, politely: bool) -> None: ...


class MemoryPeer:
    def __init__(self, transport: MemoryTransport) -> None:
        self._transport = transport
        self._read = 0

    async def lines(self, count: int) -> list[bytes]:
        await until(lambda: len(self._transport.received) >= self._read + count)
        found = self._transport.received[self._read : self._read + count]
        self._read += count
        return [each.json for each in found]

    async def end(self) -> tuple[int, str]:
        closed = self._transport.closed
        self._transport.lose()
        return closed or (-1, "")

    def says(self, text: str) -> None:
        self._transport.peer_sends(text)

    def says_bytes(self) -> None:
        self._transport.peer_sends(MalformedFrame("binary"))

    def stops(self) -> None:
        self._transport.reading = False

    def goes_on(self) -> None:
        self._transport.reading = True
        self._transport.drain()

    async def leaves(self, *, politely: bool) -> None:
        self._transport.lose()


class SocketPeer:
    """A message of `desk.v1` may hold several frames, one a line."""

    def __init__(self, wire: WirePeer) -> None:
        self._wire = wire
        self._lines: list[bytes] = []

    async def lines(self, count: int) -> list[bytes]:
        while len(self._lines) < count:
            opcode, payload = await self._wire.next()
            assert opcode == TEXT, (opcode, payload)
            self._lines += payload.split(b"\n")
        found, self._lines = self._lines[:count], self._lines[count:]
        return found

    async def end(self) -> tuple[int, str]:
        while (found := await self._wire.next())[0] == TEXT:
            pass
        if found == GONE:
            return -1, ""
        assert found[0] == CLOSE
        self._wire.send(frame(CLOSE, found[1][:2]))
        return int.from_bytes(found[1][:2], "big"), found[1][2:].decode()

    def says(self, text: str) -> None:
        self._wire.send(frame(TEXT, text.encode()))

    def says_bytes(self) -> None:
        self._wire.send(frame(BINARY, b"\0"))

    def stops(self) -> None:
        self._wire.reader._transport.pause_reading()  # type: ignore[attr-defined]

    def goes_on(self) -> None:
        self._wire.reader._transport.resume_reading()  # type: ignore[attr-defined]

    async def leaves(self, *, politely: bool) -> None:
        if politely:
            self._wire.send(close(1000))
            await self.end()
        else:
            await self._wire.leave()


@asynccontextmanager
async def memory() -> AsyncIterator[Case]:
    transport = MemoryTransport()
    case = Case(transport, MemoryPeer(transport))
    listen(case)
    yield case


@asynccontextmanager
async def over_uvicorn(ws: Any) -> AsyncIterator[Case]:
    tasks = Tasks()
    made: list[tuple[Socket, asyncio.Event]] = []
    listening = asyncio.Event()
    reading: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        socket = own_socket(scope) or AsgiSocket(receive, send, tasks)
        made.append((socket, listening))
        await listening.wait()
        if reading[0] is not None:
            await reading[0]

    async with serving(app, ws=ws) as port:
        wire = await WirePeer.open(port, "/", small=True)
        await until(lambda: made)
        case = Case(made[0][0], SocketPeer(wire))
        reading.append(listen(case))
        listening.set()
        yield case
        case.socket.abort()
        await everybody_leaves()
        await tasks.close()


def listen(case: Case) -> Any:
    case.socket.on_room(case.told)
    return case.socket.listen(case.heard.append, case.lost)


MADE: dict[str, Callable[[], Any]] = {
    "memory": memory,
    "asgi": lambda: over_uvicorn("websockets-sansio"),
    "own": lambda: over_uvicorn(UvicornProtocol),
}


@pytest.fixture(params=KINDS)
async def case(request: pytest.FixtureRequest) -> AsyncIterator[Case]:
    async with MADE[request.param]() as case:
        yield case


def number(n: int, size: int = 0) -> Framed:
    return Framed(b'{"n":%d,"x":"%b"}' % (n, b"x" * size))


async def fill(case: Case) -> list[Framed]:
    """Frames until one more would not fit; the peer has stopped reading."""
    case.peer.stops()
    taken: list[Framed] = []
    for n in range(5_000):
        each = number(n, 16_000)
        if case.socket.room() < each.size:
            await asyncio.sleep(0.02)  # what the kernel still takes
            if case.socket.room() < each.size:
                return taken
        case.write(each)
        taken.append(each)
        await asyncio.sleep(0)
    raise AssertionError("there was always room")


async def test_an_idle_socket_has_room_for_256_kib(case: Case) -> None:
    assert case.socket.room() == CAPACITY


async def test_frames_arrive_whole_and_in_the_order_of_the_calls(case: Case) -> None:
    frames = [number(n, n * 37 % 4_000) for n in range(200)]

    for n in range(0, 200, 4):
        case.write(frames[n], frames[n + 1], frames[n + 2])
        case.write(frames[n + 3])
        if n % 16 == 0:
            await asyncio.sleep(0)

    assert await case.peer.lines(200) == [each.json for each in frames]
    assert not case.told_inside_write


async def test_what_the_peer_says_is_heard_in_order(case: Case) -> None:
    for text in ("one", "", "李工"):
        case.peer.says(text)
    case.peer.says_bytes()

    await until(lambda: len(case.heard) == 4)
    texts = [x.decode() if isinstance(x, bytes) else x for x in case.heard[:3]]
    assert texts == ["one", "", "李工"]
    assert isinstance(case.heard[3], MalformedFrame)


async def test_a_peer_that_does_not_read_leaves_no_room_and_room_comes_back(case: Case) -> None:
    taken = await fill(case)
    assert case.socket.room() < taken[0].size
    assert not case.told_inside_write
    case.rooms.clear()

    case.peer.goes_on()
    assert await case.peer.lines(len(taken)) == [each.json for each in taken]
    await until(lambda: case.socket.room() == CAPACITY)

    assert case.rooms[-1] > taken[0].size


async def test_a_close_goes_behind_what_waits_and_nothing_follows_it(case: Case) -> None:
    case.write(number(1))

    case.socket.close(4001, "drain")
    assert case.socket.room() <= 0
    case.write(number(2))
    case.socket.close(4000, "later")

    assert await case.peer.lines(1) == [number(1).json]
    assert await case.peer.end() == (4001, "drain")
    await until(lambda: case.socket.room() == CLOSED and case.losses)


@pytest.mark.parametrize("politely", [True, False])
async def test_a_peer_that_leaves_is_told_once(case: Case, politely: bool) -> None:
    await case.peer.leaves(politely=politely)

    await until(lambda: case.losses and CLOSED in case.rooms)
    await asyncio.sleep(0.02)
    assert case.losses == 1
    assert case.rooms.count(CLOSED) == 1
    assert case.socket.room() == CLOSED
    case.write(number(1))
    case.socket.close(1000, "")
    case.socket.abort()


async def test_an_abort_ends_a_socket_whose_peer_reads_nothing(case: Case) -> None:
    await fill(case)

    case.socket.abort()

    assert case.socket.room() == CLOSED
    case.write(number(1))
    if not isinstance(case.socket, MemoryTransport):  # the twin's peer is gone when it says so
        await until(lambda: case.losses == 1, 5)


async def test_a_close_to_a_peer_that_reads_nothing_can_still_be_aborted(case: Case) -> None:
    await fill(case)

    case.socket.close(4002, "slow")
    await asyncio.sleep(0.02)
    case.socket.abort()

    assert case.socket.room() == CLOSED
