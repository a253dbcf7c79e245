"""In whose hands a conversation is: claim, takeover, assignment by force, back to the queue.

The two acts behind all of them are `give` and `requeue`. Invariant: whoever is assignee takes part,
and is never the requester.
"""

from __future__ import annotations

from deskwire.desk import commands as ask
from deskwire.desk import events as ev
from deskwire.desk.conversation import written
from deskwire.desk.decision import (
    Deciding,
    Decision,
    not_assignable,
    shown,
)
from deskwire.desk.messages import check_note, check_required
from deskwire.desk.people import Agent, PersonId, PersonRef, Principal, Realm
from deskwire.desk.refusals import Code, Refusal, invalid
from deskwire.desk.transitions import from_refused


def claim(d: Deciding, command: ask.ClaimConversation) -> Decision | Refusal:
    """T5. Of any number at once one succeeds: the store changes the row on a condition."""
    if refusal := own_refused(d, d.actor.person.id):
        return refusal
    if d.state.assignee is not None:
        return already_taken(d.state.assignee)
    if refusal := from_refused(d.state, command):
        return refusal
    if d.actor.load >= d.actor.capacity:
        return Refusal(Code.AT_CAPACITY)
    d.withdraw_offer()
    give(d, d.actor.person, over_capacity=False)
    return d.decision()


def take_over(d: Deciding, command: ask.TakeOver) -> Decision | Refusal:
    """T12. Capacity does not stop it; an excess is recorded."""
    if refusal := check_note(command.reason, "reason") or own_refused(d, d.actor.person.id):
        return refusal
    if refusal := from_refused(d.state, command):
        return refusal
    if d.state.assignee is not None and d.state.assignee.id == d.actor.person.id:
        return already_taken(d.state.assignee)
    d.withdraw_offer()
    is_full = d.actor.load >= d.actor.capacity
    give(d, d.actor.person, over_capacity=is_full, note=command.reason)
    return d.decision()


def assign(d: Deciding, command: ask.AssignConversation) -> Decision | Refusal:
    """T23. Whether the agent is there or has room does not stop it; an excess is recorded."""
    if refusal := check_required(command.reason, "reason") or from_refused(d.state, command):
        return refusal
    agent = named_agent(d, command.agent)
    if isinstance(agent, Refusal):
        return agent
    if d.state.assignee is not None and d.state.assignee.id == agent.id:
        return already_taken(d.state.assignee)
    d.withdraw_offer()
    give(d, agent.person, over_capacity=agent.is_full, note=command.reason)
    return d.decision()


def requeue_by_hand(d: Deciding, command: ask.RequeueConversation) -> Decision | Refusal:
    """T23. Also what waits already may be queued anew: its offer, if any, is withdrawn."""
    if refusal := check_required(command.reason, "reason") or from_refused(d.state, command):
        return refusal
    requeue(d, cause="requeued", note=command.reason)
    return d.decision()


# The acts ----------------------------------------------------------------------------------------


def give(
    d: Deciding,
    agent: PersonRef,
    *,
    over_capacity: bool,
    cause: str | None = None,
    note: str | None = None,
) -> None:
    """The agent takes it, from whoever has it now. No live offer may be left: end it first."""
    old = d.state.assignee
    take_part(d, agent)
    assigned = d.add(
        ev.ConversationAssigned(agent=written(agent), version=d.next_version),
        agents=(agent.id, *((old.id,) if old else ())),
    )
    d.reason(assigned.id, cause=cause, note=note, over_capacity=over_capacity)
    if old is not None:
        d.change_load(old.id, -1)
        d.end_assignment(old.id, cause=cause or d.name)
    d.change_load(agent.id, 1, may_exceed=over_capacity)
    d.begin_assignment(agent.id, cause=cause or d.name, over_capacity=over_capacity)


def requeue(
    d: Deciding,
    *,
    cause: str,
    note: str | None = None,
    leaves: bool = True,
    prefer: PersonId | None = None,
    wait_until: int | None = None,
) -> None:
    """Back to the queue, with the wait that began long ago.

    `leaves`: the assignee stops taking part. `prefer` goes first, and until `wait_until` alone.
    """
    d.withdraw_offer()
    old = d.state.assignee
    if old is not None and leaves:
        leave(d, Principal(Realm.AGENT, old.id), old)
    since = d.state.waiting_since if d.state.waiting_since is not None else d.now
    queued = d.add(
        ev.ConversationQueued(
            cause=cause, group_id=d.state.group.id, waiting_since=since, version=d.next_version
        )
    )
    d.know(preferred_agent=prefer, prefer_until=wait_until)
    d.reason(queued.id, cause=cause, note=note)
    if old is not None:
        let_go(d, old.id, cause=cause)


def let_go(d: Deciding, agent: PersonId, *, cause: str) -> None:
    """The assignee has it no longer: their place is free again."""
    d.change_load(agent, -1)
    d.end_assignment(agent, cause=cause)


def take_part(d: Deciding, agent: PersonRef) -> None:
    """An agent sees all of it, from the first position. Joining twice changes nothing."""
    who = Principal(Realm.AGENT, agent.id)
    if d.state.has_participant(who):
        return
    d.add(
        ev.ParticipantJoined(
            realm=who.realm.value, person=written(agent), role="agent", visible_from=1
        ),
        person=who,
    )


def leave(d: Deciding, who: Principal, person: PersonRef) -> None:
    """Whoever takes part does so no longer. Leaving twice changes nothing."""
    if not d.state.has_participant(who):
        return
    d.add(
        ev.ParticipantLeft(realm=who.realm.value, person=written(person), left_at=d.state.head + 1),
        person=who,
    )
    d.lose_sight(who, "left")


# Who ---------------------------------------------------------------------------------------------


def named_agent(d: Deciding, name: str) -> Agent | Refusal:
    """The agent a command names, if this conversation could ever be theirs."""
    agent = d.facts.agent(PersonId(name))
    if agent is None:
        return invalid("agent")
    if agent.is_disabled:
        return not_assignable("disabled")
    if not agent.serves(d.state.group.id):
        return not_assignable("not_in_group")
    return own_refused(d, agent.id) or agent


def own_refused(d: Deciding, agent: PersonId) -> Refusal | None:
    """Nobody is agent participant of a conversation they requested."""
    is_own = d.state.requester.id == agent
    return Refusal(Code.OWN_CONVERSATION) if is_own else None


def already_taken(by: PersonRef) -> Refusal:
    """A colleague was first."""
    return Refusal(Code.ALREADY_TAKEN, {"by": shown(by)})
