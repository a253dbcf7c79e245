"""Who may do what, and who may watch which stream from where to where. Default: no.

Rights are asked again at each read and in each deciding transaction. Invariant: an action without a
line in `TABLE` is allowed to nobody; a command without a line in `ACTION_OF` reaches nobody; a
stream of an unknown kind is seen by nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from deskwire.desk import commands as ask
from deskwire.desk import office_commands as ask_office
from deskwire.desk.events import DESK_STREAM, Stream
from deskwire.desk.messages import Attachment
from deskwire.desk.people import Actor, PersonId, Principal, Realm


class Standing(StrEnum):
    """How a principal stands to a conversation. One may have several at once."""

    REQUESTER = "R"
    INVITED = "I"
    PARTICIPANT = "P"
    COLLEAGUE = "G"
    SUPERVISOR = "S"


class Cell(StrEnum):
    """What a cell of the table says. Those that name a status are kept by `decide`, which then
    says what is missing; the rest is `may`'s.
    """

    NO = "–"
    YES = "✓"
    ALL = "all"
    BOUNDS = "within its bounds"
    UNTIL_CLOSED = "until closed"
    UNQUEUED = "active, on_hold, resolved"
    AFTER_JOIN = "after join"
    ASSIGNEE = "assignee"
    LAST_AGENT = "last agent"
    ASSIGNEE_OR_LAST = "assignee, last agent"
    IF_ABSENT = "if assignee absent"
    AT_OPENING = "at opening"
    ADMIN = "admin only"


class Action(StrEnum):
    """What may be done to a conversation."""

    SEE_PUBLIC = "see the public stream"
    SEE_STAFF = "see notes, reasons, tags, priority, pushes"
    POST_NOTE = "post a note, keep a draft"
    POST_PUBLIC = "post publicly"
    RECALL = "recall own message"
    CLAIM = "claim"
    JOIN = "join"
    ANSWER_OFFER = "accept or decline an offer"
    TRANSFER = "transfer"
    HOLD = "hold"
    RESUME = "resume"
    RESOLVE = "resolve"
    REQUEUE = "requeue"
    INVITE = "invite"
    REMOVE = "remove"
    LEAVE = "leave"
    TAKE_OVER = "take over"
    REDACT = "redact"
    ASSIGN = "assign by force"
    CLOSE = "close by force"
    EXPORT = "export"
    CANCEL = "cancel"
    CONFIRM = "confirm"
    REOPEN = "reopen"
    RATE = "rate"
    LABEL = "category, priority, tags"
    SEE_ORIGINAL = "recalled originals, looking in from outside"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the table: what each standing may, in the order R I P G S."""

    requester: Cell
    invited: Cell
    participant: Cell
    colleague: Cell
    supervisor: Cell

    def of(self, standing: Standing) -> Cell:
        """The cell of one standing."""
        match standing:
            case Standing.REQUESTER:
                return self.requester
            case Standing.INVITED:
                return self.invited
            case Standing.PARTICIPANT:
                return self.participant
            case Standing.COLLEAGUE:
                return self.colleague
            case Standing.SUPERVISOR:
                return self.supervisor


_NO, _YES = Cell.NO, Cell.YES
_STAFF = Line(_NO, _NO, _YES, _YES, _YES)
_SUPERVISOR = Line(_NO, _NO, _NO, _NO, _YES)
_ASSIGNEE = Line(_NO, _NO, Cell.ASSIGNEE, _NO, _YES)
_REQUESTER = Line(_YES, _NO, _NO, _NO, _NO)

