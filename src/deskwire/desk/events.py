"""What has happened: the written form of every event, its version, its clearance and its streams.

One table maps class, wire name, version, clearance and streams. An event type has one clearance: a
public event goes to `conv:<id>` and may also go to staff streams; a staff event never goes to a
stream that an employee watches, so no employee ever meets a hole. Written events stay for years: a
field may be added, a changed meaning raises `v` and brings its upcaster.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NewType

import msgspec

from deskwire.desk.marks import STAFF
from deskwire.desk.messages import Said, Withdrawn
from deskwire.desk.people import PersonId, PersonRef, Principal, Realm

Stream = NewType("Stream", str)
Json = dict[str, Any]

FLAT_MESSAGES_MAX = 200


class Clearance(StrEnum):
    """Who may ever learn of an event."""

    PUBLIC = "public"
    STAFF = "staff"


class To(StrEnum):
    """The letters of desk.md: which streams an event is appended to."""

    CONVERSATION = "C"
    STAFF = "S"
    QUEUE = "Q"
    NEW_QUEUE = "Q′"
    AGENT = "A"
    REQUESTER = "E"
    PERSON = "A or E"
    DESK = "D"


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


class WrittenAttachment(msgspec.Struct, frozen=True, kw_only=True):
    """An attachment inside a message: what a reader needs to draw it before it is loaded."""

    id: str
    kind: str
    name: str
    bytes: int
    type: str
    width: int | None = None
    height: int | None = None


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


class ConversationReopened(_Data, frozen=True, kw_only=True):
    row: Row
    reopen_count: int


class ConversationQueued(_Data, frozen=True, kw_only=True):
    cause: str
    group_id: str
    waiting_since: int
    version: int


class ConversationAssigned(_Data, frozen=True, kw_only=True):
    agent: RowPerson
    version: int


class ConversationMoved(_Data, frozen=True, kw_only=True):
    from_group: str
    group: RowGroup
    row: Row
    version: int


class ConversationHeld(_Data, frozen=True, kw_only=True):
    until: int
    version: int


class ConversationResumed(_Data, frozen=True, kw_only=True):
    version: int


class ConversationCategorised(_Data, frozen=True, kw_only=True):
    category_id: str
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


class ParticipantLeft(_Data, frozen=True, kw_only=True):
    """`left_at` is the position of this very event on `conv:<id>`: the last that they see."""

    realm: str
    person: RowPerson
    left_at: int


class RequesterReminded(_Data, frozen=True, kw_only=True):
    resolve_at: int


class MessagePosted(_Data, frozen=True, kw_only=True):
    """`withdrawn` stands in the tombstone alone, where the body is empty."""

    msg_id: str
    command_id: str
    kind: str
    body: str
    attachments: tuple[WrittenAttachment, ...] = ()
    reply_to: str | None = None
    via: str = "page"
    turn: str
    withdrawn: str | msgspec.UnsetType = msgspec.UNSET


class MessageRecalled(_Data, frozen=True, kw_only=True):
    msg_id: str
    by: str
    at: int


class MessageRedacted(_Data, frozen=True, kw_only=True):
    msg_id: str
    by: str
    at: int


class RatingGiven(_Data, frozen=True, kw_only=True):
    resolution_no: int
    score: int
    reasons: tuple[str, ...]
    comment: str


class ReasonRecorded(_Data, frozen=True, kw_only=True):
    about: str
    command: str
    cause: str
    note: str | None = None
    over_capacity: bool = False


class NotePosted(_Data, frozen=True, kw_only=True):
    """`withdrawn` stands in the tombstone alone, where the body is empty."""

    msg_id: str
    command_id: str
    body: str
    attachments: tuple[WrittenAttachment, ...] = ()
    mentions: tuple[str, ...] = ()
    withdrawn: str | msgspec.UnsetType = msgspec.UNSET


class NoteRecalled(_Data, frozen=True, kw_only=True):
    msg_id: str
    by: str
    at: int


class NoteRedacted(_Data, frozen=True, kw_only=True):
    msg_id: str
    by: str
    at: int


class OfferMade(_Data, frozen=True, kw_only=True):
    offer_id: str
    conv_id: str
    agent_id: str
    kind: str
    expires_at: int


class OfferClosed(_Data, frozen=True, kw_only=True):
    offer_id: str
    outcome: str


class TransferRequested(_Data, frozen=True, kw_only=True):
    to_agent: str
    note: str


class TransferClosed(_Data, frozen=True, kw_only=True):
    outcome: str


class AssigneeMarkedAbsent(_Data, frozen=True, kw_only=True):
    absent: bool


class ConversationPrioritised(_Data, frozen=True, kw_only=True):
    """Staff count their labels apart: a gap in `version` would tell employees of them."""

    priority: int
    label_version: int


class ConversationTagged(_Data, frozen=True, kw_only=True):
    added: tuple[str, ...]
    removed: tuple[str, ...]
    label_version: int


class ConversationInspected(_Data, frozen=True, kw_only=True):
    """An administrator looked in from outside, or at the original of `msg_id`."""

    msg_id: str | None


class PushNotified(_Data, frozen=True, kw_only=True):
    person: str
    up_to: int


class PushFailed(_Data, frozen=True, kw_only=True):
    person: str
    up_to: int
    reason: str


class PushRecalled(_Data, frozen=True, kw_only=True):
    person: str


class AgentAvailabilityChanged(_Data, frozen=True, kw_only=True):
    agent_id: str
    availability: str
    reason: str | None
    since: int


class SettingsChanged(_Data, frozen=True, kw_only=True):
    part: str
    version: int


Data = (
    ConversationOpened
    | ConversationReopened
    | ConversationQueued
    | ConversationAssigned
    | ConversationMoved
    | ConversationHeld
    | ConversationResumed
    | ConversationCategorised
    | ConversationResolved
    | ConversationClosed
    | ParticipantJoined
    | ParticipantLeft
    | RequesterReminded
    | MessagePosted
    | MessageRecalled
    | MessageRedacted
    | RatingGiven
    | ReasonRecorded
    | NotePosted
    | NoteRecalled
    | NoteRedacted
    | OfferMade
    | OfferClosed
    | TransferRequested
    | TransferClosed
    | AssigneeMarkedAbsent
    | ConversationPrioritised
    | ConversationTagged
    | ConversationInspected
    | PushNotified
    | PushFailed
    | PushRecalled
    | AgentAvailabilityChanged
    | SettingsChanged
)


@dataclass(frozen=True, slots=True)
class EventType:
    """A line of the table. `whose` says which agents `A` means, where it could be several."""

    data: type[Data]
    name: str
    v: int
    clearance: Clearance
    streams: tuple[To, ...]
    whose: str = ""

    @property
    def shown(self) -> str:
        """The streams as the table writes them: `C Q A(new, old)`."""
        agents = f"A({self.whose})" if self.whose else "A"
        return " ".join(agents if to is A else to.value for to in self.streams)


def _public(data: type[Data], name: str, *streams: To, whose: str = "") -> EventType:
    return EventType(data, name, 1, Clearance.PUBLIC, streams, whose)


def _staff(data: type[Data], name: str, *streams: To, whose: str = "") -> EventType:
    return EventType(data, name, 1, Clearance.STAFF, streams, whose)


C, S, Q, Q2 = To.CONVERSATION, To.STAFF, To.QUEUE, To.NEW_QUEUE
A, E, P, D = To.AGENT, To.REQUESTER, To.PERSON, To.DESK

EVENT_TYPES: tuple[EventType, ...] = (
    _public(ConversationOpened, "conversation.opened", C, Q, E),
    _public(ConversationReopened, "conversation.reopened", C, Q, E),
    _public(ConversationQueued, "conversation.queued", C, Q),
    _public(ConversationAssigned, "conversation.assigned", C, Q, A, whose="new, old"),
    _public(ConversationMoved, "conversation.moved", C, Q, Q2),
    _public(ConversationHeld, "conversation.held", C, Q),
    _public(ConversationResumed, "conversation.resumed", C, Q),
    _public(ConversationCategorised, "conversation.categorised", C, Q),
    _public(ConversationResolved, "conversation.resolved", C, Q, E),
    _public(ConversationClosed, "conversation.closed", C, Q, E),
    _public(ParticipantJoined, "participant.joined", C, Q, P),
    _public(ParticipantLeft, "participant.left", C, Q, P),
    _public(RequesterReminded, "requester.reminded", C),
    _public(MessagePosted, "message.posted", C, Q),
    _public(MessageRecalled, "message.recalled", C, Q),
    _public(MessageRedacted, "message.redacted", C, Q),
    # Public, for its requester gives it; yet it is not told on `conv:<id>`, where an invited
    # colleague would read it.
    _public(RatingGiven, "rating.given", E, S, Q),
    _staff(ReasonRecorded, "reason.recorded", S, Q),
    _staff(NotePosted, "note.posted", S, A, whose="mentioned"),
    _staff(NoteRecalled, "note.recalled", S, A, whose="mentioned"),
    _staff(NoteRedacted, "note.redacted", S, A, whose="mentioned"),
    _staff(OfferMade, "offer.made", A, Q),
    _staff(OfferClosed, "offer.closed", A, Q),
    _staff(TransferRequested, "transfer.requested", S, Q),
    _staff(TransferClosed, "transfer.closed", S, A, whose="from"),
    _staff(AssigneeMarkedAbsent, "assignee.marked_absent", S, Q),
    _staff(ConversationPrioritised, "conversation.prioritised", S, Q),
    _staff(ConversationTagged, "conversation.tagged", S, Q),
    _staff(ConversationInspected, "conversation.inspected", S),
    _staff(PushNotified, "push.notified", S),
    _staff(PushFailed, "push.failed", S),
    _staff(PushRecalled, "push.recalled", S),
    _staff(AgentAvailabilityChanged, "agent.availability_changed", D, A),
    _staff(SettingsChanged, "settings.changed", D),
)

TYPE_OF: Mapping[type[Data], EventType] = {line.data: line for line in EVENT_TYPES}
NAMED: Mapping[str, EventType] = {line.name: line for line in EVENT_TYPES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event, decided and not yet written.

    `at` is Unix ms; `conv` is none for what belongs to no conversation; `anchor` is the head of
    `conv:<id>` at the decision.
    """

    id: str
    at: int
    conv: str | None
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


