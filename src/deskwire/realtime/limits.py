"""Every bound of a connection and of its node, in one place. Pure.

Each is tested at its edge and one past it. What happens at a bound stands beside the code that
meets it; a durable event is never dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from deskwire.realtime import frames

EVENT_ON_WIRE_BYTES_MAX: Final = frames.EVENT_FRAME_BYTES_MAX + 10  # with its WebSocket header


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bytes, counts and milliseconds. The defaults are what the docs promise."""

    # one connection
    waiting_bytes: int = 256 * 1024  # in user space: the transport's backlog
    unacked_bytes: int = 256 * 1024  # written, not yet acknowledged
    unacked_events: int = 256
    ack_ms: int = 2_000  # what the client is told: an ack each so often is enough
    watches: int = 200
    resume_events: int = 5_000  # further behind is `far`: a snapshot is cheaper
    coalesced_signs: int = 64
    frame_up_bytes: int = frames.UP_BYTES_MAX
    frames_per_s: int = 20
    frames_burst: int = 40
    errors: int = 10  # in errors_window_ms; one more is 4006
    errors_window_ms: int = 60_000
    identify_ms: int = 10_000
    heartbeat_ms: int = 20_000  # ± 10 %, drawn by the shell
    silence_ms: int = 35_000  # what the client is told: a server this silent is dropped
    pong_ms: int = 10_000
    write_deadline_ms: int = 10_000
    progress_ms: int = 30_000
    leaving_ms: int = 2_000
    login_warning_ms: int = 60_000
    login_grace_ms: int = 30_000
    typing_ms: int = 2_500  # a client repeats every 3 s; sooner is not passed on
    # one node
    in_step_from: int = 32  # watchers of a stream: from here on those who keep up share one loop
    kept_events: int = 256  # per stream
    kept_bytes: int = 64 * 1024 * 1024
    page_reads: int = 32  # at once
    identifies: int = 200  # at once; others wait
    identify_wait_ms: int = 5_000
    connections: int = 6_000
    close_ms: int = 1_000  # from the close of a plain connection to its abort

    def __post_init__(self) -> None:
        """One event has to fit, or a watch could wait for ever."""
        for name in ("waiting_bytes", "unacked_bytes"):
            if getattr(self, name) < EVENT_ON_WIRE_BYTES_MAX:
                raise ValueError(f"{name} is below the bound of one event frame")

    @property
    def half_window_bytes(self) -> int:
        """Unacknowledged at most where half the window counts as free, as then any event fits."""
        return min(self.unacked_bytes // 2, self.unacked_bytes - EVENT_ON_WIRE_BYTES_MAX)
