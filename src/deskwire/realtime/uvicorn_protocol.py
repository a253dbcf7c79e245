"""A WebSocket class for uvicorn: `--ws deskwire.realtime.uvicorn_protocol:UvicornProtocol`.

ASGI whole for any app. A manager finds the socket itself in the scope (`transport.EXTENSION`) and
writes finished frames to it; one that listens to it as well needs no task per connection.
Invariant: bytes leave in the order of the calls, and nothing here waits for a peer but `send`.
"""

from __future__ import annotations

import asyncio
import email.utils
from collections import deque
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, Final, cast
from weakref import WeakKeyDictionary

from uvicorn.config import Config
from uvicorn.protocols.utils import get_local_addr, get_remote_addr, is_ssl
from uvicorn.server import ServerState

from deskwire.realtime.app_side import AppSide, Phase
from deskwire.realtime.frames import JOINED_BYTES_MAX, Framed, MalformedFrame
from deskwire.realtime.rfc6455 import (
    HEAD_BYTES_MAX,
    BadUpgrade,
    Headers,
    Opcode,
    Reader,
    Upgrade,
    WireFault,
    close_frame,
    frame,
    read_close,
    read_upgrade,
)
from deskwire.realtime.transport import (
    BEHIND,
    CAPACITY_BYTES,
    CAPACITY_FRAMES,
    CLEAR,
    CLOSED,
    EXTENSION,
    NOT,
    Heard,
    Step,
    Taken,
)
from deskwire.realtime.turn import Turn

DRAIN_BYTES: Final = 16 * 1024  # at a time to a peer that is behind: each is progress seen
UP_BYTES_MAX: Final = 64 * 1024  # of a message to a manager that listens; an app's is uvicorn's
CLOSE_S: Final = 10.0  # from our close frame to the peer's
FAULT_S: Final = 2.0  # from the close of a peer that broke the protocol to the end
SHUTDOWN_S: Final = 0.05  # uvicorn waits 0.1 s after it has told every connection
REFUSALS: Final = {
    status: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}

_PING_FRAME: Final = frame(Opcode.PING, b"")
_CLOSE, _PING, _PONG = int(Opcode.CLOSE), int(Opcode.PING), int(Opcode.PONG)


_HEAD, _CONNECTING, _OPEN, _CLOSING, _ENDING, _GONE = Phase
_NOTHING: Final[Callable[[], None]] = lambda: None  # noqa: E731


