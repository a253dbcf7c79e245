"""One connection seen from its client: what is watched, how far it was applied, when to come back.

Frames, facts and `now` go in; what to send, apply and load, and `due_at`, when `wake` must come, go
out. Pure: it must never know a socket, a clock, a person or a desk; dice are an argument. `now` is
milliseconds that never go back. This is frontend/client/delivery.ts once more, step for step: the
traces in contract/ hold both to the same outputs.

Invariants: of one stream the positions applied are applied + 1, + 2, …; at most one question per
stream is open, so each answer has its question; nothing is acknowledged above what the server has
sent since its last `watched`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from deskwire.bench import outs
from deskwire.bench.acks import Acks
from deskwire.bench.budget import Budget
from deskwire.bench.comeback import Comeback, Dice, Plan, Renew, WaitFor
from deskwire.bench.expected import Expected
from deskwire.bench.outs import Out
from deskwire.bench.phases import (
    Asking,
    Closed,
    Fresh,
    Greeting,
    Kind,
    Leaving,
    Opened,
    Opening,
    Phase,
    Renewing,
    State,
    Stopped,
    Waiting,
)
from deskwire.bench.sight import NOT_YET, Next, Sight, Sights, Standing
from deskwire.bench.wire import Frame, parsed
from deskwire.realtime.codes import Code
from deskwire.realtime.frames import PROTOCOL, Place
from deskwire.realtime.log import Stream

OPENING_MS: Final = 10_000
BYE_MS: Final = 2_000
ANSWER_MS: Final = 20_000
PROBE_MS: Final = 3_000
BEHIND_MS: Final = 5_000
SLEPT_MS: Final = 15_000
SOON_MS: Final = 1_000
TYPING_MS: Final = 3_000
VIEWING_MS: Final = 20_000
WATCHES: Final = 200  # until `hello` names another bound
RESERVE: Final = 10  # frames kept back from acks by count, for what a person does


class Reading:
    """Each input returns what must be done, in order."""

    def __init__(self, client: str, dice: Dice) -> None:
        self._client = client[:64]
        self._dice = dice
        self._comeback = Comeback(dice)
        self._phase: Phase = Fresh()
        self._sights = Sights()
        self._expected = Expected()
        self._budget = Budget()
        self._out: list[Out] = []
        self._now: float = 0
        self._failed = False
        self._code: int | None = None
        self._online = True
        self._visible = True
        self._heard_at: float = 0
        self._hello_at: float | None = None
        self._silence_ms = 35_000
        self._watches_max = WATCHES
        self._probe: tuple[int, float] | None = None  # its number, and until when
        self._probes = 0
        self._acks = Acks()

    def __repr__(self) -> str:
        return f"<Reading {self.state.kind} {self._phase} streams={len(self._sights)}>"

    # --- what its user wants --------------------------------------------------------------------

    def start(self, now: float) -> Sequence[Out]:
        if self._begins(now) and isinstance(self._phase, Fresh):
            self._open(anew=False)
        return self._done()

    def watch(self, places: Mapping[Stream, Place | None], now: float) -> Sequence[Out]:
        """Watch these, or again from another place. One too many is `Gone` at once."""
        if self._begins(now):
            self._ask_for([s for s, place in places.items() if self._takes(s, place)])
        return self._done()

    def _takes(self, stream: Stream, place: Place | None) -> bool:
        """Whether it can be asked for now; else the question that is open is answered first."""
        sight = self._sights.get(stream)
        waits = sight is not None and sight.standing is Standing.ASKED and self._is_greeted
        if sight is None:
            if len(self._sights) >= self._watches_max:
                self._out.append(outs.Gone(stream, "too_many_watches"))
                return False
            sight = self._sights[stream] = Sight()
        sight.start_from(place)
        self._expected.meet(stream, sight)
        sight.next = Next.ASK_AGAIN if waits else Next.GO
        return not waits

    def unwatch(self, streams: Iterable[Stream], now: float) -> Sequence[Out]:
        told: list[Stream] = []
        for stream in streams if self._begins(now) else ():
            sight = self._sights.get(stream)
            self._expected.forget(stream)
            if sight is None:
                continue
            if sight.standing is Standing.ASKED and self._is_greeted:
                sight.next = Next.UNWATCH
            else:
                del self._sights[stream]
                told.append(stream)
        if told and self._is_greeted:
            self._send({"op": "unwatch", "streams": told})
        return self._done()

    def mark(self, stream: Stream, position: int, now: float) -> Sequence[Out]:
        """Read up to here. Held back while hidden, and never above what was applied."""
        sight = self._sights.get(stream) if self._begins(now) else None
        if sight is not None and sight.applied is not None:
            read = min(position, sight.applied)
            if read > sight.read:
                sight.read, sight.read_due = read, True
                self._acks.soon(self._now)
        return self._done()

    def typing(self, stream: Stream, on: bool, now: float) -> Sequence[Out]:  # noqa: FBT001  the frame's own
        """At most every 3 s while on; its end at once."""
        sight = self._sights.get(stream) if self._begins(now) else None
        if sight is not None and self._watches(sight):
            since = sight.typing_at
            news = since is None or self._now - since >= TYPING_MS if on else since is not None
            if news:
                sight.typing_at = self._now if on else None
                self._send({"op": "typing", "stream": stream, "on": on})
        return self._done()

    def viewing(self, stream: Stream, on: bool, now: float) -> Sequence[Out]:  # noqa: FBT001  the frame's own
        """Said again every 20 s, and after each reconnect, until switched off."""
        sight = self._sights.get(stream) if self._begins(now) else None
        if sight is not None and sight.viewing != on:
            sight.viewing = on
            if self._watches(sight):
                self._send_viewing(stream, sight)
        return self._done()

    def show(self, visible: bool, now: float) -> Sequence[Out]:  # noqa: FBT001  the frame's own
        if self._begins(now) and self._visible != visible:
            self._visible = visible
            if self._is_greeted:
                self._send({"op": "visibility", "visible": visible})
            self._flush()
            if visible:
                self._nudge()
        return self._done()

    def look(self, now: float) -> Sequence[Out]:
        """Its user came back: is the socket still one?"""
        if self._begins(now):
            self._nudge()
        return self._done()

    def net(self, online: bool, now: float) -> Sequence[Out]:  # noqa: FBT001  a fact, no switch
        if self._begins(now):
            self._online = online
            if online or isinstance(self._phase, Opened):
                self._nudge()
        return self._done()

    def expect(self, positions: Mapping[Stream, tuple[str, int]], now: float) -> Sequence[Out]:
        """A command's reply named these places: they have to arrive here within 5 s."""
        for stream, (epoch, position) in positions.items() if self._begins(now) else ():
            sight = self._sights.get(stream)
            if sight is None or sight.next is Next.UNWATCH:
                continue
            if sight.epoch == epoch and position <= (sight.applied or 0):
                continue
            self._expected.add(stream, epoch, position, self._now)
        return self._done()

    def retry(self, now: float) -> Sequence[Out]:
        """At once, not after the delay; after a stop, here and not where else it is open."""
        if self._begins(now) and isinstance(self._phase, Stopped | Waiting):
            stopped = self._phase.code if isinstance(self._phase, Stopped) else 0
            self._comeback.greeted()
            self._open(anew=stopped in (Code.REPLACED, Code.TOO_MANY_CONNECTIONS))
        return self._done()

    def close(self, now: float) -> Sequence[Out]:
        if self._begins(now):
            if self._is_greeted:
                self._flush()
            if self._has_socket:
                self._out.append(outs.Drop(1000))
            self._phase = Closed()
        return self._done()

    # --- what the world answers -----------------------------------------------------------------

    def opened(self, who: Mapping[str, str], now: float) -> Sequence[Out]:
        """The socket is open; `who` are the ids of its device and tab."""
        if self._begins(now) and isinstance(self._phase, Opening):
            self._phase = Greeting(self._now + OPENING_MS)
            self._heard_at = self._now
            self._budget.begin_anew()
            watch: dict[Stream, Place | None] = {}
            for stream, sight in self._sights.items():
                watch[stream] = sight.place
                sight.asked_at = self._now
            self._send(
                {"op": "identify", "protocol": PROTOCOL, "client": self._client, **who}
                | {"visible": self._visible, "watch": watch}
            )
        return self._done()

    def receive(self, text: str, now: float) -> Sequence[Out]:
        """One message of the socket: frames, joined by newlines."""
        if self._begins(now):
            self._heard_at = self._now
            for line in text.split("\n"):
                if not self._has_socket:
                    break
                frame = parsed(line)
                if frame is None:
                    self._cut(Code.IN_DOUBT)
                    break
                self._hear(frame, _utf16(line))
        return self._done()

    def lost(self, code: int, now: float) -> Sequence[Out]:
        """The socket has closed."""
        if self._begins(now):
            phase = self._phase
            if isinstance(phase, Leaving):
                self._settle(phase.code, phase.retry)
            elif isinstance(phase, Opening):
                self._ask()
            elif self._has_socket:
                self._settle(code, None)
        return self._done()

    def answered(self, status: int, retry_after_ms: float | None, now: float) -> Sequence[Out]:
        """Why the socket never opened: HTTP's status, 0 where nothing was reached."""
        if self._begins(now) and isinstance(self._phase, Asking):
            self._follow(self._comeback.after_answer(status, retry_after_ms or 0))
        return self._done()

    def renewed(self, ok: bool, now: float) -> Sequence[Out]:  # noqa: FBT001  a fact, no switch
        if self._begins(now) and isinstance(self._phase, Renewing):
            if ok:
                self._open(anew=False)
            else:
                self._stop(int(Code.NOT_LOGGED_IN))
        return self._done()

    def wake(self, now: float) -> Sequence[Out]:
        """Must be called at `due_at`, may be called at any time."""
        slept = now - self._now > SLEPT_MS
        if self._begins(now):
            if isinstance(self._phase, Opened):
                self._wake_open(slept)
            elif self._until is not None and now >= self._until:
                self._overdue()
        return self._done()

    def _wake_open(self, slept: bool) -> None:  # noqa: FBT001  a fact, no switch
        if slept:  # what lies in the queue has not been heard yet: ask before judging
            self._heard_at = self._now
            self._nudge()
        silent = self._now - self._heard_at >= self._silence_ms
        if silent or (self._probe is not None and self._now >= self._probe[1]):
            self._cut(Code.SILENT)
        elif self._tend_streams() and self._acks.at is not None and self._now >= self._acks.at:
            self._flush()

    @property
    def due_at(self) -> float | None:
        if not isinstance(self._phase, Opened):
            return self._until
        dues = [self._heard_at + self._silence_ms, *self._expected.dues]
        if self._probe is not None:
            dues.append(self._probe[1])
        if self._acks.at is not None:
            dues.append(self._acks.at)
        for sight in self._sights.values():
            if sight.standing is Standing.ASKED:
                dues.append(sight.asked_at + ANSWER_MS)
            elif sight.is_behind:
                dues.append(sight.behind_since + BEHIND_MS)
            if sight.viewing and self._watches(sight):
                dues.append(sight.viewing_at + VIEWING_MS)
        return min(dues)

    @property
    def state(self) -> State:
        phase = self._phase
        return State(
            kind=self._kind(),
            code=None if isinstance(phase, Opened) else self._code,
            retry_at=phase.until if isinstance(phase, Waiting) else None,
        )

    @property
    def is_over(self) -> bool:
        """Nothing comes any more by itself: stopped, or closed."""
        return isinstance(self._phase, Stopped | Closed)

    @property
    def places(self) -> dict[Stream, Place | None]:
        """Where each stream that is watched stands here; None: from now on."""
        return self._sights.places

    # --- frames ---------------------------------------------------------------------------------

    def _hear(self, frame: Frame, size: int) -> None:
        if isinstance(self._phase, Leaving):
            return
        match frame["op"]:
            case "hello":
                self._hello(frame)
            case "bye":
                retry = frame.get("retry_ms")
                told = (retry[0], retry[1]) if isinstance(retry, list) else None
                self._phase = Leaving(self._now + BYE_MS, frame["code"], told)
            case _ if isinstance(self._phase, Opened):
                self._hear_open(frame, size)

    def _hear_open(self, frame: Frame, size: int) -> None:
        match frame["op"]:
            case "event":
                self._event(frame, size)
            case "ephemeral":
                self._ephemeral(frame)
            case "watched":
                self._watched(frame)
            case "live":
                self._live(frame)
            case "reset":
                self._forget(frame["stream"], outs.Load(frame["stream"], frame["why"]))
            case "unwatched":
                self._forget(frame["stream"], outs.Gone(frame["stream"], frame["why"]))
            case "ping":
                self._out.append(outs.Clock(frame["now"]))
                self._heads(frame.get("heads"))
                self._send({"op": "pong", "positions": self._take_acks()})
            case "alive":
                self._alive(frame)
            case "login":
                if frame.get("renew"):
                    self._out.append(outs.Login(None))
            case "error":
                self._complaint(frame)

    def _hello(self, frame: Frame) -> None:
        if not isinstance(self._phase, Greeting):
            return
        self._phase = Opened()
        self._hello_at = self._now
        self._code = None
        self._failed = False
        self._comeback.greeted()
        limits = frame.get("limits") or {}
        self._silence_ms = frame.get("silence_ms") or self._silence_ms
        self._budget.told(limits.get("frames_per_s"))
        self._acks.told(limits)
        self._out.append(outs.Clock(frame["now"]))
        for sight in self._sights.values():
            sight.asked_at = self._now
        self._expected.begin_anew(self._now)
        self._keep_within(limits.get("watches") or self._watches_max)

    def _keep_within(self, watches: int) -> None:
        """`identify` named more than this server takes, so it has taken none of them."""
        self._watches_max = watches
        if len(self._sights) <= watches:
            return
        for stream in self._sights.keep(watches):
            self._expected.forget(stream)
            self._out.append(outs.Gone(stream, "too_many_watches"))
        for sight in self._sights.values():
            sight.asked_at = NOT_YET
        self._ask_for(list(self._sights))

    def _watched(self, frame: Frame) -> None:
        stream = frame["stream"]
        sight = self._sights.get(stream)
        if sight is None or sight.standing is not Standing.ASKED:
            return
        if sight.next is not Next.GO:
            self._overtaken(stream, sight)
            return
        fits = sight.epoch == frame["epoch"] and sight.applied == frame["position"]
        if sight.epoch is not None and not fits:
            self._send({"op": "unwatch", "streams": [stream]})
            self._forget(stream, outs.Load(stream, "epoch"))
            return
        sight.epoch, sight.applied = frame["epoch"], frame["position"]
        sight.standing = Standing.CATCHING
        sight.head = frame["head"]
        sight.behind_since = self._now
        self._expected.meet(stream, sight)

    def _overtaken(self, stream: Stream, sight: Sight) -> None:
        """The answer was to a question that has been overtaken."""
        if sight.next is Next.ASK_AGAIN:
            self._ask_for([stream])
        else:
            del self._sights[stream]
            self._send({"op": "unwatch", "streams": [stream]})

    def _event(self, frame: Frame, size: int) -> None:
        stream, n = frame["stream"], frame["position"]
        sight = self._sights.get(stream)
        if sight is None or not self._watches(sight) or sight.applied is None:
            return
        if n > sight.applied + 1:
            self._ask_for([stream])
            return
        if n == sight.applied + 1:
            sight.applied = n
            sight.behind_since = self._now
            self._out.append(outs.Apply(stream, n, frame["event"]))
            self._expected.meet(stream, sight)
        sight.ack_due = True
        self._acks.event(size, self._now)
        if self._acks.is_full and self._budget.left(self._now) > RESERVE:
            self._flush()
        elif self._acks.is_full:
            self._acks.soon(self._now)

    def _live(self, frame: Frame) -> None:
        stream = frame["stream"]
        sight = self._sights.get(stream)
        if sight is None or not self._watches(sight) or sight.applied is None:
            return
        if frame["position"] > sight.applied:
            self._ask_for([stream])
            return
        sight.standing = Standing.LIVE
        signs = [{**sign, "stream": stream} for sign in frame.get("signs", ())]
        self._out.append(outs.Signs(stream, signs))
        if sight.read > 0:
            sight.read_due = True
            self._acks.soon(self._now)
        if sight.viewing:
            self._send_viewing(stream, sight)

    def _ephemeral(self, frame: Frame) -> None:
        sign = {name: value for name, value in frame.items() if name != "op"}
        sight = self._sights.get(sign["stream"])
        if (sight is not None and self._watches(sight)) or sign["type"] == "plain":
            self._out.append(outs.Sign(sign))

    def _forget(self, stream: Stream, why: outs.Load | outs.Gone) -> None:
        sight = self._sights.get(stream)
        if sight is None:
            return
        if sight.standing is Standing.ASKED and sight.next is Next.ASK_AGAIN:
            self._ask_for([stream])
            return
        del self._sights[stream]
        self._expected.forget(stream)
        if sight.next is not Next.UNWATCH:
            self._out.append(why)

    def _heads(self, heads: Mapping[Stream, int] | None) -> None:
        for stream, head in (heads or {}).items():
            sight = self._sights.get(stream)
            if sight is None or head <= sight.head:
                continue
            if not sight.is_behind:
                sight.behind_since = self._now
            sight.head = head

    def _alive(self, frame: Frame) -> None:
        if self._probe is None or frame["n"] != self._probe[0]:
            return
        self._probe = None
        self._heads(frame.get("heads"))
        self._ask_for(self._expected.lacking(self._now))

    def _complaint(self, frame: Frame) -> None:
        code, about, stream = frame["code"], frame["about"], frame.get("stream")
        self._out.append(outs.Complaint(code, about))
        if code == "too_fast":
            self._budget.empty()
        if about == "watch" and stream:
            self._forget(stream, outs.Gone(stream, code))

    # --- streams --------------------------------------------------------------------------------

    def _ask_for(self, streams: Iterable[Stream]) -> None:
        """Asks to watch from where each stands; without a socket `identify` will."""
        watch: dict[Stream, Place | None] = {}
        for stream in streams:
            sight = self._sights.get(stream)
            if sight is None:
                continue
            if sight.is_answered or sight.next is Next.ASK_AGAIN:
                watch[stream] = sight.place
                sight.ask(self._now if self._is_greeted else NOT_YET)
        if watch and self._is_greeted:
            self._send({"op": "watch", "watch": watch})

    def _tend_streams(self) -> bool:
        """False: the socket was cut."""
        again: list[Stream] = []
        for stream, sight in self._sights.items():
            if sight.standing is Standing.ASKED:
                if self._now - sight.asked_at >= ANSWER_MS:
                    self._cut(Code.IN_DOUBT)
                    return False
                continue
            if sight.is_behind and self._now - sight.behind_since >= BEHIND_MS:
                again.append(stream)
            if sight.viewing and self._now - sight.viewing_at >= VIEWING_MS:
                self._send_viewing(stream, sight)
        self._ask_for(again)
        return self._tend_expected()

    def _tend_expected(self) -> bool:
        if self._expected.despairs(self._now):
            self._expected.clear()  # one new connection for it, and no more
            self._cut(Code.IN_DOUBT)
            return False
        if self._expected.doubts(self._now):
            self._send_probe()
        return True

    def _send_viewing(self, stream: Stream, sight: Sight) -> None:
        sight.viewing_at = self._now
        self._send({"op": "viewing", "stream": stream, "on": sight.viewing})

    def _flush(self) -> None:
        self._acks.at = None
        if not self._is_greeted:
            return
        positions = self._take_acks()
        if positions:
            self._send({"op": "ack", "positions": positions})
        for stream, read in self._sights.take_marks() if self._visible else ():
            self._send({"op": "mark", "stream": stream, "read": read})
            self._out.append(outs.Marked(stream, read))

    def _take_acks(self) -> dict[Stream, int]:
        self._acks.taken(self._now)
        return self._sights.take_acks()

    def _watches(self, sight: Sight) -> bool:
        return isinstance(self._phase, Opened) and sight.is_watched

    # --- the socket -----------------------------------------------------------------------------

    def _nudge(self) -> None:
        phase = self._phase
        if isinstance(phase, Opened):
            self._send_probe()
        elif isinstance(phase, Waiting):
            soon = min(phase.until, self._now + self._dice() * SOON_MS)
            self._phase = Waiting(max(phase.not_before, soon), phase.not_before)

    def _send_probe(self) -> None:
        if self._probe is None:
            self._probes += 1
            self._probe = (self._probes, self._now + PROBE_MS)
            self._send({"op": "probe", "n": self._probes, "positions": self._take_acks()})

    def _open(self, *, anew: bool) -> None:
        self._phase = Opening(self._now + OPENING_MS)
        self._out.append(outs.Open(anew))

    def _overdue(self) -> None:
        phase = self._phase
        if isinstance(phase, Waiting):
            self._open(anew=False)
            return
        self._out.append(outs.Drop(1000))
        if isinstance(phase, Opening):
            self._ask()
        elif isinstance(phase, Leaving):
            self._settle(phase.code, phase.retry)
        else:
            self._settle(1006, None)

    def _cut(self, code: int) -> None:
        """We give this socket up ourselves."""
        self._out.append(outs.Drop(1000))
        self._settle(code, None)

    def _ask(self) -> None:
        self._forget_connection()
        self._code = 1006
        self._phase = Asking()
        self._out.append(outs.Ask())

    def _settle(self, code: int, retry: tuple[float, float] | None) -> None:
        """The connection is over: what now? `code` from `bye` if there was one, or the close."""
        self._forget_connection()
        self._code = int(code)
        self._follow(self._comeback.after(code, retry))

    def _follow(self, plan: Plan) -> None:
        if isinstance(plan, WaitFor):
            not_before = self._now + plan.least_ms
            self._phase = Waiting(not_before + plan.more_ms, not_before)
        elif isinstance(plan, Renew):
            self._code = plan.why
            self._phase = Renewing(plan.why)
            self._out.append(outs.Login(plan.why))
        else:
            self._stop(plan.code)

    def _stop(self, code: int) -> None:
        self._code = code
        self._phase = Stopped(code)

    def _forget_connection(self) -> None:
        if self._hello_at is not None:
            self._comeback.lived(self._now - self._hello_at)
        self._hello_at = None
        self._failed = True
        self._probe = None
        self._acks.forget_connection()
        self._sights.forget_connection()

    # --- the frame of a step --------------------------------------------------------------------

    def _begins(self, now: float) -> bool:
        """Takes `now` over; whether there is anything left to do here."""
        self._now = max(self._now, now)
        return not isinstance(self._phase, Closed)

    def _done(self) -> Sequence[Out]:
        out, self._out = self._out, []
        return out

    @property
    def _until(self) -> float | None:
        return getattr(self._phase, "until", None)

    @property
    def _is_greeted(self) -> bool:
        return isinstance(self._phase, Greeting | Opened)

    @property
    def _has_socket(self) -> bool:
        return isinstance(self._phase, Greeting | Opened | Opening | Leaving)

    def _send(self, frame: Frame) -> None:
        self._budget.spend(self._now)
        self._out.append(outs.Send(frame))

    def _kind(self) -> Kind:
        phase = self._phase
        if isinstance(phase, Stopped | Closed):
            return Kind.STOPPED
        if isinstance(phase, Renewing) and phase.why == Code.NOT_LOGGED_IN:
            return Kind.STOPPED
        if isinstance(phase, Opened):
            return self._kind_open()
        if not self._online and self._failed:
            return Kind.OFFLINE
        again = self._failed or isinstance(phase, Leaving)
        return Kind.RECONNECTING if again else Kind.CONNECTING

    def _kind_open(self) -> Kind:
        if self._expected.is_doubtful:
            return Kind.DOUBTFUL
        for sight in self._sights.values():
            if sight.standing is not Standing.LIVE and sight.next is not Next.UNWATCH:
                return Kind.CATCHING_UP
        return Kind.LIVE


def _utf16(text: str) -> int:
    """How long JavaScript calls it, so that both clients count the same."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
