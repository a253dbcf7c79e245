"""What is written and not yet acknowledged on one connection, over all its watches. Pure.

Invariant (D3): at most `unacked_events` and `unacked_bytes`. Events that wait in the transport are
among them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from deskwire.realtime.limits import Limits
from deskwire.realtime.log import Stream
from deskwire.realtime.watch import Standing, Watch

_ASKED: Final = Standing.ASKED


class Window:
    def __init__(self, limits: Limits) -> None:
        self.events = 0
        self.bytes = 0
        self._events_max = limits.unacked_events
        self._bytes_max = limits.unacked_bytes
        self._half_bytes = limits.half_window_bytes
        # Of streams no longer watched: what was written and not acknowledged when they were left.
        self._parted: dict[Stream, tuple[str, int]] = {}

    def took(self, watch: Watch, size: int) -> bool:
        """Whether the watch's next event, of `size` bytes, may be written; then it counts as so."""
        weight = self.bytes + size
        if self.events >= self._events_max or weight > self._bytes_max:
            return False
        self.events += 1
        self.bytes = weight
        watch.sent += 1
        watch.unacked.append(size)
        return True

    def booked(self, watch: Watch, sizes: Sequence[int]) -> None:
        """The watch's next events were written elsewhere, where the bounds were kept."""
        self.events += len(sizes)
        self.bytes += sum(sizes)
        watch.sent += len(sizes)
        watch.unacked.extend(sizes)

    @property
    def is_half_free(self) -> bool:
        """Worth a page: with less, most of it would be read for nothing. Any event then fits."""
        return self.events * 2 <= self._events_max and self.bytes <= self._half_bytes

    def acknowledge(
        self, watches: Mapping[Stream, Watch], positions: Mapping[Stream, int]
    ) -> dict[Stream, int] | None:
        """Takes the peer's positions over; what rose. None: one lies above what was written."""
        risen: dict[Stream, int] = {}
        for stream, position in positions.items():
            watch = watches.get(stream)
            if watch is None or watch.standing is _ASKED:
                continue
            if position > watch.sent:
                if position > watch.written[1]:
                    return None
                position = watch.sent
            if position > watch.acked:
                risen[stream] = position
        for stream, position in risen.items():
            self._acked(watches[stream], position)
        return risen

    def _acked(self, watch: Watch, position: int) -> None:
        """The client holds everything of this watch up to `position`, which is above `acked`."""
        if position == watch.sent:  # nearly always
            self._release(watch)
        else:
            events = position - watch.acked
            self.bytes -= sum([watch.unacked.popleft() for _ in range(events)])
            self.events -= events
        watch.acked = position

    def part(self, stream: Stream, watch: Watch) -> None:
        """The watch is over. What it wrote may still be under way, and be acknowledged later."""
        self._release(watch)
        written = watch.written
        if written[1] > watch.acked:
            self._parted[stream] = written
            if len(self._parted) > self._events_max:
                del self._parted[next(iter(self._parted))]

    def written_before(self, stream: Stream) -> tuple[str, int]:
        """The place up to which earlier watches of this stream wrote, for the next one to keep."""
        return self._parted.pop(stream, ("", 0))

    def _release(self, watch: Watch) -> None:
        """Nothing of this watch is waited for any more."""
        self.events -= len(watch.unacked)
        self.bytes -= sum(watch.unacked)
        watch.unacked.clear()