class Unreadable(ValueError):
    """A stored event that this version cannot read: a type or a version from the future, or damage.

    A client is told of it as `unreadable`, so no stream has a hole.
    """


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


# (type, version) → the body one version on. A changed meaning brings its line and a golden case.
Upcasters = Mapping[tuple[str, int], Callable[[Json], Json]]
UPCASTERS: Upcasters = {}


def upcast(body: Json, upcasters: Upcasters = UPCASTERS) -> Json:
    """The written body as today's version of its type has it. Raises Unreadable."""
    name, v = body.get("type"), body.get("v")
    line = NAMED.get(name) if isinstance(name, str) else None
    if line is None or not isinstance(v, int) or v > line.v:
        raise Unreadable(f"{name} v{v}")
    while v < line.v:
        raised = upcasters.get((line.name, v))
        if raised is None:
            raise Unreadable(f"{name} v{v}: no way up")
        v += 1
        body = {**raised(body), "v": v}
    return body


def decode(body: bytes, streams: tuple[Stream, ...] = ()) -> Event:
    """A written event as a value again. Raises Unreadable.

    What is not written comes from the caller: the streams in which it was found.
    """
    try:
        plain = upcast(msgspec.json.decode(body))
        return Event(
            id=plain["id"],
            at=plain["at"],
            conv=plain["conv"],
            by=_spoken_for(plain["by"]),
            data=msgspec.convert(plain["data"], NAMED[plain["type"]].data, strict=True),
            streams=streams,
            anchor=plain.get("anchor", 0),
        )
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError) as fault:
        raise Unreadable(str(fault)) from fault


