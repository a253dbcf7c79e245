"""One turn of the event loop: what is written in it leaves with its end, joined.

The first frame of a turn need not wait for company. After a turn in which frames were joined the
next one, if it comes soon, holds the first back as well: bursts follow each other.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

PRESSURE_S: Final = 0.05


class Joins(Protocol):
    """Whatever holds frames until the end of the turn."""

    def flush(self) -> int:
        """Hands on what waits, as far as it is taken. Returns how many frames waited."""
        ...


class Turn:
    __slots__ = ("_joined_at", "_waiting", "is_open", "is_pressed", "loop", "number")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.number = 1
        self.is_open = False  # it has a first frame, and its end is coming
        self.is_pressed = False  # everything of this turn is joined, the first frame too
        self._joined_at = -PRESSURE_S
        self._waiting: list[Joins] = []

    def begin(self) -> None:
        self.is_open = True
        self.is_pressed = self.loop.time() < self._joined_at + PRESSURE_S
        self.loop.call_soon(self._end)

    def at_end(self, joins: Joins) -> None:
        """Flushes it with the end of this turn; twice is harmless."""
        self._waiting.append(joins)
        if not self.is_open:
            self.begin()

    def _end(self) -> None:
        self.is_open = False
        self.number += 1
        waiting, self._waiting = self._waiting, []
        frames = 0
        for joins in waiting:
            frames += joins.flush()
        if frames > len(waiting) or (waiting and not self.is_pressed):
            self._joined_at = self.loop.time()
