"""One timer for all connections of a node: who is due, earliest first.

Late by up to GRAIN_MS, so that connections due together share one wake-up.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from deskwire.realtime.gate import ConnectionId

C = TypeVar("C")

GRAIN_MS: Final = 50


class Timers(Generic[C]):
    """Calls `due` once for each connection whose time has come. Arming earlier wins."""

    def __init__(self, due: Callable[[C], None]) -> None:
        self._due = due
        self._heap: list[tuple[int, ConnectionId]] = []
        self._armed: dict[ConnectionId, tuple[int, C]] = {}
        self._handle: asyncio.TimerHandle | None = None
        self._wakes_at = 0

    def __len__(self) -> int:
        return len(self._armed)

    def arm(self, connection_id: ConnectionId, connection: C, at: int) -> None:
        """`at`: the loop's time in ms. A later `at` than armed before replaces it too."""
        self._armed[connection_id] = (at, connection)
        heapq.heappush(self._heap, (at, connection_id))
        self._wake_by(at)

    def disarm(self, connection_id: ConnectionId) -> None:
        self._armed.pop(connection_id, None)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._heap.clear()
        self._armed.clear()

    def _wake_by(self, at: int) -> None:
        if self._handle is not None:
            if self._wakes_at <= at:
                return
            self._handle.cancel()
        loop = asyncio.get_running_loop()
        self._wakes_at = at
        self._handle = loop.call_at((at + GRAIN_MS) / 1_000, self._wake)

    def _wake(self) -> None:
        self._handle = None
        now = int(asyncio.get_running_loop().time() * 1_000)
        while self._heap and self._heap[0][0] <= now:
            at, connection_id = heapq.heappop(self._heap)
            armed = self._armed.get(connection_id)
            if armed is not None and armed[0] == at:
                del self._armed[connection_id]
                self._due(armed[1])
        if self._heap:  # whatever was armed meanwhile, the earliest counts
            self._wake_by(self._heap[0][0])
