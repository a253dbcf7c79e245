"""An event loop whose time and order belong to a seed: nothing waits, nothing is left to chance.

Nothing ready: the clock jumps to the next timer. Nothing ready and no timer: Deadlock. Several
ready: the seed shuffles them, so code that leans on a lucky order meets an unlucky one.
It overrides one private method of asyncio; `test_simloop.py` is the canary for each CPython.
"""

from __future__ import annotations

import asyncio
import heapq
import selectors
from collections import deque
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, TypeVar

T = TypeVar("T")


class Deadlock(RuntimeError):
    """Somebody waits, and nothing can ever happen any more."""


class _Deaf(selectors.SelectSelector):
    """No file ever has anything to say: the simulated network is made of timers."""

    def select(self, timeout: float | None = None) -> list[Any]:
        return []


class SimLoop(asyncio.SelectorEventLoop):
    """`time()` starts at 0. `after_turn` is called when everything that was ready has run."""

    _ready: deque[Any]
    _scheduled: list[Any]
    _timer_cancelled_count: int
    _stopping: bool

    def __init__(self, seed: int | str) -> None:
        self._now = 0.0
        self._dice = Random(f"schedule {seed}")
        self.turns = 0
        self.wall_offset_s = 1_800_000_000.0  # Unix time − ours; a wall clock may be set
        self.after_turn: Callable[[], None] = lambda: None
        super().__init__(_Deaf())

    def time(self) -> float:
        return self._now

    def stall(self, seconds: float) -> None:
        """The process was stopped so long: all timers of that time are due at once."""
        self._now += seconds

    def _run_once(self) -> None:
        self._forget_cancelled_timers()
        if not self._ready and not self._stopping:
            if not self._scheduled:
                raise Deadlock(f"at {self._now:.3f} s nothing is ready and no timer runs")
            self._now = max(self._now, self._scheduled[0].when())
        self._collect_due_timers()
        if len(self._ready) > 1:
            shuffled = list(self._ready)
            self._dice.shuffle(shuffled)
            self._ready.clear()
            self._ready.extend(shuffled)
        super()._run_once()  # type: ignore[misc]
        self.turns += 1
        self.after_turn()

    def _forget_cancelled_timers(self) -> None:
        while self._scheduled and self._scheduled[0].cancelled():
            self._timer_cancelled_count -= 1
            heapq.heappop(self._scheduled)._scheduled = False

    def _collect_due_timers(self) -> None:
        while self._scheduled and self._scheduled[0].when() <= self._now:
            timer = heapq.heappop(self._scheduled)
            timer._scheduled = False
            if timer.cancelled():
                self._timer_cancelled_count -= 1
            else:
                self._ready.append(timer)


def run(loop: SimLoop, main: Coroutine[Any, Any, T]) -> T:
    """Runs `main` to its end, then cancels what is left and closes the loop."""
    task = loop.create_task(main, name="main")
    try:
        return loop.run_until_complete(task)
    finally:
        loop.after_turn = lambda: None
        for _ in range(3):  # a cancelled task may start another
            left = sorted(asyncio.all_tasks(loop), key=lambda each: each.get_name())
            for each in left:
                each.cancel()
            if left:
                loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