TABLE: Mapping[Action, Line] = {
    Action.SEE_PUBLIC: Line(Cell.ALL, Cell.BOUNDS, _YES, _YES, _YES),
    Action.SEE_STAFF: _STAFF,
    Action.POST_NOTE: _STAFF,
    Action.POST_PUBLIC: Line(
        Cell.UNTIL_CLOSED, Cell.UNTIL_CLOSED, Cell.UNQUEUED, Cell.AFTER_JOIN, Cell.AFTER_JOIN
    ),
    Action.RECALL: Line(_YES, _YES, _YES, _YES, _YES),
    Action.CLAIM: _STAFF,
    Action.JOIN: _STAFF,
    Action.ANSWER_OFFER: _STAFF,
    Action.TRANSFER: _ASSIGNEE,
    Action.HOLD: _ASSIGNEE,
    Action.RESUME: Line(_NO, _NO, Cell.LAST_AGENT, _NO, _NO),
    Action.RESOLVE: Line(_NO, _NO, Cell.ASSIGNEE_OR_LAST, _NO, _YES),
    Action.REQUEUE: _ASSIGNEE,
    Action.INVITE: _ASSIGNEE,
    Action.REMOVE: _ASSIGNEE,
    Action.LEAVE: Line(_NO, _YES, _YES, _NO, _NO),
    Action.TAKE_OVER: Line(_NO, _NO, Cell.IF_ABSENT, Cell.IF_ABSENT, _YES),
    Action.REDACT: _SUPERVISOR,
    Action.ASSIGN: _SUPERVISOR,
    Action.CLOSE: _SUPERVISOR,
    Action.EXPORT: _SUPERVISOR,
    Action.CANCEL: _REQUESTER,
    Action.CONFIRM: _REQUESTER,
    Action.REOPEN: _REQUESTER,
    Action.RATE: _REQUESTER,
    Action.LABEL: Line(Cell.AT_OPENING, _NO, _YES, _YES, _YES),
    Action.SEE_ORIGINAL: Line(_NO, _NO, _NO, _NO, Cell.ADMIN),
}


class Duty(StrEnum):
    """What may be done to the desk itself, beside any conversation."""

    OPEN = "open a conversation"
    OWN_AVAILABILITY = "set one's own availability"
    ANOTHERS_AVAILABILITY = "set another's availability"
    OWN_REPLY = "canned replies of one's own"
    GROUP_REPLY = "canned replies of a group"
    EVERYBODYS_REPLY = "canned replies for all"
    OTHERS_LOGINS = "see and end others' logins"
    ADMINISTER = "people, groups, categories, tags, settings"


class Office(StrEnum):
    """Who has a duty."""

    EMPLOYEE = "every employee"
    AGENT = "every agent"
    GROUP_SUPERVISOR = "a supervisor who shares a group"
    ADMIN = "admin only"


DUTIES: Mapping[Duty, Office] = {
    Duty.OPEN: Office.EMPLOYEE,
    Duty.OWN_AVAILABILITY: Office.AGENT,
    Duty.ANOTHERS_AVAILABILITY: Office.GROUP_SUPERVISOR,
    Duty.OWN_REPLY: Office.AGENT,
    Duty.GROUP_REPLY: Office.GROUP_SUPERVISOR,
    Duty.EVERYBODYS_REPLY: Office.ADMIN,
    Duty.OTHERS_LOGINS: Office.ADMIN,
    Duty.ADMINISTER: Office.ADMIN,
}


class DeskItself(StrEnum):
    """The action of commands that nobody sends: timers, the dispatcher, pushes, presence."""

    ONLY = "the desk itself"


