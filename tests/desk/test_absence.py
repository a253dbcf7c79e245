from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deskwire.desk import events as ev
from deskwire.desk.conversation import Conversation, Status
from deskwire.desk.decide import decide
from deskwire.desk.decision import AssignmentEnded, Decision
from deskwire.desk.people import Availability, PersonId, Presence
from deskwire.desk.refusals import Refusal
from tests.desk.cast import (
    AGENTS,
    DAY_MS,
    EVERYBODY,
    GROUP,
    MINUTE_MS,
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

LOST = (replace(WANG, presence=Presence.LOST), *AGENTS[1:])


def by_system(
    name: str, state: Conversation, now: int = START, agents: Any = LOST, **said: Any
) -> Decision | Refusal:
    asking = about(state, name, **said)
    return decide(EVERYBODY["system"], state, asking, moment(now), facts(agents=agents))


def test_whoever_waits_for_a_lost_agent_goes_back_to_their_old_place() -> None:
    answer = decided(by_system("lose_agent", at(Status.ACTIVE), START + DAY_MS))

    queued = data_of(answer, ev.ConversationQueued)
    assert (queued.cause, queued.waiting_since) == ("agent_lost", START)
    assert answer.loads == {"wang": -1}
    assert all(event.by is None for event in answer.events)
    assert not answer.state.has_participant(PEOPLE["assignee"].principal)


def test_while_it_is_the_employees_turn_a_lost_agent_is_only_marked_absent() -> None:
    answer = decided(by_system("lose_agent", answered()))

    assert told(answer) == ["assignee.marked_absent"]
    assert (answer.state.assignee_absent, answer.loads) == (True, {})
    assert answer.state.assignee is not None


@pytest.mark.parametrize("name, is_absent", [("lose_agent", True), ("regain_agent", False)])
def test_what_is_said_twice_changes_nothing(name: str, is_absent: bool) -> None:
    state = replace(answered(), assignee_absent=is_absent)

    answer = decided(by_system(name, state))

    assert (answer.events, answer.state) == ((), state)


def test_an_absent_agent_who_comes_back_still_has_it() -> None:
    absent = decided(by_system("lose_agent", answered())).state

    back = decided(by_system("regain_agent", absent, agents=AGENTS)).state

    assert not back.assignee_absent
    assert back.assignee == absent.assignee


def test_whoever_is_connected_after_all_is_not_lost() -> None:
    assert verdict(by_system("lose_agent", at(Status.ACTIVE), agents=AGENTS)) == "wrong_state"


@pytest.mark.parametrize("name", ["lose_agent", "regain_agent"])
def test_what_somebody_else_has_by_now_is_left_alone(name: str) -> None:
    assert verdict(by_system(name, at(Status.ACTIVE), agent="chen", agents=())) == "wrong_state"


def test_while_the_assignee_is_absent_any_agent_of_the_group_takes_over() -> None:
    absent = decided(by_system("lose_agent", answered())).state

    after = doing(absent, "colleague", "take_over")

    assert after.assignee is not None
    assert (after.assignee.id, after.assignee_absent) == ("zhao", False)


# The first answer ---------------------------------------------------------------------------------

SECONDS = GROUP.first_answer_s * 1000


def test_an_assignee_who_says_nothing_loses_it_and_is_left_alone() -> None:
    answer = decided(by_system("miss_first_answer", at(Status.ACTIVE), START + SECONDS))

    assert data_of(answer, ev.ConversationQueued).cause == "no_answer"
    assert answer.assignments == (
        AssignmentEnded(agent=PersonId("wang"), at=START + SECONDS, cause="no_answer"),
    )


@pytest.mark.parametrize("who, says", [("assignee", "wrong_state"), ("participant", "yes")])
def test_only_a_word_of_the_assignees_own_counts(who: str, says: str) -> None:
    said = doing(at(Status.ACTIVE), who, "post_message")
    asked_again = doing(said, "requester", "post_message")

    late = START + SECONDS
    assert verdict(by_system("miss_first_answer", said, late)) == "wrong_state"
    assert verdict(by_system("miss_first_answer", asked_again, late)) == says


def test_a_row_left_over_from_the_last_assignee_takes_nothing_from_the_next() -> None:
    given_on = doing(at(Status.ACTIVE), "supervisor", "take_over", now=START + SECONDS - 1)

    early = by_system("miss_first_answer", given_on, START + SECONDS)
    due = by_system("miss_first_answer", given_on, START + 2 * SECONDS - 1)

    assert (verdict(early), verdict(due)) == ("try_later", "yes")


def test_where_a_group_is_patient_nobody_is_hurried() -> None:
    patient = replace(at(Status.ACTIVE), moved_to=replace(GROUP, first_answer_s=0))

    assert verdict(by_system("miss_first_answer", patient, START + DAY_MS)) == "wrong_state"


# Preference ---------------------------------------------------------------------------------------


def awaited() -> Conversation:
    away = tuple(
        replace(each, availability=Availability.OFFLINE) if each.id == "zhao" else each
        for each in AGENTS
    )
    state = at(Status.ACTIVE)
    asking = about(state, "transfer_to_agent", if_absent="wait")
    return decided(decide(PEOPLE["assignee"], state, asking, moment(), facts(agents=away))).state


def test_a_preference_ends_when_its_time_is_over_and_the_queue_is_looked_at() -> None:
    state = awaited()
    end = START + 15 * MINUTE_MS

    early = by_system("drop_preference", state, end - 1)
    answer = decided(by_system("drop_preference", state, end))

    assert verdict(early) == "wrong_state"
    assert (answer.events, answer.state.preferred_agent, answer.state.prefer_until) == (
        (),
        None,
        None,
    )
    assert [(timer.kind.value, timer.key) for timer in answer.timers] == [
        ("preference_over", state.conv_id),
        ("dispatch", "support"),
    ]


def test_a_preference_that_is_gone_is_not_dropped_again() -> None:
    taken = doing(awaited(), "colleague", "claim_conversation")

    assert verdict(by_system("drop_preference", taken, START + DAY_MS)) == "wrong_state"
