"""What one client heard, applied and confirmed, in order. Pure data.

Bounded: of each list the newest `keep` entries stay; the counts beside them know them all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deskwire.realtime.log import Stream


@dataclass(frozen=True, slots=True)
class Applied:
    at_ms: float  # on the client's clock
    stream: Stream
    position: int
    event: Any


@dataclass(frozen=True, slots=True)
class Acked:
    """By `ack`, `pong` or `probe`: everything up to `position` was applied."""

    stream: Stream
    position: int


@dataclass(slots=True)
class Record:
    keep: int = 100_000
    received: deque[str] = field(init=False)  # frames, one a line, as they came
    applied: deque[Applied] = field(init=False)
    acked: deque[Acked] = field(init=False)
    ended: deque[int] = field(init=False)  # codes of connections that are over
    lost: deque[tuple[Stream, str]] = field(init=False)  # reset or unwatched, and why
    received_count: int = 0
    applied_count: int = 0
    acked_count: int = 0

    def __post_init__(self) -> None:
        self.received = deque(maxlen=self.keep)
        self.applied = deque(maxlen=self.keep)
        self.acked = deque(maxlen=self.keep)
        self.ended = deque(maxlen=self.keep)
        self.lost = deque(maxlen=self.keep)

    def hears(self, message: str) -> None:
        lines = message.split("\n")
        self.received.extend(lines)
        self.received_count += len(lines)

    def applies(self, applied: Applied) -> None:
        self.applied.append(applied)
        self.applied_count += 1

    def acks(self, positions: Mapping[Stream, int]) -> None:
        for stream, position in positions.items():
            self.acked.append(Acked(stream, position))
            self.acked_count += 1

    def positions(self, stream: Stream) -> list[int]:
        """Those applied of one stream, in order."""
        return [applied.position for applied in self.applied if applied.stream == stream]
