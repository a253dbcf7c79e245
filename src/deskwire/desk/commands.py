"""What may be asked of the desk: one class a command, and the table of their wire names.

A class says which fields there are and, in words, what bounds they have; whoever decides checks
them. Invariant: a command without a line in `COMMANDS` does not exist, and one whose line is not
open comes from no client.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from deskwire.desk.office_commands import (
    ArchiveCannedReply,
    ArchiveCategory,
    ArchiveTag,
    OfOffice,
    SaveAgent,
    SaveCannedReply,
    SaveCategory,
    SaveGroup,
    SavePerson,
    SaveSettings,
    SaveTag,
)
from deskwire.desk.people import AGENTS_ONLY, BOTH, EMPLOYEES_ONLY, SYSTEM_ONLY, Realm

Kind = Literal["text", "image", "file"]
Mode = Literal["reply", "note"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenConversation:
    """An employee asks.

    A category and the first message in one, so no conversation is ever empty. `previous_id` names
    an earlier conversation of their own. The message has the bounds of `PostMessage`.
    """

    category_id: str
    kind: Kind
    body: str
    attachments: tuple[str, ...] = ()
    previous_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PostMessage:
    """A message that every participant sees.

    `body` has at most 4,000 characters, in a text at least one; `attachments` are ids of at most 9
    uploads of one's own: images in an `image`, anything in a `file`, none in a `text`.
    `reply_to` is a public message of the same conversation. Agents say in `seen` the highest
    position of `conv:<id>` on their screen, and `send_anyway` once they have seen the rest.
    """

    conv: str
    kind: Kind
    body: str
    attachments: tuple[str, ...] = ()
    reply_to: str | None = None
    seen: int | None = None
    send_anyway: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PostNote:
    """An internal note: staff only, on the staff stream only.

    Text or attachments, with the bounds of `PostMessage`; at most 20 agents are mentioned.
    """

    conv: str
    body: str
    attachments: tuple[str, ...] = ()
    mentions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallMessage:
    """The author withdraws a message or note within the window. A second recall changes nothing."""

    conv: str
    msg_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RedactMessage:
    """A supervisor removes a message or note for good, at any time, with a reason ≤ 500."""

    conv: str
    msg_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelConversation:
    """The requester leaves the queue."""

    conv: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmSolved:
    """The requester agrees without rating."""

    conv: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReopenConversation:
    """The requester says that it is not solved, in a message.

    From `resolved`, or within 7 days from `closed`.
    """

    conv: str
    kind: Literal["text"]
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RateConversation:
    """The requester rates.

    1 to 5; at most 8 reasons of 40 characters; a comment of 500. Up to 7 days after the close.
    """

    conv: str
    score: int
    reasons: tuple[str, ...] = ()
    comment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimConversation:
    """An agent takes a queued conversation. Of any number at once, one succeeds."""

    conv: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinConversation:
    """An agent of the group takes part beside the assignee."""

    conv: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaveConversation:
    """Stop taking part: agents but the assignee, and invited employees."""

    conv: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeOver:
    """A supervisor, or any agent of the group if the assignee is absent. A reason ≤ 500 or none."""

    conv: str
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptOffer:
    """The agent who is asked takes it. The loser of a race is told `offer_over`."""

    conv: str
    offer_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclineOffer:
    """The agent who is asked does not take it. A reason ≤ 500 or none."""

    conv: str
    offer_id: str
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferToAgent:
    """Offer an active conversation to a colleague, with a note of 1 to 500 characters.

    `stay`: the present assignee goes on taking part. If the colleague is not online: refuse, or
    `wait` for them in the queue for 15 minutes.
    """

    conv: str
    agent: str
    note: str
    stay: bool = False
    if_absent: Literal["refuse", "wait"] = "refuse"


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferToGroup:
    """Hand a conversation to another group's queue, with a note of 1 to 500 characters."""

    conv: str
    group: str
    note: str
    stay: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldConversation:
    """Put aside until a moment (Unix ms), at most 30 days from now. A reason of 1 to 500."""

    conv: str
    until: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeConversation:
    """The last agent takes up again what is on hold."""

    conv: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolveConversation:
    """The assignee says it is solved. The note, ≤ 500 or none, goes to staff only."""

    conv: str
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequeueConversation:
    """Give back to the queue: the assignee, or a supervisor. A reason of 1 to 500."""

    conv: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignConversation:
    """A supervisor gives it to an agent of the group, over capacity if need be. A reason, 1–500."""

    conv: str
    agent: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseConversation:
    """A supervisor ends it by force. A reason of 1 to 500."""

    conv: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InviteParticipant:
    """The assignee asks a colleague or another employee in.

    An invited employee sees what comes from now on, or all if the history is shared.
    """

    conv: str
    realm: Literal["agent", "employee"]
    person: str
    share_history: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveParticipant:
    """End somebody's part: neither the requester's nor the assignee's."""

    conv: str
    realm: Literal["agent", "employee"]
    person: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetCategory:
    """Another category of the same group. `version` is that of the conversation one has seen."""

    conv: str
    category_id: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SetPriority:
    """0 to 3, where 3 goes first. `version` is that of the labels one has seen."""

    conv: str
    priority: int
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SetTags:
    """All tags it has from now on, ≤ 20. `version` is that of the labels one has seen."""

    conv: str
    tags: tuple[str, ...]
    version: int


