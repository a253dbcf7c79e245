"""Transport over any ASGI server: bounded backlog, one writer.

Each send is stepped by hand within the call: a server that takes it at once is done when `write`
returns. Only a send that suspends gets a task, and that task then carries the backlog.
Invariant: at most one send is under way, and messages leave in the order of the calls.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
import types
from collections import deque
from collections.abc import (
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Mapping,
    MutableMapping,
    Sequence,
)
from typing import Any, Protocol, TypeAlias

from deskwire.realtime.connection import Closed
from deskwire.realtime.frames import (
    JOINED_BYTES_MAX,
    JOINED_FRAMES_MAX,
    SUBPROTOCOL,
    Framed,
    MalformedFrame,
)
from deskwire.realtime.gate import LoginId, Principal
from deskwire.realtime.tasks import Tasks
from deskwire.realtime.transport import (
    BEHIND,
    CAPACITY_BYTES,
    CAPACITY_FRAMES,
    CLEAR,
    CLOSED,
    EXTENSION,
    NOT,
    Heard,
    Socket,
    Step,
    Taken,
    Transport,
)

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]


class Outlet(Protocol):
    """How one kind of socket is written to."""

    def send(self, frames: Sequence[Framed]) -> object: ...  # to be awaited, as a rule
    def send_one(self, frame: Framed) -> object: ...
    def close(self, code: int, reason: str) -> object: ...


class AsgiOutlet:
    """A raw ASGI `send`. Frames of a stream connection are joined with newlines (desk.v1)."""

    __slots__ = ("_close", "_send")

    def __init__(self, send: Send, close: Send | None = None) -> None:
        self._send = send
        self._close = close or send

    def send(self, frames: Sequence[Framed]) -> Awaitable[None]:
        text = "\n".join([frame.text for frame in frames])
        return self._send({"type": "websocket.send", "text": text})

    def send_one(self, frame: Framed) -> Awaitable[None]:
        return self._send({"type": "websocket.send", "text": frame.text})

    def close(self, code: int, reason: str) -> Awaitable[None]:
        return self._close({"type": "websocket.close", "code": code, "reason": reason})


class LookAlikeOutlet:
    """An object that merely looks like a WebSocket: `send_json` and `close` are all it has."""

    __slots__ = ("_websocket",)

    def __init__(self, websocket: Any) -> None:
        self._websocket = websocket

    def send(self, frames: Sequence[Framed]) -> object:
        return self.send_one(frames[0])

    def send_one(self, frame: Framed) -> object:
        # Its own copy: what the caller changes after the call never shows.
        return self._websocket.send_json(json.loads(frame.json))

    def close(self, code: int, reason: str) -> object:
        close = self._websocket.close
        for arguments in ({"code": code, "reason": reason}, {"code": code}, {}):
            if _accepts(close, arguments):
                break
        return close(**arguments)


def _accepts(call: Callable[..., Any], arguments: dict[str, Any]) -> bool:
    try:
        inspect.signature(call).bind(**arguments)
    except TypeError:
        return False
    except ValueError:  # no signature to look at
        return not arguments
    return True


class AsgiTransport:
    """Pressure is counted in our bytes: what the server has not taken, the send under way too."""

    __slots__ = (
        "_aborted", "_backlog", "_call", "_closing", "_gone", "_joins", "_outlet", "_reader",
        "_send_one", "_sending_bytes", "_tasks", "_waiting_bytes", "_waiting_frames", "_writer",
    )  # fmt: skip

    def __init__(self, outlet: Outlet, tasks: Tasks, *, joins: bool) -> None:
        self._outlet = outlet
        self._send_one = outlet.send_one
        self._tasks = tasks
        self._joins = joins
        self._backlog: deque[Framed] = deque()
        self._waiting_bytes = 0
        self._waiting_frames = 0
        self._sending_bytes = 0
        self._writer: asyncio.Task[None] | None = None
        self._closing: tuple[int, str] | None = None
        self._gone = False
        self._call: Callable[[], None] = lambda: None
        self._reader: asyncio.Task[Any] | None = None
        self._aborted = False

    def __repr__(self) -> str:
        state = "gone" if self._gone else "closing" if self._closing else "open"
        return f"<AsgiTransport {state} waiting={self._waiting_frames}/{self._waiting_bytes}B>"

    # --- Transport ------------------------------------------------------------------------------

    def room(self) -> int:
        if self._gone:
            return CLOSED
        if self._closing is not None:
            return 0
        if not self._waiting_frames:  # nearly always
            return CAPACITY_BYTES
        if self._waiting_frames >= CAPACITY_FRAMES:
            return 0
        return max(0, CAPACITY_BYTES - self._waiting_bytes)

    def write(self, frames: Sequence[Framed]) -> None:
        if self._gone or self._closing is not None:
            return
        for frame in frames:
            self._backlog.append(frame)
            self._waiting_bytes += frame.size
        self._waiting_frames += len(frames)
        self._push()

    def write_one(self, frame: Framed) -> Taken:
        """Only if the send suspends is the frame counted."""
        if self._waiting_frames or self._gone or self._writer is not None or self._closing:
            return NOT
        try:
            rest = _begun(self._send_one(frame))
        except (Exception, asyncio.CancelledError):  # noqa: BLE001  every server says "gone" its own way
            self._lose()
            return NOT
        if rest is None:
            return CLEAR
        self._waiting_frames, self._waiting_bytes = 1, frame.size
        self._sending_bytes = frame.size
        self._writer = self._tasks.start(self._carry_on(rest, 1), "asgi transport")
        return BEHIND

    def keep_step(self, step: Step | None) -> None:
        del step  # each of its sends is a coroutine of its own

    def on_room(self, call: Callable[[], None]) -> None:
        self._call = call

    def close(self, code: int, reason: str) -> None:
        if self._gone or self._closing is not None:
            return
        self._closing = (code, reason)
        self._push()

    def abort(self) -> None:
        """ASGI has no abort: what waits is dropped and whoever serves this socket is ended."""
        if self._aborted:
            return
        self._aborted = True
        self._lose()
        if self._writer is not None:
            self._writer.cancel()
        if self._reader is not None and self._reader is not asyncio.current_task():
            self._reader.cancel()

    def ends(self, task: asyncio.Task[Any] | None) -> None:
        """Names the task that serves this socket, for `abort` to end."""
        self._reader = task

    # --- the one writer -------------------------------------------------------------------------

    def _push(self) -> None:
        """Writes as far as the server takes it at once; the rest is a task's."""
        while self._writer is None and not self._gone:
            step = self._next()
            if step is None:
                return
            work, frames = step
            try:
                suspended = _begun(work())
            except (Exception, asyncio.CancelledError):  # noqa: BLE001  every server says "gone" its own way
                self._lose()
                return
            if suspended is None:
                self._taken(frames)
            else:
                self._writer = self._tasks.start(
                    self._carry_on(suspended, frames), "asgi transport"
                )

    async def _carry_on(self, suspended: Awaitable[Any], frames: int) -> None:
        try:
            await suspended
            self._taken(frames)
            while not self._gone and (step := self._next()) is not None:
                self._call()
                work, frames = step
                await _awaitable(work)
                self._taken(frames)
        except asyncio.CancelledError:
            self._lose()
            raise
        except Exception:  # noqa: BLE001  every server says "gone" its own way
            self._lose()
        finally:
            self._writer = None
        if not self._gone:
            self._call()
            self._push()

    def _next(self) -> tuple[Callable[[], object], int] | None:
        """The next send and how many frames it carries; the close goes last."""
        if self._backlog:
            frames = self._join()
            return (lambda: self._outlet.send(frames)), len(frames)
        if self._closing is not None:
            code, reason = self._closing
            return (lambda: self._outlet.close(code, reason)), 0
        return None

    def _join(self) -> list[Framed]:
        frames = [self._backlog.popleft()]
        size = frames[0].size
        while self._joins and self._backlog and len(frames) < JOINED_FRAMES_MAX:
            size += self._backlog[0].size
            if size > JOINED_BYTES_MAX:
                break
            frames.append(self._backlog.popleft())
        self._sending_bytes = sum(frame.size for frame in frames)
        return frames

    def _taken(self, frames: int) -> None:
        if frames:
            self._waiting_bytes -= self._sending_bytes
            self._waiting_frames -= frames
        else:  # the close was taken: nothing can follow it
            self._lose()

    def _lose(self) -> None:
        if self._gone:
            return
        self._gone = True
        self._backlog.clear()
        self._waiting_bytes = self._waiting_frames = 0
        # Never inside `write`: its caller looks at `room` itself.
        asyncio.get_running_loop().call_soon(self._call)


