"""What has happened: the written form of every event, its version, its clearance and its streams.

One table maps class, wire name, version, clearance and streams. An event type has one clearance: a
public event goes to `conv:<id>` and may also go to staff streams; a staff event never goes to a
stream that an employee watches, so no employee ever meets a hole. Written events stay for years: a
field may be added, a changed meaning raises `v`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NewType

import msgspec

from deskwire.desk.people import PersonRef, Principal, Realm

Stream = NewType("Stream", str)


class Clearance(StrEnum):
    """Who may ever learn of an event."""

    PUBLIC = "public"
    STAFF = "staff"


class To(StrEnum):
    """The letters of desk.md: which streams an event is appended to."""

    CONVERSATION = "C"
    STAFF = "S"
    QUEUE = "Q"
    AGENT = "A"
    EMPLOYEE = "E"


class _Data(msgspec.Struct, frozen=True, kw_only=True):
    """The `data` of one event type."""


class RowPerson(msgspec.Struct, frozen=True, kw_only=True):
    """A person inside written data."""

    id: str
    name: str
    avatar: str | None = None


class RowRequester(RowPerson, frozen=True, kw_only=True):
    """The requester inside a row."""

    department: str = ""


class RowGroup(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str


class RowCategory(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name_zh: str
    name_en: str


class LastMessage(msgspec.Struct, frozen=True, kw_only=True):
    """The newest public message, without its text. `position` is on `conv:<id>`."""

    msg_id: str
    position: int
    kind: str
    realm: str
    at: int


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A list line: no text, and nothing of staff. Times are Unix ms."""

    conv_id: str
    no: str
    requester: RowRequester
    group: RowGroup
    category: RowCategory
    status: str
    assignee: RowPerson | None
    turn: str
    waiting_since: int | None
    opened_at: int
    version: int
    last_message: LastMessage | None


class ConversationOpened(_Data, frozen=True, kw_only=True):
    row: Row


class ConversationAssigned(_Data, frozen=True, kw_only=True):
    agent: RowPerson
    version: int


class ConversationResolved(_Data, frozen=True, kw_only=True):
    how: str
    resolution_no: int
    version: int


class ConversationClosed(_Data, frozen=True, kw_only=True):
    how: str
    version: int


class ParticipantJoined(_Data, frozen=True, kw_only=True):
    realm: str
    person: RowPerson
    role: str
    visible_from: int


class MessagePosted(_Data, frozen=True, kw_only=True):
    msg_id: str
    command_id: str
    kind: str
    body: str
    attachments: tuple[str, ...] = ()
    reply_to: str | None = None
    via: str = "page"
    turn: str


class RatingGiven(_Data, frozen=True, kw_only=True):
    resolution_no: int
    score: int
    reasons: tuple[str, ...]
    comment: str


class NotePosted(_Data, frozen=True, kw_only=True):
    msg_id: str
    command_id: str
    body: str
    attachments: tuple[str, ...] = ()
    mentions: tuple[str, ...] = ()


class ReasonRecorded(_Data, frozen=True, kw_only=True):
    about: str
    command: str
    cause: str
    note: str | None = None
    over_capacity: bool = False


Data = (
    ConversationOpened
    | ConversationAssigned
    | ConversationResolved
    | ConversationClosed
    | ParticipantJoined
    | MessagePosted
    | RatingGiven
    | NotePosted
    | ReasonRecorded
)


@dataclass(frozen=True, slots=True)
class EventType:
    """A line of the table."""

    data: type[Data]
    name: str
    v: int
    clearance: Clearance
    streams: tuple[To, ...]


C, S, Q, A, E = To.CONVERSATION, To.STAFF, To.QUEUE, To.AGENT, To.EMPLOYEE

EVENT_TYPES: tuple[EventType, ...] = (
    EventType(ConversationOpened, "conversation.opened", 1, Clearance.PUBLIC, (C, Q, E)),
    EventType(ConversationAssigned, "conversation.assigned", 1, Clearance.PUBLIC, (C, Q, A)),
    EventType(ConversationResolved, "conversation.resolved", 1, Clearance.PUBLIC, (C, Q, E)),
    EventType(ConversationClosed, "conversation.closed", 1, Clearance.PUBLIC, (C, Q, E)),
    EventType(ParticipantJoined, "participant.joined", 1, Clearance.PUBLIC, (C, Q, A)),
    EventType(MessagePosted, "message.posted", 1, Clearance.PUBLIC, (C, Q)),
    # Public, for its requester gives it; yet it is not told on `conv:<id>`, where an invited
    # colleague would read it.
    EventType(RatingGiven, "rating.given", 1, Clearance.PUBLIC, (E, S, Q)),
    EventType(NotePosted, "note.posted", 1, Clearance.STAFF, (S,)),
    EventType(ReasonRecorded, "reason.recorded", 1, Clearance.STAFF, (S, Q)),
)

TYPE_OF: Mapping[type[Data], EventType] = {line.data: line for line in EVENT_TYPES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event, decided and not yet written.

    `at` is Unix ms; `anchor` is the head of `conv:<id>` at the decision.
    """

    id: str
    at: int
    conv: str
    by: By | None
    data: Data
    streams: tuple[Stream, ...]
    anchor: int

    @property
    def type(self) -> EventType:
        return TYPE_OF[type(self.data)]


@dataclass(frozen=True, slots=True)
class By:
    """Who did it, as readers see them; none stands for a timer."""

    principal: Principal
    person: PersonRef


def conv_stream(conv: str) -> Stream:
    """What the employee may see of a conversation."""
    return Stream(f"conv:{conv}")


def staff_stream(conv: str) -> Stream:
    """What only staff may see of a conversation."""
    return Stream(f"conv:{conv}:staff")


def queue_stream(group: str) -> Stream:
    """The board of a group."""
    return Stream(f"queue:{group}")


def personal_stream(principal: Principal) -> Stream:
    """A person's own stream in one realm."""
    return Stream(f"{principal.realm.value}:{principal.person}")


DESK_STREAM = Stream("desk")


def encode(event: Event) -> bytes:
    """The event as it is stored and sent: JSON, the same bytes in every stream it goes to.

    Staff streams carry an `anchor`; an event that an employee may read on their personal stream
    shows it too, which tells no more than the conversation's own positions do.
    """
    body: dict[str, Any] = {
        "id": event.id,
        "type": event.type.name,
        "v": event.type.v,
        "at": event.at,
        "conv": event.conv,
        "by": _by(event.by),
        "data": event.data,
    }
    if S in event.type.streams:
        body["anchor"] = event.anchor
    return msgspec.json.encode(body)


def _by(actor: By | None) -> dict[str, Any] | None:
    if actor is None:
        return None
    return {
        "realm": actor.principal.realm.value,
        "id": actor.person.id,
        "name": actor.person.name,
        "avatar": actor.person.avatar,
    }


def may_reach_employee(stream: Stream) -> bool:
    """Whether a stream has employees in its audience: the static side of the clearance rule."""
    kind, _, rest = stream.partition(":")
    return kind == Realm.EMPLOYEE.value or (kind == "conv" and not rest.endswith(":staff"))


def as_json(row: Row) -> dict[str, Any]:
    """A row as plain JSON values, as it stands inside written events."""
    plain: dict[str, Any] = msgspec.to_builtins(row)
    return plain
