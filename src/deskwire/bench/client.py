"""A client of desk.v1 over a real socket: the thin shell around `Reading`. It keeps a record.

It decides nothing: it carries out what the reading returns and tells it what came of it. Its owner
runs it (`async with running(client)`), watches through it, and looks into `client.record`.
Invariant: what an earlier socket still says is not heard.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Final, TypeAlias

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.typing import Origin, Subprotocol

from deskwire.bench import outs
from deskwire.bench.comeback import Dice
from deskwire.bench.outs import Out
from deskwire.bench.phases import State
from deskwire.bench.reading import Reading
from deskwire.bench.record import Applied, Record
from deskwire.bench.wire import Frame
from deskwire.realtime.frames import PAYLOAD_BYTES_MAX, SUBPROTOCOL, Place
from deskwire.realtime.log import Stream

CLOSE_S: Final = 2.0  # for the closing handshake; after it the socket is cut
MESSAGE_BYTES_MAX: Final = 2 * PAYLOAD_BYTES_MAX  # a plain payload in its envelope fits

# New headers to come with, or None: there is no login to be had.
Renew: TypeAlias = Callable[[int | None], Awaitable[Mapping[str, str] | None]]
# A snapshot's place, or None: there is nothing to watch.
Load: TypeAlias = Callable[[Stream, str], Awaitable[Place | None]]


async def no_login(why: int | None) -> Mapping[str, str] | None:
    del why
    return None


async def no_snapshot(stream: Stream, why: str) -> Place | None:
    del stream, why
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Where a client comes in, and as whom. `headers` carry its cookie."""

    url: str  # ws://127.0.0.1:8000/ws/employee
    origin: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    name: str = "deskwire-bench/1"
    device: str = field(default_factory=lambda: f"d-{secrets.token_hex(8)}")
    tab: str = field(default_factory=lambda: f"t-{secrets.token_hex(8)}")
    renew: Renew = no_login
    load: Load = no_snapshot


