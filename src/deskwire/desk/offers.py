"""Offers: made, accepted, declined, run out.

An offer from the queue binds nobody until it is accepted; one from a colleague leaves the
conversation with them until then. Invariant: an offer has one end, and each end is told.
"""

from __future__ import annotations

from deskwire.desk import commands as ask
from deskwire.desk import events as ev
from deskwire.desk.assignment import give, leave, own_refused
from deskwire.desk.conversation import Status
from deskwire.desk.deadlines import is_open
from deskwire.desk.decision import (
    Deciding,
    Decision,
    Offer,
    OfferKind,
    Outcome,
    not_assignable,
    wrong_state,
)
from deskwire.desk.messages import check_note
from deskwire.desk.office import Routing
from deskwire.desk.people import AgentChanged, Availability, PersonId, Principal, Realm
from deskwire.desk.refusals import Code, Refusal, invalid
from deskwire.desk.routing import MISSED_MAX, wanted_by, why_not
from deskwire.desk.transitions import from_refused

MISSED_REASON = "missed_offers"


def make(d: Deciding, command: ask.MakeOffer) -> Decision | Refusal:
    """T2. What the dispatcher saw is asked again: since then everything may have changed."""
    if refusal := from_refused(d.state, command):
        return refusal
    agent = d.facts.agent(PersonId(command.agent))
    if agent is None:
        return invalid("agent")
    if clause := _closed_to_offers(d) or why_not(agent, wanted_by(d.state, d.facts.cooling)):
        return not_assignable(clause)
    offer = propose(d, agent.id, OfferKind.QUEUE)
    return d.decision({"offer_id": offer.offer_id})


def _closed_to_offers(d: Deciding) -> str | None:
    group = d.state.group
    if group.routing is not Routing.OFFER:
        return "pull"
    if not is_open(group.hours, d.now):
        return "closed_hours"
    return "has_offer" if d.offer is not None else None


def propose(d: Deciding, agent: PersonId, kind: OfferKind, *, stay: bool = False) -> Offer:
    """Open an offer of this conversation; that there is no other is the caller's to know."""
    offer = Offer(
        offer_id=d.moment.new_id(),
        conv_id=d.state.conv_id,
        agent=agent,
        kind=kind,
        expires_at=d.now + d.state.group.offer_s * 1000,
        by=d.actor.person.id if kind is OfferKind.TRANSFER else None,
        stay=stay,
    )
    d.add(
        ev.OfferMade(
            offer_id=offer.offer_id,
            conv_id=offer.conv_id,
            agent_id=agent,
            kind=kind.value,
            expires_at=offer.expires_at,
        ),
        agents=(agent,),
    )
    d.open_offer(offer)
    return offer


def accept(d: Deciding, command: ask.AcceptOffer) -> Decision | Refusal:
    """T3 and T8. Taking a colleague's by hand may exceed capacity; that is recorded."""
    offer = _live(d, command.offer_id)
    if isinstance(offer, Refusal):
        return offer
    if refusal := own_refused(d, offer.agent) or from_refused(d.state, command):
        return refusal
    is_full = d.actor.load >= d.actor.capacity
    if offer.kind is OfferKind.QUEUE and is_full:
        return Refusal(Code.AT_CAPACITY)
    old = d.state.assignee
    d.end_offer(Outcome.ACCEPTED)
    give(d, d.actor.person, over_capacity=is_full)
    d.change_agent(AgentChanged(agent=offer.agent, missed_offers=0))
    if offer.kind is OfferKind.TRANSFER:
        d.end_transfer(offer, Outcome.ACCEPTED)
        if old is not None and not offer.stay:
            leave(d, Principal(Realm.AGENT, old.id), old)
    return d.decision()


def decline(d: Deciding, command: ask.DeclineOffer) -> Decision | Refusal:
    """T4 and T9."""
    if refusal := check_note(command.reason, "reason"):
        return refusal
    offer = _live(d, command.offer_id)
    if isinstance(offer, Refusal):
        return offer
    closed = _end_unanswered(d, offer, Outcome.DECLINED)
    if command.reason:
        d.reason(closed.id, note=command.reason)
    d.change_agent(AgentChanged(agent=offer.agent, missed_offers=0))
    return d.decision()


def expire(d: Deciding, command: ask.ExpireOffer) -> Decision | Refusal:
    """T4 and T9. At the second in a row an agent is taken to be away."""
    offer = d.offer
    if offer is None or offer.offer_id != command.offer_id:
        return Refusal(Code.OFFER_OVER)
    if d.now < offer.expires_at:
        return wrong_state(d.state)
    _end_unanswered(d, offer, Outcome.EXPIRED)
    if offer.kind is OfferKind.QUEUE:
        _count_missed(d, offer.agent)
    return d.decision()


def _end_unanswered(d: Deciding, offer: Offer, outcome: Outcome) -> ev.Event:
    closed = d.end_offer(outcome)
    if offer.kind is OfferKind.TRANSFER:
        d.end_transfer(offer, outcome)
    return closed


def _count_missed(d: Deciding, person: PersonId) -> None:
    agent = d.facts.agent(person)
    missed = (agent.missed_offers if agent else 0) + 1
    if agent is None or missed < MISSED_MAX or agent.availability is not Availability.ONLINE:
        d.change_agent(AgentChanged(agent=person, missed_offers=missed))
        return
    d.add(
        ev.AgentAvailabilityChanged(
            agent_id=person,
            availability=Availability.BREAK.value,
            reason=MISSED_REASON,
            since=d.now,
        ),
        agents=(person,),
    )
    d.change_agent(
        AgentChanged(
            agent=person,
            missed_offers=0,
            availability=Availability.BREAK,
            availability_reason=MISSED_REASON,
            availability_since=d.now,
        )
    )


def _live(d: Deciding, offer_id: str) -> Offer | Refusal:
    """The live offer, if it is this one and this agent's."""
    offer = d.offer
    if offer is None or offer.offer_id != offer_id or d.now >= offer.expires_at:
        return Refusal(Code.OFFER_OVER)
    if offer.agent != d.actor.person.id:
        return Refusal(Code.NOT_ALLOWED)
    if (offer.kind is OfferKind.QUEUE) is not (d.state.status is Status.QUEUED):
        return wrong_state(d.state)
    return offer
