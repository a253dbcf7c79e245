"""Keeps the collector's passes short and seldom while connections arrive: what stands is set aside.

A full pass looks at every object of the process, so with thousands of connections it holds the loop
for most of a second, and it comes several times while they connect. A young pass comes after 700
new objects, which ten arrivals are. Connections are freed by reference counts; nothing of them
waits for the collector. Docs of Python: gc.freeze, gc.set_threshold.
"""

from __future__ import annotations

import gc
from typing import Final

from deskwire.realtime.connection import Closed, Hook, Opened
from deskwire.realtime.gate import ConnectionId

EVERY: Final = 200  # connections
YOUNG: Final = 50_000  # objects, more than EVERY connections are: theirs are looked at once


class Milestones:
    """Give `heard` to `ConnectionManager.on`. One per process: the collector is the process's.

    Making one raises the collector's first threshold to 50,000, unless it is higher or 0 (off).
    """

    def __init__(self, every: int = EVERY) -> None:
        young, *older = gc.get_threshold()
        if 0 < young < YOUNG:
            gc.set_threshold(YOUNG, *older)
        self._every = every
        self._open: set[ConnectionId] = set()
        self._frozen_at = 0  # how many were open when what stood was set aside

    def __repr__(self) -> str:
        return f"<Milestones open={len(self._open)} frozen_at={self._frozen_at}>"

    def heard(self, hook: Hook) -> None:
        """Freezes with every so many arrivals; gives all back once most of them have left."""
        if isinstance(hook, Opened):
            self._open.add(hook.connection)
            if len(self._open) >= self._frozen_at + self._every:
                self._frozen_at = len(self._open)
                gc.collect(1)  # what is young and dead would be set aside as well
                gc.freeze()
        elif isinstance(hook, Closed):
            self._open.discard(hook.connection)
            if len(self._open) < self._frozen_at // 4:
                self._frozen_at = 0
                gc.unfreeze()
