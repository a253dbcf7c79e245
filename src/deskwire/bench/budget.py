"""How many frames a client may still send: the server takes so many a second, twice that at once.

Pure; times are the reading's milliseconds.
"""

from __future__ import annotations

from typing import Final

RATE_PER_S: Final = 20  # until `hello` names another


class Budget:
    def __init__(self) -> None:
        self._rate_per_s = RATE_PER_S
        self._tokens: float = 2 * RATE_PER_S
        self._at: float = 0

    def begin_anew(self) -> None:
        """A new connection: everything may be sent at once."""
        self._tokens = 2 * self._rate_per_s

    def told(self, rate_per_s: int | None) -> None:
        self._rate_per_s = rate_per_s or self._rate_per_s

    def spend(self, now: float) -> None:
        """One frame goes out. What a person does goes out in any case, so it may be overdrawn."""
        self._tokens = self.left(now) - 1
        self._at = now

    def empty(self) -> None:
        """The server says that it was too fast."""
        self._tokens = 0

    def left(self, now: float) -> float:
        earned = (now - self._at) * self._rate_per_s / 1000
        return min(2 * self._rate_per_s, self._tokens + earned)
