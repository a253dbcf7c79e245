"""One simulated socket: bytes in order, cut at any byte, stalled, trickling, or half-open.

The node's side is a Socket as the manager knows it: user space of `waiting_bytes`, behind it a
kernel that hides 64 KiB more. The client's side gets chunks of bytes and puts frames together
itself. Whoever goes silent tells nobody.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

from deskwire.realtime.frames import Framed, MalformedFrame
from deskwire.realtime.transport import BEHIND, CLEAR, CLOSED, NOT, Heard, Step, Taken

KERNEL_BYTES = 64 * 1024


class Far(Protocol):
    """The client's end."""

    def bytes_came(self, wire: Wire, chunk: bytes) -> None: ...
    def socket_closed(self, wire: Wire, code: int) -> None: ...


class Watcher(Protocol):
    """Who sees every frame before its bytes leave."""

    def wrote(self, wire: Wire, frame: Framed, room: int) -> None: ...
    def closes(self, wire: Wire, code: int) -> None: ...


@dataclass(slots=True)
class Road:
    """How bytes travel; the world changes it."""

    lag_s: float = 0.005
    chunk_bytes: int = 256 * 1024


class Wire:
    def __init__(
        self, far: Far, watcher: Watcher, road: Road, dice: Random, *, name: str, capacity: int
    ) -> None:
        self.far = far
        self.watcher = watcher
        self.road = road
        self.name = name
        self.capacity = capacity
        self.user_bytes = 0
        self.gone = False  # for the node
        self.aborted = False
        self.half_open = False  # both directions vanish, nobody is told
        self.severed = False  # nothing passes any more; both ends will be told
        self.deaf_up = False  # only what the client sends vanishes
        self.stalled_until = 0.0
        self.closing: tuple[int, str] | None = None
        self.far_knows = False  # the client was told of the end
        self.last: Framed | None = None
        self.places: dict[str, tuple[str, int]] = {}  # written of each watch: epoch, position
        self.bye: int | None = None
        self._dice = dice
        self._loop = asyncio.get_running_loop()
        self._kernel = bytearray()
        self._user: deque[bytes] = deque()
        self._up: deque[str | None] = deque()
        self._pumping = self._lifting = self._listening = False
        self._step: Step | None = None
        self._node_is_dead = False
        self._call: Callable[[], None] = lambda: None
        self._heard: Heard = lambda _: None
        self._lost: Callable[[], None] = lambda: None

    def __repr__(self) -> str:
        return f"<Wire {self.name} gone={self.gone} aborted={self.aborted} {self.closing}>"

    # --- the node's side ------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether the node has to hold a connection for it."""
        return not self.gone and not self.aborted

    def room(self) -> int:
        if not self.is_open:
            return CLOSED
        return 0 if self.closing is not None else max(0, self.capacity - self.user_bytes)

    def write(self, frames: Sequence[Framed]) -> None:
        was_owed = self._step is not None and self._step.is_owed
        if was_owed:
            self._fall_out()
        self._take(frames)
        if self.user_bytes:
            self._fall_out()
        elif was_owed:
            self._fall_in()

    def _take(self, frames: Sequence[Framed]) -> None:
        for frame in frames:
            self.watcher.wrote(self, frame, self.room())
            if not self.is_open or self.closing is not None:
                return
            self.last = frame
            self._user.append(frame.wire)
            self.user_bytes += frame.size
        self._refill()
        self._pump_soon()

    def write_one(self, frame: Framed) -> Taken:
        if self.user_bytes or self.room() < frame.size:
            return NOT
        self.write((frame,))
        return BEHIND if self.user_bytes else CLEAR

    def keep_step(self, step: Step | None) -> None:
        self._fall_out()
        self._step = step
        self._fall_in()

    def _write_bare(self, data: bytes) -> None:
        """What a loop over many sockets writes past everything else: one frame or several."""
        if self._node_is_dead:
            return  # the end of a turn that had begun, here where only tasks end with their node
        self._take(list(_frames_of(data)))
        if self.user_bytes:
            self._fall_out()

    def _fall_in(self) -> None:
        if self._step is not None and self.room() == self.capacity:
            self._step.enter(self._write_bare)

    def _fall_out(self) -> None:
        if self._step is not None:
            self._take([frame for wire in self._step.fall_out() for frame in _frames_of(wire)])

    def _leave_step(self) -> None:
        self._fall_out()
        self._step = None

    def on_room(self, call: Callable[[], None]) -> None:
        self._call = call

    def close(self, code: int, reason: str) -> None:
        if self.closing is None and self.is_open:
            self._leave_step()
            self.watcher.closes(self, code)
            self.closing = (code, reason)
            self._pump_soon()

    def abort(self) -> None:
        if self.is_open:
            self._leave_step()
            self.aborted = True
            self._drop()
            self._loop.call_later(self._lag(), self._tell_far, 1006)
            self._loop.call_soon(self._lost)

    def listen(self, heard: Heard, lost: Callable[[], None]) -> None:
        self._heard, self._lost = heard, lost
        self._listening = True
        if self._up:
            self._lift_soon()

    def node_died(self) -> None:
        """SIGKILL: its kernel closes the socket, and what was in user space is gone."""
        self.gone = self._node_is_dead = True
        self._step = None
        self._call = self._lost = lambda: None
        self._heard = lambda _: None
        self._user.clear()
        if not self.severed:  # what was written after a cut is lost: its gap would be no stream
            self._cut_kernel()
        self._loop.call_later(self._lag(), self._tell_far, 1006)

    # --- the client's side ----------------------------------------------------------------------

    def send(self, text: str) -> None:
        if not (self.half_open or self.deaf_up or self.far_knows):
            self._up.append(text)
            self._lift_soon()

    def hang_up(self) -> None:
        """The client closes, or dies; the node hears of it, unless the road is dead."""
        self.far_knows = True
        if not (self.half_open or self.deaf_up):
            self._up.append(None)
            self._lift_soon()

    # --- the world's side -----------------------------------------------------------------------

    def cut(self) -> None:
        """Both ends are told, each in its time; some bytes under way still arrive."""
        if self.is_open and not self.severed:
            self.severed = True
            self._cut_kernel()
            self._loop.call_later(self._lag(), self._lose)
            self._loop.call_later(self._lag() * 2, self._tell_far, 1006)

    def stall(self, seconds: float) -> None:
        self.stalled_until = max(self.stalled_until, self._loop.time() + seconds)

    def heal(self) -> None:
        self.road = Road()
        self.stalled_until = 0.0

    # --- down -----------------------------------------------------------------------------------

    def _lag(self) -> float:
        return self._dice.expovariate(1) * self.road.lag_s

    def _refill(self) -> bool:
        """From user space into the kernel; whether something left."""
        before = self.user_bytes
        while self._user and len(self._kernel) + len(self._user[0]) <= KERNEL_BYTES + 16 * 1024:
            chunk = self._user.popleft()
            self.user_bytes -= len(chunk)
            self._kernel += chunk
        return self.user_bytes < before

    def _pump_soon(self) -> None:
        if not self._pumping and self.is_open:
            self._pumping = True
            lag = max(self._lag(), self.stalled_until - self._loop.time())
            self._loop.call_later(lag, self._pump)

    def _pump(self) -> None:
        self._pumping = False
        if not self.is_open or self.half_open or self.severed:
            return
        if self._loop.time() < self.stalled_until:
            self._pump_soon()
            return
        if self._kernel:
            size = self._dice.randint(1, self.road.chunk_bytes)
            chunk = bytes(self._kernel[:size])
            del self._kernel[:size]
            left = self._refill()
            self.far.bytes_came(self, chunk)
            if left and self.is_open:
                self._fall_in()
                self._call()
        if self._kernel or self._user:
            self._pump_soon()
        elif self.closing is not None and self.is_open:
            self._tell_far(self.closing[0])
            self._loop.call_later(self._lag(), self._lose)

    def _cut_kernel(self) -> None:
        """Of the bytes under way a random part, to the byte, still reaches the client."""
        if self._kernel and not self.half_open and not self.far_knows:
            self.far.bytes_came(
                self, bytes(self._kernel[: self._dice.randint(0, len(self._kernel))])
            )
        self._kernel.clear()

    def _tell_far(self, code: int) -> None:
        if not self.far_knows and not self.half_open:
            self.far_knows = True
            self.far.socket_closed(self, code)

    # --- up -------------------------------------------------------------------------------------

    def _lift_soon(self) -> None:
        if self._listening and not self._lifting:
            self._lifting = True
            self._loop.call_later(self._lag(), self._lift)

    def _lift(self) -> None:
        self._lifting = False
        if not self.is_open or self.half_open or self.severed or not self._up:
            return
        text = self._up.popleft()
        if text is None:
            self._lose()
            return
        self._heard(MalformedFrame("binary") if text == "" else text)
        if self._up:
            self._lift_soon()

    def _lose(self) -> None:
        if self.is_open:
            self._leave_step()
            self.gone = True
            self._drop()
            self._call()
            self._lost()

    def _drop(self) -> None:
        self._user.clear()
        self._kernel.clear()
        self.user_bytes = 0


def _frames_of(wire: bytes) -> Iterator[Framed]:
    """A server's frames, taken apart again: whole and unmasked."""
    at = 0
    while at < len(wire):
        length, start = wire[at + 1], at + 2
        if length >= 126:
            start += 2 if length == 126 else 8
            length = int.from_bytes(wire[at + 2 : start], "big")
        at = start + length
        yield Framed(wire[start:at])
