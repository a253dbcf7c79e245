"""The watched streams of one connection, as its client keeps them. Pure data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from deskwire.realtime.frames import Place
from deskwire.realtime.log import Stream

NOT_YET: Final = -1  # as `asked_at`: not on this connection


class Standing(StrEnum):
    ASKED = "asked"  # a question is open, or will be with the next socket
    CATCHING = "catching"
    LIVE = "live"


class Next(StrEnum):
    """What to do once the open question is answered."""

    GO = "go"
    ASK_AGAIN = "ask again"
    UNWATCH = "unwatch"


@dataclass(slots=True)
class Sight:
    """`applied` None: from now on, where that is the server will say."""

    epoch: str | None = None
    applied: int | None = None
    standing: Standing = Standing.ASKED
    asked_at: float = NOT_YET
    next: Next = Next.GO
    ack_due: bool = False
    head: int = 0  # the highest heard of
    behind_since: float = 0  # nothing has been applied since, although `head` is higher
    read: int = 0
    read_due: bool = False
    viewing: bool = False
    viewing_at: float = 0
    typing_at: float | None = None

    @property
    def place(self) -> Place | None:
        if self.applied is None:
            return None
        return (None, 0) if self.epoch is None else (self.epoch, self.applied)

    @property
    def is_behind(self) -> bool:
        return self.head > (self.applied or 0)

    def start_from(self, place: Place | None) -> None:
        self.epoch, self.applied = (None, None) if place is None else place

    @property
    def is_wanted(self) -> bool:
        return self.next is not Next.UNWATCH

    @property
    def is_watched(self) -> bool:
        """The server has confirmed it on this connection."""
        return self.standing is not Standing.ASKED

    @property
    def is_answered(self) -> bool:
        """No question is under way on this connection."""
        return self.standing is not Standing.ASKED or self.asked_at == NOT_YET

    def ask(self, now: float) -> None:
        """A question goes out, or will; nothing of an earlier answer counts any more."""
        self.standing = Standing.ASKED
        self.next = Next.GO
        self.asked_at = now
        self.ack_due = False
        self.typing_at = None


class Sights(dict[Stream, Sight]):
    """All of them, in the order in which they were wanted."""

    @property
    def places(self) -> dict[Stream, Place | None]:
        return {stream: sight.place for stream, sight in self.items() if sight.is_wanted}

    def keep(self, count: int) -> list[Stream]:
        """Those above `count` that are given up with this; what is unwatched goes as well."""
        wanted = [stream for stream, sight in self.items() if sight.is_wanted]
        for stream in [stream for stream in self if stream not in wanted[:count]]:
            del self[stream]
        return wanted[count:]

    def take_acks(self) -> dict[Stream, int]:
        """What is to be acknowledged; it counts as done."""
        positions: dict[Stream, int] = {}
        for stream, sight in self.items():
            if sight.ack_due and sight.is_watched and sight.applied is not None:
                sight.ack_due = False
                positions[stream] = sight.applied
        return positions

    def take_marks(self) -> Iterator[tuple[Stream, int]]:
        """What was read and not yet said; it counts as said."""
        for stream, sight in self.items():
            if sight.read_due and sight.is_watched:
                sight.read_due = False
                yield stream, sight.read

    def forget_connection(self) -> None:
        """The next one begins with a question about each."""
        for stream in [stream for stream, sight in self.items() if not sight.is_wanted]:
            del self[stream]
        for sight in self.values():
            sight.ask(NOT_YET)
