"""Port: where events are kept, read by stream and position; with its in-memory twin.

Knows positions and bytes. Never knows what an event means, nor who may see it (that is the gate).
Invariant: within one epoch a stream's positions are dense, 1, 2, 3 …, in commit order.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

# A plain alias, not a NewType: a log outside this room must fit structurally without importing us.
Stream: TypeAlias = str

PAGE_EVENTS_MAX: Final = 256
PAGE_BYTES_MAX: Final = 256 * 1024


class Head(Protocol):
    """Where a stream stands. A stream nobody has written to has position 0 and floor 1."""

    @property
    def epoch(self) -> str: ...  # 8 characters; new when the stream is restored or replaced
    @property
    def position(self) -> int: ...  # of the newest event, 0 if there is none
    @property
    def floor(self) -> int: ...  # the lowest position still kept


class Written(Protocol):
    """One event as it was committed to one stream."""

    @property
    def position(self) -> int: ...
    @property
    def body(self) -> bytes: ...  # one JSON value, carried unread
    @property
    def voids(self) -> int | None: ...  # the position of this stream rewritten together with it


class Page(Protocol):
    """A dense run of events, with the `access` number read from the same snapshot."""

    @property
    def epoch(self) -> str: ...
    @property
    def events(self) -> tuple[Written, ...]: ...
    @property
    def head(self) -> int: ...
    @property
    def access(self) -> int: ...


class Log(Protocol):
    """What the manager asks of the memory. Both calls may raise; the manager tries again later."""

    async def heads(self, streams: Collection[Stream]) -> Mapping[Stream, Head]:
        """Every asked stream is answered, from one statement."""
        ...

    async def read(self, stream: Stream, after: int, limit: int = PAGE_EVENTS_MAX) -> Page:
        """The events above `after`: at most `limit` of them and 256 KiB, but at least one."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryHead:
    epoch: str
    position: int
    floor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryWritten:
    position: int
    body: bytes
    voids: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPage:
    epoch: str
    events: tuple[MemoryWritten, ...]
    head: int
    access: int


@dataclass(slots=True)
class _Kept:
    epoch: str
    floor: int = 1
    events: list[MemoryWritten] = field(default_factory=list)  # events[0] is at `floor`

    @property
    def position(self) -> int:
        return self.floor + len(self.events) - 1


class MemoryLog:
    """The log of a manager used alone: lost with the process, the same promises until then.

    `epoch` names this process's life, anew at each start: positions of another are not comparable.
    `access` is raised by the tests and by an embedding app whose gate narrows somebody's sight.
    """

    def __init__(self, *, epoch: str, events_max: int = 10_000) -> None:
        self.access = 0
        self._epoch = epoch
        self._events_max = events_max
        self._streams: dict[Stream, _Kept] = {}

    def append(self, stream: Stream, body: bytes, *, voids: int | None = None) -> int:
        """Commits one event and returns its position. The caller rings afterwards.

        `voids` names an earlier position of this stream whose body this event takes back; the older
        event's body is emptied in the same step. Over `events_max` the oldest are trimmed.
        """
        kept = self._streams.setdefault(stream, _Kept(self._epoch))
        position = kept.position + 1
        if voids is not None and kept.floor <= voids < position:
            kept.events[voids - kept.floor] = MemoryWritten(position=voids, body=b"null")
        kept.events.append(MemoryWritten(position=position, body=body, voids=voids))
        if len(kept.events) > self._events_max:
            self.trim(stream, position - self._events_max)
        return position

    def trim(self, stream: Stream, up_to: int) -> None:
        """Forgets every event at or below `up_to`; the head stays."""
        kept = self._streams.setdefault(stream, _Kept(self._epoch))
        gone = min(up_to, kept.position) - kept.floor + 1
        if gone > 0:
            del kept.events[:gone]
            kept.floor += gone

    def restore(self, stream: Stream, epoch: str, bodies: Collection[bytes] = ()) -> None:
        """Replaces the stream by another life of it, as a restored backup does."""
        events = [MemoryWritten(position=n, body=body) for n, body in enumerate(bodies, 1)]
        self._streams[stream] = _Kept(epoch, 1, events)

    async def heads(self, streams: Collection[Stream]) -> Mapping[Stream, MemoryHead]:
        return {stream: self.head(stream) for stream in streams}

    async def read(self, stream: Stream, after: int, limit: int = PAGE_EVENTS_MAX) -> MemoryPage:
        return self.page(stream, after, limit)

    def head(self, stream: Stream) -> MemoryHead:
        kept = self._streams.get(stream) or _Kept(self._epoch)
        return MemoryHead(epoch=kept.epoch, position=kept.position, floor=kept.floor)

    def page(self, stream: Stream, after: int, limit: int = PAGE_EVENTS_MAX) -> MemoryPage:
        """`read` without the wait: what a committing caller may hand to `ring`."""
        kept = self._streams.get(stream) or _Kept(self._epoch)
        first = max(after + 1, kept.floor) - kept.floor
        events: list[MemoryWritten] = []
        size = 0
        for event in kept.events[first : first + limit]:
            size += len(event.body)
            if events and size > PAGE_BYTES_MAX:
                break
            events.append(event)
        return MemoryPage(
            epoch=kept.epoch, events=tuple(events), head=kept.position, access=self.access
        )
