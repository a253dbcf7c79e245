"""What a client's connection goes through, and what of it is shown. Pure data.

Every `until` is milliseconds on the clock of the reading; past it the phase is given up.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Fresh:
    """Nobody has called `start`."""


@dataclass(frozen=True, slots=True)
class Opening:
    until: float


@dataclass(frozen=True, slots=True)
class Asking:
    """The socket never opened: why?"""


@dataclass(frozen=True, slots=True)
class Greeting:
    """`identify` went out, `hello` has not come."""

    until: float


@dataclass(frozen=True, slots=True)
class Opened:
    """The server has greeted."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """`bye` came; its code counts, not the one of the close."""

    until: float
    code: int
    retry: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """Before the next try; a nudge shortens it, but not below `not_before`."""

    until: float
    not_before: float


@dataclass(frozen=True, slots=True)
class Renewing:
    why: int


@dataclass(frozen=True, slots=True)
class Stopped:
    code: int


@dataclass(frozen=True, slots=True)
class Closed:
    """By its own user, for good."""


Phase: TypeAlias = (
    Fresh | Opening | Asking | Greeting | Opened | Leaving | Waiting | Renewing | Stopped | Closed
)


class Kind(StrEnum):
    """What a person is shown."""

    CONNECTING = "connecting"
    LIVE = "live"
    RECONNECTING = "reconnecting"
    CATCHING_UP = "catching_up"
    OFFLINE = "offline"
    DOUBTFUL = "doubtful"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    kind: Kind
    code: int | None
    retry_at: float | None
