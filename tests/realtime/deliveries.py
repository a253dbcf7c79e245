"""A delivery under test: time and room in hand, its frames decoded, checked after each step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from deskwire.realtime import frames
from deskwire.realtime.delivery import Delivery
from deskwire.realtime.frames import FramedEvent, FramedPage, FramedSign, frame_event
from deskwire.realtime.gate import Permit
from deskwire.realtime.limits import Limits
from deskwire.realtime.outputs import Abort, Ask, Close, Live, Output, Read, Tell, Write
from deskwire.realtime.pulse import Greeting
from deskwire.realtime.watch import Denied
from tests.realtime.invariants import check

EPOCH = "epoch-01"
UNIX = 1_700_000_000_000
LOGIN_MS = 8 * 3_600_000
SMALL = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class At:
    """A head."""

    position: int
    epoch: str = EPOCH
    floor: int = 1


def event(position: int, *, stream: str = "s", epoch: str = EPOCH, size: int = 0) -> FramedEvent:
    body = msgspec.json.encode({"n": position, "x": "x" * size})
    return frame_event(stream, epoch, position, body)


def page(after: int, up_to: int, head: int | None = None, *, size: int = 0, epoch: str = EPOCH,
         stream: str = "s") -> FramedPage:  # fmt: skip
    events = [event(n, size=size, stream=stream, epoch=epoch) for n in range(after + 1, up_to + 1)]
    return FramedPage(epoch=epoch, after=after, events=events, head=head or up_to)


def sign(type_: str = "marks", key: str = "k", *, stream: str = "s", size: int = 0) -> FramedSign:
    return frames.frame_ephemeral(
        frames.Ephemeral(stream=stream, type=type_, key=key, data={"x": "x" * size})
    )


def identify(watch: Mapping[str, Any] | None = None, **over: Any) -> frames.Identify:
    fields: dict[str, Any] = {
        "protocol": 1, "client": "test/1", "device": "device-1", "tab": "tab-00001",
        "visible": True, "watch": dict(watch or {}),
    }  # fmt: skip
    return frames.Identify(**(fields | over))


@dataclass
class Bench:
    """Drives one delivery. `did` is what the last step returned, `wrote` all frames so far."""

    limits: Limits = SMALL
    now: int = 1_000
    room: int = SMALL.waiting_bytes
    reads_on: bool = True  # the peer takes at once: room comes back
    wrote: list[frames.Down] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    did: Sequence[Output] = ()

    def __post_init__(self) -> None:
        self.capacity = self.room
        greeting = Greeting(
            connection="c-1", node="n-1", login_until=UNIX + LOGIN_MS,
            unix_offset_ms=UNIX - self.now, ping_first_ms=7_000, ping_every_ms=20_000,
        )  # fmt: skip
        self.delivery = Delivery(greeting, self.limits, self.now)
        self.delivery.room = self.room

    # inputs

    def receive(self, frame: frames.Up | frames.PeerFault) -> Bench:
        return self._step(self.delivery.receive(frame, self.now))

    def permitted(self, answer: Permit | Denied, head: At, stream: str = "s") -> Bench:
        return self._step(self.delivery.permitted(stream, answer, head, self.now))

    def offer(self, each: FramedEvent) -> Bench:
        return self._step(self.delivery.offer(each, self.now))

    def page(self, each: FramedPage, stream: str = "s") -> Bench:
        return self._step(self.delivery.page(stream, each, self.now))

    def ephemeral(self, each: FramedSign) -> Bench:
        return self._step(self.delivery.ephemeral(each, self.now))

    def writable(self, room: int | None = None) -> Bench:
        self.room = self.capacity if room is None else room
        return self._step(self.delivery.writable(self.room, self.now))

    def tick(self, after_ms: int = 0, heads: Mapping[str, int] | None = None) -> Bench:
        self.now += after_ms
        return self._step(self.delivery.tick(self.now, heads or {}))

    def leave(self, code: int = 4001, retry: tuple[int, int] | None = (500, 4_000)) -> Bench:
        return self._step(self.delivery.leave(code, retry, self.now))

    def lost(self) -> Bench:
        return self._step(self.delivery.lost(self.now))

    def stops_reading(self) -> Bench:
        """From now on room only goes; `writable` gives some back."""
        self.reads_on = False
        return self

    # the states of §5

    def opened(self, watch: Mapping[str, Any] | None = None) -> Bench:
        return self.receive(identify(watch))

    def asked(self, place: Any = None) -> Bench:
        return self.opened({"s": place})

    def live(self, position: int = 5) -> Bench:
        return self.asked().permitted(Permit(), At(position=position))

    def behind(self, position: int = 0, head: int = 5) -> Bench:
        return self.asked([EPOCH, position]).permitted(Permit(), At(position=head))

    # what came out of the last step

    @property
    def ops(self) -> list[str]:
        """Frames by their op, other outputs by their name, in order."""
        names: list[str] = []
        for output in self.did:
            if isinstance(output, Write):
                names += [_decode(each)["op"] for each in output.frames]
            else:
                names.append(type(output).__name__)
        return names

    @property
    def frames(self) -> list[dict[str, Any]]:
        return [_decode(f) for o in self.did if isinstance(o, Write) for f in o.frames]

    def the(self, op: str) -> dict[str, Any]:
        found = [frame for frame in self.frames if frame["op"] == op]
        assert len(found) == 1, (op, self.ops)
        return found[0]

    @property
    def told(self) -> list[Any]:
        return [output.report for output in self.did if isinstance(output, Tell)]

    @property
    def reads(self) -> list[tuple[str, int]]:
        return [(o.stream, o.after) for o in self.did if isinstance(o, Read)]

    @property
    def asks(self) -> list[str]:
        return [stream for o in self.did if isinstance(o, Ask) for stream in o.streams]

    @property
    def lives(self) -> list[tuple[str, int]]:
        return [(o.stream, o.position) for o in self.did if isinstance(o, Live)]

    @property
    def closed(self) -> int | None:
        return next((o.code for o in self.did if isinstance(o, Close)), None)

    @property
    def aborted(self) -> bool:
        return any(isinstance(o, Abort) for o in self.did)

    @property
    def positions(self) -> list[int]:
        return [frame["position"] for frame in self.frames if frame["op"] == "event"]

    def _step(self, did: Sequence[Output]) -> Bench:
        check(self.delivery)
        for output in did:
            if isinstance(output, Write):
                self.room -= sum(frame.size for frame in output.frames)
                assert self.room >= 0, "D3: written without room"
        if self.reads_on:
            self.room = self.capacity
        self.delivery.room = self.room
        self.did = did
        self.outputs += did
        return self


def _decode(frame: frames.Framed) -> dict[str, Any]:
    decoded: dict[str, Any] = msgspec.json.decode(frame.json)
    return decoded
