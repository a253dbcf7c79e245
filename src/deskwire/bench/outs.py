"""What a reading asks of its shell. Pure values, carried out in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from deskwire.bench.wire import Frame
from deskwire.realtime.log import Stream


@dataclass(frozen=True, slots=True)
class Open:
    """Open a socket; `anew`: as a new tab, for another holds the old one's place."""

    anew: bool


@dataclass(frozen=True, slots=True)
class Send:
    frame: Frame


@dataclass(frozen=True, slots=True)
class Drop:
    """Close the socket with this code and hear it no more."""

    code: int


@dataclass(frozen=True, slots=True)
class Ask:
    """The socket never opened: find out why, then `answered`."""


@dataclass(frozen=True, slots=True)
class Login:
    """Get a new login, then `renewed`. `why` None: the present one ends soon, and nobody waits."""

    why: int | None


@dataclass(frozen=True, slots=True)
class Apply:
    stream: Stream
    position: int
    event: Any


@dataclass(frozen=True, slots=True)
class Signs:
    """Replaces all signs of the stream."""

    stream: Stream
    signs: Sequence[Frame]


@dataclass(frozen=True, slots=True)
class Sign:
    sign: Frame


@dataclass(frozen=True, slots=True)
class Marked:
    """One's own read mark went out; the server does not send it back to where it came from."""

    stream: Stream
    read: int


@dataclass(frozen=True, slots=True)
class Load:
    """Cannot be resumed: take a snapshot and watch from it. Nothing more comes until then."""

    stream: Stream
    why: str


@dataclass(frozen=True, slots=True)
class Gone:
    """No longer ours to watch."""

    stream: Stream
    why: str


@dataclass(frozen=True, slots=True)
class Clock:
    """The server's clock, Unix ms."""

    now: int


@dataclass(frozen=True, slots=True)
class Complaint:
    """The server complains; the connection stays."""

    code: str
    about: str


Out: TypeAlias = (
    Open
    | Send
    | Drop
    | Ask
    | Login
    | Apply
    | Signs
    | Sign
    | Marked
    | Load
    | Gone
    | Clock
    | Complaint
)