def tombstone(body: bytes, how: Withdrawn) -> bytes:
    """The stored payload of a message or note once it is withdrawn: no text, nothing attached.

    The only rewrite the log knows. Its id, place, author and time stay, so whoever folds the
    tombstone and whoever folded the text agree after the withdrawing event. Doing it again changes
    nothing.
    """
    plain = msgspec.json.decode(body)
    assert plain["type"] in {"message.posted", "note.posted"}, "no other event carries text"
    data = {**plain["data"], "body": "", "attachments": []}
    data.setdefault("withdrawn", how.value)
    return msgspec.json.encode({**plain, "data": data})


def _by(actor: By | None) -> dict[str, Any] | None:
    if actor is None:
        return None
    return {
        "realm": actor.principal.realm.value,
        "id": actor.person.id,
        "name": actor.person.name,
        "avatar": actor.person.avatar,
    }


def _spoken_for(by: Json | None) -> By | None:
    if by is None:
        return None
    person = PersonRef(id=PersonId(by["id"]), name=by["name"], avatar=by["avatar"])
    return By(Principal(Realm(by["realm"]), person.id), person)


def may_reach_employee(stream: Stream) -> bool:
    """Whether a stream has employees in its audience: the static side of the clearance rule."""
    kind, _, rest = stream.partition(":")
    return kind == Realm.EMPLOYEE.value or (kind == "conv" and not rest.endswith(":staff"))


