"""Seeded randomness for the simulated WeCom: the same seed gives the same codes and tokens.

Pure.
"""

from __future__ import annotations

import hashlib


class Chance:
    """A stream of random text. Never for a real secret: who knows the seed knows it all."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._count = 0

    def text(self, length: int) -> str:
        """`length` characters of 0-9a-f."""
        drawn = ""
        while len(drawn) < length:
            self._count += 1
            drawn += hashlib.sha256(f"{self._seed}:{self._count}".encode()).hexdigest()
        return drawn[:length]
