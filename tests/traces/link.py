"""One socket between the two ends: in order both ways, until it is cut, stalled, dead or closed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from tests.traces.player import Json
from tests.traces.stage import Stage

LATENCY_MS: Final = (1, 60)
STALLED_ROOM: Final = (0, 150, 600, 2_000)


class Near(Protocol):
    """The client's end. What concerns an earlier socket than its present one it ignores."""

    def awake_in(self) -> int: ...
    def receive(self, number: int, frames: Sequence[Json]) -> None: ...
    def lost(self, number: int, code: int) -> None: ...


class Far(Protocol):
    """The server's end."""

    def receive(self, frame: Json) -> None: ...
    def writable(self) -> None: ...
    def lost(self) -> None: ...


class Link:
    def __init__(self, stage: Stage, number: int, near: Near, room: int, *, mangles: bool) -> None:
        self.number = number
        self.far: Far | None = None
        self.stalled = False
        self._stage = stage
        self._near = near
        self._room = self._whole_room = room
        self._mangles = mangles
        self._mute = self._deaf = False  # nothing passes down, nothing up
        self._near_over = self._far_over = False
        self._flying: list[Json] = []  # down, taken by the kernel
        self._waiting: list[Json] = []  # down, in the server's memory
        self._once_more: list[Json] = []
        self._delivering = False
        self._closing: int | None = None
        self._up_at = 0

    @property
    def is_open(self) -> bool:
        return not (self._near_over or self._far_over or self._closing)

    # --- down -----------------------------------------------------------------------------------

    def room(self) -> int:
        if self._closing is not None:
            return 0
        taken = sum(len(json.dumps(frame, separators=(",", ":"))) + 4 for frame in self._waiting)
        return max(0, self._room - taken)

    def write(self, frames: Sequence[Json]) -> None:
        if self._near_over or self._mute:
            return
        (self._waiting if self.stalled else self._flying).extend(frames)
        self._deliver_soon()

    def close(self, code: int) -> None:
        self._closing = code
        self._deliver_soon()

    def _deliver_soon(self) -> None:
        if self._delivering or self.stalled or self._mute or self._near_over:
            return
        self._delivering = True
        self._stage.later(self._stage.between(*LATENCY_MS) + self._near.awake_in(), self._deliver)

    def _deliver(self) -> None:
        self._delivering = False
        if self.stalled or self._mute or self._near_over:
            return
        if self._near.awake_in():
            self._deliver_soon()
            return
        count = self._stage.between(1, len(self._flying)) if self._flying else 0
        some, self._flying = self._flying[:count], self._flying[count:]
        arrived = self._mangled(some) if self._mangles else some
        if arrived:
            self._near.receive(self.number, arrived)
        if self._flying:
            self._deliver_soon()
        elif self._closing is not None:
            self._stage.later(self._stage.between(*LATENCY_MS), self._close_arrives)

    def _mangled(self, frames: Sequence[Json]) -> list[Json]:
        """Event frames dropped, doubled, swapped, repeated later; the others as they are."""
        arrived, self._once_more = self._once_more, []
        for frame in frames:
            if not _is_event(frame):  # an answer: what was sent before it is never sent after it
                self._once_more = []
            fate = self._stage.roll(12) if _is_event(frame) else 11
            if fate == 0:
                continue
            arrived.append(frame)
            if fate == 1:
                arrived.append(frame)
            elif fate == 3:
                self._once_more.append(frame)
            elif fate == 2 and len(arrived) > 1 and _is_event(arrived[-2]):
                arrived[-2:] = arrived[:-3:-1]
        return arrived

    def _close_arrives(self) -> None:
        """A code may get lost on the way: the bye counts."""
        if self._near_over or self._mute or self._closing is None:
            return
        self._near_over = True
        self._near.lost(self.number, self._closing if self._stage.chance(0.7) else 1006)
        self._far_in(self._stage.between(*LATENCY_MS))

    # --- up -------------------------------------------------------------------------------------

    def up(self, frame: Json) -> None:
        if self._deaf or self._near_over:
            return
        self._arrives_in_order(lambda: self._far_hears(frame))

    def _arrives_in_order(self, act: Callable[[], None]) -> None:
        self._up_at = max(self._up_at, self._stage.now + self._stage.between(*LATENCY_MS))
        self._stage.later(self._up_at - self._stage.now, act)

    def _far_hears(self, frame: Json) -> None:
        if not (self._deaf or self._far_over) and self.far is not None:
            self.far.receive(frame)

    # --- what happens to it ---------------------------------------------------------------------

    def drop(self) -> None:
        """The client closes it and hears it no more; what it sent before still arrives."""
        self._near_over = True
        if not self._deaf:
            self._arrives_in_order(self._far_ends)

    def cut(self) -> None:
        """Both learn of it, each in its time; what was under way is gone."""
        if self._near_over:
            return
        self._near_over = True
        self._flying, self._waiting = [], []
        self._near.lost(self.number, 1006)
        self._far_in(self._stage.pick((0, 30, 700, 4_000)))

    def abort(self) -> None:
        """By the server: it is gone at once."""
        self._far_over = True
        if not (self._near_over or self._mute):
            self._near_over = True
            self._near.lost(self.number, 1006)

    def die(self, *, down: bool, up: bool) -> None:
        """Half open: nobody is told, and what is written that way vanishes."""
        self._mute, self._deaf = self._mute or down, self._deaf or up
        if down:
            self._flying, self._waiting = [], []

    def stall(self) -> None:
        self.stalled = True
        self._room = self._stage.pick(STALLED_ROOM)

    def flow(self) -> None:
        """The client reads again."""
        if not self.stalled:
            return
        self.stalled = False
        self._room = self._whole_room
        self._flying += self._waiting
        self._waiting = []
        self._deliver_soon()
        if self.far is not None and not self._far_over:
            self.far.writable()

    def _far_in(self, ms: int) -> None:
        self._stage.later(ms, self._far_ends)

    def _far_ends(self) -> None:
        if not self._far_over and self.far is not None:
            self._far_over = True
            self.far.lost()


def _is_event(frame: Json) -> bool:
    return isinstance(frame, dict) and frame.get("op") == "event"
