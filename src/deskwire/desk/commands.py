"""What may be asked of the desk: one class a command, and the table of their wire names.

Arguments arrive typed and bounded in length by `decide`, not here: a class only says which fields
there are. Invariant: a command without a line in `COMMANDS` does not exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from deskwire.desk.people import Realm


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenConversation:
    """An employee asks.

    A category and the first message in one, so no conversation is ever empty.
    """

    category_id: str
    kind: Literal["text"]
    body: str
    previous_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PostMessage:
    """A message that every participant sees."""

    conv: str
    kind: Literal["text"]
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PostNote:
    """An internal note: staff only, on the staff stream only."""

    conv: str
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimConversation:
    """An agent takes a queued conversation. Of any number at once, one succeeds."""

    conv: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinConversation:
    """An agent of the group takes part beside the assignee."""

    conv: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolveConversation:
    """The assignee says it is solved. The note goes to staff only."""

    conv: str
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelConversation:
    """The requester leaves the queue."""

    conv: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmSolved:
    """The requester agrees without rating."""

    conv: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RateConversation:
    """The requester rates: 1 to 5, at most eight reasons, a comment."""

    conv: str
    score: int
    reasons: tuple[str, ...] = ()
    comment: str = ""


Command = (
    OpenConversation
    | PostMessage
    | PostNote
    | ClaimConversation
    | JoinConversation
    | ResolveConversation
    | CancelConversation
    | ConfirmSolved
    | RateConversation
)
OfConversation = (
    PostMessage
    | PostNote
    | ClaimConversation
    | JoinConversation
    | ResolveConversation
    | CancelConversation
    | ConfirmSolved
    | RateConversation
)

BOTH = frozenset({Realm.AGENT, Realm.EMPLOYEE})
AGENTS = frozenset({Realm.AGENT})
EMPLOYEES = frozenset({Realm.EMPLOYEE})


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandType:
    """A line of the table: the class behind a wire name, and the realms in which it may be sent."""

    command: type[Command]
    realms: frozenset[Realm]


COMMANDS: Mapping[str, CommandType] = {
    "open_conversation": CommandType(command=OpenConversation, realms=EMPLOYEES),
    "post_message": CommandType(command=PostMessage, realms=BOTH),
    "post_note": CommandType(command=PostNote, realms=AGENTS),
    "claim_conversation": CommandType(command=ClaimConversation, realms=AGENTS),
    "join_conversation": CommandType(command=JoinConversation, realms=AGENTS),
    "resolve_conversation": CommandType(command=ResolveConversation, realms=AGENTS),
    "cancel_conversation": CommandType(command=CancelConversation, realms=EMPLOYEES),
    "confirm_solved": CommandType(command=ConfirmSolved, realms=EMPLOYEES),
    "rate_conversation": CommandType(command=RateConversation, realms=EMPLOYEES),
}

NAMES: Mapping[type[Command], str] = {line.command: name for name, line in COMMANDS.items()}


def name_of(command: Command) -> str:
    """The wire and audit name."""
    return NAMES[type(command)]
