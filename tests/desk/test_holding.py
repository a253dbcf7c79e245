from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deskwire.desk import events as ev
from deskwire.desk.conversation import Conversation, Status
from deskwire.desk.decide import decide
from deskwire.desk.decision import Decision
from deskwire.desk.holding import assignable_last_agent
from deskwire.desk.people import Availability, PersonId, Presence
from deskwire.desk.refusals import Refusal
from tests.desk.cast import (
    AGENTS,
    DAY_MS,
    EVERYBODY,
    PEOPLE,
    START,
    WANG,
    about,
    answered,
    at,
    data_of,
    decided,
    doing,
    facts,
    moment,
    told,
    verdict,
)


def doing_it(
    who: str, name: str, state: Conversation, now: int = START, **known: Any
) -> Decision | Refusal:
    return decide(EVERYBODY[who], state, about(state, name), moment(now), facts(**known))


def wang(**more: Any) -> dict[str, Any]:
    return {"agents": (replace(WANG, **more), *AGENTS[1:])}


def test_a_hold_frees_the_agent_and_keeps_them_as_the_last() -> None:
    answer = decided(doing_it("assignee", "hold_conversation", at(Status.ACTIVE)))

    state = answer.state
    assert (state.assignee, state.last_agent, state.held_until) == (None, "wang", START + DAY_MS)
    assert answer.loads == {"wang": -1}
    assert data_of(answer, ev.ReasonRecorded).note == "等配件"
    assert state.has_participant(PEOPLE["assignee"].principal)


def test_a_hold_is_no_end_of_the_wait() -> None:
    state = decided(doing_it("assignee", "hold_conversation", at(Status.ACTIVE))).state

    assert state.waiting_since == START


def test_back_from_a_hold_the_last_agent_has_it_again() -> None:
    answer = decided(doing_it("assignee", "resume_conversation", at(Status.ON_HOLD)))

    assert (answer.state.status, answer.state.held_until) == (Status.ACTIVE, None)
    assert answer.loads == {"wang": 1}
    assert answer.may_exceed == frozenset()


@pytest.mark.parametrize(
    "away",
    [
        wang(availability=Availability.BUSY),
        wang(presence=Presence.LOST),
        wang(load=2),
        wang(has_offer=True),
        wang(groups=frozenset({"facilities"})),
        {"cooling": frozenset({PersonId("wang")})},
        {"agents": ()},
    ],
)
def test_where_the_last_agent_is_not_assignable_it_waits_preferring_them(
    away: dict[str, Any],
) -> None:
    answer = decided(
        doing_it("system", "return_from_hold", at(Status.ON_HOLD), START + DAY_MS, **away)
    )

    state = answer.state
    assert told(answer) == ["conversation.resumed", "conversation.queued", "reason.recorded"]
    assert data_of(answer, ev.ConversationQueued).cause == "hold_over"
    assert (state.preferred_agent, state.prefer_until) == ("wang", None)
    assert state.waiting_since == START


def test_an_employees_message_ends_a_hold() -> None:
    state = doing(answered(), "assignee", "hold_conversation")

    answer = decided(doing_it("requester", "post_message", state, START + 5))

    assert (answer.state.status, answer.state.turn) == (Status.ACTIVE, "agent")
    assert answer.state.waiting_since == START + 5


def test_a_return_before_its_time_changes_nothing() -> None:
    early = doing_it("system", "return_from_hold", at(Status.ON_HOLD), START + DAY_MS - 1)

    assert verdict(early) == "wrong_state"


def test_a_conversation_without_a_last_agent_has_none_to_prefer() -> None:
    from deskwire.desk.decision import Deciding

    state = at(Status.QUEUED)
    d = Deciding(PEOPLE["requester"], state, about(state, "post_message"), moment(), facts())

    assert assignable_last_agent(d) is None
