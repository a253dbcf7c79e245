"""When a client acknowledges: soon after a pause, and while events come as seldom as it may. Pure.

Times are the caller's milliseconds; sizes are UTF-16 units, as JavaScript counts a text.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

ACK_MS: Final = 200  # after the first event since the last ack, at the soonest
ACK_EVENTS: Final = 32  # until the server says more
ACK_SIZE: Final = 65_536


class Acks:
    def __init__(self) -> None:
        self.at: float | None = None  # when something is to be said
        self._last: float = -math.inf
        self._events = 0  # since the last ack
        self._size = 0
        self._every_ms: float = 0
        self._events_max = ACK_EVENTS
        self._size_max = ACK_SIZE

    @property
    def is_full(self) -> bool:
        """An ack is due at once."""
        return self._events >= self._events_max or self._size >= self._size_max

    def told(self, limits: Mapping[str, Any]) -> None:
        """What `hello` says of it, if anything."""
        self._every_ms = limits.get("ack_ms", 0)
        self._events_max = limits.get("ack_events", ACK_EVENTS)
        self._size_max = limits.get("ack_bytes", ACK_SIZE)

    def event(self, size: int, now: float) -> None:
        self._events += 1
        self._size += size
        self._by(max(now + ACK_MS, self._last + self._every_ms))

    def soon(self, now: float) -> None:
        """A mark waits to be said, or an ack for which there was no frame left."""
        self._by(now + ACK_MS)

    def taken(self, now: float) -> None:
        """What there was to acknowledge is being said."""
        if self._events:
            self._last = now
        self._events = self._size = 0

    def forget_connection(self) -> None:
        self.at, self._last = None, -math.inf
        self._events = self._size = 0

    def _by(self, at: float) -> None:
        self.at = at if self.at is None else min(self.at, at)
