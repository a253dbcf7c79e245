"""One connection's state: hello, resume, order, gap, ack, backlog, heartbeat. Pure.

It holds what a connection watches, how far each watch was written and acknowledged, and which
frames wait. It must never know a person, a right, a clock, a socket: facts and `now` (monotonic
milliseconds) come in, outputs go out in the order in which they must be carried out.

Invariants, after every step (`check` asserts those one object can see; the tests the others too):
D1 positions written of a watch are sent + 1, sent + 2, … since its `watched`.
D2 acked ≤ sent ≤ head; acked never falls while a watch lasts.
D3 written but unacknowledged, hence waiting, ≤ 256 events and ≤ 256 KiB; other frames ≤ 256 KiB.
D4 nothing of a stream without a permit, outside it, or after `unwatched`.
D5 an ephemeral never displaces an event: it stays out of the upper half of the backlog.
D6 after `bye` only the close.
D7 a BEHIND watch has at most one Read out, and while there is room some BEHIND watch has one: pages
   are read in turn.
D8 a step costs O(frames written), a ping O(watches).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Literal, TypeAlias, assert_never

from msgspec import UNSET, UnsetType

from deskwire.realtime import frames
from deskwire.realtime.codes import TABLE, Code
from deskwire.realtime.frames import Framed, FramedEvent, FramedPage, FramedSign
from deskwire.realtime.gate import Permit
from deskwire.realtime.log import Head, Stream

# Past any due time; comparable, so nobody has to ask for None.
NEVER: Final = 2**62

ResetWhy: TypeAlias = Literal["epoch", "ahead", "trimmed", "far"]
UnwatchedWhy: TypeAlias = Literal["denied", "left", "revoked", "gone"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Every bound of a connection and of its node."""

    # one connection
    waiting_bytes: int = 256 * 1024  # in user space: the transport's backlog
    waiting_events: int = 256
    unacked_bytes: int = 256 * 1024  # written, not yet acknowledged
    unacked_events: int = 256
    watches: int = 200
    resume_events: int = 5_000  # further behind is `far`: a snapshot is cheaper
    coalesced_signs: int = 64
    frame_up_bytes: int = frames.UP_BYTES_MAX
    frames_per_s: int = 20
    frames_burst: int = 40
    errors: int = 10  # in errors_window_ms; one more is 4006
    errors_window_ms: int = 60_000
    identify_ms: int = 10_000
    heartbeat_ms: int = 20_000  # ± 10 %, drawn by the shell
    silence_ms: int = 35_000  # what the client is told: a server this silent is dropped
    pong_ms: int = 10_000
    write_deadline_ms: int = 10_000
    progress_ms: int = 30_000
    leaving_ms: int = 2_000
    login_warning_ms: int = 60_000
    login_grace_ms: int = 30_000
    typing_ms: int = 2_500  # a client repeats every 3 s; sooner is not passed on
    # one node
    kept_events: int = 256  # per stream
    kept_bytes: int = 64 * 1024 * 1024
    page_reads: int = 32  # at once
    identifies: int = 200  # at once; others wait
    identify_wait_ms: int = 5_000
    connections: int = 6_000
    close_ms: int = 1_000  # from the close of a plain connection to its abort


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeting:
    """What is fixed when a connection opens. Its dice are thrown by the shell."""

    connection: str
    node: str
    login_until: int  # Unix ms
    unix_offset_ms: int  # Unix time − monotonic time, when it opened
    ping_first_ms: int  # a random part of ping_every_ms
    ping_every_ms: int


# --- outputs, in order ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Write:
    frames: Sequence[Framed]


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask gate and log about these streams; answer by `permitted`, once each."""

    streams: tuple[Stream, ...]


@dataclass(frozen=True, slots=True)
class Read:
    """Read the log above `after`; answer by `page`, once."""

    stream: Stream
    after: int


@dataclass(frozen=True, slots=True)
class Live:
    """Write `live` with the signs the hub holds, at most LIVE_BYTES_MAX of it."""

    stream: Stream
    position: int


@dataclass(frozen=True, slots=True)
class Tell:
    """The client confirmed or showed this; its person is added outside."""

    report: frames.Ack | frames.Mark | frames.Typing | frames.Viewing


@dataclass(frozen=True, slots=True)
class Close:
    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Abort:
    pass


Output: TypeAlias = Write | Ask | Read | Live | Tell | Close | Abort
NOTHING: Final[Sequence[Output]] = ()
LIVE_BYTES_MAX: Final = frames.EVENT_FRAME_BYTES_MAX


# --- state ---------------------------------------------------------------------------------------


class Phase(Enum):
    NEW = "new"
    OPEN = "open"
    LEAVING = "leaving"
    CLOSED = "closed"


class Standing(Enum):
    """Of a watch; a stream without one has none."""

    ASKED = "asked"
    BEHIND = "behind"
    LIVE = "live"


@dataclass(frozen=True, slots=True)
class Denied:
    """The gate's no. `why` is None where the gate gave no reason of its own."""

    why: UnwatchedWhy | None = None