# Of no conversation -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAvailability:
    """What an agent says of themselves; supervisors name the `agent`. A reason ≤ 500 or none."""

    availability: Literal["online", "busy", "break", "offline"]
    reason: str | None = None
    agent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveDraft:
    """Keep what an agent is writing. `rev` is the one last seen, 0 for none; ≤ 4,000 characters."""

    conv: str
    mode: Mode
    text: str
    rev: int
    attachments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DropDraft:
    """Throw a draft away. That there is none changes nothing."""

    conv: str
    mode: Mode


# From the desk itself -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeOffer:
    """The dispatcher asks an agent to take a queued conversation."""

    conv: str
    agent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpireOffer:
    """The time of an offer is up."""

    conv: str
    offer_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoseAgent:
    """An agent has been without a connection past the grace: for each of their conversations."""

    conv: str
    agent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RegainAgent:
    """A lost agent is back: for each conversation in which they are marked absent."""

    conv: str
    agent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MissFirstAnswer:
    """The assignee has not said a word in time."""

    conv: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DropPreference:
    """The time in which the preferred agent goes first is over."""

    conv: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnFromHold:
    """The hold is over."""

    conv: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RemindRequester:
    """The requester has been silent for half a day."""

    conv: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoResolve:
    """The requester has been silent for a day."""

    conv: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseResolved:
    """Nobody has said that it is not solved."""

    conv: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordPush:
    """What became of a push that announced up to `up_to`. A reason if it failed.

    `lease_no` is the claim under which it was sent: under a later one this comes too late. `msgid`
    is WeCom's name for the card.
    """

    conv: str
    push_id: str
    lease_no: int
    realm: Literal["agent", "employee"]
    person: str
    outcome: Literal["notified", "failed", "recalled"]
    up_to: int = 0
    reason: str | None = None
    msgid: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordInspection:
    """An administrator has looked in from outside the group, or at a recalled original."""

    conv: str
    msg_id: str | None = None


# The table ----------------------------------------------------------------------------------------

OfConversation = (
    PostMessage
    | PostNote
    | RecallMessage
    | RedactMessage
    | CancelConversation
    | ConfirmSolved
    | ReopenConversation
    | RateConversation
    | ClaimConversation
    | JoinConversation
    | LeaveConversation
    | TakeOver
    | AcceptOffer
    | DeclineOffer
    | TransferToAgent
    | TransferToGroup
    | HoldConversation
    | ResumeConversation
    | ResolveConversation
    | RequeueConversation
    | AssignConversation
    | CloseConversation
    | InviteParticipant
    | RemoveParticipant
    | SetCategory
    | SetPriority
    | SetTags
    | MakeOffer
    | ExpireOffer
    | LoseAgent
    | RegainAgent
    | MissFirstAnswer
    | DropPreference
    | ReturnFromHold
    | RemindRequester
    | AutoResolve
    | CloseResolved
    | RecordPush
    | RecordInspection
)
OfDraft = SaveDraft | DropDraft
Command = OpenConversation | OfConversation | OfDraft | OfOffice | SetAvailability


class Source(StrEnum):
    """Who sends a command: a client, or a path of the desk's own."""

    CLIENT = "client"
    DISPATCHER = "dispatcher"
    TIMER = "timer"
    PRESENCE = "presence"
    PUSH = "push"
    READ = "read"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandType:
    """A line of the table: the class behind a wire name, and whose login may send it.

    `is_open`: clients may send it today, but for the arguments in `without`. A command or an
    argument is opened, here and nowhere else, by whoever has taught the store to keep all that it
    decides.
    """

    command: type[Command]
    realms: frozenset[Realm]
    source: Source = Source.CLIENT
    is_open: bool = False
    without: frozenset[str] = frozenset()


def _open(
    command: type[Command], realms: frozenset[Realm], without: Collection[str] = ()
) -> CommandType:
    return CommandType(command=command, realms=realms, is_open=True, without=frozenset(without))


