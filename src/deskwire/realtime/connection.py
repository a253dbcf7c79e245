"""The asyncio shells around one connection: they carry out what was decided and never wait.

A StreamConnection runs one delivery over one transport. A PlainConnection is a socket of an app
that reads it itself. Neither knows the others; what concerns the node goes out through `Node`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

from deskwire import telemetry
from deskwire.realtime import frames
from deskwire.realtime.codes import TABLE, Code
from deskwire.realtime.delivery import NEVER, Delivery, Phase
from deskwire.realtime.frames import Framed, FramedEvent, FramedPage, FramedSign, PeerFault
from deskwire.realtime.gate import (
    Acked,
    ConnectionId,
    LoginId,
    MarkedRead,
    Permit,
    Principal,
    Report,
    TypingSign,
    ViewingSign,
)
from deskwire.realtime.log import Head, Stream
from deskwire.realtime.outputs import Abort, Ask, Close, Live, Output, Read, Tell, Write
from deskwire.realtime.transport import BEHIND, CLEAR, CLOSED, NOT, Taken, Transport
from deskwire.realtime.watch import Denied

_log = telemetry.logger("realtime")


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    connection: ConnectionId
    who: Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """A watch took up where its client had stood."""

    connection: ConnectionId
    who: Principal
    stream: Stream
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lagging:
    """A watch met an event it had no room for, or not the next one; it is paged from the log."""

    connection: ConnectionId
    who: Principal
    stream: Stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """How a connection ended. `code` 1006: the peer was gone before any close was begun."""

    connection: ConnectionId
    who: Principal
    code: int
    why: str


Hook: TypeAlias = Opened | Resumed | Lagging | Closed


class Node(Protocol):
    """What a stream connection asks of its node. Nothing here waits or raises."""

    def now(self) -> int:
        """Monotonic ms: the loop's time."""
        ...

    def heads(self) -> Mapping[Stream, int]: ...
    def ask(self, connection: StreamConnection, streams: Sequence[Stream]) -> None: ...
    def read(self, connection: StreamConnection, stream: Stream, after: int) -> None: ...
    def live(self, stream: Stream, position: int) -> Framed: ...
    def watches_changed(self, connection: StreamConnection) -> None: ...
    def report(self, report: Report) -> None: ...
    def due(self, connection: StreamConnection, at: int) -> None: ...
    def identified(self, connection: StreamConnection) -> None: ...
    def tell(self, hook: Hook) -> None: ...
    def gone(self, connection: StreamConnection) -> None: ...


