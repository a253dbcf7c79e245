"""Who takes part beside requester and assignee: join, leave, invite, remove."""

from __future__ import annotations

from deskwire.desk import commands as ask
from deskwire.desk import events as ev
from deskwire.desk.assignment import leave as take_leave
from deskwire.desk.assignment import own_refused, take_part
from deskwire.desk.conversation import Status, written
from deskwire.desk.decision import Deciding, Decision, wrong_state
from deskwire.desk.people import PersonId, PersonRef, Principal, Realm
from deskwire.desk.refusals import Code, Refusal, invalid


def join(d: Deciding, _command: ask.JoinConversation) -> Decision | Refusal:
    """An agent of the group takes part, and may then write. Joining twice changes nothing."""
    if refusal := own_refused(d, d.actor.person.id) or _closed(d):
        return refusal
    take_part(d, d.actor.person)
    return d.decision()


def leave(d: Deciding, _command: ask.LeaveConversation) -> Decision | Refusal:
    """The assignee hands on or resolves; they do not just walk away."""
    if refusal := _assignee_refused(d, d.actor.principal):
        return refusal
    take_leave(d, d.actor.principal, d.actor.person)
    return d.decision()


def invite(d: Deciding, command: ask.InviteParticipant) -> Decision | Refusal:
    """Whoever takes part already is not invited again: their bounds stay."""
    if refusal := _closed(d):
        return refusal
    person = d.facts.person
    if person is None or person.id != command.person:
        return invalid("person")
    if command.realm == Realm.AGENT.value:
        if refusal := own_refused(d, person.id):
            return refusal
        take_part(d, person)
        return d.decision()
    _invite_employee(d, person, shares_history=command.share_history)
    return d.decision()


def _invite_employee(d: Deciding, person: PersonRef, *, shares_history: bool) -> None:
    """They see the conversation from their own joining on, or all of it."""
    who = Principal(Realm.EMPLOYEE, person.id)
    if d.state.has_participant(who):
        return
    d.add(
        ev.ParticipantJoined(
            realm=who.realm.value,
            person=written(person),
            role="invited",
            visible_from=1 if shares_history else d.state.head + 1,
        ),
        person=who,
    )


def remove(d: Deciding, command: ask.RemoveParticipant) -> Decision | Refusal:
    """Neither requester nor assignee. Removing whoever has left changes nothing."""
    who = Principal(Realm(command.realm), PersonId(command.person))
    member = d.state.sight.participation(who)
    if member is None or member.role == "requester":
        return invalid("person")
    if refusal := _assignee_refused(d, who):
        return refusal
    person = d.facts.person
    name = (
        person
        if person is not None and person.id == who.person
        else PersonRef(id=who.person, name=who.person)
    )
    take_leave(d, who, name)
    return d.decision()


def _assignee_refused(d: Deciding, who: Principal) -> Refusal | None:
    assignee = d.state.assignee
    is_assignee = assignee is not None and who == Principal(Realm.AGENT, assignee.id)
    return wrong_state(d.state) if is_assignee else None


def _closed(d: Deciding) -> Refusal | None:
    return Refusal(Code.CLOSED) if d.state.status is Status.CLOSED else None
