"""Assignees who are gone or silent, preferences that have run out: what timers and presence say.

Each command asks its guard anew, so one that comes late or twice changes nothing.
"""

from __future__ import annotations

from deskwire.desk import commands as ask
from deskwire.desk import events as ev
from deskwire.desk.assignment import requeue
from deskwire.desk.conversation import Status
from deskwire.desk.decision import Deciding, Decision, too_early, wrong_state
from deskwire.desk.people import PersonId, Presence, Realm
from deskwire.desk.refusals import Refusal
from deskwire.desk.transitions import from_refused


def lose(d: Deciding, command: ask.LoseAgent) -> Decision | Refusal:
    """T13 while the employee waits for a word, T14 while it is their turn."""
    if refusal := from_refused(d.state, command) or _not_theirs(d, command.agent):
        return refusal
    agent = d.facts.agent(PersonId(command.agent))
    if agent is not None and agent.presence is Presence.CONNECTED:
        return wrong_state(d.state)
    if d.state.turn is Realm.AGENT:
        requeue(d, cause="agent_lost")
    elif not d.state.assignee_absent:
        d.add(ev.AssigneeMarkedAbsent(absent=True))
    return d.decision()


def regain(d: Deciding, command: ask.RegainAgent) -> Decision | Refusal:
    """T14 ends."""
    if refusal := from_refused(d.state, command) or _not_theirs(d, command.agent):
        return refusal
    if d.state.assignee_absent:
        d.add(ev.AssigneeMarkedAbsent(absent=False))
    return d.decision()


def _not_theirs(d: Deciding, agent: str) -> Refusal | None:
    """In the meantime somebody else may have it."""
    assignee = d.state.assignee
    return None if assignee is not None and assignee.id == agent else wrong_state(d.state)


def miss_first_answer(d: Deciding, command: ask.MissFirstAnswer) -> Decision | Refusal:
    """T15. What the assignee said before they had it does not count."""
    if refusal := from_refused(d.state, command):
        return refusal
    state, seconds = d.state, d.state.group.first_answer_s
    owed_since = max(state.assigned_at or 0, state.waiting_since or 0)
    is_owed = state.turn is Realm.AGENT and not state.assignee_answered
    if not is_owed or not seconds:
        return wrong_state(d.state)
    due = owed_since + seconds * 1000
    if d.now < due:
        return too_early(due, d.now)
    requeue(d, cause="no_answer")
    return d.decision()


def drop_preference(d: Deciding, _command: ask.DropPreference) -> Decision | Refusal:
    """The queue waits no longer for the preferred agent, nor do they go first."""
    if d.state.status is not Status.QUEUED or d.state.preferred_agent is None:
        return wrong_state(d.state)
    if d.state.prefer_until is not None and d.now < d.state.prefer_until:
        return wrong_state(d.state)
    d.know(preferred_agent=None, prefer_until=None)
    d.make_room()
    return d.decision()