def as_json(row: Row) -> dict[str, Any]:
    """A row as plain JSON values, as it stands inside written events."""
    plain: dict[str, Any] = msgspec.to_builtins(row)
    return plain


# The flat form -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FlatLine:
    """A line of the table: what a source says, and the two keys it adds: who, and when."""

    status: str
    by: str | None
    at: str


FLAT: Mapping[str, FlatLine] = {
    "message.posted": FlatLine("sent", None, "sent_at"),
    "delivered": FlatLine("delivered", "delivered_to", "delivered_at"),
    "read": FlatLine("read", "read_by", "read_at"),
    "message.recalled": FlatLine("recalled", "recall_by", "recall_at"),
    "message.redacted": FlatLine("deleted", "delete_by", "delete_at"),
}
FLAT_FIXED = ("type", "conv_id", "msg_id", "status")


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkRise:
    """A mark that rose on `conv:<id>`: both from where, exclusive, to where, inclusive.

    `messages` are those that this person may see; others of the conversation may be left out.
    """

    conv: str
    who: Principal
    delivered: tuple[int, int]
    read: tuple[int, int]
    at: int
    messages: Sequence[Said]


def flat_status(source: Event | MarkRise, reader: Realm) -> list[Json]:
    """The `message_status` of the baseline for readers of one realm, in the order of telling.

    Empty where there is none: a note, any other event, a mark that passed nothing. For one message
    and person the status never falls, and nothing follows `recalled` or `deleted`.
    """
    if isinstance(source, MarkRise):
        return _flat_marks(source, reader)
    match source.data:
        case MessagePosted(withdrawn=msgspec.UNSET) as posted:
            return [_flat(source.conv, posted.msg_id, "message.posted", None, source.at)]
        case MessageRecalled() | MessageRedacted() as taken:
            return [_flat(source.conv, taken.msg_id, source.type.name, taken.by, taken.at)]
        case _:
            return []


def _flat_marks(rise: MarkRise, reader: Realm) -> list[Json]:
    hides = reader is Realm.EMPLOYEE and rise.who.realm is Realm.AGENT
    who = STAFF if hides else rise.who.person
    told = []
    for source, (low, high) in (("delivered", rise.delivered), ("read", rise.read)):
        passed = [
            each
            for each in rise.messages
            if low < each.position <= high and each.author != rise.who and not each.is_withdrawn
        ]
        newest = sorted(passed, key=lambda each: each.position)[-FLAT_MESSAGES_MAX:]
        told += [_flat(rise.conv, each.msg_id, source, who, rise.at) for each in newest]
    return told


def _flat(conv: str | None, msg_id: str, source: str, by: str | None, at: int) -> Json:
    line = FLAT[source]
    extra: Json = {line.by: by, line.at: at} if line.by else {line.at: at}
    assert not extra.keys() & set(FLAT_FIXED), "an extra never names a fixed key"
    fixed = {"type": "message_status", "conv_id": conv, "msg_id": msg_id, "status": line.status}
    return {**fixed, **extra}
