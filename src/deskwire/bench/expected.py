"""Places that the replies to commands named and that have to come by the socket too. Pure.

It only counts and compares; what follows is the reading's. Times are the reading's milliseconds.
Invariant: at most one place per stream; it goes when it has come, and comes into doubt once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from deskwire.bench.sight import Sight
from deskwire.realtime.log import Stream

WITHIN_MS: Final = 5_000


@dataclass(slots=True)
class _Place:
    epoch: str
    position: int
    since: float
    doubtful: bool = False


class Expected:
    def __init__(self) -> None:
        self._places: dict[Stream, _Place] = {}

    def add(self, stream: Stream, epoch: str, position: int, now: float) -> None:
        before = self._places.get(stream)
        if before is not None and before.epoch == epoch:
            before.position = max(before.position, position)
        else:
            self._places[stream] = _Place(epoch, position, now)

    def forget(self, stream: Stream) -> None:
        self._places.pop(stream, None)

    def clear(self) -> None:
        self._places.clear()

    def meet(self, stream: Stream, sight: Sight) -> None:
        """What was expected of this stream may be here now."""
        place = self._places.get(stream)
        if place is None or place.epoch != sight.epoch:
            return
        if place.position <= (sight.applied or 0):
            del self._places[stream]

    def begin_anew(self, now: float) -> None:
        """A new connection: nothing is in doubt yet."""
        for place in self._places.values():
            place.since, place.doubtful = now, False

    def lacking(self, now: float) -> Sequence[Stream]:
        """Those in doubt; from now on they have 5 s more."""
        lacking = [stream for stream, place in self._places.items() if place.doubtful]
        for stream in lacking:
            self._places[stream].since = now
        return lacking

    def despairs(self, now: float) -> bool:
        """One in doubt has not come: asked, alive, watched again, and still not here."""
        return any(place.doubtful for place in self._overdue(now))

    def doubts(self, now: float) -> bool:
        """Takes what is overdue into doubt; whether there was any."""
        overdue = list(self._overdue(now))
        for place in overdue:
            place.doubtful, place.since = True, now
        return bool(overdue)

    @property
    def is_doubtful(self) -> bool:
        return any(place.doubtful for place in self._places.values())

    @property
    def dues(self) -> Iterable[float]:
        return (place.since + WITHIN_MS for place in self._places.values())

    def _overdue(self, now: float) -> Iterable[_Place]:
        return (place for place in self._places.values() if now - place.since >= WITHIN_MS)
