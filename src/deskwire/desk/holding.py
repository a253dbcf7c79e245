"""On hold and back: put aside until a moment, then to the last agent if they are assignable."""

from __future__ import annotations

from deskwire.desk import commands as ask
from deskwire.desk import events as ev
from deskwire.desk.assignment import give, let_go, requeue
from deskwire.desk.deadlines import HOLD_MS_MAX
from deskwire.desk.decision import Deciding, Decision, wrong_state
from deskwire.desk.messages import check_required
from deskwire.desk.people import Agent
from deskwire.desk.refusals import Refusal, invalid
from deskwire.desk.routing import wanted_by, why_not
from deskwire.desk.transitions import from_refused


def hold(d: Deciding, command: ask.HoldConversation) -> Decision | Refusal:
    """T16. The agent's place is free meanwhile."""
    if refusal := check_required(command.reason, "reason") or from_refused(d.state, command):
        return refusal
    if not d.now < command.until <= d.now + HOLD_MS_MAX:
        return invalid("until")
    old = d.state.assignee
    assert old is not None
    d.withdraw_offer()
    held = d.add(ev.ConversationHeld(until=command.until, version=d.next_version))
    d.reason(held.id, note=command.reason)
    let_go(d, old.id, cause=d.name)
    return d.decision()


def resume(d: Deciding, command: ask.ResumeConversation) -> Decision | Refusal:
    """T17, by the last agent."""
    if refusal := from_refused(d.state, command):
        return refusal
    come_back(d)
    return d.decision()


def return_from_hold(d: Deciding, command: ask.ReturnFromHold) -> Decision | Refusal:
    """T17, by the timer."""
    if refusal := from_refused(d.state, command):
        return refusal
    if d.state.held_until is not None and d.now < d.state.held_until:
        return wrong_state(d.state)
    come_back(d)
    return d.decision()


def come_back(d: Deciding) -> None:
    """The hold is over: to the last agent if assignable, else to the queue."""
    d.add(ev.ConversationResumed(version=d.next_version))
    to_last_agent(d, cause="hold_over")


def to_last_agent(d: Deciding, *, cause: str) -> None:
    """To the last agent if they are assignable at this moment, else to the queue, preferring them.

    The queue does not wait for them: they only go first if they become assignable in time.
    """
    last = assignable_last_agent(d)
    if last is None:
        requeue(d, cause=cause, prefer=d.state.last_agent)
        return
    d.withdraw_offer()
    give(d, last.person, over_capacity=False)


def assignable_last_agent(d: Deciding) -> Agent | None:
    """The last agent, if this may be given to them now."""
    last = d.facts.agent(d.state.last_agent) if d.state.last_agent else None
    if last is None or why_not(last, wanted_by(d.state, d.facts.cooling)) is not None:
        return None
    return last
