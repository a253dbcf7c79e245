from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deskwire.desk import events as ev
from deskwire.desk.conversation import Conversation, Status
from deskwire.desk.decide import decide
from deskwire.desk.decision import (
    AssignmentBegun,
    AssignmentEnded,
    Decision,
    OfferEnded,
    Outcome,
    SightLost,
)
from deskwire.desk.people import PersonId
from deskwire.desk.refusals import Code, Refusal
from tests.desk.cast import (
    AGENTS,
    CONV,
    DAY_MS,
    EVERYBODY,
    OFFER_ID,
    PEOPLE,
    START,
    ZHAO,
    about,
    agent,
    at,
    data_of,
    decided,
    doing,
    facts,
    moment,
    offer,
    refused,
    told,
    transfer_offer,
    verdict,
)


def doing_it(
    who: str, name: str, state: Conversation, now: int = START, **known: Any
) -> Decision | Refusal:
    said = known.pop("said", {})
    return decide(EVERYBODY[who], state, about(state, name, **said), moment(now), facts(**known))


# Claiming -----------------------------------------------------------------------------------------


def test_the_loser_of_a_claim_is_told_who_has_it() -> None:
    answer = refused(doing_it("colleague", "claim_conversation", at(Status.ACTIVE)))

    assert answer.detail == {"by": {"id": "wang", "name": "Wang", "avatar": None}}


def test_a_full_agent_claims_nothing() -> None:
    full = agent("wang", "support", load=2)
    state = at(Status.QUEUED)

    answer = refused(decide(full, state, about(state, "claim_conversation"), moment()))

    assert answer.code is Code.AT_CAPACITY


def test_an_agent_who_has_joined_is_not_named_a_newcomer_when_they_claim() -> None:
    answer = decided(doing_it("participant", "claim_conversation", at(Status.QUEUED)))

    assert told(answer) == ["conversation.assigned", "reason.recorded"]


def test_a_claim_withdraws_the_offer_that_is_out() -> None:
    answer = decided(
        doing_it("assignee", "claim_conversation", at(Status.QUEUED), offer=offer("zhao"))
    )

    assert answer.offers == (OfferEnded(offer_id=OFFER_ID, outcome=Outcome.WITHDRAWN, at=START),)
    assert answer.events[0].streams == ("agent:zhao", "queue:support")


def test_what_an_agent_takes_is_on_record() -> None:
    answer = decided(doing_it("assignee", "claim_conversation", at(Status.QUEUED)))

    assert answer.assignments == (
        AssignmentBegun(
            agent=PersonId("wang"),
            at=START,
            cause="claim_conversation",
            by=PersonId("wang"),
            over_capacity=False,
        ),
    )


# Taking over and assigning ------------------------------------------------------------------------


def test_a_takeover_moves_the_load_and_tells_both() -> None:
    answer = decided(doing_it("supervisor", "take_over", at(Status.ACTIVE)))

    assert answer.loads == {"wang": -1, "lina": 1}
    assert [type(each) for each in answer.assignments] == [AssignmentEnded, AssignmentBegun]
    (assigned,) = (e for e in answer.events if isinstance(e.data, ev.ConversationAssigned))
    assert assigned.streams[-2:] == ("agent:lina", "agent:wang")
    assert answer.state.has_participant(PEOPLE["assignee"].principal)


def test_nobody_takes_over_from_themselves() -> None:
    state = doing(at(Status.ACTIVE), "supervisor", "take_over")

    answer = refused(doing_it("supervisor", "take_over", state))

    assert (answer.code.value, answer.detail["by"]["id"]) == ("already_taken", "lina")


def test_a_takeover_over_capacity_is_recorded() -> None:
    full = replace(EVERYBODY["supervisor"], load=2)
    state = at(Status.QUEUED)

    answer = decided(decide(full, state, about(state, "take_over"), moment(), facts()))

    assert answer.may_exceed == {"lina"}
    assert data_of(answer, ev.ReasonRecorded).over_capacity
    assert data_of(answer, ev.ReasonRecorded).note == "同事不在"


