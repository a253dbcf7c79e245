"""The door of the rules: whether this principal may do this to this conversation now, and what then
has happened.

`RULES` has a line for every command of a conversation; `NEEDS` says which facts each looks at, so
that whoever reads them reads no more. Invariant: a decision changes nothing by itself; the same
arguments give the same answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any

from deskwire.desk import (
    absence,
    assignment,
    ending,
    holding,
    labels,
    membership,
    offers,
    posting,
    reopening,
    saying,
    transfer,
)
from deskwire.desk import commands as ask
from deskwire.desk.access import Action, may, may_send
from deskwire.desk.conversation import Conversation
from deskwire.desk.decision import NO_FACTS, Deciding, Decision, Facts, Moment
from deskwire.desk.people import Actor
from deskwire.desk.refusals import Code, Refusal

# Each takes commands of its own class; the table joins the two, so no type says it better.
Rule = Callable[[Deciding, Any], Decision | Refusal]

RULES: Mapping[type[ask.OfConversation], Rule] = {
    ask.PostMessage: posting.post,
    ask.PostNote: saying.note,
    ask.RecallMessage: saying.recall,
    ask.RedactMessage: saying.redact,
    ask.CancelConversation: ending.cancel,
    ask.ConfirmSolved: ending.confirm,
    ask.ReopenConversation: reopening.reopen_by_hand,
    ask.RateConversation: ending.rate,
    ask.ClaimConversation: assignment.claim,
    ask.JoinConversation: membership.join,
    ask.LeaveConversation: membership.leave,
    ask.TakeOver: assignment.take_over,
    ask.AcceptOffer: offers.accept,
    ask.DeclineOffer: offers.decline,
    ask.TransferToAgent: transfer.to_agent,
    ask.TransferToGroup: transfer.to_group,
    ask.HoldConversation: holding.hold,
    ask.ResumeConversation: holding.resume,
    ask.ResolveConversation: ending.resolve,
    ask.RequeueConversation: assignment.requeue_by_hand,
    ask.AssignConversation: assignment.assign,
    ask.CloseConversation: ending.close_by_force,
    ask.InviteParticipant: membership.invite,
    ask.RemoveParticipant: membership.remove,
    ask.SetCategory: labels.categorise,
    ask.SetPriority: labels.prioritise,
    ask.SetTags: labels.tag,
    ask.MakeOffer: offers.make,
    ask.ExpireOffer: offers.expire,
    ask.LoseAgent: absence.lose,
    ask.RegainAgent: absence.regain,
    ask.MissFirstAnswer: absence.miss_first_answer,
    ask.DropPreference: absence.drop_preference,
    ask.ReturnFromHold: holding.return_from_hold,
    ask.RemindRequester: ending.remind,
    ask.AutoResolve: ending.auto_resolve,
    ask.CloseResolved: ending.close_resolved,
    ask.RecordPush: labels.record_push,
    ask.RecordInspection: labels.record_inspection,
}

# What a change of status or assignee looks at: the offer it withdraws, whose place is free then.
_MOVE = frozenset({"agents", "offer", "settings"})
_BACK = _MOVE | {"cooling"}
_NONE = frozenset[str]()

NEEDS: Mapping[type[ask.OfConversation], frozenset[str]] = {
    ask.PostMessage: _BACK | {"message", "replies", "attachments"},
    ask.PostNote: frozenset({"attachments", "mentioned"}),
    ask.RecallMessage: frozenset({"message", "settings"}),
    ask.RedactMessage: frozenset({"message"}),
    ask.CancelConversation: _MOVE,
    ask.ConfirmSolved: _MOVE,
    ask.ReopenConversation: _BACK | {"unclosed"},
    ask.RateConversation: _MOVE,
    ask.ClaimConversation: _MOVE,
    ask.JoinConversation: _NONE,
    ask.LeaveConversation: _NONE,
    ask.TakeOver: _MOVE,
    ask.AcceptOffer: _MOVE,
    ask.DeclineOffer: _MOVE,
    ask.TransferToAgent: _MOVE,
    ask.TransferToGroup: _MOVE | {"group", "unclosed"},
    ask.HoldConversation: _MOVE,
    ask.ResumeConversation: _BACK,
    ask.ResolveConversation: _MOVE,
    ask.RequeueConversation: _MOVE,
    ask.AssignConversation: _MOVE,
    ask.CloseConversation: _MOVE,
    ask.InviteParticipant: frozenset({"person"}),
    ask.RemoveParticipant: frozenset({"person"}),
    ask.SetCategory: frozenset({"category"}),
    ask.SetPriority: _NONE,
    ask.SetTags: frozenset({"tags"}),
    ask.MakeOffer: _BACK,
    ask.ExpireOffer: _MOVE,
    ask.LoseAgent: _MOVE,
    ask.RegainAgent: _NONE,
    ask.MissFirstAnswer: _MOVE,
    ask.DropPreference: _NONE,
    ask.ReturnFromHold: _BACK,
    ask.RemindRequester: frozenset({"settings"}),
    ask.AutoResolve: _MOVE,
    ask.CloseResolved: _MOVE,
    ask.RecordPush: _NONE,
    ask.RecordInspection: _NONE,
}


def decide(
    actor: Actor,
    state: Conversation,
    command: ask.OfConversation,
    moment: Moment,
    facts: Facts = NO_FACTS,
) -> Decision | Refusal:
    """Whether this principal may do this to this conversation now, and what then has happened."""
    sight = state.sight
    if not actor.is_system and not may(actor, Action.SEE_PUBLIC, sight):
        return Refusal(Code.NOT_FOUND)
    if not may_send(actor, command, sight):
        return Refusal(Code.NOT_ALLOWED)
    return RULES[type(command)](Deciding(actor, state, command, moment, facts), command)


def only_needed(command: ask.OfConversation, facts: Facts) -> Facts:
    """The facts without those that this command does not look at."""
    unread = {each.name for each in fields(Facts)} - NEEDS[type(command)]
    return replace(facts, **{name: getattr(NO_FACTS, name) for name in sorted(unread)})