# Which line decides about a command. Where a command's arguments choose between duties, the least
# of them stands here and `administration` asks for the one that is meant.
ACTION_OF: Mapping[type[ask.Command], Action | Duty | DeskItself] = {
    ask.OpenConversation: Duty.OPEN,
    ask.PostMessage: Action.POST_PUBLIC,
    ask.PostNote: Action.POST_NOTE,
    ask.RecallMessage: Action.RECALL,
    ask.RedactMessage: Action.REDACT,
    ask.CancelConversation: Action.CANCEL,
    ask.ConfirmSolved: Action.CONFIRM,
    ask.ReopenConversation: Action.REOPEN,
    ask.RateConversation: Action.RATE,
    ask.ClaimConversation: Action.CLAIM,
    ask.JoinConversation: Action.JOIN,
    ask.LeaveConversation: Action.LEAVE,
    ask.TakeOver: Action.TAKE_OVER,
    ask.AcceptOffer: Action.ANSWER_OFFER,
    ask.DeclineOffer: Action.ANSWER_OFFER,
    ask.TransferToAgent: Action.TRANSFER,
    ask.TransferToGroup: Action.TRANSFER,
    ask.HoldConversation: Action.HOLD,
    ask.ResumeConversation: Action.RESUME,
    ask.ResolveConversation: Action.RESOLVE,
    ask.RequeueConversation: Action.REQUEUE,
    ask.AssignConversation: Action.ASSIGN,
    ask.CloseConversation: Action.CLOSE,
    ask.InviteParticipant: Action.INVITE,
    ask.RemoveParticipant: Action.REMOVE,
    ask.SetCategory: Action.LABEL,
    ask.SetPriority: Action.LABEL,
    ask.SetTags: Action.LABEL,
    ask.RecordInspection: Action.SEE_ORIGINAL,
    ask.SaveDraft: Action.POST_NOTE,
    ask.DropDraft: Action.POST_NOTE,
    ask.SetAvailability: Duty.OWN_AVAILABILITY,
    ask_office.SaveCannedReply: Duty.OWN_REPLY,
    ask_office.ArchiveCannedReply: Duty.OWN_REPLY,
    ask_office.SaveGroup: Duty.ADMINISTER,
    ask_office.SaveCategory: Duty.ADMINISTER,
    ask_office.SaveTag: Duty.ADMINISTER,
    ask_office.SaveAgent: Duty.ADMINISTER,
    ask_office.SavePerson: Duty.ADMINISTER,
    ask_office.SaveSettings: Duty.ADMINISTER,
    ask_office.ArchiveCategory: Duty.ADMINISTER,
    ask_office.ArchiveTag: Duty.ADMINISTER,
    ask.MakeOffer: DeskItself.ONLY,
    ask.ExpireOffer: DeskItself.ONLY,
    ask.LoseAgent: DeskItself.ONLY,
    ask.RegainAgent: DeskItself.ONLY,
    ask.MissFirstAnswer: DeskItself.ONLY,
    ask.DropPreference: DeskItself.ONLY,
    ask.ReturnFromHold: DeskItself.ONLY,
    ask.RemindRequester: DeskItself.ONLY,
    ask.AutoResolve: DeskItself.ONLY,
    ask.CloseResolved: DeskItself.ONLY,
    ask.RecordPush: DeskItself.ONLY,
}

