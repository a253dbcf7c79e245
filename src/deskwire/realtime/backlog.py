"""What waits for room on one connection, and how much room there is. Pure.

Frames that are no events wait here in order; events never do, they are paged from the log later.
Ephemerals coalesce by key or are shed. Behind all of it goes the bye.
Invariant: an ephemeral stays out of the upper half of the room, so it never displaces an event.
"""

from __future__ import annotations

from collections import deque
from typing import Final, TypeAlias

from deskwire.realtime.frames import EVENT_FRAME_BYTES_MAX, Framed, FramedSign
from deskwire.realtime.limits import EVENT_ON_WIRE_BYTES_MAX, Limits
from deskwire.realtime.log import Stream

# A `live` is made outside, so this much is taken off the room for it.
LIVE_BYTES_MAX: Final = EVENT_FRAME_BYTES_MAX
_SHED_FIRST: Final = frozenset(("typing", "viewing"))

Item: TypeAlias = Framed | Stream  # a frame, or the stream whose `live` is due


class Backlog:
    def __init__(self, limits: Limits) -> None:
        self.room = limits.waiting_bytes  # bytes the transport takes now
        self.sheds = 0
        self.bye: Framed | None = None
        self.shed: dict[Stream, None] = {}  # streams that owe a `live`
        self._capacity = limits.waiting_bytes
        self._signs_max = limits.coalesced_signs
        self._items: deque[Item] = deque()
        self._bytes = 0
        self._signs: dict[tuple[Stream, str], FramedSign] = {}

    @property
    def is_empty(self) -> bool:
        """No frame waits. Coalesced signs do not count: events may pass them."""
        return not self._items

    @property
    def holds_back(self) -> bool:
        """Something would be written if there were more room."""
        return bool(self._items or self._signs or self.shed or self.bye)

    @property
    def is_full(self) -> bool:
        """Over the bound: the connection has to go."""
        return self._bytes > self._capacity

    @property
    def signs_wait(self) -> bool:
        """Whether an ephemeral has to wait: more than half is taken, or others wait already."""
        over_half = self.room < self._capacity // 2
        return over_half or bool(self._items or self._signs or self.shed)

    @property
    def fits_a_page(self) -> bool:
        """Any event fits, and nothing goes before it."""
        return self.is_empty and self.room >= EVENT_ON_WIRE_BYTES_MAX

    def takes(self, size: int) -> bool:
        """Whether an event of `size` bytes has room and nothing goes before it."""
        return size <= self.room and not self._items

    def queue(self, item: Item) -> None:
        self._items.append(item)
        self._bytes += _bytes_of(item)

    def next_item(self) -> Item | None:
        """The next that waits, if there is room; the room is taken."""
        if not self._items:
            return None
        item = self._items[0]
        size = item.size if isinstance(item, Framed) else LIVE_BYTES_MAX
        if size > self.room:
            return None
        self.room -= size
        self._bytes -= _bytes_of(item)
        return self._items.popleft()

    def coalesce(self, sign: FramedSign, watched: bool) -> None:  # noqa: FBT001  a fact, no switch
        """Newest per key, `signs_max` keys. What is shed its stream's `live` makes good."""
        key = (sign.stream, sign.key)
        full = len(self._signs) >= self._signs_max and key not in self._signs
        if sign.type not in _SHED_FIRST and not full:
            self._signs.pop(key, None)
            self._signs[key] = sign
            return
        self.sheds += 1
        if watched:
            self.shed[sign.stream] = None

    def next_sign(self) -> Framed | None:
        """The oldest coalesced sign, once no frame waits and it has room; the room is taken."""
        if not self._signs or self._items or self.room < self._capacity // 2:
            return None
        key = next(iter(self._signs))
        frame = self._signs[key].frame
        if frame.size > self.room:
            return None
        del self._signs[key]
        self.room -= frame.size
        return frame

    def take_shed(self) -> list[Stream]:
        """The streams that owe a `live`, once nothing else waits."""
        if self._items or self._signs:
            return []
        shed, self.shed = list(self.shed), {}
        return shed

    def forget_signs(self, stream: Stream) -> None:
        """Its signs are superseded by a `live`, or nobody watches it any more."""
        self.shed.pop(stream, None)
        for key, sign in list(self._signs.items()):
            if sign.stream == stream and sign.type != "plain":
                del self._signs[key]

    def only_bye(self, bye: Framed | None) -> None:
        """Signs and debts are dropped; frames still go, then `bye`."""
        self._items = deque(item for item in self._items if isinstance(item, Framed))
        self._signs.clear()
        self.shed.clear()
        self.bye = bye

    def clear(self) -> None:
        self._items.clear()
        self._bytes = 0
        self.only_bye(None)


def _bytes_of(item: Item) -> int:
    return item.size if isinstance(item, Framed) else 0
