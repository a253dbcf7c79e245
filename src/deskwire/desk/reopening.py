"""Reopened: a new routing decision, back to the last agent only if assignable at that moment.

An employee reopens, never an agent: what an agent writes in `resolved` changes nothing.
"""

from __future__ import annotations

from deskwire.desk import commands as ask
from deskwire.desk import events as ev
from deskwire.desk.assignment import requeue
from deskwire.desk.conversation import Status, reopened
from deskwire.desk.deadlines import REOPEN_WINDOW_MS
from deskwire.desk.decision import Deciding, Decision
from deskwire.desk.holding import to_last_agent
from deskwire.desk.messages import check_body
from deskwire.desk.refusals import Code, Refusal
from deskwire.desk.saying import say
from deskwire.desk.transitions import from_refused

CAUSE = "reopened"


def reopen_by_hand(d: Deciding, command: ask.ReopenConversation) -> Decision | Refusal:
    """T20 and T22. It says in a message what is still wrong."""
    if refusal := check_body(command.body) or from_refused(d.state, command):
        return refusal
    if d.state.status is not Status.CLOSED:
        reopen(d)
        msg_id = say(d, kind=command.kind, body=command.body)
        to_last_agent(d, cause=CAUSE)
        return d.decision({"msg_id": msg_id})
    if refusal := _too_late(d):
        return refusal
    reopen(d)
    msg_id = say(d, kind=command.kind, body=command.body)
    requeue(d, cause=CAUSE, prefer=d.state.last_agent)
    return d.decision({"msg_id": msg_id})


def _too_late(d: Deciding) -> Refusal | None:
    closed_at = d.state.closed_at
    if closed_at is None or d.now - closed_at > REOPEN_WINDOW_MS:
        return Refusal(Code.CLOSED)
    if d.facts.unclosed is not None:
        return Refusal(Code.ALREADY_OPEN, {"conv_id": d.facts.unclosed})
    return None


def reopen(d: Deciding) -> None:
    """It waits again, from now on. What follows decides where it goes."""
    again = reopened(d.state, version=d.next_version, waiting_since=d.now)
    d.add(ev.ConversationReopened(row=again.row, reopen_count=again.reopen_count))