@pytest.mark.parametrize("load, over", [(1, False), (2, True), (7, True)])
def test_an_assignment_by_force_may_exceed_capacity(load: int, over: bool) -> None:
    busy = (replace(ZHAO, load=load), *(each for each in AGENTS if each.id != "zhao"))

    answer = decided(doing_it("supervisor", "assign_conversation", at(Status.QUEUED), agents=busy))

    assert answer.loads == {"zhao": 1}
    assert answer.may_exceed == (frozenset({"zhao"}) if over else frozenset())
    assert data_of(answer, ev.ReasonRecorded).over_capacity == over


@pytest.mark.parametrize(
    "who, says",
    [("wang", "already_taken"), ("qian", "not_assignable"), ("ann", "own_conversation"),
     ("nobody", "invalid"), ("zhao", "yes")],
)  # fmt: skip
def test_only_an_agent_of_the_group_is_given_it(who: str, says: str) -> None:
    answer = doing_it("supervisor", "assign_conversation", at(Status.ACTIVE), said={"agent": who})

    assert verdict(answer) == says


def test_a_disabled_agent_is_given_nothing() -> None:
    gone = (replace(ZHAO, is_disabled=True), *(each for each in AGENTS if each.id != "zhao"))

    answer = refused(doing_it("supervisor", "assign_conversation", at(Status.ACTIVE), agents=gone))

    assert answer.detail == {"reason": "disabled"}


# Back to the queue --------------------------------------------------------------------------------


def test_a_requeue_keeps_the_wait_that_began_long_ago() -> None:
    answer = decided(
        doing_it("assignee", "requeue_conversation", at(Status.ACTIVE), START + DAY_MS)
    )

    queued = data_of(answer, ev.ConversationQueued)
    assert (queued.cause, queued.waiting_since) == ("requeued", START)
    assert answer.state.waiting_since == START
    assert answer.loads == {"wang": -1}


def test_who_waits_for_nothing_yet_begins_to_wait_when_queued() -> None:
    state = doing(at(Status.ACTIVE), "assignee", "post_message")

    answer = decided(doing_it("assignee", "requeue_conversation", state, START + DAY_MS))

    assert answer.state.waiting_since == START + DAY_MS


def test_whoever_gives_it_back_stops_taking_part_and_is_asked_again_what_they_see() -> None:
    answer = decided(doing_it("assignee", "requeue_conversation", at(Status.ACTIVE)))

    left = data_of(answer, ev.ParticipantLeft)
    member = answer.state.sight.participation(PEOPLE["assignee"].principal)
    assert member is not None
    assert member.left_at == left.left_at == at(Status.ACTIVE).head + 1
    assert answer.losses == tuple(
        SightLost(stream=ev.Stream(s), principal=PEOPLE["assignee"].principal, why="left")
        for s in (f"conv:{CONV}", f"conv:{CONV}:staff")
    )


def test_what_waits_already_may_be_queued_anew() -> None:
    answer = decided(
        doing_it("supervisor", "requeue_conversation", at(Status.QUEUED), offer=offer())
    )

    assert told(answer) == ["offer.closed", "conversation.queued", "reason.recorded"]
    assert answer.loads == {}


def test_whoever_comes_back_sees_everything_again() -> None:
    state = doing(at(Status.ACTIVE), "assignee", "requeue_conversation")

    again = doing(state, "assignee", "claim_conversation")

    member = again.sight.participation(PEOPLE["assignee"].principal)
    assert member is not None
    assert (member.visible_from, member.left_at) == (1, None)
    assert len(again.participants) == len(state.participants)


def test_a_live_transfer_does_not_outlive_its_conversation_in_hand() -> None:
    answer = decided(
        doing_it("assignee", "requeue_conversation", at(Status.ACTIVE), offer=transfer_offer())
    )

    assert told(answer)[:2] == ["offer.closed", "transfer.closed"]
