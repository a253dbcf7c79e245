"""The shell around one delivery: it carries out what was decided and never waits.

A StreamConnection runs one delivery over one transport. It knows no other; what concerns the node
goes out through `Node`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

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
from deskwire.realtime.stride import Stride
from deskwire.realtime.transport import (
    CAPACITY_BYTES,
    CLEAR,
    CLOSED,
    NOT,
    BareWrite,
    Taken,
    Transport,
)
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
        "_changes", "_lags", "_near", "_node", "_room_free", "_write", "_write_one", "armed_at",
        "closed", "delivery", "id", "login", "stride", "transport", "who",
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
        # With less, something waits: no transport has less than this while nothing does.
        self._room_free = min(CAPACITY_BYTES, delivery.limits.waiting_bytes)
        self._write_one = transport.write_one
        self.stride: Stride[StreamConnection] | None = None  # it is in step with this one
        self._near: Stride[StreamConnection] | None = None  # the one it could be in step with
        self._write: BareWrite | None = None  # while its socket keeps up and has nothing waiting
        transport.on_room(self.writable)
        transport.keep_step(self)

    def __repr__(self) -> str:
        return f"<StreamConnection {self.id} {self.who.realm}:{self.who.person} {self.delivery!r}>"

    # --- in step --------------------------------------------------------------------------------
    # Events of the stride are written past the delivery: before any input they are booked in it.

    def join(self, stride: Stride[StreamConnection]) -> None:
        """Into step, now or once its socket has nothing waiting, if its delivery can be."""
        self._near = stride
        if self.stride is not None and self.stride.stream == stride.stream:
            self.check_step()  # the stream was forgotten and watched anew
        if self.stride is None and self._write is not None and self._keeps_step(stride):
            self.stride = stride
            stride.enter(self, self._write)

    def enter(self, write: BareWrite) -> None:
        self._write = write
        if self._near is not None:
            self.join(self._near)

    @property
    def is_owed(self) -> bool:
        return self.stride is not None and self.stride.owes(self)

    def fall_out(self) -> Sequence[bytes]:
        stride, self.stride, self._write = self.stride, None, None
        if stride is None:
            return ()
        self.delivery.room = 0  # until the socket is asked anew
        return stride.leave(self)

    def book(self, stream: Stream, sizes: Sequence[int], position: int) -> None:
        try:
            self.delivery.booked(stream, sizes, position, self._node.now())
        except Exception:  # noqa: BLE001  the root of this connection's work: it alone ends
            self._in_doubt()
            self._after()

    def check_step(self) -> None:
        if self.stride is not None and not self._keeps_step(self.stride):
            self.transport.keep_step(self)  # falls out, with what it is owed

    def _keeps_step(self, stride: Stride[StreamConnection]) -> bool:
        return self.closed is None and self.delivery.keeps_step(
            stride.stream, stride.epoch, stride.position
        )

    # --- inputs ---------------------------------------------------------------------------------

    def heard(self, data: str | bytes | PeerFault) -> None:
        """A text frame of the peer, or why it is none. Never raises."""
        if self.closed is None and type(data) is str and self._is_acked(data):
            return
        try:
            frame = data if isinstance(data, PeerFault) else frames.decode(data)
        except PeerFault as fault:
            frame = fault
        was_new = self.delivery.phase is Phase.NEW
        self._step(lambda now: self.delivery.receive(frame, now))
        if was_new and self.delivery.phase is Phase.OPEN:
            self._node.identified(self)

    def _is_acked(self, data: str) -> bool:
        """The hot path of an ack, of which there is one for every few events."""
        positions = frames.positions_acked(data)
        delivery = self.delivery
        if positions is None or not positions.keys() <= delivery.watches.keys():
            return False
        if self.stride is not None:
            self.stride.settle(self)
        try:
            risen = delivery.acknowledged(positions, self._node.now())
        except Exception:  # noqa: BLE001  the root of this connection's work: it alone ends
            self._in_doubt()
            self._after()
            return True
        if self.stride is not None:
            self.check_step()  # more may be booked by now than half the window
        if risen:
            self._node.report(Acked(self.who, self.login, self.id, risen))
        return risen is not None

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
        """The hot path: one watcher of a fan-out that is not in step with it."""
        if self.stride is not None:
            self.stride.settle(self)
        try:
            admitted = self.delivery.admits(event, now)
        except Exception:  # noqa: BLE001  the root of this connection's work: it alone ends
            self._in_doubt()
            self._after()
            return
        if not admitted:
            self._offer_slowly(event, now)
        elif (taken := self._write_one(event.frame)) is not CLEAR:
            if taken is NOT:
                self.transport.write((event.frame,))
            self._after()
        elif self.stride is not None:
            self.check_step()  # it was of another stream, and the window is one

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
        if self.stride is not None:
            self.stride.settle(self)
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
        if self.stride is not None:
            self.check_step()
        if delivery.changes != self._changes:
            self._changes = delivery.changes
            self._node.watches_changed(self)
        if delivery.phase is Phase.CLOSED:
            self._close_the_books()
            return
        room = self.transport.room()
        if room == CLOSED and delivery.phase is not Phase.LEAVING:
            self.lost()
            return
        if delivery.held_back and room > delivery.room:
            self._step(lambda now: delivery.writable(room, now))
            return
        # A transport bounds its frames as well as its bytes: with the last it may be full at once.
        delivery.room = min(delivery.room, max(0, room))
        if room < self._room_free and delivery.phase is Phase.OPEN:
            delivery.behind(self._node.now())
        if delivery.due_at < self.armed_at:
            self.armed_at = delivery.due_at
            self._node.due(self, delivery.due_at)

    def _close_the_books(self) -> None:
        code, why = self.delivery.ended or (1006, "lost")
        self.closed = Closed(connection=self.id, who=self.who, code=code, why=why)
        self.transport.keep_step(None)
        self._near = None
        self._node.gone(self)
        self._node.tell(self.closed)

    def _in_doubt(self) -> None:
        """Our own bug. Nothing of this delivery is trusted any more; nobody else is touched."""
        _log.error("connection_in_doubt", connection=self.id, who=self.who, exc_info=True)
        code, why = int(Code.IN_DOUBT), TABLE[Code.IN_DOUBT].name
        delivery = self.delivery
        stride, self.stride = self.stride, None
        if stride is not None:
            stride.forget(self)
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
                return Acked(who, login, connection, told.positions)
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
