"""One stream of one connection: where it stands, and whether it can be resumed. Pure.

It never knows whose it is. The rules of resume are `start` and `broken_by`, nowhere else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from deskwire.realtime.frames import FramedEvent, Place, ResetWhy, UnwatchedWhy
from deskwire.realtime.gate import Permit
from deskwire.realtime.log import Head, Stream


class Standing(Enum):
    """Of a watch; a stream without one has none."""

    ASKED = "asked"  # gate and log have not answered yet
    BEHIND = "behind"  # paged from the log: after a resume, a gap, or for want of room
    LIVE = "live"  # takes events as they are committed


_LIVE = Standing.LIVE


@dataclass(frozen=True, slots=True)
class Denied:
    """The gate's no. `why` is None where the gate gave no reason of its own."""

    why: UnwatchedWhy | None = None


@dataclass(slots=True)
class Watch:
    """acked ≤ sent ≤ head. `unacked` holds the bytes of positions acked + 1 … sent."""

    place: Place | None  # where the client said it stands
    standing: Standing = Standing.ASKED
    epoch: str = ""
    sent: int = 0
    acked: int = 0
    head: int = 0
    permit: Permit = field(default_factory=Permit)
    reading: int | None = None  # the `after` of the Read that is out
    unacked: deque[int] = field(default_factory=deque)
    read: int = 0  # the highest mark told
    viewing: bool = False
    typing_at: int | None = None  # when `typing on` was last told
    # What an earlier watch of this stream wrote here, as a place. It may still be under way when
    # the client watches again, and is acknowledged before this watch has come as far.
    written_before: tuple[str, int] = ("", 0)

    @property
    def is_answered(self) -> bool:
        """Its Ask was answered: from then on `permit` is the gate's word, and no default."""
        return self.standing is not Standing.ASKED

    @property
    def end(self) -> int:
        """The head as this watcher meets it: who left sees up to `until`."""
        until = self.permit.until
        return self.head if until is None or self.head < until else until

    @property
    def written(self) -> tuple[str, int]:
        """The highest place that this and the earlier watches of the connection wrote."""
        epoch, position = self.written_before
        if self.epoch in ("", epoch):
            return epoch, max(self.sent, position)
        return self.epoch, self.sent

    @property
    def resumes(self) -> bool:
        """The client named a place of its own, hence holds everything up to it."""
        return self.place is not None and self.place[0] is not None

    def begin(self, permit: Permit, head: Head) -> None:
        """Takes the answer over; what was offered meanwhile in the same epoch still counts.

        So does the permit: where it begins above the head, the head was read before it was given.
        """
        known = self.head if self.epoch == head.epoch else 0
        self.head = max(known, head.position, permit.after)
        self.epoch = head.epoch
        self.permit = permit

    def start(self, floor: int, events_max: int) -> int | ResetWhy:
        """The position to take up at, or why that cannot be."""
        if self.place is None:
            return self.end
        epoch, position = self.place
        if epoch is None and position == 0:
            return min(max(floor - 1, self.permit.after), self.end)
        if epoch != self.epoch:
            return "epoch"
        if position > self.end:
            return "ahead"
        if position < self.permit.after or self._lacks(floor, position, self.end):
            return "trimmed"
        if self.end - position > events_max:
            return "far"
        return position

    def broken_by(self, permit: Permit, head: Head) -> ResetWhy | None:
        """Why news of a stream already followed make it impossible to go on."""
        if head.epoch != self.epoch:
            return "epoch"
        if head.position < self.sent:
            return "ahead"
        end = head.position if permit.until is None else min(head.position, permit.until)
        if permit.after > self.sent or self._lacks(head.floor, self.sent, end):
            return "trimmed"
        return None

    def is_next(self, event: FramedEvent) -> bool:
        """Whether this event is what a LIVE watch is to be written next; `head` follows it."""
        position = event.position
        if self.sent + 1 != position or self.standing is not _LIVE or self.epoch != event.epoch:
            return False
        until = self.permit.until
        if until is not None and position > until:
            return False
        self.head = max(self.head, position)
        return True

    def is_level(self, epoch: str, position: int) -> bool:
        """LIVE without an end, and written up to `position`, which is the head."""
        return (
            self.standing is _LIVE
            and self.sent == position == self.head
            and self.epoch == epoch
            and self.permit.until is None
        )

    @staticmethod
    def _lacks(floor: int, position: int, end: int) -> bool:
        """Whether the next event for this watcher is gone from the log.

        Who left and has everything lacks nothing, though the floor rose above `until`: a reset
        would lead to a snapshot at `until`, and that to the next reset.
        """
        return position + 1 < floor and position < end

    @property
    def shows_signs(self) -> bool:
        """Ephemerals are for who is live and has not left; who is BEHIND gets them with `live`."""
        return self.standing is Standing.LIVE and self.permit.until is None

    def types(self, on: bool, now: int, every_ms: int) -> bool:  # noqa: FBT001  the frame's own
        """Takes a typing sign in; whether it is news, at most once in `every_ms` while on."""
        last = self.typing_at
        if on and last is not None and now - last < every_ms:
            return False
        self.typing_at = now if on else None
        return on or last is not None


def heads_unacked(
    watches: Mapping[Stream, Watch], heads: Mapping[Stream, int]
) -> dict[Stream, int]:
    """Heads of the streams not acknowledged up to, as these watchers may know them."""
    unacked: dict[Stream, int] = {}
    for stream, watch in watches.items():
        if watch.standing is Standing.ASKED:
            continue
        head, until = max(watch.head, heads.get(stream, 0)), watch.permit.until
        end = head if until is None else min(head, until)
        if end > watch.acked:
            unacked[stream] = end
    return unacked