@dataclass(slots=True)
class Watch:
    """One stream of one connection. Bytes in `unacked` are of positions acked + 1 … sent."""

    place: frames.Place | None
    standing: Standing = Standing.ASKED
    epoch: str = ""
    sent: int = 0
    acked: int = 0
    head: int = 0
    permit: Permit = field(default_factory=Permit)
    reading: int | None = None  # the `after` of the Read that is out
    unacked: deque[int] = field(default_factory=deque)
    read: int = 0  # the highest mark told
    viewing: bool = False
    typing_at: int | None = None  # when `typing on` was last told

    @property
    def end(self) -> int:
        """The head as this watcher meets it."""
        until = self.permit.until
        return self.head if until is None or self.head < until else until


_SHED_FIRST: Final = frozenset(("typing", "viewing"))


class Delivery:
    """One connection. Each input returns what must be done, in order.

    The shell keeps `room` true: it sets it to the transport's before every input, and calls
    `writable` whenever the transport has let something go, or has more room than `room` says while
    `held_back`.
    """

    def __init__(self, greeting: Greeting, limits: Limits, now: int) -> None:
        self.limits = limits
        self.phase = Phase.NEW
        self.room = limits.waiting_bytes
        self.watches: dict[Stream, Watch] = {}
        self.device = self.tab = self.client = ""
        self.wants: tuple[str, ...] = ()
        self.visible = True
        self.heard_at = now
        self.due_at = now + limits.identify_ms
        self.ended: tuple[int, str] | None = None  # code and reason, once known
        self.changes = 0  # of `watches`: the shell's index follows when it moves
        self.lags = 0  # how often a watch fell BEHIND for want of room
        self.sheds = 0  # ephemerals dropped
        self._greeting = greeting
        self._opened_at = now
        self._out: list[Output] = []
        self._frames: list[Framed] = []
        # What waits for room: frames, and streams whose `live` is due.
        self._waiting: deque[Framed | Stream] = deque()
        self._waiting_bytes = 0
        self._signs: dict[tuple[Stream, str], FramedSign] = {}
        self._shed: dict[Stream, None] = {}
        self._bye: Framed | None = None
        self._unacked_events = 0
        self._unacked_bytes = 0
        self._turn: dict[Stream, None] = {}  # BEHIND watches without a Read, in turn
        self._reads = 0  # Reads out
        self._stuck_since: int | None = None
        self._progress_at = now
        self._ping_at = now + greeting.ping_first_ms
        self._pong_due: int | None = None
        self.login_until = greeting.login_until
        self._login_warned = False
        self._frames_paid_until = now  # the rate limit's clock
        self._errors: deque[int] = deque()
        self._left_at = now

    def __repr__(self) -> str:
        return (
            f"<Delivery {self._greeting.connection} {self.phase.value} watches={len(self.watches)}"
            f" unacked={self._unacked_events}/{self._unacked_bytes}B room={self.room}>"
        )

    @property
    def held_back(self) -> bool:
        """Something would be written if there were more room."""
        return bool(self._waiting or self._signs or self._shed or self._turn or self._bye)

    @property
    def over_half(self) -> bool:
        """More than half the backlog waits: ephemerals must."""
        return self.room < self.limits.waiting_bytes // 2

    # --- inputs ----------------------------------------------------------------------------------

    def receive(self, frame: frames.Up | frames.PeerFault, now: int) -> Sequence[Output]:
        """A frame of the peer, or why it is none."""
        match self.phase:
            case Phase.NEW:
                self.heard_at = now
                self._receive_new(frame, now)
            case Phase.OPEN:
                self.heard_at = now
                self._pong_due = None
                self._receive_open(frame, now)
            case Phase.LEAVING:
                self._receive_leaving(frame, now)
            case Phase.CLOSED:
                pass
            case _:
                assert_never(self.phase)
        return self._done()

    def permitted(
        self, stream: Stream, answer: Permit | Denied, head: Head, now: int
    ) -> Sequence[Output]:
        """What the gate says of a stream and where it stands: the answer to Ask, or news.

        News are rights that changed, another epoch, a floor that passed a watch.
        """
        watch = self._open_watch(stream)
        if watch is None:
            return NOTHING
        if isinstance(answer, Denied):
            first = watch.standing is Standing.ASKED
            self._unwatched(stream, watch, answer.why or ("denied" if first else "revoked"), now)
        elif watch.standing is Standing.ASKED:
            self._begin(stream, watch, answer, head, now)
        else:
            self._adjust(stream, watch, answer, head, now)
        return self._done()

    def offer(self, event: FramedEvent, now: int) -> Sequence[Output]:
        """The stream's next event, straight from its commit."""
        watch = self._open_watch(event.stream)
        if watch is None:
            return NOTHING
        position = event.position
        if event.epoch != watch.epoch:
            return self._offer_of_another_epoch(event, watch, now)
        watch.head = max(watch.head, position)
        if watch.standing is not Standing.LIVE or watch.sent >= watch.end:
            return NOTHING
        if position == watch.sent + 1 and self._takes(event.frame):
            self._write_event(watch, event.frame, now)
        else:
            self._fall_behind(event.stream, watch, now)
        return self._done()

    def page(self, stream: Stream, page: FramedPage, now: int) -> Sequence[Output]:
        """The answer to Read. One that was asked for by an earlier watch is ignored."""
        watch = self._open_watch(stream)
        if watch is None or watch.standing is not Standing.BEHIND:
            return NOTHING
        if page.after != watch.reading:
            return NOTHING
        self._reading_over(watch)
        if page.epoch != watch.epoch:
            self._reset(stream, watch, page.epoch, page.head, "epoch", now)
        else:
            self._write_page(stream, watch, page, now)
        return self._done()

    def ephemeral(self, sign: FramedSign, now: int) -> Sequence[Output]:
        """A passing sign. It may be coalesced or shed; `live` makes that good."""
        if self.phase is not Phase.OPEN or not self._may_see(sign):
            return NOTHING
        if self._waiting or self._signs or self._shed or self.over_half:
            self._coalesce(sign)
        elif sign.frame.size > self.room:
            self._coalesce(sign)
            self._refused(now)
        else:
            self._write(sign.frame)
        return self._done()

    def writable(self, room: int, now: int) -> Sequence[Output]:
        """The transport let something go, or has more room than it was known to have."""
        self.room = room
        if self.phase is Phase.OPEN or self.phase is Phase.LEAVING:
            self._stuck_since = None
            self._flush(now)
            self._flush_signs(now)
        return self._done()

    def tick(self, now: int, heads: Mapping[Stream, int]) -> Sequence[Output]:
        """Time has come to `due_at`. Coming early or late is harmless."""
        match self.phase:
            case Phase.NEW:
                if now >= self._opened_at + self.limits.identify_ms:
                    self._leave(Code.IDENTIFY_TIMEOUT, None, now)
            case Phase.OPEN:
                self._tick_open(now, heads)
            case Phase.LEAVING:
                if now >= self._left_at + self.limits.leaving_ms:
                    self._abort()
            case Phase.CLOSED:
                pass
            case _:
                assert_never(self.phase)
        self.due_at = self._next_due()
        return self._done()

    def renewed(self, until: int, now: int) -> Sequence[Output]:
        """The login's end moved to `until` (Unix ms)."""
        if self.phase is Phase.OPEN and until != self.login_until:
            self._say(frames.Login(until=until, renew=False), now)
        self.login_until = until
        self._login_warned = False
        if self.phase is not Phase.CLOSED:
            self._due(self._monotonic(until) - self.limits.login_warning_ms)
        return self._done()

    def leave(self, code: int, retry: tuple[int, int] | None, now: int) -> Sequence[Output]:
        """Says bye and closes: drain, kick, expiry, replaced. The first code stands."""
        self._leave(code, retry, now)
        return self._done()

    def lost(self, now: int) -> Sequence[Output]:
        """The socket is gone."""
        del now  # every input takes it
        if self.phase is not Phase.CLOSED:
            self._end((1006, "lost"))
        return self._done()

    def abandon(self) -> None:
        """Its shell no longer trusts it: nothing more comes out."""
        self.phase = Phase.CLOSED
        self.changes += 1
        self.watches.clear()
        self.due_at = NEVER
        self._out, self._frames = [], []
        self._waiting.clear()
        self._signs.clear()
        self._shed.clear()
        self._turn.clear()
        self._bye = None

    # --- receive ---------------------------------------------------------------------------------

    def _receive_new(self, frame: frames.Up | frames.PeerFault, now: int) -> None:
        if isinstance(frame, frames.UnsupportedProtocol):
            self._leave(Code.VERSION, None, now)
        elif isinstance(frame, frames.Identify):
            self._identify(frame, now)
        else:
            self._leave(Code.PROTOCOL, None, now)

    def _identify(self, frame: frames.Identify, now: int) -> None:
        self.phase = Phase.OPEN
        self.device, self.tab, self.client = frame.device, frame.tab, frame.client
        self.visible, self.wants = frame.visible, frame.wants
        self._pay_for_a_frame(now)
        self._say(self._hello(now), now)
        self.due_at = self._next_due()
        self._watch(frame.watch, "identify", now)

    def _hello(self, now: int) -> frames.Hello:
        limits = self.limits
        return frames.Hello(
            connection=self._greeting.connection,
            node=self._greeting.node,
            now=self._unix(now),
            heartbeat_ms=limits.heartbeat_ms,
            silence_ms=limits.silence_ms,
            login_until=self.login_until,
            limits=frames.HelloLimits(
                watches=limits.watches,
                frame_bytes=limits.frame_up_bytes,
                frames_per_s=limits.frames_per_s,
            ),
        )

    def _receive_open(self, frame: frames.Up | frames.PeerFault, now: int) -> None:
        retry_ms = self._pay_for_a_frame(now)
        if retry_ms:
            self._error("too_fast", _about(frame), now, retry_ms=retry_ms)
            return
        match frame:
            case frames.Watch():
                self._watch(frame.watch, "watch", now)
            case frames.Unwatch():
                self._unwatch(frame.streams, now)
            case frames.Ack() | frames.Pong():
                self._ack(frame.positions, now)
            case frames.Probe():
                self._ack(frame.positions, now)
                self._say(frames.Alive(n=frame.n, heads=self._heads_unacked({})), now)
            case frames.Mark():
                self._mark(frame, now)
            case frames.Typing() | frames.Viewing():
                self._sign_of_life(frame, now)
            case frames.Visibility():
                self.visible = frame.visible
            case frames.Identify():
                self._leave(Code.PROTOCOL, None, now)
            case frames.PeerFault():
                self._fault(frame, now)
            case _:
                assert_never(frame)

    def _fault(self, fault: frames.PeerFault, now: int) -> None:
        if isinstance(fault, frames.UnknownOp):
            self._error("unknown_op", fault.about, now)
        elif isinstance(fault, frames.FrameTooLarge):
            self._error("too_large", fault.about, now)
        else:
            self._leave(Code.PROTOCOL, None, now)

    def _receive_leaving(self, frame: frames.Up | frames.PeerFault, now: int) -> None:
        match frame:
            case frames.Ack() | frames.Pong() | frames.Probe():
                self._ack(frame.positions, now)
            case frames.Mark():
                self._mark(frame, now)
            case _:
                pass

    def _pay_for_a_frame(self, now: int) -> int:
        """0, or in how many ms one more frame is allowed. Each costs 1/20 s; 40 are in credit."""
        cost = 1_000 // self.limits.frames_per_s
        owed = max(self._frames_paid_until, now) + cost - now
        over = owed - cost * self.limits.frames_burst
        if over > 0:
            return over
        self._frames_paid_until = now + owed
        return 0

    def _error(
        self,
        code: Literal[
            "unknown_op", "not_watching", "denied", "too_many_watches", "too_large", "too_fast"
        ],
        about: str,
        now: int,
        *,
        stream: Stream | None = None,
        retry_ms: int | None = None,
    ) -> None:
        self._errors.append(now)
        while self._errors[0] <= now - self.limits.errors_window_ms:
            self._errors.popleft()
        if len(self._errors) > self.limits.errors:
            self._leave(Code.TOO_MANY_FRAMES, None, now)
            return
        self._say(
            frames.Error(
                code=code,
                about=about,
                stream=UNSET if stream is None else stream,
                retry_ms=UNSET if retry_ms is None else retry_ms,
            ),
            now,
        )

    # --- watches ---------------------------------------------------------------------------------

    def _open_watch(self, stream: Stream) -> Watch | None:
        assert self.phase is not Phase.NEW, "nothing was asked before identify"
        return self.watches.get(stream) if self.phase is Phase.OPEN else None

    def _watch(self, places: frames.Places, about: str, now: int) -> None:
        news = sum(stream not in self.watches for stream in places)
        if len(self.watches) + news > self.limits.watches:
            self._error("too_many_watches", about, now)
            return
        asked = [stream for stream, place in places.items() if self._asked(stream, place)]
        if asked:
            self._put(Ask(tuple(asked)))

    def _asked(self, stream: Stream, place: frames.Place | None) -> bool:
        """Turns the stream's watch to ASKED at `place`; whether there is something to Ask."""
        watch = self.watches.get(stream)
        if watch is not None and watch.standing is Standing.ASKED:
            watch.place = place
            return False
        if watch is not None:
            self._forget(stream, watch)
        self.changes += 1
        self.watches[stream] = Watch(place)
        return True

    def _unwatch(self, streams: Sequence[Stream], now: int) -> None:
        unknown = None
        for stream in dict.fromkeys(streams):
            watch = self.watches.get(stream)
            if watch is None:
                unknown = unknown or stream
            else:
                self._forget(stream, watch)
        if unknown is not None:  # once per frame: a revocation may have crossed many of them
            self._error("not_watching", "unwatch", now, stream=unknown)

    def _forget(self, stream: Stream, watch: Watch) -> None:
        """Ends a watch and all that waits for it."""
        self.changes += 1
        del self.watches[stream]
        self._release(watch, len(watch.unacked))
        self._reading_over(watch)
        self._turn.pop(stream, None)
        self._shed.pop(stream, None)
        self._drop_signs(stream)
        if watch.viewing:
            self._put(Tell(frames.Viewing(stream=stream, on=False)))
        if watch.typing_at is not None:
            self._put(Tell(frames.Typing(stream=stream, on=False)))

    def _unwatched(self, stream: Stream, watch: Watch, why: UnwatchedWhy, now: int) -> None:
        self._forget(stream, watch)
        self._say(frames.Unwatched(stream=stream, why=why), now)

    def _reset(
        self, stream: Stream, watch: Watch, epoch: str, head: int, why: ResetWhy, now: int
    ) -> None:
        self._forget(stream, watch)
        self._say(frames.Reset(stream=stream, epoch=epoch, head=head, why=why), now)

    def _begin(self, stream: Stream, watch: Watch, permit: Permit, head: Head, now: int) -> None:
        """ASKED → LIVE, BEHIND, or a reset."""
        if watch.epoch != head.epoch:  # else `head` holds what was offered meanwhile
            watch.epoch, watch.head = head.epoch, 0
        watch.head = max(watch.head, head.position)
        watch.permit = permit
        start = self._start(watch, head.floor)
        if isinstance(start, str):
            self._reset(stream, watch, head.epoch, watch.end, start, now)
            return
        watch.sent = watch.acked = start
        self._say(
            frames.Watched(stream=stream, epoch=head.epoch, position=start, head=watch.end), now
        )
        if watch.place is not None and watch.place[0] is not None and start > 0:
            # it resumes: the client holds all up to there
            self._put(Tell(frames.Ack(positions={stream: start})))
        if start == watch.end:
            self._go_live(stream, watch, now)
        else:
            self._go_behind(stream, watch, now)

    def _start(self, watch: Watch, floor: int) -> int | ResetWhy:
        """Where this watch takes up, or why it cannot."""
        end, after = watch.end, watch.permit.after
        if watch.place is None:
            return end
        epoch, position = watch.place
        if epoch is None and position == 0:
            return min(max(floor - 1, after), end)
        if epoch != watch.epoch:
            return "epoch"
        if position > end:
            return "ahead"
        if position + 1 < floor or position < after:
            return "trimmed"
        if end - position > self.limits.resume_events:
            return "far"
        return position

    def _adjust(self, stream: Stream, watch: Watch, permit: Permit, head: Head, now: int) -> None:
        """News of a stream already watched: go on, or reset if that is impossible."""
        why: ResetWhy | None = None
        if head.epoch != watch.epoch:
            why = "epoch"
        elif head.position < watch.sent:
            why = "ahead"
        elif permit.after > watch.sent or (head.floor > watch.sent + 1):
            why = "trimmed"
        watch.permit = permit
        if why is not None:
            watch.head = head.position
            self._reset(stream, watch, head.epoch, watch.end, why, now)
            return
        watch.head = max(watch.head, head.position)
        if watch.standing is Standing.LIVE and watch.sent < watch.end:
            self._go_behind(stream, watch, now)
        elif watch.standing is Standing.BEHIND and watch.sent >= watch.end:
            self._reading_over(watch)
            self._turn.pop(stream, None)
            self._go_live(stream, watch, now)

    def _offer_of_another_epoch(
        self, event: FramedEvent, watch: Watch, now: int
    ) -> Sequence[Output]:
        if watch.standing is Standing.ASKED:
            watch.epoch, watch.head = event.epoch, event.position
            return NOTHING
        watch.head = event.position
        self._reset(event.stream, watch, event.epoch, watch.end, "epoch", now)
        return self._done()

    # --- BEHIND and LIVE -------------------------------------------------------------------------

    def _takes(self, frame: Framed) -> bool:
        """Whether this event may be written now (D3)."""
        return (
            frame.size <= self.room
            and not self._waiting
            and self._unacked_events < self.limits.unacked_events
            and self._unacked_bytes + frame.size <= self.limits.unacked_bytes
        )

    def _may_read(self) -> bool:
        """Room for a page: any event fits, and at least half a window of acks is free."""
        limits = self.limits
        return (
            self.phase is Phase.OPEN
            and not self._waiting
            and self.room >= min(frames.EVENT_FRAME_BYTES_MAX, limits.waiting_bytes)
            and self._unacked_events * 2 <= limits.unacked_events
            and self._unacked_bytes * 2 <= limits.unacked_bytes
        )

    def _write_event(self, watch: Watch, frame: Framed, now: int) -> None:
        watch.sent += 1
        watch.unacked.append(frame.size)
        self._unacked_events += 1
        self._unacked_bytes += frame.size
        self._progress_at = now
        self._write(frame)

    def _write_page(self, stream: Stream, watch: Watch, page: FramedPage, now: int) -> None:
        watch.head = max(watch.head, page.head)
        for event in page.events:
            if watch.sent >= watch.end:
                break
            assert event.position == watch.sent + 1, "a page is dense and starts as asked"
            if not self._takes(event.frame):
                break
            self._write_event(watch, event.frame, now)
        if watch.sent >= watch.end:
            self._go_live(stream, watch, now)
        else:
            self._wait_for_its_turn(stream, now)

    def _fall_behind(self, stream: Stream, watch: Watch, now: int) -> None:
        """An event came that is not the next, or has no room."""
        self.lags += 1
        self._go_behind(stream, watch, now)

    def _go_behind(self, stream: Stream, watch: Watch, now: int) -> None:
        watch.standing = Standing.BEHIND
        if self._may_read():
            self._read(stream, watch)
        else:
            self._wait_for_its_turn(stream, now)

    def _go_live(self, stream: Stream, watch: Watch, now: int) -> None:
        watch.standing = Standing.LIVE
        self._say_live(stream, now)

    def _wait_for_its_turn(self, stream: Stream, now: int) -> None:
        if not self._turn:
            self._progress_at = now
        self._turn[stream] = None
        self._due(now + self.limits.progress_ms)
        if self.room < frames.EVENT_FRAME_BYTES_MAX:
            self._refused(now)

    def _read_in_turn(self) -> None:
        """Gives the next BEHIND watch its Read, if there is room and none is out."""
        while self._turn and not self._reads and self._may_read():
            stream = next(iter(self._turn))
            del self._turn[stream]
            self._read(stream, self.watches[stream])
        if self._turn and not self._reads:
            self._due(self._progress_at + self.limits.progress_ms)

    def _read(self, stream: Stream, watch: Watch) -> None:
        watch.reading = watch.sent
        self._reads += 1
        self._put(Read(stream, watch.sent))

    def _reading_over(self, watch: Watch) -> None:
        if watch.reading is not None:
            watch.reading = None
            self._reads -= 1

    # --- acks and signs of life ------------------------------------------------------------------

    def _ack(self, positions: Mapping[Stream, int], now: int) -> None:
        risen: dict[Stream, int] = {}
        for stream, position in positions.items():
            watch = self.watches.get(stream)
            if watch is None or watch.standing is Standing.ASKED:
                continue
            if position > watch.sent:
                self._leave(Code.PROTOCOL, None, now)
                return
            if position > watch.acked:
                risen[stream] = position
        for stream, position in risen.items():
            self._acked(self.watches[stream], position)
        if risen:
            self._progress_at = now
            self._put(Tell(frames.Ack(positions=risen)))

    def _acked(self, watch: Watch, position: int) -> None:
        self._release(watch, position - watch.acked)
        watch.acked = position

    def _release(self, watch: Watch, events: int) -> None:
        for _ in range(events):
            self._unacked_bytes -= watch.unacked.popleft()
        self._unacked_events -= events

    def _mark(self, frame: frames.Mark, now: int) -> None:
        watch = self.watches.get(frame.stream)
        if watch is None:
            if self.phase is Phase.OPEN:
                self._error("not_watching", "mark", now, stream=frame.stream)
            return
        if watch.standing is Standing.ASKED:
            return
        self._ack({frame.stream: frame.read}, now)
        if watch.read < frame.read <= watch.sent:
            watch.read = frame.read
            self._put(Tell(frame))

    def _sign_of_life(self, frame: frames.Typing | frames.Viewing, now: int) -> None:
        watch = self.watches.get(frame.stream)
        if watch is None:
            self._error("not_watching", _about(frame), now, stream=frame.stream)
        elif watch.standing is Standing.ASKED:
            pass  # may still be denied
        elif watch.permit.until is not None:
            self._error("denied", _about(frame), now, stream=frame.stream)
        elif isinstance(frame, frames.Viewing):
            watch.viewing = frame.on
            self._put(Tell(frame))
        else:
            self._typing(frame, watch, now)

    def _typing(self, frame: frames.Typing, watch: Watch, now: int) -> None:
        last = watch.typing_at
        if frame.on and last is not None and now - last < self.limits.typing_ms:
            return
        if frame.on or last is not None:
            watch.typing_at = now if frame.on else None
            self._put(Tell(frame))

    # --- ephemerals ------------------------------------------------------------------------------

    def _may_see(self, sign: FramedSign) -> bool:
        """A sign needs a live watch: one that is BEHIND gets them all with its `live`."""
        if sign.type == "plain":
            return True
        watch = self.watches.get(sign.stream)
        return watch is not None and watch.standing is Standing.LIVE and watch.permit.until is None

    def _coalesce(self, sign: FramedSign) -> None:
        key = (sign.stream, sign.key)
        full = len(self._signs) >= self.limits.coalesced_signs and key not in self._signs
        if sign.type in _SHED_FIRST or full:
            self.sheds += 1
            if sign.stream in self.watches:
                self._shed[sign.stream] = None
        else:
            self._signs.pop(key, None)
            self._signs[key] = sign

    def _drop_signs(self, stream: Stream) -> None:
        for key, sign in list(self._signs.items()):
            if sign.stream == stream and sign.type != "plain":
                del self._signs[key]

    def _flush_signs(self, now: int) -> None:
        """Once nothing else waits: what was coalesced, then `live` for each stream that shed."""
        while self._signs and not self._waiting and not self.over_half:
            key = next(iter(self._signs))
            sign = self._signs[key]
            if sign.frame.size > self.room:
                self._refused(now)
                return
            del self._signs[key]
            self._write(sign.frame)
        if not self._signs and not self._waiting:
            shed, self._shed = self._shed, {}
            for stream in shed:
                self._say_live(stream, now)

    # --- writing ---------------------------------------------------------------------------------

    def _say(self, frame: frames.Down, now: int) -> None:
        """A frame that is no event: at once, or behind what waits."""
        self._queue(frames.framed(frame), now)

    def _say_live(self, stream: Stream, now: int) -> None:
        self._queue(stream, now)

    def _queue(self, item: Framed | Stream, now: int) -> None:
        if self.phase is not Phase.OPEN:
            return
        self._waiting.append(item)
        if isinstance(item, Framed):
            self._waiting_bytes += item.size
        self._flush(now)
        if self._waiting_bytes > self.limits.waiting_bytes:
            self._waiting.clear()
            self._waiting_bytes = 0
            self._leave(Code.SLOW, None, now)

    def _flush(self, now: int) -> None:
        while self._waiting:
            item = self._waiting[0]
            if not self._fits(item):
                self._refused(now)
                return
            self._waiting.popleft()
            if isinstance(item, Framed):
                self._waiting_bytes -= item.size
                self._write(item)
            else:
                self._put_live(item)
        if self._bye is not None:
            self._flush_bye(self._bye, now)

    def _fits(self, item: Framed | Stream) -> bool:
        size = item.size if isinstance(item, Framed) else self._live_bytes()
        return size <= self.room

    def _live_bytes(self) -> int:
        return min(LIVE_BYTES_MAX, self.limits.waiting_bytes)

    def _put_live(self, stream: Stream) -> None:
        """`live` is made outside, so its bound is taken off the room; skipped if no longer true."""
        watch = self.watches.get(stream)
        if self.phase is not Phase.OPEN or watch is None or watch.standing is not Standing.LIVE:
            return
        self._drop_signs(stream)  # `live` replaces them
        self._shed.pop(stream, None)
        self._put(Live(stream, watch.sent))
        self.room -= self._live_bytes()

    def _write(self, frame: Framed) -> None:
        self._frames.append(frame)
        self.room -= frame.size

    def _put(self, output: Output) -> None:
        self._seal()
        self._out.append(output)

    def _seal(self) -> None:
        if self._frames:
            self._out.append(Write(self._frames))
            self._frames = []

    def _done(self) -> Sequence[Output]:
        """Ends a step: the next page if there is room for it, then all outputs in order."""
        if self._turn and not self._reads:
            self._read_in_turn()
        self._seal()
        if not self._out:
            return NOTHING
        out, self._out = self._out, []
        return out

    def _refused(self, now: int) -> None:
        """The transport has no room for what should be written."""
        if self._stuck_since is None:
            self._stuck_since = now
            self._due(now + self.limits.write_deadline_ms)

    # --- time ------------------------------------------------------------------------------------

    def _tick_open(self, now: int, heads: Mapping[Stream, int]) -> None:
        limits = self.limits
        if self._stuck_since is not None and now >= self._stuck_since + limits.write_deadline_ms:
            self.ended = (Code.SLOW, "slow")
            self._abort()
        elif self._pong_due is not None and now >= self._pong_due:
            self._leave(Code.SILENT, None, now)
        elif self._is_blocked() and now >= self._progress_at + limits.progress_ms:
            self._leave(Code.SLOW, None, now)
        elif now >= self._monotonic(self.login_until) + limits.login_grace_ms:
            self._leave(Code.LOGIN_EXPIRED, None, now)
        else:
            self._warn_of_login_end(now)
            self._ping(now, heads)

    def _is_blocked(self) -> bool:
        """A watch waits for its turn and the peer, by room or acks, is why."""
        return bool(self._turn) and not self._reads

    def _warn_of_login_end(self, now: int) -> None:
        warn_at = self._monotonic(self.login_until) - self.limits.login_warning_ms
        if not self._login_warned and now >= warn_at:
            self._login_warned = True
            self._say(frames.Login(until=self.login_until, renew=True), now)

    def _ping(self, now: int, heads: Mapping[Stream, int]) -> None:
        if now < self._ping_at or self.phase is not Phase.OPEN:
            return
        self._ping_at = now + self._greeting.ping_every_ms
        if self._pong_due is None:
            self._pong_due = now + self.limits.pong_ms
        self._say(frames.Ping(now=self._unix(now), heads=self._heads_unacked(heads)), now)

    def _heads_unacked(self, heads: Mapping[Stream, int]) -> dict[str, int] | UnsetType:
        """Heads of the streams not acknowledged up to, as this watcher may know them."""
        unacked: dict[str, int] = {}
        for stream, watch in self.watches.items():
            if watch.standing is not Standing.ASKED:
                head = max(watch.head, heads.get(stream, 0))
                until = watch.permit.until
                end = head if until is None else min(head, until)
                if end > watch.acked:
                    unacked[stream] = end
        return unacked or UNSET

    def _next_due(self) -> int:
        limits = self.limits
        match self.phase:
            case Phase.NEW:
                return self._opened_at + limits.identify_ms
            case Phase.OPEN:
                return min(self._open_dues())
            case Phase.LEAVING:
                return self._left_at + limits.leaving_ms
            case Phase.CLOSED:
                return NEVER
            case _:
                assert_never(self.phase)

    def _open_dues(self) -> Sequence[int]:
        limits = self.limits
        end = self._monotonic(self.login_until)
        dues = [self._ping_at, end + limits.login_grace_ms]
        if not self._login_warned:
            dues.append(end - limits.login_warning_ms)
        if self._pong_due is not None:
            dues.append(self._pong_due)
        if self._stuck_since is not None:
            dues.append(self._stuck_since + limits.write_deadline_ms)
        if self._is_blocked():
            dues.append(self._progress_at + limits.progress_ms)
        return dues

    def _due(self, at: int) -> None:
        self.due_at = min(self.due_at, at)

    def _unix(self, now: int) -> int:
        return now + self._greeting.unix_offset_ms

    def _monotonic(self, unix_ms: int) -> int:
        return unix_ms - self._greeting.unix_offset_ms

    # --- the end ---------------------------------------------------------------------------------

    def _leave(self, code: int, retry: tuple[int, int] | None, now: int) -> None:
        if self.phase is Phase.LEAVING or self.phase is Phase.CLOSED:
            return
        why = TABLE[code].name if code in TABLE else "closed"
        self.phase = Phase.LEAVING
        self.ended = (code, why)
        self._left_at = now
        self.due_at = now + self.limits.leaving_ms
        self._signs.clear()
        self._shed.clear()
        self._turn.clear()
        self._bye = frames.framed(frames.Bye(code=code, why=why, retry_ms=retry))
        self._flush(now)

    def _flush_bye(self, bye: Framed, now: int) -> None:
        if bye.size > self.room:
            self._refused(now)
            return
        self._bye = None
        self._write(bye)
        assert self.ended is not None, "a bye has a code"
        self._put(Close(*self.ended))

    def _abort(self) -> None:
        self._frames.clear()
        self._end((Code.SLOW, "slow"))
        self._put(Abort())

    def _end(self, how: tuple[int, str]) -> None:
        """Whatever was watched is over; `how` counts unless a code was set before."""
        for stream, watch in list(self.watches.items()):
            self._forget(stream, watch)
        self.phase = Phase.CLOSED
        self.ended = self.ended or how
        self.due_at = NEVER
        self._waiting.clear()
        self._waiting_bytes = 0
        self._turn.clear()
        self._bye = None
        self._stuck_since = None

    # --- what must hold --------------------------------------------------------------------------

    def check(self) -> None:
        """Asserts what one object can see of D2, D3, D6, D7. For tests, after every step."""
        limits = self.limits
        watches = self.watches.values()
        for watch in watches:
            if watch.standing is not Standing.ASKED:
                assert watch.acked <= watch.sent <= watch.head, f"D2 {watch}"
                assert len(watch.unacked) == watch.sent - watch.acked, f"D2 {watch}"
            assert watch.reading is None or watch.standing is Standing.BEHIND, f"D7 {watch}"
        assert self._unacked_events == sum(len(watch.unacked) for watch in watches), "D3"
        assert self._unacked_bytes == sum(sum(watch.unacked) for watch in watches), "D3"
        assert self._unacked_events <= limits.unacked_events, "D3"
        assert self._unacked_bytes <= limits.unacked_bytes, "D3"
        assert self._waiting_bytes <= limits.waiting_bytes, "D3"
        assert len(self._signs) <= limits.coalesced_signs, "D3"
        assert self._reads == sum(watch.reading is not None for watch in watches), "D7"
        waiting = {s for s, w in self.watches.items() if w.standing is Standing.BEHIND}
        reading = {s for s in waiting if self.watches[s].reading is not None}
        if self.phase is Phase.OPEN:
            assert set(self._turn) == waiting - reading, "D7"
        if self.phase is Phase.OPEN and self._may_read():
            assert not waiting or self._reads, "D7"
        if self.phase is Phase.CLOSED:
            assert not self.held_back, "D6"
            assert not self.watches, "D6"


def _about(frame: frames.Up | frames.PeerFault) -> str:
    if isinstance(frame, frames.PeerFault):
        return frame.about
    return str(frame.__struct_config__.tag)
