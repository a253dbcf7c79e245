"""The clock of one connection: heartbeat, the login's end, how often a peer may speak. Pure.

It only counts and compares; what follows is the delivery's. All times are monotonic ms but for
`login_until`, which is Unix ms.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from deskwire.realtime import frames
from deskwire.realtime.limits import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeting:
    """What is fixed when a connection opens. Its dice are thrown by the shell."""

    connection: str
    node: str
    login_until: int  # Unix ms
    unix_offset_ms: int  # Unix time − monotonic time, when it opened
    ping_first_ms: int  # a random part of ping_every_ms
    ping_every_ms: int


class Pulse:
    def __init__(self, greeting: Greeting, limits: Limits, now: int) -> None:
        self.heard_at = now
        self.login_until = greeting.login_until
        self.pong_due: int | None = None
        self._greeting = greeting
        self._limits = limits
        self._offset = greeting.unix_offset_ms
        self._ping_every = greeting.ping_every_ms
        self._ping_at = now + greeting.ping_first_ms
        self._warned = False
        self._paid_until = now  # the rate limit's clock
        self._errors: deque[int] = deque()

    def hello(self, now: int) -> frames.Hello:
        limits = self._limits
        return frames.Hello(
            connection=self._greeting.connection,
            node=self._greeting.node,
            now=self.unix(now),
            heartbeat_ms=limits.heartbeat_ms,
            silence_ms=limits.silence_ms,
            login_until=self.login_until,
            limits=frames.HelloLimits(
                watches=limits.watches,
                frame_bytes=limits.frame_up_bytes,
                frames_per_s=limits.frames_per_s,
                ack_ms=limits.ack_ms,
                ack_events=max(1, limits.unacked_events // 4),
                ack_bytes=max(1, min(limits.unacked_bytes // 4, limits.half_window_bytes)),
            ),
        )

    def unix(self, now: int) -> int:
        return now + self._offset

    def heard(self, now: int) -> None:
        """Any inbound frame proves the peer; outbound traffic proves nothing."""
        self.heard_at = now
        self.pong_due = None

    def is_silent(self, now: int) -> bool:
        return self.pong_due is not None and now >= self.pong_due

    def pings(self, now: int) -> bool:
        """Whether a ping is due; if so it counts as sent."""
        if now < self._ping_at:
            return False
        self._ping_at = now + self._ping_every
        if self.pong_due is None:
            self.pong_due = now + self._limits.pong_ms
        return True

    def renew(self, until: int) -> None:
        self.login_until = until
        self._warned = False

    def login_is_over(self, now: int) -> bool:
        return now >= self._login_end + self._limits.login_grace_ms

    def warns_of_login_end(self, now: int) -> bool:
        """Whether the warning is due; if so it counts as given."""
        if self._warned or now < self._login_end - self._limits.login_warning_ms:
            return False
        self._warned = True
        return True

    def pay_for_a_frame(self, now: int) -> int:
        """0, or in how many ms one more frame is allowed. Each costs 1/20 s; 40 are in credit."""
        cost = 1_000 // self._limits.frames_per_s
        owed = max(self._paid_until, now) + cost - now
        over = owed - cost * self._limits.frames_burst
        if over > 0:
            return over
        self._paid_until = now + owed
        return 0

    def take_back_a_frame(self) -> None:
        """The one that was paid for last is received anew, and pays then."""
        self._paid_until -= 1_000 // self._limits.frames_per_s

    def errs_too_often(self, now: int) -> bool:
        """Counts an error of the peer; whether the window holds more than allowed."""
        self._errors.append(now)
        while self._errors[0] <= now - self._limits.errors_window_ms:
            self._errors.popleft()
        return len(self._errors) > self._limits.errors

    def due_at(self) -> int:
        """The next instant at which one of the questions above changes its answer."""
        due = min(self._ping_at, self._login_end + self._limits.login_grace_ms)
        if not self._warned:
            due = min(due, self._login_end - self._limits.login_warning_ms)
        return due if self.pong_due is None else min(due, self.pong_due)

    @property
    def _login_end(self) -> int:
        return self.login_until - self._offset