class UvicornProtocol(asyncio.Protocol):
    """One connection: the peer's bytes on one side, an app or a manager on the other.

    It is the `Socket` of transport.py. The first frame of a turn of the loop leaves at once, the
    others with its end, in one write. While bursts follow each other the first waits for them too.
    """

    __slots__ = (
        "_app", "_at_room", "_done", "_heard", "_is_heard", "_lost", "_paused", "_phase", "_pong",
        "_reader", "_reading_paused", "_server", "_state", "_step", "_timer", "_transport",
        "_waiting", "_waiting_bytes", "_write", "_wrote_in",
    )  # fmt: skip

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._server = Server.of(config, server_state, _loop or asyncio.get_running_loop())
        self._state = server_state
        self._phase = _HEAD
        self._reader = Reader(config.ws_max_size)
        self._reading_paused = False
        self._app: AppSide | None = AppSide(self, app_state)
        self._heard: Heard | None = None
        self._lost = _NOTHING
        self._at_room: tuple[Callable[[], None], ...] = ()
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._write: Callable[[bytes], None] = lambda _: None
        self._waiting: list[bytes] = []  # for the end of the turn, or for the peer
        self._waiting_bytes = 0
        self._wrote_in = 0  # the turn
        self._paused = False  # the peer is behind
        self._step: Step | None = None  # in it while open, not paused, with nothing waiting
        self._pong: bytes | None = None  # the last one owed to a peer that is behind
        self._done: Callable[[], None] | None = None  # once nothing waits
        self._timer: asyncio.TimerHandle | None = None
        self._is_heard = True  # since the last ping

    def __repr__(self) -> str:
        return f"<UvicornProtocol {self._phase.value} waiting={len(self._waiting)}>"

    # --- Socket ---------------------------------------------------------------------------------

    def room(self) -> int:
        """What waits only for the end of the turn (64 KiB at most) takes no room."""
        if self._phase is not _OPEN:
            return 0 if self._phase is _CLOSING else CLOSED
        if not self._paused:
            return CAPACITY_BYTES
        if len(self._waiting) >= CAPACITY_FRAMES:
            return 0
        held = self._waiting_bytes + self._transport.get_write_buffer_size()
        return max(0, CAPACITY_BYTES - held)

    def write(self, frames: Sequence[Framed]) -> None:
        if self._phase is not _OPEN:
            return
        if self._app is not None:
            for each in frames:
                self.put(each.wire)
            return
        for each in frames:
            self._queue(each.wire)

    def write_one(self, frame: Framed) -> Taken:
        if self._phase is not _OPEN or self._paused:
            return NOT
        self.put(frame.wire)
        return BEHIND if self._paused else CLEAR

    def keep_step(self, step: Step | None) -> None:
        self._fall_out()
        self._step = step
        self._fall_in()

    def on_room(self, call: Callable[[], None]) -> None:
        self._at_room += (call,)

    def close(self, code: int, reason: str) -> None:
        if self._phase is _CONNECTING:
            self.answer(403, [], b"")
        if self._phase is not _OPEN:
            return
        self._say_close(close_frame(code, reason))
        self._tell_app(code, reason)
        self._give_it(CLOSE_S)

    def abort(self) -> None:
        if self._phase is _GONE:
            return
        self._leave_step()
        self._phase = _GONE
        self._drop_waiting()
        self._transport.abort()

    def listen(self, heard: Heard, lost: Callable[[], None]) -> None:
        """From here on no app reads this socket; its task may end."""
        asgi, self._app = self._app, None
        self._heard, self._lost = heard, lost
        self._reader.size_max = min(self._reader.size_max, UP_BYTES_MAX)
        if self._phase is not _OPEN:
            self._server.loop.call_soon(self._tell_gone)
            return
        for data in asgi.unread() if asgi is not None else ():
            self._take_message(data)
        self.resume_reading()

    # --- asyncio.Protocol -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._write = self._transport.write
        # Paused is: the peer has not taken all. 1, as with 0 TLS transports never stop pausing.
        self._transport.set_write_buffer_limits(high=1, low=0)
        self._state.connections.add(self)  # type: ignore[arg-type]  # its own classes are listed

    def data_received(self, data: bytes) -> None:
        self._is_heard = True
        phase = self._phase
        if phase is _OPEN and self._heard is not None and self._is_lone_text(data):
            return
        if phase is _ENDING or phase is _GONE:
            return
        self._reader.put(data)
        if phase is _HEAD:
            self._read_head()
        elif phase is _CONNECTING:
            self._pause_reading()  # nobody may speak before the answer
        else:
            self._read()

    def _is_lone_text(self, data: bytes) -> bool:
        """The hot path to a manager that listens: one short frame, read at once."""
        try:
            text = self._reader.lone_text(data)
        except WireFault as fault:
            self._fail(fault.code, fault.reason)
            return True
        if text is None or self._heard is None or self._reading_paused:
            return False
        self._heard(text)
        return True

    def eof_received(self) -> None:
        """The transport closes itself, once its buffer is empty: that must not take for ever."""
        if self._paused:
            self._give_it(FAULT_S)

    def pause_writing(self) -> None:
        self._paused = True
        self._fall_out()

    def resume_writing(self) -> None:
        self._paused = False
        if self._pong is not None:
            self._queue(self._pong)
            self._pong = None
        self.flush(DRAIN_BYTES)
        if self._phase is _OPEN:
            if self._app is not None and not self._paused:
                self._app.wake_writers()
            for call in self._at_room:
                call()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc  # however it went
        self._leave_step()
        self._phase = _GONE
        self._state.connections.discard(self)
        self._stop_timer()
        self._drop_waiting()
        self._tell_app(1006, "")
        self._tell_gone()
        self._write = lambda _: None
        self._done = None

    def shutdown(self) -> None:
        """uvicorn ends: it told the manager, if there is one, by a signal before."""
        if self._phase is _CONNECTING or self._phase is _HEAD:
            self.answer(503, [(b"retry-after", b"1")], b"")
        self.close(1012, "")
        self._give_it(SHUTDOWN_S)

    # --- for the ASGI side and the server -------------------------------------------------------

    @property
    def phase(self) -> Phase:
        return self._phase

    @property
    def client(self) -> str:
        address = get_remote_addr(self._transport)
        return f"{address[0]}:{address[1]}" if address else ""

    @property
    def is_listened_to(self) -> bool:
        return self._app is None

    @property
    def is_behind(self) -> bool:
        """The peer has not taken what was written: whoever can wait should."""
        return self._paused

    def put(self, wire: bytes) -> None:
        """The first of a turn leaves at once, the rest with its end."""
        turn = self._server.turn
        if not turn.is_open:
            turn.begin()
        if self._step is not None and self._step.is_owed:
            self._fall_out()
        is_first = not turn.is_pressed and self._wrote_in != turn.number
        if is_first and not self._waiting and not self._paused:
            self._wrote_in = turn.number
            self._write(wire)
        else:
            self._queue(wire)

    def flush(self, bytes_max: int = JOINED_BYTES_MAX) -> int:
        """Hands on what waits, joined, as far as the peer takes it. How many frames waited?"""
        waiting = self._waiting
        frames = len(waiting)
        while waiting and not self._paused:
            if self._waiting_bytes <= bytes_max:
                data = waiting[0] if len(waiting) == 1 else b"".join(waiting)
                waiting.clear()
                self._waiting_bytes = 0
            else:
                data = self._first(bytes_max)
            self._write(data)
        if self._done is not None and not waiting and not self._paused:
            done, self._done = self._done, None
            done()
        self._fall_in()
        return frames

    def accept(self, upgrade: Upgrade, headers: Headers) -> None:
        lines = [
            b"HTTP/1.1 101 Switching Protocols\r\n",
            b"upgrade: websocket\r\nconnection: Upgrade\r\n",
            b"sec-websocket-accept: " + upgrade.accept + b"\r\n",
            _lines([*self._state.default_headers, *headers]),
            b"\r\n",
        ]
        self._phase = _OPEN
        self._write(b"".join(lines))
        self._server.keep_alive(self)
        if self._reader.waiting:
            self._server.loop.call_soon(self.resume_reading)

    def answer(self, status: int, headers: Headers, body: bytes) -> None:
        """An HTTP answer to the upgrade: there will be no WebSocket."""
        given = {name.lower() for name, _ in headers}
        usual = {
            b"date": email.utils.formatdate(usegmt=True).encode(),
            b"connection": b"close",
            b"content-length": b"%d" % len(body),
            b"content-type": b"text/plain; charset=utf-8",
        }
        own = [(name.lower(), value) for name, value in self._state.default_headers]
        for name, value in (*own, *usual.items()):
            if name not in given:
                given.add(name)
                headers = [*headers, (name, value)]
        first = REFUSALS.get(cast("HTTPStatus", status), b"HTTP/1.1 %d \r\n" % status)
        self._tell_app(1006, "")
        self._leave()
        self._write(b"".join((first, _lines(headers), b"\r\n", body)))
        self._end()

    def ping(self) -> None:
        self._is_heard = False
        if not self._paused:  # the deadline follows all the same
            self.put(_PING_FRAME)

    def unheard(self) -> None:
        """The ping's time is over. A peer that we do not read ourselves cannot prove anything."""
        if self._is_heard or self._reading_paused or self._phase is not _OPEN:
            return
        if self._paused:
            self.abort()  # transport.close would wait for a flush that never comes
            return
        self._fail(1011, "keepalive ping timeout")

    def resume_reading(self) -> None:
        if self._phase is not _OPEN and self._phase is not _CLOSING:
            return
        was_paused, self._reading_paused = self._reading_paused, False
        self._read()
        if was_paused and not self._reading_paused and self._phase is not _GONE:
            self._transport.resume_reading()

    def over(self, code: int, status: int) -> None:
        """The app is done with this socket, and has not handed it on."""
        if self._phase is _CONNECTING:
            self.answer(status, [], HTTPStatus(status).phrase.encode())
        else:
            self.close(code, "")

    # --- reading --------------------------------------------------------------------------------

    def _read_head(self) -> None:
        head = self._reader.head()
        if head is None:
            if self._reader.waiting > HEAD_BYTES_MAX:
                self.answer(431, [], b"")
            return
        self._phase = _CONNECTING
        try:
            upgrade = read_upgrade(head)
        except BadUpgrade as fault:
            self.answer(fault.status, fault.headers, str(fault).encode())
            return
        assert self._app is not None
        self._server.run(self._app.run(self._server.app, upgrade, self._scope()))

    def _scope(self) -> dict[str, Any]:
        """What uvicorn knows of this connection; the rest of the scope is the request's."""
        config = self._server.config
        return {
            "asgi": {"version": config.asgi_version, "spec_version": "2.4"},
            "scheme": "wss" if is_ssl(self._transport) else "ws",
            "server": get_local_addr(self._transport),
            "client": get_remote_addr(self._transport),
            "root_path": config.root_path,
            "extensions": {"websocket.http.response": {}, EXTENSION: {"socket": self}},
        }

    def _read(self) -> None:
        read = self._reader.next
        try:
            while not self._reading_paused and (found := read()) is not None:
                opcode, data = found
                if opcode < _CLOSE:
                    self._take_message(data)
                elif opcode == _PING:
                    self._take_ping(cast("bytes", data))
                elif opcode == _CLOSE:
                    self._take_close(cast("bytes", data))
                if self._phase is not _OPEN and self._phase is not _CLOSING:
                    return
        except WireFault as fault:
            self._fail(fault.code, fault.reason)

    def _take_message(self, data: str | bytes) -> None:
        if self._phase is not _OPEN:
            return  # what comes behind our close is nobody's
        if self._heard is not None:
            self._heard(data if isinstance(data, str) else MalformedFrame("binary"))
        elif self._app is not None and self._app.take(data):
            self._pause_reading()

    def _take_ping(self, payload: bytes) -> None:
        if self._phase is not _OPEN:
            return
        pong = frame(_PONG, payload)
        if self._paused:
            self._pong = pong  # the last one stands for all
        else:
            self.put(pong)

    def _take_close(self, payload: bytes) -> None:
        code, reason = read_close(payload)
        if self._phase is _OPEN:
            self._say_close(frame(_CLOSE, payload[:2]))
            self._tell_app(code, reason)
        self._leave()
        self._end()

    def _fail(self, code: int, reason: str) -> None:
        if self._phase is _OPEN:
            self._say_close(close_frame(code, reason))
            self._tell_app(code, reason)
        self._leave()
        # Half-closed and read on into nothing: a full close would reset what the peer still sends,
        # and the code would be lost with it.
        if self._transport.can_write_eof():
            self._give_it(FAULT_S)
            self._when_written(self._write_eof)
        else:
            self._end()

    def _pause_reading(self) -> None:
        if not self._reading_paused:
            self._reading_paused = True
            self._transport.pause_reading()

    # --- writing --------------------------------------------------------------------------------

    def _queue(self, wire: bytes) -> None:
        """Behind what waits, for the end of the turn or for the peer."""
        waiting = self._waiting
        if not waiting:
            self._fall_out()
            if not self._paused:
                self._server.turn.at_end(self)
        waiting.append(wire)
        self._waiting_bytes += len(wire)
        if self._waiting_bytes > JOINED_BYTES_MAX or len(waiting) >= CAPACITY_FRAMES:
            self.flush()

    def _fall_out(self) -> None:
        """What was owed goes before anything that follows."""
        if self._step is not None and (owed := self._step.fall_out()):
            self._waiting += owed
            self._waiting_bytes += sum(map(len, owed))
            if not self._paused:
                self._server.turn.at_end(self)

    def _leave_step(self) -> None:
        self._fall_out()
        self._step = None

    def _fall_in(self) -> None:
        is_clear = self._phase is _OPEN and not self._paused and not self._waiting
        if self._step is not None and is_clear:
            self._step.enter(self._write)

    def _first(self, bytes_max: int) -> bytes:
        """The first waiting frames, as many as fit, at least one."""
        size = count = 0
        for wire in self._waiting:
            if count and size + len(wire) > bytes_max:
                break
            size += len(wire)
            count += 1
        data = b"".join(self._waiting[:count])
        del self._waiting[:count]
        self._waiting_bytes -= size
        return data

    def _drop_waiting(self) -> None:
        self._waiting.clear()
        self._waiting_bytes = 0
        self._pong = None

    # --- ending ---------------------------------------------------------------------------------

    def _say_close(self, wire: bytes) -> None:
        """The close frame, behind what waits."""
        self._leave_step()
        self._phase = _CLOSING
        self._queue(wire)
        self.flush()
        if self._reading_paused:
            self._reading_paused = False
            self._transport.resume_reading()

    def _leave(self) -> None:
        """Nothing more is read, nothing more is taken."""
        self._leave_step()
        self._phase = _ENDING
        self._server.loop.call_soon(self._tell_gone)

    def _end(self) -> None:
        """Closes once everything has left; a peer that does not take it is not waited for."""
        if self._paused or self._waiting:
            self._give_it(CLOSE_S)
        self._when_written(self._transport.close)

    def _when_written(self, done: Callable[[], None]) -> None:
        self._done = done
        self.flush()

    def _write_eof(self) -> None:
        if not self._transport.is_closing():
            self._transport.write_eof()

    def _give_it(self, seconds: float) -> None:
        """Gone, one way or another, by then; never later than was said before."""
        loop = self._server.loop
        if self._phase is _GONE:
            return
        if self._timer is not None:
            if self._timer.when() <= loop.time() + seconds:
                return
            self._timer.cancel()
        self._timer = loop.call_later(seconds, self._time_is_over)

    def _time_is_over(self) -> None:
        if self._paused:
            self.abort()
        else:
            self._transport.close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tell_app(self, code: int, reason: str) -> None:
        if self._app is not None:
            self._app.end(code, reason)

    def _tell_gone(self) -> None:
        """Once. Never on the stack of a caller of `write`."""
        at_room, self._at_room = self._at_room, ()
        lost, self._lost = self._lost, _NOTHING
        self._heard = None
        for call in at_room:
            call()
        lost()


