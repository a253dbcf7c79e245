"""A client written from the protocol's client rule, in timers and callbacks.

n = applied + 1: apply, later save state and position together and acknowledge. n ≤ applied: ignore,
acknowledge again. n > applied + 1: apply nothing, watch from applied. It may die between apply and
save, return after days, and be a forger. Nothing of the room under test is used but the codec.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol

import msgspec

from deskwire.realtime import frames
from deskwire.realtime.codes import Again, meaning
from deskwire.realtime.gate import LoginId, Principal
from deskwire.realtime.log import Stream
from tests.simulation.network import Wire
from tests.simulation.store import id_in

ACK_S = 0.2
ACK_GAP_S = 0.06  # so that acks alone never exceed the frames a server takes
ACK_EVENTS = 32
SILENCE_S = 35.0
BELOW_S = 5.0

Snapshot = tuple[str, int, int, list[str]]


@dataclass(slots=True)
class Book:
    """What a client holds of one stream: `ids` are the events `first` … `position`."""

    epoch: str
    first: int
    position: int
    ids: list[str] = field(default_factory=list)

    def copy(self) -> Book:
        return Book(self.epoch, self.first, self.position, list(self.ids))


class World(Protocol):
    """What surrounds a client."""

    def connect(self, client: Client) -> Wire | None: ...
    def snapshot(
        self, client: Client, stream: Stream, take: Callable[[Snapshot | None], None]
    ) -> None: ...
    def applied(self, client: Client, stream: Stream, book: Book, event_id: str) -> None: ...
    def loaded(self, client: Client, stream: Stream, book: Book) -> None: ...
    def answered(self, client: Client, stream: Stream, watched: frames.Watched) -> None: ...
    def closed(self, client: Client, wire: Wire, code: int, bye: int | None) -> None: ...
    def note(self, what: str) -> None: ...
    def violate(self, rule: str, what: str) -> None: ...


class Client:
    def __init__(
        self, name: str, who: Principal, login: LoginId, device: str, tab: str, world: World,
        dice: Random,
    ) -> None:  # fmt: skip
        self.name = name
        self.who = who
        self.login = login
        self.device = device
        self.tab = tab
        self.world = world
        self.dice = dice
        self.wanted: dict[Stream, Any] = {}  # stream → the place to start from without a book
        self.held: dict[Stream, Book] = {}
        self.saved: dict[Stream, Book] = {}
        self.best_saved: dict[tuple[Stream, str], int] = {}  # ever, over all lives
        self.wire: Wire | None = None
        self.stopped: int | None = None  # the code that said so
        self.away = False
        self.forges = False  # it has lied: no rule protects it from 4501
        self._buffer = bytearray()
        self._bye: int | None = None
        self._tries = 0
        self._unacked = self._unacked_bytes = 0
        self._acked_at = 0.0
        self._ack_s = 0.0  # what `hello` says of acks
        self._ack_events = ACK_EVENTS
        self._ack_bytes = 64 * 1024
        self._ack_timer: asyncio.TimerHandle | None = None
        self._silence: asyncio.TimerHandle | None = None
        self._heard_at = 0.0
        self._below: dict[Stream, float] = {}
        self._loading: set[Stream] = set()
        self.asked: dict[Stream, list[Any]] = {}  # places named on this connection
        self._returning: asyncio.TimerHandle | None = None
        self._probes = 0

    def __repr__(self) -> str:
        return f"<Client {self.name} wire={self.wire} stopped={self.stopped} away={self.away}>"

    # --- what the world does to it --------------------------------------------------------------

    def want(self, stream: Stream, place: Any) -> None:
        """Its user opens a stream."""
        if stream not in self.wanted:
            self.wanted[stream] = place
            if self.wire is not None and self._bye is None:
                self._watch(stream)

    def unwant(self, stream: Stream) -> None:
        if self.wanted.pop(stream, None) is not None or stream in self.held:
            self._forget(stream)
            self._send({"op": "unwatch", "streams": [stream]})

    def come(self, after_s: float = 0.0) -> None:
        """Opens the page, or comes back to it."""
        self.away = False
        self.stopped = None
        self._return_in(after_s)

    def leave(self) -> None:
        """Closes the page, or has no network for long. What was not saved is lost."""
        self.away = True
        self._die()

    def die(self) -> None:
        """The process ends between any two steps; it starts again by itself."""
        self._die()
        self._return_in(self.dice.random() * 2)

    def double(self) -> None:
        """A second socket of the same tab, while the first one stays open and unread."""
        self._let_go()
        self.wire = None
        self._return_in(0.0)

    def _die(self) -> None:
        if self.wire is not None:
            self.wire.hang_up()
        self._let_go()
        self.wire = None
        self.held = {stream: book.copy() for stream, book in self.saved.items()}
        self._unacked = self._unacked_bytes = 0

    def _let_go(self) -> None:
        for timer in (self._ack_timer, self._silence, self._returning):
            if timer is not None:
                timer.cancel()
        self._ack_timer = self._silence = self._returning = None
        self._buffer.clear()
        self._below.clear()
        self.asked.clear()
        self._bye = None
        self._loading.clear()  # without a book it begins as it did at first

    # --- connecting -----------------------------------------------------------------------------

    @property
    def _loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    def _return_in(self, seconds: float) -> None:
        if self._returning is not None:
            self._returning.cancel()
        self._returning = self._loop.call_later(seconds, self._connect)

    def _connect(self) -> None:
        self._returning = None
        if self.wire is not None or self.away or self.stopped is not None:
            return
        self.wire = self.world.connect(self)
        if self.wire is None:
            self._back_off()
            return
        self._heard_at = self._loop.time()
        self._watch_silence()
        self._save()  # the places it names count as acknowledged
        self._send(
            {
                "op": "identify", "protocol": 1, "client": "sim/1", "device": self.device,
                "tab": self.tab, "visible": True,
                "watch": {stream: self._place(stream) for stream in self.wanted
                          if stream not in self._loading},
            }
        )  # fmt: skip

    def _back_off(self, least_s: float = 0.0, most_s: float | None = None) -> None:
        if most_s is None:
            most_s = min(20.0, 0.5 * 2**self._tries)
            self._tries += 1
        self._return_in(max(least_s, self.dice.uniform(least_s, max(least_s, most_s))))

    def _place(self, stream: Stream) -> Any:
        book = self.held.get(stream)
        place = self.wanted[stream] if book is None else [book.epoch, book.position]
        self.asked.setdefault(stream, []).append(place)
        return place

    def _watch(self, stream: Stream) -> None:
        if stream in self.wanted and stream not in self._loading:
            self._save()  # its place counts as an acknowledgement
            self._send({"op": "watch", "watch": {stream: self._place(stream)}})

    def _send(self, frame: Mapping[str, Any]) -> None:
        if self.wire is not None:
            self.wire.send(msgspec.json.encode(frame).decode())

    def _watch_silence(self) -> None:
        self._silence = self._loop.call_later(SILENCE_S, self._is_silent)

    def _is_silent(self) -> None:
        self._silence = None
        if self.wire is None:
            return
        left = self._heard_at + SILENCE_S - self._loop.time()
        if left > 0.001:
            self._silence = self._loop.call_later(left, self._is_silent)
        else:
            wire = self.wire
            wire.hang_up()
            self._ended(wire, 1006)

    # --- frames ---------------------------------------------------------------------------------

    def bytes_came(self, wire: Wire, chunk: bytes) -> None:
        if wire is not self.wire:
            return
        self._heard_at = self._loop.time()
        self._buffer += chunk
        while wire is self.wire and (payload := _take_frame(self._buffer)) is not None:
            self._unacked_bytes += len(payload)
            for frame in frames.decode_down(payload):
                self._frame(frame)

    def socket_closed(self, wire: Wire, code: int) -> None:
        if wire is self.wire:
            self._ended(wire, code)

    def _ended(self, wire: Wire, code: int) -> None:
        bye = self._bye
        self.world.closed(self, wire, code, bye)
        self._save()
        self._let_go()
        self.wire = None
        row = meaning(code if bye is None else bye)
        if row.again is Again.STOP:
            self.stopped = row.code
        else:
            least = row.delay.least_ms / 1_000
            most = {"told": 4.0, "range": row.delay.most_ms / 1_000}.get(row.delay.wait)
            self._back_off(least, most)

    def _frame(self, frame: frames.Down) -> None:
        match frame:
            case frames.Hello():
                self._ack_s = frame.limits.ack_ms / 1_000
                self._ack_events = frame.limits.ack_events
                self._ack_bytes = frame.limits.ack_bytes
            case frames.Watched():
                self._watched(frame)
            case frames.Event():
                self._event(frame)
            case frames.Live():
                self._tries = 0
            case frames.Reset():
                self._reset(frame.stream)
            case frames.Unwatched():
                self._forget(frame.stream)
                self.wanted.pop(frame.stream, None)
            case frames.Ping():
                self._send({"op": "pong", "positions": self._acked()})
                self._compare(frame.heads)
            case frames.Alive():
                self._compare(frame.heads)
            case frames.Bye():
                self._bye = frame.code
            case _:
                pass

    def _watched(self, frame: frames.Watched) -> None:
        self.world.answered(self, frame.stream, frame)
        book = self.held.get(frame.stream)
        if frame.stream in self.wanted and book is None and frame.stream not in self._loading:
            self.held[frame.stream] = Book(frame.epoch, frame.position + 1, frame.position)
            self._save()
        elif book is not None and (book.epoch, book.position) < (frame.epoch, frame.position):
            self._watch(frame.stream)  # asked twice before it had a place of its own

    def _event(self, frame: frames.Event) -> None:
        book = self.held.get(frame.stream)
        if book is None or frame.stream in self._loading:
            return
        if self.is_next(book, frame.position):
            book.position = frame.position
            book.ids.append(id_in(bytes(frame.event), frame.stream, frame.position))
            self.world.applied(self, frame.stream, book, book.ids[-1])
            self.received(frame.stream)
        elif frame.position > book.position:
            self._watch(frame.stream)
        else:
            self._ack_soon()

    def is_next(self, book: Book, position: int) -> bool:
        return position == book.position + 1

    def received(self, stream: Stream) -> None:
        """An event was applied: it is acknowledged once saved."""
        del stream
        self._unacked += 1
        is_full = self._unacked >= self._ack_events or self._unacked_bytes >= self._ack_bytes
        self._ack_soon(is_full=is_full)

    def _compare(self, heads: dict[str, int] | msgspec.UnsetType) -> None:
        """A head above ours for 5 s: watch again."""
        for stream, head in (heads or {}).items():
            book = self.held.get(stream)
            if book is not None and book.position < head and stream not in self._below:
                self._below[stream] = head
                self._loop.call_later(BELOW_S, self._still_below, self.wire, stream, head)

    def _still_below(self, wire: Wire | None, stream: Stream, head: int) -> None:
        self._below.pop(stream, None)
        book = self.held.get(stream)
        if wire is self.wire and book is not None and book.position < head:
            self._watch(stream)

    # --- saving and acknowledging ---------------------------------------------------------------

    def _ack_soon(self, *, is_full: bool = False) -> None:
        at = self._acked_at + ACK_GAP_S
        if not is_full:
            at = max(self._loop.time() + ACK_S, self._acked_at + self._ack_s)
        if self._ack_timer is not None and self._ack_timer.when() > at:
            self._ack_timer.cancel()
            self._ack_timer = None
        if self._ack_timer is None and self.wire is not None:
            self._ack_timer = self._loop.call_at(at, self._save_and_ack)

    def _save_and_ack(self) -> None:
        if self._ack_timer is not None:
            self._ack_timer.cancel()
            self._ack_timer = None
        self._unacked = self._unacked_bytes = 0
        self._acked_at = self._loop.time()
        self._save()
        positions = self._acked()
        if positions:
            self._send({"op": "ack", "positions": positions})

    def _save(self) -> None:
        """One transaction of its storage: state and position together."""
        for stream, book in self.held.items():
            known = self.saved.get(stream)
            if known is None or known.epoch != book.epoch or known.position != book.position:
                self.saved[stream] = book.copy()
                key = stream, book.epoch
                self.best_saved[key] = max(self.best_saved.get(key, 0), book.position)
        for stream in [s for s in self.saved if s not in self.held]:
            del self.saved[stream]

    def _acked(self) -> dict[str, int]:
        return {s: b.position for s, b in self.saved.items() if s in self.wanted}

    # --- loading --------------------------------------------------------------------------------

    def _forget(self, stream: Stream) -> None:
        self.held.pop(stream, None)
        self.saved.pop(stream, None)

    def _reset(self, stream: Stream) -> None:
        """Nothing follows: snapshot first, then watch from what it names."""
        if stream not in self.wanted or stream in self._loading:
            return
        self._forget(stream)
        self._loading.add(stream)
        wire = self.wire

        def take(snapshot: Snapshot | None) -> None:
            if wire is not self.wire or stream not in self._loading:
                return
            self._loading.discard(stream)
            if stream not in self.wanted:
                return
            if snapshot is None:
                self.wanted.pop(stream)
                return
            epoch, first, position, ids = snapshot
            self.held[stream] = Book(epoch, first, position, ids)
            self._save()
            self.world.loaded(self, stream, self.held[stream])
            self._watch(stream)

        self.world.snapshot(self, stream, take)

    # --- odds and ends --------------------------------------------------------------------------

    def probe(self) -> None:
        self._probes += 1
        self._send({"op": "probe", "n": self._probes, "positions": self._acked()})

    def chat(self) -> None:
        """Signs of life of an honest user, for any stream it wants."""
        for stream in list(self.wanted)[:2]:
            self._send({"op": "typing", "stream": stream, "on": True})
            saved = self.saved.get(stream)
            if saved is not None:
                self._send({"op": "mark", "stream": stream, "read": saved.position})
        self._send({"op": "visibility", "visible": self.dice.random() < 0.5})

    def forge(self) -> None:
        """Lies that may cost the liar the connection and nobody anything."""
        self.forges = True
        for stream in list(self.wanted)[:1]:
            lie = self.dice.choice((2**53 - 1, 2**63, -1, 10**6, 1.5, "1", None))
            frame = self.dice.choice(
                (
                    {"op": "ack", "positions": {stream: lie}},
                    {"op": "watch", "watch": {stream: ["epoch-00", lie]}},
                    {"op": "watch", "watch": {stream: [None, lie]}},
                    {"op": "watch", "watch": {stream: ["nonsense", 1]}},
                    {"op": "mark", "stream": stream, "read": lie},
                    {"op": "unwatch", "streams": [stream, "never.watched"]},
                    {"op": "dance"},
                    {"op": "pong", "positions": {stream: lie}},
                )
            )
            self._send(frame)
        if self.dice.random() < 0.3 and self.wire is not None:
            self.wire.send(self.dice.choice(("", "{", "[]", "\x00" * 40_000, '{"op":1}')))


def _take_frame(buffer: bytearray) -> bytes | None:
    """The payload of the first whole, unmasked WebSocket text frame."""
    if len(buffer) < 2:
        return None
    length, start = buffer[1], 2
    if length >= 126:
        start = 4 if length == 126 else 10
        if len(buffer) < start:
            return None
        length = int.from_bytes(buffer[2:start], "big")
    if len(buffer) < start + length:
        return None
    payload = bytes(buffer[start : start + length])
    del buffer[: start + length]
    return payload
