"""D1 to D8 over random lives of one connection, against a log, a hub and a client that are simple.

The model keeps a log per stream, what the client applied, and what the permits allow; the machine
does what peers, nodes and networks do, in any order.
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from deskwire.realtime import frames
from deskwire.realtime.delivery import Phase
from deskwire.realtime.frames import FramedPage
from deskwire.realtime.gate import Permit
from deskwire.realtime.limits import Limits
from deskwire.realtime.outputs import Ask, Close, Live, Read, Write
from deskwire.realtime.watch import Denied, Standing
from tests.realtime.deliveries import At, Bench, _decode, identify, sign

STREAMS = ("s", "t")
# Small bounds, so that every one of them is met often. Room stays above one event frame's bound.
LIMITS = Limits(waiting_bytes=150_000, unacked_bytes=100_000, unacked_events=8, resume_events=40)
streams = st.sampled_from(STREAMS)
SELDOM = st.integers(2, 4)  # only its largest value acts, so a shorter trace is one with less


class Client:
    """What §4 asks of a client: apply n = applied + 1, and nothing else."""

    def __init__(self) -> None:
        self.applied: dict[str, int] = {}  # streams being followed
        self.epochs: dict[str, str] = {}
        self.bye = False

    def take(self, frame: dict[str, Any]) -> None:
        assert not self.bye, f"D6 {frame}"
        match frame["op"]:
            case "watched":
                self.applied[frame["stream"]] = frame["position"]
                self.epochs[frame["stream"]] = frame["epoch"]
            case "event":
                stream, position = frame["stream"], frame["position"]
                assert position == self.applied[stream] + 1, f"D1 {frame}"
                assert frame["event"]["epoch"] == self.epochs[stream], f"D1 {frame}"
                self.applied[stream] = position
            case "unwatched" | "reset":
                self.applied.pop(frame["stream"], None)
            case "ephemeral":
                assert frame["stream"] in self.applied, f"D4 {frame}"
            case "bye":
                self.bye = True


class DeliveryMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench(limits=LIMITS, room=LIMITS.waiting_bytes)
        self.bench.stops_reading()
        self.client = Client()
        self.heads = dict.fromkeys(STREAMS, 0)
        self.epochs = dict.fromkeys(STREAMS, 1)
        self.offered: dict[str, int] = dict.fromkeys(STREAMS, 0)
        self.permits: dict[str, Permit | None] = dict.fromkeys(STREAMS, Permit())
        self.asks: list[str] = []
        self.reads: list[tuple[str, int]] = []
        self.sizes: dict[tuple[str, int, int], int] = {}
        self.waiting = 0  # bytes the peer has not read

    # --- the world ------------------------------------------------------------------------------

    def epoch(self, stream: str) -> str:
        return f"epoch-{self.epochs[stream]:02}"

    def head(self, stream: str) -> At:
        return At(position=self.heads[stream], epoch=self.epoch(stream))

    def event(self, stream: str, position: int) -> frames.FramedEvent:
        size = self.sizes.get((stream, self.epochs[stream], position), 10)
        return event_of(stream, position, self.epoch(stream), size)

    def did(self) -> None:
        """Carries out the last step as a shell would, and checks what crosses steps."""
        bench = self.bench
        closing = False
        for output in bench.did:
            match output:
                case Write():
                    assert not closing, "D6"
                    for framed in output.frames:
                        self.waiting += framed.size
                        self.see(_decode(framed))
                    assert self.waiting <= LIMITS.waiting_bytes, "D3"
                case Live():
                    assert not closing, "D6"
                    watch = bench.delivery.watches[output.stream]
                    assert watch.standing is Standing.LIVE
                    assert output.position == self.client.applied[output.stream]
                case Ask():
                    self.asks += output.streams
                case Read():
                    self.reads.append((output.stream, output.after))
                case Close():
                    closing = True
                case _:
                    pass
        bench.room = bench.delivery.room = LIMITS.waiting_bytes - self.waiting
        if bench.delivery.held_back and bench.did:
            bench.writable(bench.room)
            self.did()

    def see(self, frame: dict[str, Any]) -> None:
        if frame["op"] == "event":
            permit = self.permits[frame["stream"]]
            seen_under = self.bench.delivery.watches[frame["stream"]].permit
            assert permit is not None, f"D4 {frame}"
            assert seen_under.after < frame["position"], f"D4 {frame}"
            assert seen_under.until is None or frame["position"] <= seen_under.until, f"D4 {frame}"
        self.client.take(frame)

    @property
    def open(self) -> bool:
        return self.bench.delivery.phase is Phase.OPEN

    # --- what happens ---------------------------------------------------------------------------

    @initialize(count=st.integers(0, 12))
    def opens(self, count: int) -> None:
        """Both streams are watched, one of them perhaps from behind."""
        self.heads["s"] = count
        self.bench.receive(identify({"s": [None, 0], "t": None}))
        self.did()
        for stream in STREAMS:
            self.asks.remove(stream)
            self.bench.permitted(Permit(), self.head(stream), stream)
            self.did()

    @precondition(lambda self: self.open)
    @rule(stream=streams, far=st.integers(0, 9), kind=st.sampled_from(["own", "now", "first"]),
          seldom=st.integers(3, 4))  # fmt: skip
    def watches(self, stream: str, far: int, kind: str, seldom: int) -> None:
        if seldom < 4:
            return
        place: Any = None
        if kind == "first":
            place = (None, 0)
        elif kind == "own":
            place = (self.epoch(stream), max(0, self.heads[stream] - far))
        self.bench.receive(frames.Watch(watch={stream: place}))
        self.client.applied.pop(stream, None)
        self.did()

    @precondition(lambda self: self.open)
    @rule(stream=streams, seldom=SELDOM)
    def unwatches(self, stream: str, seldom: int) -> None:
        if seldom < 4:
            return
        self.bench.receive(frames.Unwatch(streams=(stream,)))
        self.client.applied.pop(stream, None)
        self.did()

    @precondition(lambda self: self.open and self.asks)
    @rule(data=st.data())
    def gate_answers(self, data: st.DataObject) -> None:
        stream = self.asks.pop(data.draw(st.integers(0, len(self.asks) - 1)))
        answer = self.permits[stream]
        self.bench.permitted(answer or Denied(), self.head(stream), stream)
        self.did()

    @precondition(lambda self: self.open)
    @rule(stream=streams, allowed=st.booleans(), until=st.none() | st.integers(0, 3), seldom=SELDOM)
    def rights_change(self, stream: str, allowed: bool, until: int | None, seldom: int) -> None:
        if seldom < 4:
            return
        end = None if until is None else max(0, self.heads[stream] - until)
        self.permits[stream] = Permit(until=end) if allowed else None
        watch = self.bench.delivery.watches.get(stream)
        if watch is not None and watch.standing is not Standing.ASKED:
            answer = self.permits[stream]
            self.bench.permitted(answer or Denied(), self.head(stream), stream)
            self.did()

    @precondition(lambda self: self.open)
    @rule(stream=streams, count=st.integers(1, 6), lost=st.sampled_from([False, False, True]),
          size=st.sampled_from([10, 10, 300, 20_000, 60_000]))  # fmt: skip
    def commits(self, stream: str, count: int, size: int, lost: bool) -> None:
        for _ in range(count):
            self.heads[stream] += 1
            self.sizes[stream, self.epochs[stream], self.heads[stream]] = size
            if not lost:
                self.bench.offer(self.event(stream, self.heads[stream]))
                self.did()

    @precondition(lambda self: self.open)
    @rule(stream=streams, back=st.integers(0, 3))
    def rings_again(self, stream: str, back: int) -> None:
        position = self.heads[stream] - back
        if position > 0:
            self.bench.offer(self.event(stream, position))
            self.did()

    @precondition(lambda self: self.open and self.reads)
    @rule(data=st.data(), count=st.integers(1, 6))
    def log_answers(self, data: st.DataObject, count: int) -> None:
        stream, after = self.reads.pop(data.draw(st.integers(0, len(self.reads) - 1)))
        up_to = min(after + count, self.heads[stream])
        events = [self.event(stream, n) for n in range(after + 1, up_to + 1)]
        answer = FramedPage(
            epoch=self.epoch(stream), after=after, events=events, head=self.heads[stream]
        )
        self.bench.page(answer, stream)
        self.did()

    @precondition(lambda self: self.open)
    @rule(stream=streams, seldom=SELDOM)
    def is_restored(self, stream: str, seldom: int) -> None:
        if seldom < 4:
            return
        self.epochs[stream] += 1
        self.heads[stream] = 0
        watch = self.bench.delivery.watches.get(stream)
        if watch is not None and watch.epoch:
            self.bench.permitted(watch.permit, self.head(stream), stream)
            self.did()

    @rule(stream=streams, share=st.integers(0, 4))
    def acknowledges(self, stream: str, share: int) -> None:
        watch = self.bench.delivery.watches.get(stream)
        if watch is not None:
            position = watch.acked + (watch.sent - watch.acked) * share // 4
            self.bench.now += 60  # slow enough for the rate limit
            self.bench.receive(frames.Ack(positions={stream: position}))
            self.did()

    @precondition(lambda self: self.open)
    @rule(stream=streams, kind=st.sampled_from(["typing", "marks"]), key=st.integers(0, 80))
    def signs(self, stream: str, kind: str, key: int) -> None:
        before = self.waiting
        self.bench.ephemeral(sign(kind, f"k{key}", stream=stream, size=key * 10))
        if self.bench.did:
            assert before <= LIMITS.waiting_bytes // 2, "D5"
        self.did()

    @rule(share=st.integers(1, 4))
    def peer_reads(self, share: int) -> None:
        if self.waiting:
            self.waiting -= -(-self.waiting * share // 4)
            self.bench.writable(LIMITS.waiting_bytes - self.waiting)
            self.did()

    @rule(ms=st.sampled_from([1, 50, 2_000, 9_000]))
    def time_passes(self, ms: int) -> None:
        self.bench.now += ms
        if self.bench.delivery.due_at <= self.bench.now:
            self.bench.tick(0, self.heads)
            self.did()

    @precondition(lambda self: self.open)
    @rule(seldom=st.integers(0, 20))
    def node_sends_away(self, seldom: int) -> None:
        if seldom == 20:
            self.bench.leave()
            self.did()

    @precondition(lambda self: self.open)
    @rule()
    def settles(self) -> None:
        """The peer reads and acknowledges, gate and log answer: one round of all being well."""
        while self.asks:
            stream = self.asks.pop()
            answer = self.permits[stream]
            self.bench.permitted(answer or Denied(), self.head(stream), stream)
            self.did()
        self.bench.now += 60
        if self.bench.delivery.due_at <= self.bench.now:
            self.bench.receive(frames.Pong())
            self.bench.tick(0, self.heads)
            self.did()
        for _ in range(3):
            sent = {stream: w.sent for stream, w in self.bench.delivery.watches.items()}
            self.bench.now += 60
            self.bench.receive(frames.Ack(positions=sent))
            self.did()
            self.waiting = 0
            self.bench.writable(LIMITS.waiting_bytes)
            self.did()
            while self.open and self.reads:
                self.answer_one_read()

    @invariant()
    def due_is_never_forgotten(self) -> None:
        delivery = self.bench.delivery
        assert delivery.due_at <= max(delivery._next_due(), self.bench.now)

    def teardown(self) -> None:
        """Liveness: with a peer that reads and acks and a log that answers, all is delivered."""
        for _ in range(400):
            if not self.open or self.is_done:
                break
            self.settles()
        for stream, watch in self.bench.delivery.watches.items():
            if not self.open:
                break
            assert watch.standing is Standing.LIVE, (stream, watch)
            # More, where sight was narrowed to less than was seen by then.
            assert watch.sent >= watch.end, (stream, watch)

    @property
    def is_done(self) -> bool:
        watches = self.bench.delivery.watches.values()
        return not self.asks and all(watch.standing is Standing.LIVE for watch in watches)

    def answer_one_read(self) -> None:
        stream, after = self.reads.pop(0)
        up_to = min(after + 6, self.heads[stream])
        events = [self.event(stream, n) for n in range(after + 1, up_to + 1)]
        self.bench.page(
            FramedPage(
                epoch=self.epoch(stream), after=after, events=events, head=self.heads[stream]
            ),
            stream,
        )
        self.did()


def event_of(stream: str, position: int, epoch: str, size: int) -> frames.FramedEvent:
    body = b'{"epoch":"%b","x":"%b"}' % (epoch.encode(), b"x" * size)
    return frames.frame_event(stream, epoch, position, body)


DeliveryMachine.TestCase.settings = settings(max_examples=50, stateful_step_count=60, deadline=None)
TestDelivery = DeliveryMachine.TestCase