class AsgiSocket(AsgiTransport):
    """The same, read as well: for connections the manager serves whole."""

    __slots__ = ("_receive",)

    def __init__(self, receive: Receive, send: Send, tasks: Tasks) -> None:
        super().__init__(AsgiOutlet(send), tasks, joins=True)
        self._receive = receive

    def listen(self, heard: Heard, lost: Callable[[], None]) -> Awaitable[None]:
        return self._read(heard, lost)

    async def _read(self, heard: Heard, lost: Callable[[], None]) -> None:
        task = asyncio.current_task()
        self.ends(task)
        try:
            while True:
                message = await self._receive()
                if message["type"] == "websocket.disconnect":
                    return
                if message["type"] != "websocket.receive":
                    continue  # the connect, if nobody took it before us
                text = message.get("text")
                heard(MalformedFrame("binary") if text is None else text)
        except asyncio.CancelledError:
            if not self._aborted or task is None or task.uncancel() > 0:
                raise
        finally:
            self.ends(None)
            self._lose()
            lost()


class _Serves(Protocol):
    tasks: Tasks

    async def serve(
        self, transport: Socket, principal: Principal, login: LoginId, *, until_ms: int
    ) -> Closed | None: ...


async def serve_websocket(
    manager: _Serves,
    receive: Receive,
    send: Send,
    principal: Principal,
    login: LoginId,
    *,
    until_ms: int,
    scope: Mapping[str, Any] | None = None,
) -> Closed | None:
    """Accepts with subprotocol desk.v1 and serves to the end.

    Host, Origin, login and caps were checked before: this sends the 101. Raises what the server's
    `send` raises if the peer left before it. With `scope`, on our own server class, it returns
    None at once: the socket is the manager's from there on.
    """
    await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL, "headers": []})
    socket = own_socket(scope) or AsgiSocket(receive, send, manager.tasks)
    return await manager.serve(socket, principal, login, until_ms=until_ms)


