"""An event loop whose time is a number: it jumps to the next timer instead of waiting."""

from __future__ import annotations

import asyncio
import selectors
from typing import Any


class Deadlock(AssertionError):
    """Nothing is ready and no timer is set: the test would wait for ever."""


class _Jumping(selectors.SelectSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000.0

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise Deadlock("nothing is ready and no timer is set")
            self.now += max(0.0, timeout)
        return ready


class SimLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._clock = _Jumping()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now


SIMULATED = ("asyncio", {"loop_factory": SimLoop})
