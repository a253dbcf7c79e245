"""When, and whether, to come back after a connection has ended. Pure; the table of codes decides.

All delays are milliseconds. The dice, numbers in [0, 1), are an argument.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from deskwire.realtime.codes import Again, Code, Wait, meaning

Dice: TypeAlias = Callable[[], float]

FIRST_MS: Final = 1_000
BACKOFF_MS: Final = 500
BACKOFF_MAX_MS: Final = 20_000
SETTLED_MS: Final = 30_000  # a connection that lived this long was a good one: delays begin anew
AT_ONCE_MAX: Final = 3  # "at once" more often than this would be a storm of our own
LOGINS_MAX: Final = 2


@dataclass(frozen=True, slots=True)
class WaitFor:
    """At least `least_ms`, which nobody shortens, and `more_ms` on top."""

    least_ms: float
    more_ms: float


@dataclass(frozen=True, slots=True)
class Renew:
    why: int


@dataclass(frozen=True, slots=True)
class Stop:
    code: int


Plan: TypeAlias = WaitFor | Renew | Stop


class Comeback:
    def __init__(self, dice: Dice) -> None:
        self._dice = dice
        self._attempt = 0
        self._logins = 0

    def greeted(self) -> None:
        """The server has greeted, or a person asks for another try: a login may be asked for."""
        self._logins = 0

    def lived(self, ms: float) -> None:
        if ms >= SETTLED_MS:
            self._attempt = 0

    def after(self, code: int, retry: tuple[float, float] | None) -> Plan:
        """After this end; `retry` is what `bye` said."""
        row = meaning(code)
        delay = row.delay
        if code == Code.NOT_LOGGED_IN or row.again is Again.RENEW:
            return self._renew(code)
        if row.again is Again.STOP:
            return Stop(code)
        if retry is not None:
            return WaitFor(retry[0], self._dice() * max(0, retry[1] - retry[0]))
        if delay.wait is not Wait.RANGE or self._attempt >= AT_ONCE_MAX:
            return WaitFor(delay.least_ms, self._backoff())
        self._attempt += 1
        return WaitFor(delay.least_ms, self._dice() * (delay.most_ms - delay.least_ms))

    def after_answer(self, status: int, retry_after_ms: float) -> Plan:
        """After a socket that never opened; `status` is HTTP's, 0 for no answer."""
        if status == 401:
            return self._renew(Code.NOT_LOGGED_IN)
        if status == 403:
            return Stop(int(Code.DENIED))
        return WaitFor(retry_after_ms, self._backoff())

    def _renew(self, why: int) -> Plan:
        self._logins += 1
        return Stop(int(Code.NOT_LOGGED_IN)) if self._logins > LOGINS_MAX else Renew(int(why))

    def _backoff(self) -> float:
        k = self._attempt
        self._attempt += 1
        # 2 ** k is bounded before it is made: a client may try for months
        most = min(BACKOFF_MAX_MS, BACKOFF_MS * 2 ** min(k, 16)) if k else FIRST_MS
        return self._dice() * most
