"""A public message is posted: who may, what they must have seen, and what it sets going.

An agent's message never moves a conversation. An employee's ends a hold, reopens what is resolved,
and in an absent assignee's hands leads back to the queue.
"""

from __future__ import annotations

from typing import Any

from deskwire.desk import commands as ask
from deskwire.desk import events as ev
from deskwire.desk.assignment import requeue
from deskwire.desk.conversation import Status
from deskwire.desk.decision import Deciding, Decision, shown
from deskwire.desk.holding import to_last_agent
from deskwire.desk.messages import Reply, check_content
from deskwire.desk.refusals import Code, Refusal, invalid
from deskwire.desk.reopening import CAUSE, reopen
from deskwire.desk.saying import say, seen_message

STALE_MAX = 20


def post(d: Deciding, command: ask.PostMessage) -> Decision | Refusal:
    """A message that every participant sees; by an employee also T13, T17 and T20."""
    refusal = (
        check_content(
            command.kind,
            command.body,
            command.attachments,
            d.facts.attachments,
            d.actor.principal,
        )
        or _refused(d)
        or _reply_refused(d, command)
        or _stale(d, command)
    )
    if refusal:
        return refusal
    moves = _moves(d)
    match moves:
        case Status.ON_HOLD:
            d.add(ev.ConversationResumed(version=d.next_version))
        case Status.RESOLVED:
            reopen(d)
    msg_id = say(
        d,
        kind=command.kind,
        body=command.body,
        attachments=command.attachments,
        reply_to=command.reply_to,
    )
    match moves:
        case Status.ON_HOLD:
            to_last_agent(d, cause="hold_over")
        case Status.RESOLVED:
            to_last_agent(d, cause=CAUSE)
        case Status.ACTIVE:
            requeue(d, cause="agent_lost")
    return d.decision({"msg_id": msg_id})


def _moves(d: Deciding) -> Status | None:
    """The status that this message leads out of, if any."""
    if not d.is_by_employee:
        return None
    if d.state.status is Status.ACTIVE:
        return Status.ACTIVE if d.state.assignee_absent else None
    return d.state.status if d.state.status in {Status.ON_HOLD, Status.RESOLVED} else None


def _refused(d: Deciding) -> Refusal | None:
    if d.state.status is Status.CLOSED:
        return Refusal(Code.CLOSED)
    if d.is_by_employee:
        return None
    if d.state.status is Status.QUEUED:
        return Refusal(Code.CLAIM_FIRST)
    is_here = d.state.has_participant(d.actor.principal)
    return None if is_here else Refusal(Code.JOIN_FIRST)


def _reply_refused(d: Deciding, command: ask.PostMessage) -> Refusal | None:
    if command.reply_to is None:
        return None
    quoted = seen_message(d, command.reply_to)
    return invalid("reply_to") if quoted is None or quoted.is_note else None


def _stale(d: Deciding, command: ask.PostMessage) -> Refusal | None:
    """A reply cannot go out over a colleague's unseen one, unless it is said again knowingly."""
    if d.is_by_employee or command.seen is None or command.send_anyway:
        return None
    seen = command.seen
    me = d.actor.person.id
    unseen = [each for each in d.facts.replies if each.position > seen and each.author.id != me]
    if not unseen:
        return None
    newest = sorted(unseen, key=lambda each: each.position)[-STALE_MAX:]
    return Refusal(Code.STALE_VIEW, {"messages": [_told(each) for each in newest]})


def _told(reply: Reply) -> dict[str, Any]:
    return {
        "msg_id": reply.msg_id,
        "position": reply.position,
        "by": shown(reply.author),
        "kind": reply.kind,
        "body": reply.body,
        "at": reply.at,
    }