# --- WebSocket objects -------------------------------------------------------------------------


def own_socket(scope: Mapping[str, Any] | None) -> Socket | None:
    """The socket itself, where the server is of our class."""
    found = ((scope or {}).get("extensions") or {}).get(EXTENSION)
    socket: Socket | None = None if found is None else found["socket"]
    return socket


def is_starlette(websocket: Any) -> bool:
    """A real Starlette (or FastAPI) WebSocket; a mock that claims to be one is a look-alike."""
    module = sys.modules.get("starlette.websockets")
    return module is not None and issubclass(type(websocket), module.WebSocket)


async def accept(websocket: Any) -> None:
    """Accepts, unless that was done. A failing accept raises as the app's own would."""
    if is_starlette(websocket) and websocket.application_state.name != "CONNECTING":
        return
    accepted = websocket.accept()
    if inspect.isawaitable(accepted):
        await accepted


def transport_over(websocket: Any, tasks: Tasks) -> Transport:
    """A transport that writes to a WebSocket object whose app reads it. No messages are joined."""
    if is_starlette(websocket) and (socket := own_socket(websocket.scope)) is not None:
        return socket
    return AsgiTransport(_outlet_of(websocket), tasks, joins=False)


def _outlet_of(websocket: Any) -> Outlet:
    if not is_starlette(websocket):
        return LookAlikeOutlet(websocket)
    # A close goes through Starlette's own `send`, so that the app's object knows of it.
    return AsgiOutlet(_short_way(websocket), websocket.send)


def _short_way(websocket: Any) -> Send:
    """Below Starlette's own `send`, of whose checks one is left here: is it still open?"""
    module = sys.modules["starlette.websockets"]
    below, send = getattr(websocket, "_send", None), websocket.send
    if below is None or getattr(send, "__func__", None) is not module.WebSocket.send:
        its_own: Send = send
        return its_own
    connected = module.WebSocketState.CONNECTED

    def sent(message: Message) -> Awaitable[None]:
        if websocket.application_state is not connected:
            raise OSError("the app has closed it")
        awaited: Awaitable[None] = below(message)
        return awaited

    return sent


# --- stepping a coroutine by hand --------------------------------------------------------------


def _begun(awaited: object) -> Awaitable[Any] | None:
    """Takes the first step of the work; None if it is done, else what is left to await.

    The first step runs in the caller's task, the rest in another, as a future allows.
    """
    try:
        if type(awaited) is types.CoroutineType:  # nearly always
            return _Rest(awaited, awaited.send(None))
        if isinstance(awaited, Coroutine):
            return _Rest(awaited, awaited.send(None))
    except StopIteration:
        return None
    return awaited if isinstance(awaited, Awaitable) else None  # a test double's plain function


async def _awaitable(work: Callable[[], object]) -> None:
    awaited = work()
    if isinstance(awaited, Awaitable):
        await awaited


class _Rest:
    """A coroutine that was begun by hand and now waits for `future`: something to await."""

    def __init__(self, begun: Coroutine[Any, Any, Any], future: Any) -> None:
        self._begun = begun
        self._future = future

    def __await__(self) -> Generator[Any, Any, None]:
        waits_for = self._future
        try:
            while True:
                try:
                    value = yield waits_for
                except BaseException as thrown:  # noqa: BLE001  cancellation too is its own
                    waits_for = self._begun.throw(thrown)
                else:
                    waits_for = self._begun.send(value)
        except StopIteration:
            return