def _own(command: type[Command], source: Source) -> CommandType:
    return CommandType(command=command, realms=SYSTEM_ONLY, source=source)


COMMANDS: Mapping[str, CommandType] = {
    "open_conversation": _open(OpenConversation, EMPLOYEES_ONLY),
    "post_message": _open(PostMessage, BOTH),
    "recall_message": _open(RecallMessage, BOTH),
    "redact_message": _open(RedactMessage, AGENTS_ONLY),
    "cancel_conversation": _open(CancelConversation, EMPLOYEES_ONLY),
    "confirm_solved": _open(ConfirmSolved, EMPLOYEES_ONLY),
    "reopen_conversation": _open(ReopenConversation, EMPLOYEES_ONLY),
    "rate_conversation": _open(RateConversation, EMPLOYEES_ONLY),
    "claim_conversation": _open(ClaimConversation, AGENTS_ONLY),
    "join_conversation": _open(JoinConversation, AGENTS_ONLY),
    "leave_conversation": _open(LeaveConversation, BOTH),
    "take_over": _open(TakeOver, AGENTS_ONLY),
    "accept_offer": _open(AcceptOffer, AGENTS_ONLY),
    "decline_offer": _open(DeclineOffer, AGENTS_ONLY),
    "transfer_to_agent": _open(TransferToAgent, AGENTS_ONLY),
    "transfer_to_group": _open(TransferToGroup, AGENTS_ONLY),
    "hold_conversation": _open(HoldConversation, AGENTS_ONLY),
    "resume_conversation": _open(ResumeConversation, AGENTS_ONLY),
    "resolve_conversation": _open(ResolveConversation, AGENTS_ONLY),
    "requeue_conversation": _open(RequeueConversation, AGENTS_ONLY),
    "assign_conversation": _open(AssignConversation, AGENTS_ONLY),
    "close_conversation": _open(CloseConversation, AGENTS_ONLY),
    "post_note": _open(PostNote, AGENTS_ONLY),
    "invite_participant": _open(InviteParticipant, AGENTS_ONLY),
    "remove_participant": _open(RemoveParticipant, AGENTS_ONLY),
    "set_category": _open(SetCategory, AGENTS_ONLY),
    "set_priority": _open(SetPriority, AGENTS_ONLY),
    "set_tags": _open(SetTags, AGENTS_ONLY),
    "set_availability": _open(SetAvailability, AGENTS_ONLY),
    "save_draft": _open(SaveDraft, AGENTS_ONLY),
    "drop_draft": _open(DropDraft, AGENTS_ONLY),
    "save_group": _open(SaveGroup, AGENTS_ONLY),
    "save_category": _open(SaveCategory, AGENTS_ONLY),
    "save_tag": _open(SaveTag, AGENTS_ONLY),
    "save_canned_reply": _open(SaveCannedReply, AGENTS_ONLY),
    "save_agent": _open(SaveAgent, AGENTS_ONLY),
    "save_person": _open(SavePerson, AGENTS_ONLY),
    "save_settings": _open(SaveSettings, AGENTS_ONLY),
    "archive_category": _open(ArchiveCategory, AGENTS_ONLY),
    "archive_tag": _open(ArchiveTag, AGENTS_ONLY),
    "archive_canned_reply": _open(ArchiveCannedReply, AGENTS_ONLY),
    "make_offer": _own(MakeOffer, Source.DISPATCHER),
    "expire_offer": _own(ExpireOffer, Source.TIMER),
    "lose_agent": _own(LoseAgent, Source.TIMER),
    "regain_agent": _own(RegainAgent, Source.PRESENCE),
    "miss_first_answer": _own(MissFirstAnswer, Source.TIMER),
    "drop_preference": _own(DropPreference, Source.TIMER),
    "return_from_hold": _own(ReturnFromHold, Source.TIMER),
    "remind_requester": _own(RemindRequester, Source.TIMER),
    "auto_resolve": _own(AutoResolve, Source.TIMER),
    "close_resolved": _own(CloseResolved, Source.TIMER),
    "record_push": _own(RecordPush, Source.PUSH),
    # Sent by the read that it records, as the administrator who reads.
    "record_inspection": CommandType(
        command=RecordInspection, realms=AGENTS_ONLY, source=Source.READ
    ),
}

NAMES: Mapping[type[Command], str] = {line.command: name for name, line in COMMANDS.items()}
WIRE: Mapping[str, CommandType] = {name: line for name, line in COMMANDS.items() if line.is_open}


def name_of(command: Command) -> str:
    """The wire and audit name."""
    return NAMES[type(command)]
