"""The watchers of one stream who have all of it and keep up: one loop over their bare writes.

What is written to them so is booked in each delivery later, before anything else happens to it.
Invariants: whoever is in step was written everything up to `position`, and what is not booked of
it fits into its window: it came with half of that free, and owes the books a quarter at most.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable, Sequence
from itertools import islice
from typing import Generic, Protocol, TypeVar

from deskwire.realtime.crowd import Crowd
from deskwire.realtime.frames import JOINED_BYTES_MAX, FramedEvent
from deskwire.realtime.limits import Limits
from deskwire.realtime.log import Stream
from deskwire.realtime.transport import BareWrite


class Watcher(Hashable, Protocol):
    @property
    def who(self) -> Hashable: ...

    def book(self, stream: Stream, sizes: Sequence[int], position: int) -> None:
        """Events of these sizes were written to it, the last of them at `position`."""
        ...

    def check_step(self) -> None:
        """Its books are true now: if it cannot go on like this it leaves, within the call."""
        ...


W = TypeVar("W", bound=Watcher)


class Stride(Generic[W]):
    def __init__(self, stream: Stream, limits: Limits) -> None:
        self.stream = stream
        self.epoch = ""
        self.position = 0  # everything up to here was written to all in step
        self._crowd: Crowd[W] = Crowd()
        self._booked: OrderedDict[W, tuple[int, int]] = OrderedDict()  # longest unbooked first
        self._sizes: deque[int] = deque()  # of the events that somebody has not booked
        self._events = 0  # sent here so far, and their bytes
        self._bytes = 0
        self._events_max = limits.unacked_events // 4
        self._bytes_max = limits.unacked_bytes // 4
        self._joined_max = min(JOINED_BYTES_MAX, limits.waiting_bytes)

    def __repr__(self) -> str:
        return f"<Stride {self.stream}@{self.position} in_step={len(self._booked)}>"

    def __len__(self) -> int:
        return len(self._booked)

    def enter(self, watcher: W, write: BareWrite) -> None:
        """It has everything up to `position`, nothing of its own waits, half its window is free."""
        self._crowd.hand_on()  # what is pending it has already
        self._crowd.add(watcher)
        self._crowd.enter(watcher, write)
        self._booked[watcher] = (self._events, self._bytes)

    def owes(self, watcher: W) -> bool:
        """It is in step, and frames are pending."""
        return self._crowd.owes(watcher)

    def leave(self, watcher: W) -> Sequence[bytes]:
        """Books everything, what it is owed too, and hands that over."""
        self.settle(watcher)
        owed = self._crowd.leave(watcher)
        self.forget(watcher)
        return owed

    def forget(self, watcher: W) -> None:
        """Nothing is booked any more: its books are not to be trusted."""
        self._booked.pop(watcher, None)
        self._crowd.remove(watcher)

    def settle(self, watcher: W) -> None:
        """Books what was written to it since the last time."""
        mark = self._booked.get(watcher)
        if mark is None or mark[0] == self._events:
            return
        first = len(self._sizes) - (self._events - mark[0])
        self._booked[watcher] = (self._events, self._bytes)
        self._booked.move_to_end(watcher)
        watcher.book(self.stream, list(islice(self._sizes, first, None)), self.position)

    def send(self, event: FramedEvent, *, more: bool = False) -> int:
        """The stream's next event to all in step; returns how many took it so. `more` follow it
        in this turn: they leave together.
        """
        if (event.epoch, event.position) != (self.epoch, self.position + 1):
            self._begin_anew()
            self.epoch = event.epoch
        # What is joined has to fit into a socket with nothing waiting; whoever falls behind with
        # what is pending is written this event otherwise.
        self._crowd.make_room(event.frame.size, self._joined_max)
        self._make_room(event.frame.size)
        self.position = event.position
        if not self._booked:
            return 0
        self._events += 1
        self._bytes += event.frame.size
        self._sizes.append(event.frame.size)
        return self._crowd.send(event.frame, more=more)

    def _make_room(self, size: int) -> None:
        """Whoever could be written more than its window holds books first, and leaves if it must.

        The sizes that all have booked are forgotten.
        """
        oldest = self._events
        while self._booked:
            watcher, (oldest, weight) = next(iter(self._booked.items()))
            events = self._events - oldest
            fits = events < self._events_max and self._bytes - weight + size <= self._bytes_max
            if not events or fits:
                break
            self.settle(watcher)
            watcher.check_step()
        else:
            oldest = self._events
        while len(self._sizes) > self._events - oldest:
            self._sizes.popleft()

    def _begin_anew(self) -> None:
        """Not the next event: the stream was replaced, and everybody should have left before."""
        for watcher in tuple(self._booked):
            self.settle(watcher)
            watcher.check_step()
        assert not self._booked, "whoever is in step has everything before the event"
