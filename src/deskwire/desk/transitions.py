"""The transition table of desk.md §3, cell by cell: from where, by what, by whom, to where.

Data alone: `decide` keeps it, the tests hold both together, the docs print it. What is not in the
table is refused with `wrong_state`; whatever changes status, assignee or group also appends one
`reason.recorded`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from deskwire.desk import commands as ask
from deskwire.desk import events as ev
from deskwire.desk.conversation import Conversation, Status
from deskwire.desk.decision import wrong_state
from deskwire.desk.refusals import Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A command of a row, and who may send it."""

    command: type[ask.Command]
    who: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An event of a row with its streams. `when` is empty if it always happens."""

    data: type[ev.Data]
    streams: str
    when: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """A row of the table, under its number."""

    no: str
    frm: tuple[Status | None, ...]
    asked: tuple[Asked, ...]
    guard: str
    to: tuple[Status, ...]
    how: str = ""
    events: tuple[Told, ...]


def _asked(command: type[ask.Command], who: str) -> Asked:
    return Asked(command=command, who=who)


def _told(data: type[ev.Data], streams: str, when: str = "") -> Told:
    return Told(data=data, streams=streams, when=when)


QUEUED, ACTIVE, ON_HOLD = Status.QUEUED, Status.ACTIVE, Status.ON_HOLD
RESOLVED, CLOSED = Status.RESOLVED, Status.CLOSED
UNCLOSED = (QUEUED, ACTIVE, ON_HOLD, RESOLVED)

_JOINED = _told(ev.ParticipantJoined, "C Q A", "if new")
_ASSIGNED = _told(ev.ConversationAssigned, "C Q A")
_TAKEN = (_JOINED, _ASSIGNED)
_LEFT = _told(ev.ParticipantLeft, "C Q A")
_LEFT_UNLESS_STAYING = _told(ev.ParticipantLeft, "C Q A", "unless they stay")
_QUEUED = _told(ev.ConversationQueued, "C Q")
_OFFER_CLOSED = _told(ev.OfferClosed, "A Q")
_TRANSFER_CLOSED = _told(ev.TransferClosed, "S A")
_OFFER_WITHDRAWN = _told(ev.OfferClosed, "A Q", "a live offer is withdrawn")
_TRANSFER_WITHDRAWN = _told(ev.TransferClosed, "S A", "a live transfer is withdrawn")
_WITHDRAWN = (_OFFER_WITHDRAWN, _TRANSFER_WITHDRAWN)
_POSTED = _told(ev.MessagePosted, "C Q", "by a message")
_BACK = (
    _told(ev.ParticipantJoined, "C Q A", "if new, yes"),
    _told(ev.ConversationAssigned, "C Q A", "yes"),
    _told(ev.ConversationQueued, "C Q", "no"),
)

TRANSITIONS: tuple[Transition, ...] = (
    Transition(
        no="T1",
        frm=(None,),
        asked=(_asked(ask.OpenConversation, "employee"),),
        guard="first message present; no other unclosed conversation of the requester in this "
        "group; queue not full",
        to=(QUEUED,),
        events=(_told(ev.ConversationOpened, "C Q E"), _told(ev.MessagePosted, "C Q")),
    ),
    Transition(
        no="T2",
        frm=(QUEUED,),
        asked=(_asked(ask.MakeOffer, "dispatcher"),),
        guard="group routes by offer and is open; agent assignable; no live offer on either side",
        to=(QUEUED,),
        events=(_told(ev.OfferMade, "A Q"),),
    ),
    Transition(
        no="T3",
        frm=(QUEUED,),
        asked=(_asked(ask.AcceptOffer, "that agent"),),
        guard="offer live; load < capacity",
        to=(ACTIVE,),
        events=(_OFFER_CLOSED, *_TAKEN),
    ),
    Transition(
        no="T4",
        frm=(QUEUED,),
        asked=(_asked(ask.DeclineOffer, "agent"), _asked(ask.ExpireOffer, "timer")),
        guard="offer live",
        to=(QUEUED,),
        events=(
            _OFFER_CLOSED,
            _told(ev.AgentAvailabilityChanged, "D A", "second expiry in a row: break"),
        ),
    ),
    Transition(
        no="T5",
        frm=(QUEUED,),
        asked=(_asked(ask.ClaimConversation, "agent of the group"),),
        guard="queued ∧ assignee null ∧ load < capacity, one conditional UPDATE",
        to=(ACTIVE,),
        events=(_OFFER_WITHDRAWN, *_TAKEN),
    ),
    Transition(
        no="T6",
        frm=(QUEUED,),
        asked=(_asked(ask.CancelConversation, "requester"),),
        guard="–",
        to=(CLOSED,),
        how="cancelled",
        events=(_OFFER_WITHDRAWN, _told(ev.ConversationClosed, "C Q E")),
    ),
    Transition(
        no="T7",
        frm=(ACTIVE,),
        asked=(_asked(ask.TransferToAgent, "assignee, supervisor"),),
        guard="note; target ≠ assignee, may serve the group, online",
        to=(ACTIVE,),
        events=(
            *_WITHDRAWN,
            _told(ev.TransferRequested, "S Q"),
            _told(ev.OfferMade, "A Q"),
        ),
    ),
    Transition(
        no="T8",
        frm=(ACTIVE,),
        asked=(_asked(ask.AcceptOffer, "target"),),
        guard="transfer offer live",
        to=(ACTIVE,),
        how="the old assignee stays or leaves, as chosen",
        events=(_OFFER_CLOSED, *_TAKEN, _TRANSFER_CLOSED, _LEFT_UNLESS_STAYING),
    ),
    Transition(
        no="T9",
        frm=(ACTIVE,),
        asked=(_asked(ask.DeclineOffer, "target"), _asked(ask.ExpireOffer, "timer")),
        guard="transfer offer live",
        to=(ACTIVE,),
        how="same assignee",
        events=(_OFFER_CLOSED, _TRANSFER_CLOSED),
    ),
    Transition(
        no="T10",
        frm=(ACTIVE,),
        asked=(_asked(ask.TransferToAgent, "assignee, supervisor; `if_absent: wait`"),),
        guard="note; target not online",
        to=(QUEUED,),
        how="preferred agent 15 min",
        events=(*_WITHDRAWN, _LEFT_UNLESS_STAYING, _QUEUED),
    ),
    Transition(
        no="T11",
        frm=(ACTIVE, QUEUED),
        asked=(_asked(ask.TransferToGroup, "assignee, supervisor"),),
        guard="note; another group; none of the requester's unclosed there",
        to=(QUEUED,),
        events=(
            *_WITHDRAWN,
            _LEFT_UNLESS_STAYING,
            _told(ev.ConversationMoved, "C Q Q′"),
            _told(ev.ConversationQueued, "C Q′"),
        ),
    ),
    Transition(
        no="T12",
        frm=(QUEUED, ACTIVE, ON_HOLD),
        asked=(_asked(ask.TakeOver, "supervisor; any agent of the group if `assignee_absent`"),),
        guard="not the requester",
        to=(ACTIVE,),
        events=(*_WITHDRAWN, _JOINED, _told(ev.ConversationAssigned, "C Q A A′")),
    ),
    Transition(
        no="T13",
        frm=(ACTIVE,),
        asked=(_asked(ask.LoseAgent, "timer"),),
        guard="turn = agent",
        to=(QUEUED,),
        how="agent_lost",
        events=(*_WITHDRAWN, _LEFT, _QUEUED),
    ),
    Transition(
        no="T14",
        frm=(ACTIVE,),
        asked=(
            _asked(ask.LoseAgent, "timer"),
            _asked(ask.RegainAgent, "presence: clears it"),
        ),
        guard="turn = employee",
        to=(ACTIVE,),
        how="absent; the employee's next message does T13 in its own transaction",
        events=(_told(ev.AssigneeMarkedAbsent, "S Q"),),
    ),
    Transition(
        no="T15",
        frm=(ACTIVE,),
        asked=(_asked(ask.MissFirstAnswer, "timer"),),
        guard="nothing public by the assignee since assigned ∧ turn = agent",
        to=(QUEUED,),
        how="no_answer; not offered to this agent for 5 min",
        events=(*_WITHDRAWN, _LEFT, _QUEUED),
    ),
    Transition(
        no="T16",
        frm=(ACTIVE,),
        asked=(_asked(ask.HoldConversation, "assignee, supervisor"),),
        guard="until ≤ 30 days; reason",
        to=(ON_HOLD,),
        how="capacity freed",
        events=(*_WITHDRAWN, _told(ev.ConversationHeld, "C Q")),
    ),
    Transition(
        no="T17",
        frm=(ON_HOLD,),
        asked=(
            _asked(ask.ResumeConversation, "last agent"),
            _asked(ask.ReturnFromHold, "timer"),
            _asked(ask.PostMessage, "employee"),
        ),
        guard="last agent assignable?",
        to=(ACTIVE, QUEUED),
        how="yes: active; no: queued, preferring them",
        events=(_told(ev.ConversationResumed, "C Q"), _POSTED, *_BACK),
    ),
    Transition(
        no="T18",
        frm=(ACTIVE, ON_HOLD),
        asked=(_asked(ask.ResolveConversation, "assignee, last agent, supervisor"),),
        guard="category set",
        to=(RESOLVED,),
        events=(*_WITHDRAWN, _told(ev.ConversationResolved, "C Q E")),
    ),
    Transition(
        no="T19",
        frm=(ACTIVE,),
        asked=(_asked(ask.AutoResolve, "timer"),),
        guard="turn = employee for 24 h, `requester.reminded` (C) at 12 h",
        to=(RESOLVED,),
        how="silence",
        events=(*_WITHDRAWN, _told(ev.ConversationResolved, "C Q E")),
    ),
    Transition(
        no="T20",
        frm=(RESOLVED,),
        asked=(
            _asked(ask.PostMessage, "employee"),
            _asked(ask.ReopenConversation, "requester"),
        ),
        guard="as T17",
        to=(ACTIVE, QUEUED),
        events=(
            _told(ev.ConversationReopened, "C Q E"),
            _told(ev.MessagePosted, "C Q"),
            *_BACK,
        ),
    ),
    Transition(
        no="T21",
        frm=(RESOLVED,),
        asked=(
            _asked(ask.ConfirmSolved, "requester"),
            _asked(ask.RateConversation, "requester"),
            _asked(ask.CloseResolved, "timer, 48 h [1–168]"),
        ),
        guard="a rating also in closed, ≤ 7 days",
        to=(CLOSED,),
        events=(
            _told(ev.ConversationClosed, "C Q E"),
            _told(ev.RatingGiven, "E S Q", "by a rating"),
        ),
    ),
    Transition(
        no="T22",
        frm=(CLOSED,),
        asked=(_asked(ask.ReopenConversation, "requester"),),
        guard="≤ 7 days; no other unclosed one",
        to=(QUEUED,),
        events=(
            _told(ev.ConversationReopened, "C Q E"),
            _told(ev.MessagePosted, "C Q"),
            _QUEUED,
        ),
    ),
    Transition(
        no="T23",
        frm=UNCLOSED,
        asked=(_asked(ask.AssignConversation, "supervisor"),),
        guard="reason",
        to=(ACTIVE,),
        events=(*_WITHDRAWN, _JOINED, _told(ev.ConversationAssigned, "C Q A A′")),
    ),
    Transition(
        no="T23",
        frm=UNCLOSED,
        asked=(_asked(ask.RequeueConversation, "supervisor; the assignee"),),
        guard="reason",
        to=(QUEUED,),
        how="requeued",
        events=(
            *_WITHDRAWN,
            _told(ev.ParticipantLeft, "C Q A", "if there is an assignee"),
            _QUEUED,
        ),
    ),
    Transition(
        no="T23",
        frm=UNCLOSED,
        asked=(_asked(ask.CloseConversation, "supervisor"),),
        guard="reason",
        to=(CLOSED,),
        how="forced",
        events=(*_WITHDRAWN, _told(ev.ConversationClosed, "C Q E")),
    ),
)


def _from() -> Mapping[type[ask.Command], frozenset[Status | None]]:
    found: dict[type[ask.Command], frozenset[Status | None]] = {}
    for row in TRANSITIONS:
        for asked in row.asked:
            found[asked.command] = found.get(asked.command, frozenset()) | frozenset(row.frm)
    return found


FROM = _from()


def from_refused(state: Conversation, command: ask.Command) -> Refusal | None:
    """What the table does not list for this status is refused."""
    return None if state.status in FROM[type(command)] else wrong_state(state)
