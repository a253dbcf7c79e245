"""What a delivery asks its shell to do. Pure values, carried out in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from deskwire.realtime import frames
from deskwire.realtime.frames import Framed
from deskwire.realtime.log import Stream


@dataclass(frozen=True, slots=True)
class Write:
    frames: Sequence[Framed]


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask gate and log about these streams; answer by `permitted`, once each."""

    streams: tuple[Stream, ...]


@dataclass(frozen=True, slots=True)
class Read:
    """Read the log above `after`; answer by `page`, once."""

    stream: Stream
    after: int


@dataclass(frozen=True, slots=True)
class Live:
    """Write `live` with the signs the hub holds: at most backlog.LIVE_BYTES_MAX of it."""

    stream: Stream
    position: int


@dataclass(frozen=True, slots=True)
class Tell:
    """The client confirmed or showed this; its person is added outside."""

    report: frames.Ack | frames.Mark | frames.Typing | frames.Viewing


@dataclass(frozen=True, slots=True)
class Close:
    """Begin the close; the bye was written just before."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Abort:
    """Drop the socket and all that waits."""


Output: TypeAlias = Write | Ask | Read | Live | Tell | Close | Abort
NOTHING: Final[Sequence[Output]] = ()