class Client:
    """Comes back by itself, until it is closed or told to stop; then `run` ends."""

    def __init__(self, door: Door, dice: Dice | None = None, record: Record | None = None) -> None:
        self.door = door
        self.record = record or Record()
        self.headers = door.headers
        self.reads = asyncio.Event()  # cleared, nothing more is taken from the socket
        self.reads.set()
        self._reading = Reading(door.name, dice or Random().random)  # noqa: S311  jitter only
        self._tab = door.tab
        self._line: _Line | None = None
        self._refusal: tuple[int, float | None] = (0, None)  # status, Retry-After in ms
        self._tasks: asyncio.TaskGroup | None = None
        self._put_off: list[Out] = []  # wanted while it was not running
        self._timer: asyncio.TimerHandle | None = None
        self._over = asyncio.Event()
        self._waiters: list[tuple[Callable[[Client], object], asyncio.Future[None]]] = []

    def __repr__(self) -> str:
        state, record = self.state, self.record
        return f"<Client {self.door.url} {state.kind} {state.code} applied={record.applied_count}>"

    @property
    def state(self) -> State:
        return self._reading.state

    @property
    def places(self) -> Mapping[Stream, Place | None]:
        return self._reading.places

    async def run(self) -> State:
        """Connects and keeps at it. After a stop, `retry` and `run` go on from the places."""
        self._over.clear()
        try:
            async with asyncio.TaskGroup() as self._tasks:
                put_off, self._put_off = self._put_off, []
                self._do([*put_off, *self._reading.start(_now())])
                await self._over.wait()
        finally:
            self._tasks = None
        return self.state

    async def until(self, holds: Callable[[Client], object]) -> None:
        """Returns once `holds` is true of this client; the caller sets a deadline."""
        if not holds(self):
            done = asyncio.get_running_loop().create_future()
            self._waiters.append((holds, done))
            await done

    # --- what its user wants --------------------------------------------------------------------

    def watch(self, places: Mapping[Stream, Place | None]) -> None:
        """From these places; None: from now on, (None, 0): from the first event one may see."""
        self._do(self._reading.watch(places, _now()))

    def unwatch(self, streams: Iterable[Stream]) -> None:
        self._do(self._reading.unwatch(streams, _now()))

    def mark(self, stream: Stream, position: int) -> None:
        self._do(self._reading.mark(stream, position, _now()))

    def typing(self, stream: Stream, *, on: bool) -> None:
        self._do(self._reading.typing(stream, on, _now()))

    def viewing(self, stream: Stream, *, on: bool) -> None:
        self._do(self._reading.viewing(stream, on, _now()))

    def show(self, *, visible: bool) -> None:
        self._do(self._reading.show(visible, _now()))

    def look(self) -> None:
        """Is the socket still one? Asks at once."""
        self._do(self._reading.look(_now()))

    def expect(self, positions: Mapping[Stream, tuple[str, int]]) -> None:
        self._do(self._reading.expect(positions, _now()))

    def retry(self) -> None:
        """At once, not after the delay; after a stop, it takes effect with the next `run`."""
        self._do(self._reading.retry(_now()))

    def cut(self) -> None:
        """Drops the socket without a word, as a lost network does; then comes back."""
        if self._line is not None:
            self._line.abort()

    def close(self) -> None:
        """For good: what was applied is confirmed, the socket closed with 1000."""
        self.reads.set()
        self._do(self._reading.close(_now()))

    # --- carrying out ---------------------------------------------------------------------------

    def _do(self, wanted: Sequence[Out]) -> None:
        for out in wanted:
            if self._tasks is None:
                self._put_off.append(out)
            else:
                self._carry_out(out, self._tasks)
        if self._tasks is not None:
            self._arm()
            if self._reading.is_over:
                self._over.set()
        for waiter in list(self._waiters):
            holds, done = waiter
            if done.cancelled() or holds(self):
                self._waiters.remove(waiter)
                if not done.done():
                    done.set_result(None)

    def _carry_out(self, out: Out, tasks: asyncio.TaskGroup) -> None:
        match out:
            case outs.Send():
                self._send(out.frame)
            case outs.Apply():
                self.record.applies(Applied(_now(), out.stream, out.position, out.event))
            case outs.Open():
                self._tab = f"t-{secrets.token_hex(8)}" if out.anew else self._tab
                self._line = _Line(self)
                self._line.task = tasks.create_task(self._line.run())
            case outs.Drop():
                line, self._line = self._line, None
                if line is not None:
                    line.close(out.code)
            case outs.Ask():
                asyncio.get_running_loop().call_soon(self._answer)
            case outs.Login():
                tasks.create_task(self._renew(out.why))
            case outs.Load():
                self.record.lost.append((out.stream, out.why))
                tasks.create_task(self._load(out.stream, out.why))
            case outs.Gone():
                self.record.lost.append((out.stream, out.why))
            case _:
                pass  # signs, clocks, complaints: they stand in `record.received`

    def _send(self, frame: Frame) -> None:
        if self._line is not None:
            self._line.send(json.dumps(frame, ensure_ascii=False, separators=(",", ":")))
            self.record.acks(frame.get("positions", {}))

    def _answer(self) -> None:
        self._do(self._reading.answered(*self._refusal, _now()))

    async def _renew(self, why: int | None) -> None:
        headers = await self.door.renew(why)
        self.headers = self.headers if headers is None else headers
        if why is not None:
            self._do(self._reading.renewed(headers is not None, _now()))

    async def _load(self, stream: Stream, why: str) -> None:
        place = await self.door.load(stream, why)
        if place is not None:
            self.watch({stream: place})

    def _arm(self) -> None:
        """A timer that comes early finds nothing to do, so only an earlier one is set anew."""
        due = self._reading.due_at
        if self._timer is not None and (due is None or due / 1_000 < self._timer.when()):
            self._timer.cancel()
            self._timer = None
        if due is not None and self._timer is None:
            self._timer = asyncio.get_running_loop().call_at(due / 1_000, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._do(self._reading.wake(_now()))

    # --- what its socket tells ------------------------------------------------------------------

    def refused(self, line: _Line, status: int, retry_after_ms: float | None) -> None:
        """The upgrade was not granted; status 0: nothing was reached."""
        self._refusal = (status, retry_after_ms)
        self.lost(line, 1006)

    def opened(self, line: _Line) -> None:
        if line is self._line:
            who = {"device": self.door.device, "tab": self._tab}
            self._do(self._reading.opened(who, _now()))

    def heard(self, line: _Line, message: str) -> None:
        if line is self._line:
            self.record.hears(message)
            self._do(self._reading.receive(message, _now()))

    def lost(self, line: _Line, code: int) -> None:
        self.record.ended.append(code)
        if line is self._line:
            self._line = None
            self._do(self._reading.lost(code, _now()))


class _Line:
    """One socket: what is sent leaves in order, and its end is told once."""

    def __init__(self, client: Client) -> None:
        self.task: asyncio.Task[None] | None = None
        self._client = client
        self._socket: ClientConnection | None = None
        self._waiting: deque[str] = deque()
        self._closing: int | None = None
        self._news = asyncio.Event()

    async def run(self) -> None:
        self._socket = socket = await self._open()
        if socket is None:
            return
        self._client.opened(self)
        async with asyncio.TaskGroup() as tasks:
            writer = tasks.create_task(self._write(socket))
            await self._read(socket)
            writer.cancel()
        self._client.lost(self, socket.close_code or 1006)

    def send(self, text: str) -> None:
        self._waiting.append(text)
        self._news.set()

    def close(self, code: int) -> None:
        """Once what waits has left. A peer that does not read cannot hold it up."""
        if self._socket is None and self.task is not None:
            self.task.cancel()
            return
        self._closing = code
        self._news.set()
        asyncio.get_running_loop().call_later(CLOSE_S, self.abort)

    def abort(self) -> None:
        if self._socket is not None:
            self._socket.transport.abort()

    async def _open(self) -> ClientConnection | None:
        door = self._client.door
        try:
            return await connect(
                door.url,
                origin=None if door.origin is None else Origin(door.origin),
                subprotocols=[Subprotocol(SUBPROTOCOL)],
                additional_headers=dict(self._client.headers),
                user_agent_header=None,
                compression=None,
                proxy=None,
                ping_interval=None,  # the heartbeat is in band
                close_timeout=CLOSE_S,
                max_size=MESSAGE_BYTES_MAX,
            )
        except InvalidStatus as refused:
            response = refused.response
            after = response.headers.get("Retry-After", "")
            retry_after_ms = int(after) * 1_000.0 if after.isdecimal() else None
            self._client.refused(self, response.status_code, retry_after_ms)
        except (OSError, WebSocketException):
            self._client.refused(self, 0, None)
        return None

    async def _read(self, socket: ClientConnection) -> None:
        try:
            while True:
                await self._client.reads.wait()
                message = await socket.recv()
                self._client.heard(self, message if isinstance(message, str) else "")
        except ConnectionClosed:
            pass

    async def _write(self, socket: ClientConnection) -> None:
        try:
            while self._closing is None or self._waiting:
                await self._news.wait()
                self._news.clear()
                while self._waiting:
                    await socket.send(self._waiting.popleft())
            await socket.close(self._closing)
        except ConnectionClosed:
            pass


def _now() -> float:
    """Milliseconds of the loop's clock."""
    return asyncio.get_running_loop().time() * 1_000


@asynccontextmanager
async def running(client: Client) -> AsyncIterator[Client]:
    """Runs it within this block, and closes it cleanly at its end."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(client.run())
        try:
            yield client
        finally:
            client.close()
