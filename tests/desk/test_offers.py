from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deskwire.desk import events as ev
from deskwire.desk.conversation import Conversation, Status
from deskwire.desk.decide import decide
from deskwire.desk.decision import Decision, Offer, OfferEnded, OfferKind, OfferOpened, Outcome
from deskwire.desk.offers import MISSED_REASON
from deskwire.desk.office import Hours, Routing
from deskwire.desk.people import AgentChanged, Availability, PersonId
from deskwire.desk.refusals import Refusal
from tests.desk.cast import (
    AGENTS,
    CONV,
    DAY_MS,
    EVERYBODY,
    GROUP,
    OFFER_ID,
    START,
    ZHAO,
    about,
    at,
    data_of,
    decided,
    facts,
    moment,
    offer,
    refused,
    told,
    transfer_offer,
    verdict,
)


def doing_it(
    who: str, name: str, state: Conversation | None = None, now: int = START, **known: Any
) -> Decision | Refusal:
    state = state or at(Status.QUEUED)
    return decide(EVERYBODY[who], state, about(state, name), moment(now), facts(**known))


def zhao(**more: Any) -> dict[str, Any]:
    others = tuple(agent for agent in AGENTS if agent.id != ZHAO.id)
    return {"agents": (replace(ZHAO, **more), *others)}


# Making -------------------------------------------------------------------------------------------


def test_an_offer_stands_as_long_as_the_group_says() -> None:
    answer = decided(doing_it("system", "make_offer"))

    (opened,) = answer.offers
    assert opened == OfferOpened(
        offer=Offer(
            offer_id="id-1",
            conv_id=CONV,
            agent=PersonId("zhao"),
            kind=OfferKind.QUEUE,
            expires_at=START + 25_000,
        )
    )
    assert data_of(answer, ev.OfferMade).expires_at == START + 25_000
    assert answer.events[0].streams == ("agent:zhao", "queue:support")
    assert answer.events[0].by is None
    assert (answer.state, answer.loads) == (at(Status.QUEUED), {})


@pytest.mark.parametrize(
    "group, known, reason",
    [
        (replace(GROUP, routing=Routing.PULL), {}, "pull"),
        (replace(GROUP, hours=Hours(week=((),) * 7)), {}, "closed_hours"),
        (GROUP, {"offer": offer("chen")}, "has_offer"),
        (GROUP, zhao(has_offer=True), "has_offer"),
        (GROUP, zhao(load=2), "at_capacity"),
        (GROUP, zhao(availability=Availability.BREAK), "availability:break"),
        (GROUP, {"cooling": frozenset({PersonId("zhao")})}, "cooling_off"),
    ],
)
def test_what_the_dispatcher_saw_is_asked_again(
    group: Any, known: dict[str, Any], reason: str
) -> None:
    state = replace(at(Status.QUEUED), moved_to=group)

    answer = refused(doing_it("system", "make_offer", state, **known))

    assert (answer.code.value, answer.detail) == ("not_assignable", {"reason": reason})


# Accepting ----------------------------------------------------------------------------------------


def test_an_accepted_offer_assigns_and_begins_a_new_count() -> None:
    answer = decided(doing_it("colleague", "accept_offer", offer=offer()))

    assert answer.offers == (OfferEnded(offer_id=OFFER_ID, outcome=Outcome.ACCEPTED, at=START),)
    assert answer.loads == {"zhao": 1}
    assert answer.may_exceed == frozenset()
    assert AgentChanged(agent=PersonId("zhao"), missed_offers=0) in answer.agents
    assert AgentChanged(agent=PersonId("zhao"), last_assigned_at=START) in answer.agents


def test_a_full_agent_accepts_nothing_from_the_queue() -> None:
    full = replace(EVERYBODY["colleague"], load=2)
    state = at(Status.QUEUED)

    answer = decide(full, state, about(state, "accept_offer"), moment(), facts(offer=offer()))

    assert verdict(answer) == "at_capacity"