class Server:
    """What all connections of one server share: its turn of the loop, its pings."""

    def __init__(self, config: Config, state: ServerState, loop: asyncio.AbstractEventLoop) -> None:
        if not config.loaded:
            config.load()
        self.config = config
        self.app = config.loaded_app
        self.loop = loop
        self.turn = Turn(loop)
        self._tasks = state.tasks
        self._ping_s = config.ws_ping_interval or 0.0
        self._pong_s = config.ws_ping_timeout
        self._pings: deque[tuple[float, UvicornProtocol]] = deque()  # by time, as all wait equally
        self._deadlines: deque[tuple[float, UvicornProtocol]] = deque()
        self._beats = False

    @classmethod
    def of(cls, config: Config, state: ServerState, loop: asyncio.AbstractEventLoop) -> Server:
        found = _servers.get(state)
        if found is None:
            found = _servers[state] = cls(config, state, loop)
        return found

    def run(self, work: Any) -> None:
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- pings: one timer for all ---------------------------------------------------------------

    def keep_alive(self, connection: UvicornProtocol) -> None:
        if self._ping_s > 0:
            self._pings.append((self.loop.time() + self._ping_s, connection))
            if not self._beats:
                self._arm(self._pings[0][0])

    def _arm(self, at: float) -> None:
        self._beats = True
        self.loop.call_at(max(at, self.loop.time() + self._ping_s / 64), self._beat)

    def _beat(self) -> None:
        self._beats = False
        now = self.loop.time()
        for connection in _due(self._deadlines, now):  # first: a ping asks anew
            connection.unheard()
        for connection in _due(self._pings, now):
            if connection.phase is not _OPEN:
                continue
            connection.ping()
            self._pings.append((now + max(self._ping_s, self._pong_s or 0), connection))
            if self._pong_s is not None:
                self._deadlines.append((now + self._pong_s, connection))
        nexts = [queue[0][0] for queue in (self._pings, self._deadlines) if queue]
        if nexts:
            self._arm(min(nexts))


_servers: WeakKeyDictionary[ServerState, Server] = WeakKeyDictionary()


def _due(queue: deque[tuple[float, UvicornProtocol]], now: float) -> list[UvicornProtocol]:
    due = []
    while queue and queue[0][0] <= now:
        due.append(queue.popleft()[1])
    return due


def _lines(headers: Headers) -> bytes:
    lines = b"".join([b"%b: %b\r\n" % each for each in headers])
    if lines.count(b"\r") != len(headers) or lines.count(b"\n") != len(headers):
        raise ValueError("a header with a line break in it")
    return lines