class StreamConnection:
    """One `desk.v1` connection: what comes in goes to the delivery, what it returns is done."""

    __slots__ = (
        "_changes", "_lags", "_node", "_write_one", "armed_at", "closed", "delivery", "id", "login",
        "transport", "who",
    )  # fmt: skip

    def __init__(
        self,
        connection_id: ConnectionId,
        who: Principal,
        login: LoginId,
        transport: Transport,
        delivery: Delivery,
        node: Node,
    ) -> None:
        self.id = connection_id
        self.who = who
        self.login = login
        self.transport = transport
        self.delivery = delivery
        self.closed: Closed | None = None
        self.armed_at = NEVER
        self._node = node
        self._changes = 0
        self._lags = 0
        self._write_one = transport.write_one
        transport.on_room(self.writable)

    def __repr__(self) -> str:
        return f"<StreamConnection {self.id} {self.who.realm}:{self.who.person} {self.delivery!r}>"

    # --- inputs ---------------------------------------------------------------------------------

    def heard(self, data: str | bytes | PeerFault) -> None:
        """A text frame of the peer, or why it is none. Never raises."""
        try:
            frame = data if isinstance(data, PeerFault) else frames.decode(data)
        except PeerFault as fault:
            frame = fault
        was_new = self.delivery.phase is Phase.NEW
        self._step(lambda now: self.delivery.receive(frame, now))
        if was_new and self.delivery.phase is Phase.OPEN:
            self._node.identified(self)

    def permitted(self, stream: Stream, answer: Permit | Denied, head: Head) -> None:
        def take(now: int) -> Sequence[Output]:
            outputs = self.delivery.permitted(stream, answer, head, now)
            self._tell_of_resume(outputs)
            return outputs

        self._step(take)

    def take(self, frame: Framed) -> Taken:
        """A plain payload of a fan-out: never like this, it travels as an ephemeral."""
        del frame
        return NOT

    def offer(self, event: FramedEvent, now: int) -> None:
        """The hot path: one watcher of a fan-out."""
        try:
            admitted = self.delivery.admits(event, now)
        except Exception:  # noqa: BLE001  the root of this connection's work: it alone ends
            self._in_doubt()
            self._after()
            return
        if not admitted:
            self._offer_slowly(event, now)
        elif (taken := self._write_one(event.frame)) is not CLEAR:
            if taken is NOT and self.transport.room() >= event.frame.size:
                self.transport.write((event.frame,))
            self.delivery.room = max(0, self.transport.room())
            self._after()

    def _offer_slowly(self, event: FramedEvent, now: int) -> None:
        delivery = self.delivery
        try:
            delivery.room = max(0, self.transport.room())
            outputs = delivery.offer(event, now)
            if outputs:
                self._carry_out(outputs)
            if delivery.lags != self._lags:
                self._lags = delivery.lags
                self._node.tell(Lagging(connection=self.id, who=self.who, stream=event.stream))
        except Exception:  # noqa: BLE001  the root of this connection's work: it alone ends
            self._in_doubt()
        self._after()

    def page(self, stream: Stream, page: FramedPage) -> None:
        self._step(lambda now: self.delivery.page(stream, page, now))

    def sign(self, sign: FramedSign) -> None:
        self._step(lambda now: self.delivery.ephemeral(sign, now))

    def plain(self, sign: FramedSign) -> bool:
        """A plain payload; whether it was taken."""
        before = self.delivery.backlog.sheds
        self._step(lambda now: self.delivery.ephemeral(sign, now))
        return self.delivery.phase is Phase.OPEN and self.delivery.backlog.sheds == before

    def writable(self) -> None:
        """The transport let something go, or is gone."""
        room = self.transport.room()
        if room == CLOSED:
            self.lost()
        else:
            self._step(lambda now: self.delivery.writable(room, now))

    def tick(self) -> None:
        self.armed_at = NEVER
        self._step(lambda now: self.delivery.tick(now, self._node.heads()))

    @property
    def login_until_ms(self) -> int:
        return self.delivery.pulse.login_until

    def renewed(self, until_ms: int) -> None:
        self._step(lambda now: self.delivery.renewed(until_ms, now))

    def leave(self, code: int, retry: tuple[int, int] | None = None) -> None:
        """Bye, then the close. The first code stands."""
        self._step(lambda now: self.delivery.leave(code, retry, now))

    def lost(self) -> None:
        """The socket is gone. Doing it again is harmless."""
        self._step(self.delivery.lost)

    # --- carrying out ---------------------------------------------------------------------------

    def _step(self, take: Callable[[int], Sequence[Output]]) -> None:
        if self.closed is not None:
            return
        try:
            self.delivery.room = max(0, self.transport.room())
            self._carry_out(take(self._node.now()))
        except Exception:  # noqa: BLE001  the root of this connection's work: it alone ends
            self._in_doubt()
        self._after()

    def _carry_out(self, outputs: Sequence[Output]) -> None:
        for output in outputs:
            match output:
                case Write():
                    self.transport.write(output.frames)
                case Live():
                    self.transport.write((self._node.live(output.stream, output.position),))
                case Read():
                    self._node.read(self, output.stream, output.after)
                case Ask():
                    self._node.ask(self, output.streams)
                case Tell():
                    self._node.report(self._report(output.report))
                case Close():
                    self.transport.close(output.code, output.reason)
                case Abort():
                    self.transport.abort()

    def _after(self) -> None:
        """Keeps the node's view of this connection true after a step."""
        delivery = self.delivery
        if self.closed is not None:
            return
        if delivery.changes != self._changes:
            self._changes = delivery.changes
            self._node.watches_changed(self)
        if delivery.phase is Phase.CLOSED:
            self._close_the_books()
            return
        room = self.transport.room()
        if room == CLOSED and delivery.phase is not Phase.LEAVING:
            self.lost()
        elif delivery.held_back and room > delivery.room:
            self._step(lambda now: delivery.writable(room, now))
        elif delivery.due_at < self.armed_at:
            self.armed_at = delivery.due_at
            self._node.due(self, delivery.due_at)

    def _close_the_books(self) -> None:
        code, why = self.delivery.ended or (1006, "lost")
        self.closed = Closed(connection=self.id, who=self.who, code=code, why=why)
        self._node.gone(self)
        self._node.tell(self.closed)

    def _in_doubt(self) -> None:
        """Our own bug. Nothing of this delivery is trusted any more; nobody else is touched."""
        _log.error("connection_in_doubt", connection=self.id, who=self.who, exc_info=True)
        code, why = int(Code.IN_DOUBT), TABLE[Code.IN_DOUBT].name
        delivery = self.delivery
        delivery.ended = delivery.ended or (code, why)
        bye = frames.framed(frames.Bye(code=code, why=why, retry_ms=None))
        if self.transport.room() >= bye.size:
            self.transport.write((bye,))
        self.transport.close(code, why)
        delivery.abandon()

    def _tell_of_resume(self, outputs: Sequence[Output]) -> None:
        for output in outputs:
            if isinstance(output, Tell) and isinstance(output.report, frames.Ack):
                for stream, position in output.report.positions.items():
                    self._node.tell(
                        Resumed(connection=self.id, who=self.who, stream=stream, position=position)
                    )

    def _report(self, told: frames.Ack | frames.Mark | frames.Typing | frames.Viewing) -> Report:
        who, login, connection = self.who, self.login, self.id
        match told:
            case frames.Ack():
                return Acked(who=who, login=login, connection=connection, positions=told.positions)
            case frames.Mark():
                return MarkedRead(
                    who=who,
                    login=login,
                    connection=connection,
                    stream=told.stream,
                    position=told.read,
                )
            case frames.Typing():
                return TypingSign(
                    who=who, login=login, connection=connection, stream=told.stream, on=told.on
                )
            case frames.Viewing():
                return ViewingSign(
                    who=who, login=login, connection=connection, stream=told.stream, on=told.on
                )


