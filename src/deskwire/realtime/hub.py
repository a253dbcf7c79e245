"""This node's connections by id, person, realm and stream; one framed event for all. Pure.

Synchronous, so it needs no lock. It must never know a socket, a gate or a log: it indexes what it
is given and keeps the last frames and the passing signs of each watched stream.
Invariant: a connection is in every index it belongs to, or in none; removing one touches no other.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from deskwire.realtime import frames
from deskwire.realtime.frames import Ephemeral, Framed, FramedEvent, FramedPage, FramedSign
from deskwire.realtime.gate import ConnectionId, Principal
from deskwire.realtime.log import PAGE_BYTES_MAX, PAGE_EVENTS_MAX, Stream

C = TypeVar("C")  # any connection
W = TypeVar("W")  # one that watches streams

# Signs a stream holds for those who come later; one more drops the oldest.
HELD_SIGNS_MAX: Final = 256


@dataclass(slots=True)
class HeldSign:
    sign: Ephemeral
    data: bytes
    until: int | None  # monotonic ms; None stays
    number: int  # when it came, as a count


@dataclass(slots=True, eq=False, weakref_slot=True)
class Channel(Generic[W]):
    """One watched stream on this node: how far it was read here, and who watches."""

    stream: Stream
    epoch: str | None = None  # None until the log was asked once
    head: int = 0  # everything up to here was offered to the watchers
    rung: int = 0  # the highest position heard of
    watchers: dict[ConnectionId, W] = field(default_factory=dict)
    kept: deque[FramedEvent] = field(default_factory=deque)  # dense, ends at `head`
    kept_bytes: int = 0
    signs: OrderedDict[str, HeldSign] = field(default_factory=OrderedDict)
    signs_loaded: bool = False
    filling: bool = False

    @property
    def is_behind(self) -> bool:
        return self.epoch is not None and self.rung > self.head


class Hub(Generic[C, W]):
    """The registry. It never calls the connections it holds."""

    def __init__(self, *, kept_events: int = 256, kept_bytes: int = 64 * 1024 * 1024) -> None:
        self.connections: dict[ConnectionId, C] = {}
        self.channels: dict[Stream, Channel[W]] = {}
        self.kept_bytes = 0
        self._who: dict[ConnectionId, Principal] = {}
        self._by_person: dict[Principal, dict[ConnectionId, C]] = {}
        self._by_realm: dict[str, dict[ConnectionId, C]] = {}
        self._kept_events_max = kept_events
        self._kept_bytes_max = kept_bytes
        self._keepers: OrderedDict[Stream, None] = OrderedDict()  # longest untouched first
        self._signs_seen = 0

    def __repr__(self) -> str:
        return (
            f"<Hub connections={len(self.connections)} people={len(self._by_person)}"
            f" streams={len(self.channels)} kept={self.kept_bytes}B>"
        )

    # --- who is here ----------------------------------------------------------------------------

    def add(
        self, connection_id: ConnectionId, who: Principal, connection: C, realm: str | None = None
    ) -> None:
        """With `realm` it is found by `realm()` too."""
        assert connection_id not in self.connections, "connection ids are unique"
        self.connections[connection_id] = connection
        self._who[connection_id] = who
        self._by_person.setdefault(who, {})[connection_id] = connection
        if realm is not None:
            self._by_realm.setdefault(realm, {})[connection_id] = connection

    def remove(self, connection_id: ConnectionId) -> bool:
        """Whether it was here. Its watches are ended with `unwatch` beforehand."""
        if self.connections.pop(connection_id, None) is None:
            return False
        who = self._who.pop(connection_id)
        _drop(self._by_person, who, connection_id)
        if connection_id in self._by_realm.get(who.realm, ()):
            _drop(self._by_realm, who.realm, connection_id)
        return True

    def of(self, who: Principal) -> Sequence[C]:
        """This person's connections, oldest first; a copy."""
        return tuple(self._by_person.get(who, {}).values())

    def realm(self, realm: str) -> Sequence[C]:
        """The connections that were added under this realm, oldest first; a copy."""
        return tuple(self._by_realm.get(realm, {}).values())

    def people(self, realm: str | None = None) -> list[Principal]:
        return [who for who in self._by_person if realm is None or who.realm == realm]

    @property
    def people_count(self) -> int:
        return len(self._by_person)

    # --- who watches ----------------------------------------------------------------------------

    def watch(self, stream: Stream, connection_id: ConnectionId, connection: W) -> Channel[W]:
        channel = self.channels.get(stream)
        if channel is None:
            channel = self.channels[stream] = Channel(stream)
        channel.watchers[connection_id] = connection
        return channel

    def unwatch(self, stream: Stream, connection_id: ConnectionId) -> None:
        """With its last watcher a stream is forgotten here, frames and signs too."""
        channel = self.channels.get(stream)
        if channel is None:
            return
        channel.watchers.pop(connection_id, None)
        if not channel.watchers:
            self._forget_kept(channel)
            del self.channels[stream]

    # --- the last frames ------------------------------------------------------------------------

    def keep(self, channel: Channel[W], event: FramedEvent) -> None:
        """Takes the stream's next event: it is the head from now on."""
        assert event.position == channel.head + 1, "events come in order"
        channel.head = event.position
        channel.kept.append(event)
        self._weigh(channel, event.frame.size)
        if event.voids is not None:
            self._void(channel, event.voids)
        while len(channel.kept) > self._kept_events_max:
            self._weigh(channel, -channel.kept.popleft().frame.size)
        self._keepers[channel.stream] = None
        self._keepers.move_to_end(channel.stream)
        while self.kept_bytes > self._kept_bytes_max:
            self._forget_kept(self.channels[next(iter(self._keepers))])

    def kept_page(self, channel: Channel[W], after: int) -> FramedPage | None:
        """The frames above `after`, if all of them up to the head are still kept."""
        if channel.epoch is None or not channel.kept or channel.kept[0].position > after + 1:
            return None
        if after >= channel.head:
            return None
        first = after + 1 - channel.kept[0].position
        events: list[FramedEvent] = []
        size = 0
        for index in range(first, min(first + PAGE_EVENTS_MAX, len(channel.kept))):
            event = channel.kept[index]
            size += event.frame.size
            if events and size > PAGE_BYTES_MAX:
                break
            events.append(event)
        return FramedPage(epoch=channel.epoch, after=after, events=events, head=channel.head)

    def replace(self, channel: Channel[W], epoch: str, head: int) -> None:
        """Another life of the stream, or a first look at it."""
        self._forget_kept(channel)
        channel.epoch, channel.head, channel.rung = epoch, head, head
        channel.signs.clear()
        channel.signs_loaded = False

    def _void(self, channel: Channel[W], position: int) -> None:
        """An event was taken back: nothing up to its old frame may be replayed from here."""
        while channel.kept and channel.kept[0].position <= position:
            self._weigh(channel, -channel.kept.popleft().frame.size)

    def _forget_kept(self, channel: Channel[W]) -> None:
        self._weigh(channel, -channel.kept_bytes)
        channel.kept.clear()
        self._keepers.pop(channel.stream, None)

    def _weigh(self, channel: Channel[W], size: int) -> None:
        channel.kept_bytes += size
        self.kept_bytes += size

    # --- passing signs --------------------------------------------------------------------------

    @property
    def signs_seen(self) -> int:
        """A count to remember before asking for signs elsewhere: see `load_signs`."""
        return self._signs_seen

    def hold_sign(self, sign: Ephemeral, now: int) -> FramedSign:
        """Newest per key counts. Raises PayloadError if the sign breaks a bound."""
        framed = frames.frame_ephemeral(sign)
        channel = self.channels.get(sign.stream)
        if channel is not None and sign.wants is None and sign.to is None:
            self._hold(channel, sign, now)
        return framed

    def load_signs(
        self, channel: Channel[W], signs: Iterable[Ephemeral], seen: int, now: int
    ) -> None:
        """Takes over the signs as they stood at count `seen`; what came since is newer."""
        for sign in signs:
            held = channel.signs.get(sign.key)
            if held is None or held.number <= seen:
                self._hold(channel, sign, now)
        channel.signs_loaded = True

    def live(self, channel: Channel[W], position: int, now: int) -> Framed:
        """`live` with the newest signs, at most 64 of them and an event frame's bytes."""
        signs: list[frames.Sign] = []
        room = frames.EVENT_FRAME_BYTES_MAX - 1_024
        for held in reversed(channel.signs.values()):
            if held.until is not None and held.until <= now:
                continue
            room -= len(held.data) + 256
            if len(signs) == frames.SIGNS_MAX or room < 0:
                break
            ttl_ms = None if held.until is None else held.until - now
            signs.append(frames.sign_in_live(held.sign, held.data, ttl_ms))
        return frames.framed(
            frames.Live(stream=channel.stream, position=position, signs=tuple(reversed(signs)))
        )

    def _hold(self, channel: Channel[W], sign: Ephemeral, now: int) -> None:
        self._signs_seen += 1
        until = None if sign.ttl_ms is None else now + sign.ttl_ms
        data = frames.encode_payload(sign.data)
        channel.signs[sign.key] = HeldSign(sign, data, until, self._signs_seen)
        channel.signs.move_to_end(sign.key)
        if len(channel.signs) > HELD_SIGNS_MAX:
            self._forget_over_signs(channel, now)

    def _forget_over_signs(self, channel: Channel[W], now: int) -> None:
        for key, held in list(channel.signs.items()):
            if held.until is not None and held.until <= now:
                del channel.signs[key]
        while len(channel.signs) > HELD_SIGNS_MAX:
            channel.signs.popitem(last=False)


K = TypeVar("K")


def _drop(index: dict[K, dict[ConnectionId, C]], key: K, connection_id: ConnectionId) -> None:
    entries = index[key]
    del entries[connection_id]
    if not entries:
        del index[key]
