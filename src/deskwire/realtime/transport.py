"""Port: one socket as the manager writes to it; with its in-memory twin.

Knows bytes and room. Never waits for a peer.
Invariant: what was written leaves in the order of the calls, or the transport is CLOSED.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from enum import Enum
from typing import Final, Protocol, TypeAlias

from deskwire.realtime.frames import Framed, PeerFault

# What `room` says once the peer is gone, however the server below put it.
CLOSED: Final = -1
# What a socket takes that has nothing waiting; a frame more than CAPACITY_FRAMES waits nowhere.
CAPACITY_BYTES: Final = 256 * 1024
CAPACITY_FRAMES: Final = 256
# Where a server of ours puts its own Socket: scope["extensions"][EXTENSION]["socket"].
EXTENSION: Final = "deskwire.socket"


Heard: TypeAlias = Callable[[str | bytes | PeerFault], None]


class Taken(Enum):
    """What became of a frame that was handed over by `write_one`."""

    CLEAR = "clear"  # taken, and nothing is known to wait
    BEHIND = "behind"  # taken, but the peer is behind: `room` says how far
    NOT = "not"  # nothing was done: ask `room`, then `write`


CLEAR, BEHIND, NOT = Taken  # a global is found faster than an enum's member


BareWrite: TypeAlias = Callable[[bytes], None]  # of finished frames


class Step(Protocol):
    """Whoever writes the same to many sockets: told which of them need no more than a write."""

    def enter(self, write: BareWrite) -> None:
        """The socket is open, keeps up, and nothing of its own waits."""
        ...

    @property
    def is_owed(self) -> bool:
        """Frames for it wait outside: before it takes another it has to `fall_out`."""
        ...

    def fall_out(self) -> Sequence[bytes]:
        """It is no longer so. Takes over the frames that wait outside, in order."""
        ...


class Transport(Protocol):
    """One socket as it is written to. No method waits, none raises for a peer's fault."""

    def room(self) -> int:
        """Bytes it takes now; 0 = not writable, or closing; CLOSED = gone for good."""
        ...

    def write(self, frames: Sequence[Framed]) -> None:
        """Takes the frames over, in order. Owed by the caller: their bytes fit into `room`."""
        ...

    def write_one(self, frame: Framed) -> Taken:
        """The hot path of a fan-out: one frame to a socket that keeps up, whatever its room."""
        ...

    def keep_step(self, step: Step | None) -> None:
        """Tells `step` from now on; None ends that. A transport may never be in step."""
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


class Socket(Transport, Protocol):
    """A transport that is read as well, for connections the manager serves whole."""

    def listen(self, heard: Heard, lost: Callable[[], None]) -> Awaitable[None] | None:
        """Hands each text frame to `heard` (or a PeerFault for a binary one), then calls `lost`.

        Returns what to await until the socket is gone, or None if it drives itself.
        """
        ...


class MemoryTransport:
    """The twin: what a peer would have received, with a peer that reads only when told to.

    A `reading` peer takes everything at once; else bytes wait until `drain`.
    """

    def __init__(self, *, capacity: int = CAPACITY_BYTES, reading: bool = True) -> None:
        self.capacity = capacity
        self.reading = reading
        self.received: list[Framed] = []
        self.waiting: list[Framed] = []
        self.closed: tuple[int, str] | None = None
        self.aborted = False
        self.gone = False
        self._call: Callable[[], None] = lambda: None
        self._heard: Heard = lambda _: None
        self._lost: Callable[[], None] = lambda: None

    def room(self) -> int:
        if self.gone or self.aborted:
            return CLOSED
        if self.closed is not None:
            return 0
        return max(0, self.capacity - self.waiting_bytes)

    @property
    def waiting_bytes(self) -> int:
        return sum(frame.size for frame in self.waiting)

    def write(self, frames: Sequence[Framed]) -> None:
        if self.gone or self.aborted or self.closed is not None:
            return
        (self.received if self.reading else self.waiting).extend(frames)

    def write_one(self, frame: Framed) -> Taken:
        if self.waiting or not self.reading or self.room() < frame.size:
            return NOT
        self.received.append(frame)
        return CLEAR

    def keep_step(self, step: Step | None) -> None:
        del step  # its peer reads only when told to: never in step

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

    def listen(self, heard: Heard, lost: Callable[[], None]) -> None:
        self._heard, self._lost = heard, lost

    def peer_sends(self, data: str | bytes | PeerFault) -> None:
        """A frame of the peer arrives."""
        if not self.gone:
            self._heard(data)

    def lose(self) -> None:
        """The peer vanishes, or has finished the close that was begun."""
        self.waiting.clear()
        if not self.gone:
            self.gone = True
            self._call()
            self._lost()