# A plain connection that takes nothing for this long, with something waiting, is dead.
PLAIN_WRITE_DEADLINE_S: Final = 10.0


class PlainConnection:
    """A socket whose app reads it. It gets the caller's JSON, no envelope, and is closed when full.

    There is no log to catch it up from, and a silent drop would be worse than 4002.
    """

    __slots__ = (
        "_capacity", "_close_s", "_deadline", "_gone", "_waiters", "device", "ended", "id",
        "said_id", "tab", "take", "transport", "websocket", "who",
    )  # fmt: skip

    def __init__(
        self,
        connection_id: ConnectionId,
        who: Principal,
        said_id: str,
        websocket: Any,
        transport: Transport,
        gone: Callable[[PlainConnection], None],
        *,
        close_s: float,
    ) -> None:
        self.id = connection_id
        self.who = who
        self.said_id = said_id  # the spelling its app used
        self.websocket = websocket
        self.transport = transport
        self.device = self.tab = ""
        # The hot path. Asked only while this connection is registered, hence has not ended; what
        # it says is owed to `taken`.
        self.take: Callable[[Framed], Taken] = transport.write_one
        self.ended: tuple[int, str] | None = None
        self._capacity = transport.room()
        self._gone = gone
        self._close_s = close_s
        self._deadline: asyncio.TimerHandle | None = None
        self._waiters: list[asyncio.Future[None]] = []
        transport.on_room(self._on_room)

    def __repr__(self) -> str:
        return f"<PlainConnection {self.id} {self.who.realm}:{self.who.person}>"

    def send(self, frame: Framed) -> bool:
        """Hands the frame on, without waiting; whether it was taken. Never raises."""
        return self.taken(self.take(frame) if self.ended is None else NOT, frame)

    def taken(self, taken: Taken, frame: Framed) -> bool:
        """What follows from what `take` said of this frame; whether it was taken."""
        if taken is NOT:
            return self.ended is None and self._queue(frame)
        if taken is BEHIND:
            self._watch_the_clock()
        return True

    def _queue(self, frame: Framed) -> bool:
        """The peer is behind, or gone: its frame waits, or it is closed."""
        room = self.transport.room()
        if room == CLOSED:
            self._lost()
            return False
        if len(frame.json) > room:
            _log.warning("plain_connection_slow", connection=self.id, who=self.who)
            self.close(Code.SLOW, TABLE[Code.SLOW].name)
            self._gone(self)
            return False
        self.transport.write((frame,))
        room = self.transport.room()
        if room == CLOSED:
            self._lost()
            return False
        if room < self._capacity:
            self._watch_the_clock()
        return True

    def close(self, code: int, reason: str) -> None:
        """Begins a close; what has not left after a second is aborted."""
        if self.ended is not None:
            return
        self.ended = (int(code), reason)
        self._stop_the_clock()
        self._wake()
        self.transport.close(int(code), reason)
        if self.transport.room() != CLOSED:
            loop = asyncio.get_running_loop()
            self._deadline = loop.call_later(self._close_s, self.transport.abort)

    def forget(self) -> None:
        """Its app took it back: nothing is closed."""
        if self.ended is None:
            self.ended = (1000, "disconnected")
            self._stop_the_clock()
            self._wake()

    @property
    def is_waiting(self) -> bool:
        """Something has not left yet."""
        return self.transport.room() < self._capacity

    @property
    def is_over_half(self) -> bool:
        return self.transport.room() < self._capacity // 2

    async def wait_for_room(self, size: int, wait_s: float) -> None:
        """Returns once `size` bytes have room, the connection ended, or `wait_s` is over."""
        try:
            async with asyncio.timeout(wait_s):
                while self.ended is None and 0 <= self.transport.room() < size:
                    waiter = asyncio.get_running_loop().create_future()
                    self._waiters.append(waiter)
                    await waiter
        except TimeoutError:
            pass

    def _on_room(self) -> None:
        self._stop_the_clock()
        self._wake()
        if self.ended is not None:
            return
        if self.transport.room() == CLOSED:
            self._lost()
        elif self.is_waiting:
            self._watch_the_clock()

    def _lost(self) -> None:
        if self.ended is None:
            self.ended = (1006, "lost")
            self._stop_the_clock()
            self._wake()
            self._gone(self)
            self.transport.close(1011, "lost")  # unmapped and left open would be a zombie

    def _watch_the_clock(self) -> None:
        if self._deadline is None:
            loop = asyncio.get_running_loop()
            self._deadline = loop.call_later(PLAIN_WRITE_DEADLINE_S, self._stuck)

    def _stop_the_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _stuck(self) -> None:
        self._deadline = None
        if self.ended is None and self.is_waiting:
            _log.warning("plain_connection_stuck", connection=self.id, who=self.who)
            self.close(Code.SLOW, TABLE[Code.SLOW].name)
            self._gone(self)

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
