"""Virtual time and the dice of a world: only Random.random, which is the same on any Python."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")


class Stage:
    """`now` is milliseconds. What was put off happens by time, then in the order of the calls."""

    def __init__(self, seed: int) -> None:
        self.now = 0
        self._random = Random(seed).random
        self._put_off: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0

    def later(self, ms: int, act: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._put_off, (self.now + ms, self._count, act))

    def run_for(self, ms: int) -> None:
        end = self.now + ms
        while self._put_off and self._put_off[0][0] <= end:
            self.now, _, act = heapq.heappop(self._put_off)
            act()
        self.now = end

    def number(self) -> float:
        """In [0, 1), short enough to be written down."""
        return int(self._random() * 10_000) / 10_000

    def roll(self, sides: int) -> int:
        return int(self._random() * sides)

    def between(self, least: int, most: int) -> int:
        return least + self.roll(most - least + 1)

    def chance(self, share: float) -> bool:
        return self._random() < share

    def pick(self, choices: Sequence[T]) -> T:
        return choices[self.roll(len(choices))]