# Every kind of stream, and who watches it.
STREAMS: Mapping[str, str] = {
    "conv:<id>": "R all; I within its bounds; P, G, S all",
    "conv:<id>:staff": "P, G, S",
    "queue:<group>": "agents of the group",
    "agent:<id>": "that agent",
    "employee:<id>": "that employee",
    "desk": "every agent",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """Who takes part, and the piece of `conv:<id>` they see.

    From `visible_from` to `left_at`, both included. With `mute` no push goes to them.
    """

    principal: Principal
    role: str
    visible_from: int = 1
    left_at: int | None = None
    mute: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What of a conversation decides who sees it and who may do what to it."""

    requester: PersonId
    group_id: str
    assignee: PersonId | None = None
    last_agent: PersonId | None = None
    participants: tuple[Participant, ...] = ()
    assignee_absent: bool = False

    def participation(self, principal: Principal) -> Participant | None:
        return next((p for p in self.participants if p.principal == principal), None)

    def has(self, principal: Principal) -> bool:
        """Whether this principal takes part now."""
        taking_part = self.participation(principal)
        return taking_part is not None and taking_part.left_at is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The positions of a stream that may be seen: above `after`, up to `until` (none: no end)."""

    after: int = 0
    until: int | None = None

    def hold(self, position: int) -> bool:
        """Whether the position lies within."""
        return self.after < position and (self.until is None or position <= self.until)


def standings(actor: Actor, sight: Sight) -> frozenset[Standing]:
    """Every way in which this principal stands to the conversation; empty for a stranger.

    Whoever was invited and has left is still `INVITED`: they see their piece, and may do nothing.
    """
    if actor.is_agent:
        return frozenset(_staff_standings(actor, sight))
    if actor.is_system:
        return frozenset()
    if sight.requester == actor.principal.person:
        return frozenset({Standing.REQUESTER})
    taking_part = sight.participation(actor.principal)
    return frozenset({Standing.INVITED}) if taking_part else frozenset()


def _staff_standings(actor: Actor, sight: Sight) -> list[Standing]:
    found = []
    if sight.has(actor.principal):
        found.append(Standing.PARTICIPANT)
    if actor.serves(sight.group_id):
        found.append(Standing.COLLEAGUE)
    if actor.supervises(sight.group_id):
        found.append(Standing.SUPERVISOR)
    return found


def may(actor: Actor, action: Action, sight: Sight) -> bool:
    """Whether this principal may do this to the conversation, its status aside."""
    line = TABLE[action]
    mine = standings(actor, sight)
    return any(standing in mine and _holds(line, standing, actor, sight) for standing in Standing)


def _holds(line: Line, standing: Standing, actor: Actor, sight: Sight) -> bool:
    person = actor.principal.person
    match line.of(standing):
        case Cell.NO | Cell.AT_OPENING:
            return False
        case Cell.ALL | Cell.BOUNDS:
            return True
        case Cell.YES | Cell.UNTIL_CLOSED | Cell.UNQUEUED | Cell.AFTER_JOIN:
            return standing is not Standing.INVITED or sight.has(actor.principal)
        case Cell.ASSIGNEE:
            return sight.assignee == person
        case Cell.LAST_AGENT:
            return sight.last_agent == person
        case Cell.ASSIGNEE_OR_LAST:
            return person in (sight.assignee, sight.last_agent)
        case Cell.IF_ABSENT:
            return sight.assignee_absent
        case Cell.ADMIN:
            return actor.is_admin


def may_send(actor: Actor, command: ask.OfConversation | ask.OfDraft, sight: Sight) -> bool:
    """Whether this principal may send this command to this conversation, its status aside."""
    match ACTION_OF[type(command)]:
        case Action() as action:
            return may(actor, action, sight)
        case DeskItself():
            return actor.is_system
        case Duty():
            return False


def has_duty(actor: Actor, duty: Duty, groups: frozenset[str] = frozenset()) -> bool:
    """Whether this principal may do this to the desk; `groups` are those that it concerns."""
    match DUTIES[duty]:
        case Office.EMPLOYEE:
            return actor.principal.realm is Realm.EMPLOYEE
        case Office.AGENT:
            return actor.is_agent
        case Office.GROUP_SUPERVISOR:
            return actor.is_agent and (actor.is_admin or any(map(actor.supervises, sorted(groups))))
        case Office.ADMIN:
            return actor.is_agent and actor.is_admin


def may_end_login(actor: Actor, owner: Principal) -> bool:
    """Whether this principal may see and end a login of `owner`: their own, admins anybody's."""
    return actor.principal == owner or has_duty(actor, Duty.OTHERS_LOGINS)


def looks_in_from_outside(actor: Actor, sight: Sight) -> bool:
    """Whether opening this conversation is recorded: by an admin of none of its group."""
    return actor.is_admin and not sight.has(actor.principal) and sight.group_id not in actor.groups


def conversation_of(stream: Stream) -> str | None:
    """The conversation that a stream belongs to, or none."""
    kind, _, rest = stream.partition(":")
    return rest.removesuffix(":staff") if kind == "conv" and rest else None


def sees(actor: Actor, stream: Stream, sight: Sight | None) -> Bounds | None:
    """The piece of the stream that this principal may watch, or none.

    `sight` is that of the stream's conversation, none where the stream has no conversation or it
    does not exist.
    """
    kind, _, rest = stream.partition(":")
    match kind:
        case "conv":
            return _sees_conversation(actor, stream, sight) if sight else None
        case "queue":
            return Bounds() if rest and actor.serves(rest) else None
        case "desk":
            return Bounds() if actor.is_agent and stream == DESK_STREAM else None
        case Realm.AGENT.value | Realm.EMPLOYEE.value:
            own = actor.principal == (kind, rest)
            return Bounds() if own else None
        case _:
            return None


def may_load(
    actor: Actor, attachment: Attachment, place: tuple[Stream, int] | None, sight: Sight | None
) -> bool:
    """Whether this principal may download the attachment now.

    `place` is the stream and position of the message that names it, none while it is staged: then
    it is its owner's alone. What has been withdrawn is nobody's.
    """
    if attachment.withdrawn_at is not None:
        return False
    if place is None:
        return attachment.owner == actor.principal
    stream, position = place
    bounds = sees(actor, stream, sight)
    return bounds is not None and bounds.hold(position)


def _sees_conversation(actor: Actor, stream: Stream, sight: Sight) -> Bounds | None:
    if stream.endswith(":staff"):
        return Bounds() if may(actor, Action.SEE_STAFF, sight) else None
    if not may(actor, Action.SEE_PUBLIC, sight):
        return None
    if Standing.INVITED in standings(actor, sight):
        taking_part = sight.participation(actor.principal)
        assert taking_part is not None
        return Bounds(after=taking_part.visible_from - 1, until=taking_part.left_at)
    return Bounds()
