"""After a config fault: ask WeCom nothing for a while, then with one probe.

Pure; takes `now_ms`. WeCom bans an address for an hour that keeps calling with a wrong secret
(D90313), and no retry mends a setting. Opens for 60 s, doubled at each failed probe up to one hour.
A changed secret is a new breaker: it begins closed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from deskwire.wecom.errors import WeComFault

FIRST_PAUSE_MS: Final = 60_000
LONGEST_PAUSE_MS: Final = 3_600_000


@dataclass(slots=True)
class Breaker:
    """Ask `refusal` before each call; then tell how it ended: `trip`, `close` or `let_go`."""

    fault: WeComFault | None = None
    until_ms: int = 0
    _pause_ms: int = FIRST_PAUSE_MS
    _probing: bool = False

    def refusal(self, now_ms: int) -> WeComFault | None:
        """Why no call may be made now. None lets one through; while open, that one is the probe."""
        if self.fault is None:
            return None
        if now_ms < self.until_ms or self._probing:
            return self.fault
        self._probing = True
        return None

    def trip(self, fault: WeComFault, now_ms: int) -> bool:
        """A call ended in a config fault. True when that opened it, or made it wait longer."""
        if self.fault is not None and not self._probing:
            return False  # a call that had started before it opened
        if self.fault is not None:
            self._pause_ms = min(2 * self._pause_ms, LONGEST_PAUSE_MS)
        self.fault, self.until_ms, self._probing = fault, now_ms + self._pause_ms, False
        return True

    def close(self) -> bool:
        """A call was answered well. True when that ended the trouble."""
        was_open = self.fault is not None
        if was_open and not self._probing:
            return False  # a call that had started before it opened
        self.fault, self.until_ms, self._pause_ms, self._probing = None, 0, FIRST_PAUSE_MS, False
        return was_open

    def let_go(self) -> None:
        """A call ended in a way that says nothing of the setting: the next caller probes."""
        self._probing = False
