"""Port: one socket as the manager writes to it; with its in-memory twin.

Knows bytes and room. Never waits for a peer.
Invariant: what was written leaves in the order of the calls, or the transport is CLOSED.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from deskwire.realtime.frames import Framed

# What `room` says once the peer is gone, however the server below put it.
CLOSED: Final = -1


class Transport(Protocol):
    """One socket. No method waits, none raises for a peer's fault."""

    def room(self) -> int:
        """Bytes it takes now; 0 = not writable; CLOSED = gone for good."""
        ...

    def write(self, frames: Sequence[Framed]) -> None:
        """Takes the frames over, in order. Owed by the caller: their bytes fit into `room`."""
        ...

    def on_room(self, call: Callable[[], None]) -> None:
        """`call` is called, never inside `write`, when waiting bytes left, and once on CLOSED."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Begins a close behind what is waiting; `reason` ≤ 32 ASCII characters."""
        ...

    def abort(self) -> None:
        """Drops what is waiting and the socket with it, at once."""
        ...


class MemoryTransport:
    """The twin: what a peer would have received, with a peer that reads only when told to.

    A `reading` peer takes everything at once; else bytes wait until `drain`.
    """

    def __init__(self, *, capacity: int = 256 * 1024, reading: bool = True) -> None:
        self.capacity = capacity
        self.reading = reading
        self.received: list[Framed] = []
        self.waiting: list[Framed] = []
        self.closed: tuple[int, str] | None = None
        self.aborted = False
        self.gone = False
        self._call: Callable[[], None] = lambda: None

    def room(self) -> int:
        if self.gone or self.aborted or self.closed is not None:
            return CLOSED
        return max(0, self.capacity - self.waiting_bytes)

    @property
    def waiting_bytes(self) -> int:
        return sum(frame.size for frame in self.waiting)

    def write(self, frames: Sequence[Framed]) -> None:
        if self.room() == CLOSED:
            return
        (self.received if self.reading else self.waiting).extend(frames)

    def on_room(self, call: Callable[[], None]) -> None:
        self._call = call

    def drain(self, bytes_max: int | None = None) -> int:
        """The peer reads whole frames, at most `bytes_max` of them (all without it)."""
        taken = 0
        while self.waiting and (bytes_max is None or taken + self.waiting[0].size <= bytes_max):
            frame = self.waiting.pop(0)
            taken += frame.size
            self.received.append(frame)
        if taken:
            self._call()
        return taken

    def close(self, code: int, reason: str) -> None:
        if self.closed is None and not self.aborted:
            self.closed = (code, reason)

    def abort(self) -> None:
        self.aborted = True
        self.waiting.clear()

    def lose(self) -> None:
        """The peer vanishes."""
        self.gone = True
        self.waiting.clear()
        self._call()
