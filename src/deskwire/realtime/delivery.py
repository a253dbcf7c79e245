"""One connection's state: hello, resume, order, gap, ack, backlog, heartbeat. Pure.

It holds what a connection watches, how far each watch was written and acknowledged, and which
frames wait. It must never know a person, a right, a clock, a socket: facts and `now` (monotonic
milliseconds) come in, outputs go out in the order in which they must be carried out.

Invariants, checked by the tests after every step:
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

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Final, assert_never

from deskwire.realtime import frames
from deskwire.realtime.backlog import Backlog, Item
from deskwire.realtime.codes import TABLE, Code
from deskwire.realtime.frames import Framed, FramedEvent, FramedPage, FramedSign
from deskwire.realtime.gate import Permit
from deskwire.realtime.limits import Limits
from deskwire.realtime.log import Head, Stream
from deskwire.realtime.outputs import NOTHING, Abort, Ask, Close, Live, Output, Read, Tell, Write
from deskwire.realtime.pulse import Greeting, Pulse
from deskwire.realtime.watch import Denied, Standing, Watch, heads_unacked
from deskwire.realtime.window import Window

# Past any due time; comparable, so nobody has to ask for None.
NEVER: Final = 2**62


class Phase(Enum):
    NEW = "new"
    OPEN = "open"
    LEAVING = "leaving"  # bye is said or waits for room; acks are still reported
    CLOSED = "closed"


_OPEN: Final = Phase.OPEN


class Delivery:
    """One connection. Each input returns what must be done, in order.

    The shell keeps `room` true: it sets it to the transport's before every input, and calls
    `writable` whenever the transport has let something go, or has more room than `room` says while
    `held_back`.
    """

    def __init__(self, greeting: Greeting, limits: Limits, now: int) -> None:
        self.limits = limits
        self.phase = Phase.NEW
        self.watches: dict[Stream, Watch] = {}
        self.changes = 0  # of `watches`: the shell's index follows when it moves
        self.device = self.tab = self.client = ""
        self.wants: tuple[str, ...] = ()
        self.visible = True
        self.due_at = now + limits.identify_ms
        self.ended: tuple[int, str] | None = None  # code and reason, once known
        self.lags = 0  # how often a watch fell BEHIND though it had been LIVE
        self._greeting = greeting
        self.pulse = Pulse(greeting, limits, now)
        self.backlog = Backlog(limits)
        self._out: list[Output] = []
        self._frames: list[Framed] = []
        self._window = Window(limits)
        self._turn: dict[Stream, None] = {}  # BEHIND watches without a Read, in turn
        self._reads = 0  # Reads out
        self._stuck_since: int | None = None  # something waits, nothing was let go since
        self._progress_at = now
        self._began_at = now  # this phase, where it has a deadline

    def __repr__(self) -> str:
        return (
            f"<Delivery {self._greeting.connection} {self.phase.value} watches={len(self.watches)}"
            f" unacked={self._window.events}/{self._window.bytes}B room={self.room}>"
        )

    @property
    def room(self) -> int:
        return self.backlog.room

    @room.setter
    def room(self, room: int) -> None:
        self.backlog.room = room

    @property
    def held_back(self) -> bool:
        """Something would be written if there were more room."""
        return self.backlog.holds_back or bool(self._turn)

    # --- inputs ---------------------------------------------------------------------------------

    def receive(self, frame: frames.Up | frames.PeerFault, now: int) -> Sequence[Output]:
        """A frame of the peer, or why it is none."""
        match self.phase:
            case Phase.NEW:
                self.pulse.heard(now)
                self._receive_new(frame, now)
            case Phase.OPEN:
                self.pulse.heard(now)
                self._receive_open(frame, now)
            case Phase.LEAVING:
                self._receive_leaving(frame, now)
            case _:
                assert self.phase is Phase.CLOSED
        return self._done()

    def acknowledged(self, positions: frames.Positions, now: int) -> frames.Positions | None:
        """The hot path of an `ack` frame: what rose. None: it is to be received like any other."""
        if self.phase is not _OPEN or self._turn or self.pulse.pay_for_a_frame(now):
            return None
        self.pulse.heard(now)
        risen = self._window.acknowledge(self.watches, positions)
        if risen is None:
            self.pulse.take_back_a_frame()
        self._progress_at = now if risen else self._progress_at
        return risen

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
            self._forget(stream, watch)
            why = answer.why or ("denied" if first else "revoked")
            self._say(frames.Unwatched(stream=stream, why=why), now)
        elif watch.standing is Standing.ASKED:
            self._begin(stream, watch, answer, head, now)
        else:
            self._adjust(stream, watch, answer, head, now)
        return self._done()

    def admits(self, event: FramedEvent, now: int) -> bool:
        """The hot path of `offer`: may the event leave at once, alone? If so it counts as written.

        Takes no room: nothing of it stays behind, or the shell sets `room` anew.
        """
        watch = self.watches.get(event.stream)
        frame = event.frame
        if (
            watch is None
            or not watch.is_next(event)
            or self.phase is not _OPEN
            or not self.backlog.takes(frame.size)
            or not self._window.took(watch, frame.size)
        ):
            return False
        self._progress_at = now
        return True

    def keeps_step(self, stream: Stream, epoch: str, position: int) -> bool:
        """May events above `position` be written outside, up to a quarter of the window, and be
        `booked` later, before any other input?
        """
        watch = self.watches.get(stream)
        is_level = watch is not None and watch.is_level(epoch, position)
        is_free = not self.held_back and self._window.is_half_free
        return is_level and is_free and self.phase is _OPEN

    def booked(self, stream: Stream, sizes: Sequence[int], position: int, now: int) -> None:
        """The stream's next events were written outside, the last of them at `position`."""
        watch = self.watches[stream]
        self._window.booked(watch, sizes)
        assert watch.sent == position, "what was written outside is dense"
        watch.head = max(watch.head, position)
        self._progress_at = now

    def offer(self, event: FramedEvent, now: int) -> Sequence[Output]:
        """The stream's next event, straight from its commit."""
        if self.admits(event, now):
            self.backlog.room -= event.frame.size
            self._frames.append(event.frame)
            return self._done()
        watch = self._open_watch(event.stream)
        if watch is None:
            return NOTHING
        if event.epoch != watch.epoch:
            return self._offer_of_another_epoch(event, watch, now)
        watch.head = max(watch.head, event.position)
        if watch.standing is Standing.LIVE and watch.sent < watch.end:
            self.lags += 1
            self._go_behind(event.stream, watch, now)
        return self._done()

    def page(self, stream: Stream, page: FramedPage, now: int) -> Sequence[Output]:
        """The answer to Read. One that was asked for by an earlier watch is ignored."""
        watch = self._open_watch(stream)
        if watch is None or watch.standing is not Standing.BEHIND or page.after != watch.reading:
            return NOTHING
        self._reading_over(watch)
        if page.epoch != watch.epoch:
            watch.head = page.head
            self._reset(stream, watch, page.epoch, "epoch", now)
        else:
            self._write_page(stream, watch, page, now)
        return self._done()

    def ephemeral(self, sign: FramedSign, now: int) -> Sequence[Output]:
        """A passing sign. It may be coalesced or shed; `live` makes that good."""
        del now  # every input takes it
        watch = self.watches.get(sign.stream)
        if self.phase is not Phase.OPEN:
            return NOTHING
        if sign.type != "plain" and (watch is None or not watch.shows_signs):
            return NOTHING
        if self.backlog.signs_wait or sign.frame.size > self.room:
            self.backlog.coalesce(sign, watch is not None)
        else:
            self.backlog.room -= sign.frame.size
            self._frames.append(sign.frame)
        return self._done()

    def writable(self, room: int, now: int) -> Sequence[Output]:
        """The transport let something go, or has more room than it was known to have."""
        self.room = room
        if self.phase is Phase.OPEN or self.phase is Phase.LEAVING:
            self._stuck_since = None
            self._flush(now)
            self._flush_signs(now)
            if self._turn and not self._reads and not self.backlog.fits_a_page:
                self.behind(now)
        return self._done()

    def tick(self, now: int, heads: Mapping[Stream, int]) -> Sequence[Output]:
        """Time has come to `due_at`. Coming early or late is harmless."""
        passed = now - self._began_at
        if self.phase is Phase.OPEN:
            self._tick_open(now, heads)
        elif self.phase is Phase.NEW and passed >= self.limits.identify_ms:
            self._leave(Code.IDENTIFY_TIMEOUT, None, now)
        elif self.phase is Phase.LEAVING and passed >= self.limits.leaving_ms:
            self._abort()
        self.due_at = self._next_due()
        return self._done()

    def renewed(self, until: int, now: int) -> Sequence[Output]:
        """The login's end moved to `until` (Unix ms)."""
        if self.phase is Phase.OPEN and until != self.pulse.login_until:
            self._say(frames.Login(until=until, renew=False), now)
        self.pulse.renew(until)
        self.due_at = self._next_due()
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
        self.due_at = NEVER
        self.watches.clear()
        self._turn.clear()
        self.backlog.clear()
        self._out, self._frames = [], []

    # --- receive --------------------------------------------------------------------------------

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
        self.pulse.pay_for_a_frame(now)
        self._say(self.pulse.hello(now), now)
        self.due_at = self._next_due()
        self._watch(frame.watch, "identify", now)

    def _receive_open(self, frame: frames.Up | frames.PeerFault, now: int) -> None:
        retry_ms = self.pulse.pay_for_a_frame(now)
        if retry_ms:
            self._error("too_fast", frames.about(frame), now, retry_ms=retry_ms)
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
                self._say(frames.alive(frame.n, heads_unacked(self.watches, {})), now)
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
        if isinstance(frame, frames.Mark):
            self._mark(frame, now)
        elif isinstance(frame, (frames.Ack, frames.Pong, frames.Probe)):
            self._ack(frame.positions, now)

    def _error(
        self,
        code: frames.ErrorCode,
        about: str,
        now: int,
        *,
        stream: Stream | None = None,
        retry_ms: int | None = None,
    ) -> None:
        if self.pulse.errs_too_often(now):
            self._leave(Code.TOO_MANY_FRAMES, None, now)
        else:
            self._say(frames.error(code, about, stream, retry_ms), now)

    # --- watches --------------------------------------------------------------------------------

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
        before = self._window.written_before(stream)
        self.watches[stream] = Watch(place, written_before=before)
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
        self._window.part(stream, watch)
        self._reading_over(watch)
        self._turn.pop(stream, None)
        self.backlog.forget_signs(stream)
        if watch.viewing:
            self._put(Tell(frames.Viewing(stream=stream, on=False)))
        if watch.typing_at is not None:
            self._put(Tell(frames.Typing(stream=stream, on=False)))

    def _reset(
        self, stream: Stream, watch: Watch, epoch: str, why: frames.ResetWhy, now: int
    ) -> None:
        self._forget(stream, watch)
        self._say(frames.Reset(stream=stream, epoch=epoch, head=watch.end, why=why), now)

    def _begin(self, stream: Stream, watch: Watch, permit: Permit, head: Head, now: int) -> None:
        """ASKED → LIVE, BEHIND, or a reset."""
        watch.begin(permit, head)
        start = watch.start(head.floor, self.limits.resume_events)
        if isinstance(start, str):
            self._reset(stream, watch, head.epoch, start, now)
            return
        watch.sent = watch.acked = start
        self._say(
            frames.Watched(stream=stream, epoch=head.epoch, position=start, head=watch.end), now
        )
        if watch.resumes and start > 0:
            self._put(Tell(frames.Ack(positions={stream: start})))
        if start == watch.end:
            self._go_live(stream, watch, now)
        else:
            self._go_behind(stream, watch, now)

    def _adjust(self, stream: Stream, watch: Watch, permit: Permit, head: Head, now: int) -> None:
        """News of a stream already followed: go on, or reset if that is impossible."""
        why = watch.broken_by(permit, head)
        watch.permit = permit
        if why is not None:
            watch.head = head.position
            self._reset(stream, watch, head.epoch, why, now)
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
        self._reset(event.stream, watch, event.epoch, "epoch", now)
        return self._done()

    # --- BEHIND and LIVE ------------------------------------------------------------------------

    def _may_read(self) -> bool:
        """Room for a page: any event fits, and at least half a window of acks is free."""
        return self.phase is Phase.OPEN and self.backlog.fits_a_page and self._window.is_half_free

    def _write_page(self, stream: Stream, watch: Watch, page: FramedPage, now: int) -> None:
        watch.head = max(watch.head, page.head)
        for event in page.events:
            if watch.sent >= watch.end:
                break
            assert event.position == watch.sent + 1, "a page is dense and starts as asked"
            size = event.frame.size
            if not (self.backlog.takes(size) and self._window.took(watch, size)):
                break
            self.backlog.room -= size
            self._progress_at = now
            self._frames.append(event.frame)
        if watch.sent >= watch.end:
            self._go_live(stream, watch, now)
        else:
            self._wait_for_its_turn(stream, now)

    def _go_behind(self, stream: Stream, watch: Watch, now: int) -> None:
        watch.standing = Standing.BEHIND
        if self._may_read():
            self._read(stream, watch)
        else:
            self._wait_for_its_turn(stream, now)

    def _go_live(self, stream: Stream, watch: Watch, now: int) -> None:
        watch.standing = Standing.LIVE
        self._queue(stream, now)

    def _wait_for_its_turn(self, stream: Stream, now: int) -> None:
        if not self._turn:
            self._progress_at = now
        self._turn[stream] = None
        self._due(now + self.limits.progress_ms)
        if not self.backlog.fits_a_page:
            self.behind(now)

    def _read_in_turn(self) -> None:
        """Gives the next BEHIND watch its Read, if there is room and none is out."""
        if self._may_read():
            stream = next(iter(self._turn))
            del self._turn[stream]
            self._read(stream, self.watches[stream])
        else:
            self._due(self._progress_at + self.limits.progress_ms)

    def _read(self, stream: Stream, watch: Watch) -> None:
        watch.reading = watch.sent
        self._reads += 1
        self._put(Read(stream, watch.sent))

    def _reading_over(self, watch: Watch) -> None:
        if watch.reading is not None:
            watch.reading = None
            self._reads -= 1

    # --- acks and signs of life -----------------------------------------------------------------

    def _ack(self, positions: Mapping[Stream, int], now: int) -> None:
        risen = self._window.acknowledge(self.watches, positions)
        if risen is None:
            self._leave(Code.PROTOCOL, None, now)
        elif risen:
            self._progress_at = now
            self._put(Tell(frames.Ack(positions=risen)))

    def _mark(self, frame: frames.Mark, now: int) -> None:
        watch = self.watches.get(frame.stream)
        if watch is None:
            if self.phase is Phase.OPEN:
                self._error("not_watching", "mark", now, stream=frame.stream)
        elif watch.standing is not Standing.ASKED:
            self._ack({frame.stream: frame.read}, now)
            if watch.read < frame.read <= watch.sent:
                watch.read = frame.read
                self._put(Tell(frame))

    def _sign_of_life(self, frame: frames.Typing | frames.Viewing, now: int) -> None:
        watch = self.watches.get(frame.stream)
        if watch is None:
            self._error("not_watching", frames.about(frame), now, stream=frame.stream)
        elif watch.standing is Standing.ASKED:
            pass  # may still be denied
        elif watch.permit.until is not None:
            self._error("denied", frames.about(frame), now, stream=frame.stream)
        elif isinstance(frame, frames.Viewing):
            watch.viewing = frame.on
            self._put(Tell(frame))
        elif watch.types(frame.on, now, self.limits.typing_ms):
            self._put(Tell(frame))

    # --- writing --------------------------------------------------------------------------------

    def _say(self, frame: frames.Down, now: int) -> None:
        """A frame that is no event: at once, or behind what waits."""
        self._queue(frames.framed(frame), now)

    def _queue(self, item: Item, now: int) -> None:
        if self.phase is not Phase.OPEN:
            return
        self.backlog.queue(item)
        self._flush(now)
        if self.backlog.is_full:
            self.backlog.clear()
            self._leave(Code.SLOW, None, now)

    def _flush(self, now: int) -> None:
        backlog = self.backlog
        while (item := backlog.next_item()) is not None:
            if isinstance(item, Framed):
                self._frames.append(item)
            else:
                self._put_live(item)
        if not backlog.is_empty:
            self.behind(now)
        elif backlog.bye is not None:
            self._flush_bye(backlog.bye, now)

    def _flush_signs(self, now: int) -> None:
        """Once nothing else waits: what was coalesced, then `live` for each stream that shed."""
        while (frame := self.backlog.next_sign()) is not None:
            self._frames.append(frame)
        for stream in self.backlog.take_shed():
            self._queue(stream, now)

    def _put_live(self, stream: Stream) -> None:
        """Skipped if it is no longer true."""
        watch = self.watches.get(stream)
        if self.phase is Phase.OPEN and watch is not None and watch.standing is Standing.LIVE:
            self.backlog.forget_signs(stream)
            self._put(Live(stream, watch.sent))

    def _put(self, output: Output | None) -> None:
        if self._frames:
            self._out.append(Write(self._frames))
            self._frames = []
        if output is not None:
            self._out.append(output)

    def _done(self) -> Sequence[Output]:
        """Ends a step: the next page if there is room for it, then all outputs in order."""
        if self._turn and not self._reads:
            self._read_in_turn()
        self._put(None)
        if not self._out:
            return NOTHING
        out, self._out = self._out, []
        return out

    def behind(self, now: int) -> None:
        """The peer takes nothing, or the transport has no room for what should be written."""
        if self._stuck_since is None:
            self._stuck_since = now
            self._due(now + self.limits.write_deadline_ms)

    # --- time -----------------------------------------------------------------------------------

    def _tick_open(self, now: int, heads: Mapping[Stream, int]) -> None:
        limits, pulse, stuck = self.limits, self.pulse, self._stuck_since
        if stuck is not None and (now >= stuck + limits.write_deadline_ms or pulse.is_silent(now)):
            self._abort()  # silent or not: who takes nothing was not asked, so it is slow
        elif pulse.is_silent(now):  # with a full window it stalled, whatever else it did
            self._leave(Code.SLOW if self._is_blocked else Code.SILENT, None, now)
        elif self._is_blocked and now >= self._progress_at + limits.progress_ms:
            self._leave(Code.SLOW, None, now)
        elif pulse.login_is_over(now):
            self._leave(Code.LOGIN_EXPIRED, None, now)
        else:
            if pulse.warns_of_login_end(now):
                self._say(frames.Login(until=self.pulse.login_until, renew=True), now)
            if pulse.pings(now):
                self._say(frames.ping(pulse.unix(now), heads_unacked(self.watches, heads)), now)

    @property
    def _is_blocked(self) -> bool:
        """A watch waits for its turn and the peer, by room or acks, is why."""
        return bool(self._turn) and not self._reads

    def _next_due(self) -> int:
        limits = self.limits
        match self.phase:
            case Phase.NEW:
                return self._began_at + limits.identify_ms
            case Phase.OPEN:
                due = self.pulse.due_at()
                if self._stuck_since is not None:
                    due = min(due, self._stuck_since + limits.write_deadline_ms)
                return min(due, self._progress_at + limits.progress_ms) if self._is_blocked else due
            case Phase.LEAVING:
                return self._began_at + limits.leaving_ms
            case Phase.CLOSED:
                return NEVER
            case _:
                assert_never(self.phase)

    def _due(self, at: int) -> None:
        self.due_at = min(self.due_at, at)

    # --- the end --------------------------------------------------------------------------------

    def _leave(self, code: int, retry: tuple[int, int] | None, now: int) -> None:
        if self.phase is Phase.LEAVING or self.phase is Phase.CLOSED:
            return
        why = TABLE[code].name if code in TABLE else "closed"
        self.phase = Phase.LEAVING
        self.ended = (int(code), why)
        self._began_at = now
        self.due_at = now + self.limits.leaving_ms
        self._turn.clear()
        self.backlog.only_bye(frames.framed(frames.Bye(code=code, why=why, retry_ms=retry)))
        self._flush(now)

    def _flush_bye(self, bye: Framed, now: int) -> None:
        if bye.size > self.room:
            self.behind(now)
            return
        self.backlog.room -= bye.size
        self.backlog.bye = None
        self._frames.append(bye)
        assert self.ended is not None, "a bye has a code"
        self._put(Close(*self.ended))

    def _abort(self) -> None:
        """Not writable for 10 s, or 2 s over in leaving: a close would wait for ever."""
        self._frames.clear()
        self._end((int(Code.SLOW), TABLE[Code.SLOW].name))
        self._put(Abort())

    def _end(self, how: tuple[int, str]) -> None:
        """Whatever was watched is over; `how` counts unless a code was set before."""
        for stream, watch in list(self.watches.items()):
            self._forget(stream, watch)
        self.phase = Phase.CLOSED
        self.ended = self.ended or how
        self.due_at = NEVER
        self.backlog.clear()