def test_a_colleagues_may_exceed_capacity_and_that_is_recorded() -> None:
    full = replace(EVERYBODY["colleague"], load=2)
    state = at(Status.ACTIVE)

    answer = decided(
        decide(full, state, about(state, "accept_offer"), moment(), facts(offer=transfer_offer()))
    )

    assert answer.loads == {"zhao": 1, "wang": -1}
    assert answer.may_exceed == {"zhao"}
    assert data_of(answer, ev.ReasonRecorded).over_capacity


def test_a_transfer_is_told_to_the_new_and_the_old_assignee() -> None:
    answer = decided(
        doing_it("colleague", "accept_offer", at(Status.ACTIVE), offer=transfer_offer())
    )

    streams = {event.type.name: event.streams for event in answer.events}
    assert streams["conversation.assigned"] == (
        f"conv:{CONV}",
        "queue:support",
        "agent:zhao",
        "agent:wang",
    )
    assert streams["transfer.closed"] == (f"conv:{CONV}:staff", "agent:wang")


def test_an_offer_of_the_queue_is_no_transfer_once_it_is_taken() -> None:
    """A claim withdraws it; should one be left behind all the same, it gives nothing away."""
    stray = doing_it("colleague", "accept_offer", at(Status.ACTIVE), offer=offer())

    assert verdict(stray) == "wrong_state"


# Declining and running out ------------------------------------------------------------------------


def test_a_decline_says_why_to_staff_and_is_no_missed_offer() -> None:
    answer = decided(doing_it("colleague", "decline_offer", offer=offer(), **zhao(missed_offers=1)))

    assert told(answer) == ["offer.closed", "reason.recorded"]
    assert data_of(answer, ev.OfferClosed).outcome == "declined"
    assert data_of(answer, ev.ReasonRecorded).about == answer.events[0].id
    assert answer.agents == (AgentChanged(agent=PersonId("zhao"), missed_offers=0),)


def test_a_missed_offer_is_counted() -> None:
    answer = decided(doing_it("system", "expire_offer", now=START + DAY_MS, offer=offer()))

    assert told(answer) == ["offer.closed"]
    assert answer.agents == (AgentChanged(agent=PersonId("zhao"), missed_offers=1),)


def test_at_the_second_in_a_row_the_agent_is_on_a_break() -> None:
    answer = decided(
        doing_it(
            "system", "expire_offer", now=START + DAY_MS, offer=offer(), **zhao(missed_offers=1)
        )
    )

    changed = data_of(answer, ev.AgentAvailabilityChanged)
    assert (changed.agent_id, changed.availability, changed.reason) == (
        "zhao",
        "break",
        MISSED_REASON,
    )
    (event,) = (event for event in answer.events if event.data is changed)
    assert (event.streams, event.conv) == (("desk", "agent:zhao"), None)
    assert answer.agents[0].availability is Availability.BREAK
    assert answer.agents[0].missed_offers == 0


@pytest.mark.parametrize("availability", [Availability.BUSY, Availability.OFFLINE])
def test_whoever_has_gone_by_themselves_is_left_where_they_are(availability: Availability) -> None:
    away = zhao(missed_offers=1, availability=availability)

    answer = decided(doing_it("system", "expire_offer", now=START + DAY_MS, offer=offer(), **away))

    assert told(answer) == ["offer.closed"]
    assert answer.agents[0].availability is None


def test_a_missed_transfer_is_no_sign_of_absence() -> None:
    answer = decided(
        doing_it(
            "system",
            "expire_offer",
            at(Status.ACTIVE),
            START + DAY_MS,
            offer=transfer_offer(),
            **zhao(missed_offers=1),
        )
    )

    assert told(answer) == ["offer.closed", "transfer.closed"]
    assert answer.agents == ()


@pytest.mark.parametrize("name", ["accept_offer", "decline_offer"])
def test_from_the_moment_it_runs_out_an_offer_is_over(name: str) -> None:
    answers = [
        verdict(doing_it("colleague", name, now=START + ms, offer=offer()))
        for ms in (24_999, 25_000)
    ]

    assert answers == ["yes", "offer_over"]


def test_an_offer_runs_out_once_and_not_early() -> None:
    answers = [
        verdict(doing_it("system", "expire_offer", now=now, offer=live))
        for now, live in ((START + 24_999, offer()), (START + 25_000, offer()), (START, None))
    ]

    assert answers == ["wrong_state", "yes", "offer_over"]
