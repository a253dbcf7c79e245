"""What is written and not yet acknowledged on one connection, over all its watches. Pure.

Invariant (D3): at most `unacked_events` and `unacked_bytes`. Events that wait in the transport are
among them.
"""

from __future__ import annotations

from deskwire.realtime.backlog import EVENT_ON_WIRE_BYTES_MAX
from deskwire.realtime.limits import Limits
from deskwire.realtime.watch import Watch


class Window:
    def __init__(self, limits: Limits) -> None:
        self.events = 0
        self.bytes = 0
        self._limits = limits

    def takes(self, size: int) -> bool:
        """Whether one more event of `size` bytes may be written."""
        limits = self._limits
        return self.events < limits.unacked_events and self.bytes + size <= limits.unacked_bytes

    @property
    def is_half_free(self) -> bool:
        """Worth a page: with less, most of it would be read for nothing. Any event then fits."""
        limits = self._limits
        bytes_max = min(limits.unacked_bytes // 2, limits.unacked_bytes - EVENT_ON_WIRE_BYTES_MAX)
        return self.events * 2 <= limits.unacked_events and self.bytes <= bytes_max

    def wrote(self, watch: Watch, size: int) -> None:
        """The watch's next event went out."""
        watch.sent += 1
        watch.unacked.append(size)
        self.events += 1
        self.bytes += size

    def acked(self, watch: Watch, position: int) -> None:
        """The client holds everything of this watch up to `position`, which is above `acked`."""
        self._release(watch, position - watch.acked)
        watch.acked = position

    def forget(self, watch: Watch) -> None:
        """The watch is over: nobody will acknowledge the rest."""
        self._release(watch, len(watch.unacked))

    def _release(self, watch: Watch, events: int) -> None:
        for _ in range(events):
            self.bytes -= watch.unacked.popleft()
        self.events -= events
