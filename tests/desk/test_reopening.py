from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deskwire.desk import events as ev
from deskwire.desk.conversation import Conversation, Status
from deskwire.desk.decide import decide
from deskwire.desk.decision import Decision
from deskwire.desk.people import Presence
from deskwire.desk.refusals import Refusal
from tests.desk.cast import (
    AGENTS,
    DAY_MS,
    PEOPLE,
    START,
    WANG,
    about,
    at,
    data_of,
    decided,
    doing,
    facts,
    moment,
    refused,
    verdict,
)


def reopening(
    state: Conversation, name: str = "reopen_conversation", now: int = START, **known: Any
) -> Decision | Refusal:
    said = known.pop("said", {})
    asking = about(state, name, **said)
    return decide(PEOPLE["requester"], state, asking, moment(now), facts(**known))


LOST = (replace(WANG, presence=Presence.LOST), *AGENTS[1:])


def test_a_reopening_goes_back_to_the_last_agent_if_assignable() -> None:
    state = decided(reopening(at(Status.RESOLVED), "post_message")).state

    assert state.assignee is not None
    assert (state.assignee.id, state.reopen_count) == ("wang", 1)


def test_it_never_goes_to_somebody_who_went_home() -> None:
    state = decided(reopening(at(Status.RESOLVED), "post_message", agents=LOST)).state

    assert (state.status, state.assignee, state.preferred_agent) == (Status.QUEUED, None, "wang")


def test_a_closed_conversation_is_queued_even_if_the_last_agent_is_there() -> None:
    answer = decided(reopening(at(Status.CLOSED), now=START + DAY_MS))

    state = answer.state
    assert (state.status, state.preferred_agent, state.prefer_until) == (
        Status.QUEUED,
        "wang",
        None,
    )
    assert (state.closed_at, state.closed_how) == (None, None)
    assert (state.waiting_since, state.turn) == (START + DAY_MS, "agent")
    assert data_of(answer, ev.ConversationQueued).cause == "reopened"


def test_the_row_of_a_reopening_says_how_it_stands_then() -> None:
    answer = decided(reopening(at(Status.CLOSED), now=START + 5))

    data = data_of(answer, ev.ConversationReopened)
    assert data.reopen_count == 1
    assert (data.row.status, data.row.assignee, data.row.waiting_since) == (
        "queued",
        None,
        START + 5,
    )
    assert data.row.version == at(Status.CLOSED).version + 1


def test_each_reopening_is_counted() -> None:
    once = doing(at(Status.RESOLVED), "requester", "post_message")
    again = doing(once, "assignee", "resolve_conversation")

    assert doing(again, "requester", "reopen_conversation").reopen_count == 2


@pytest.mark.parametrize("status", [Status.RESOLVED, Status.CLOSED])
def test_it_says_what_is_still_wrong(status: Status) -> None:
    silent = reopening(at(status), said={"body": " "})
    answer = decided(reopening(at(status)))

    assert verdict(silent) == "invalid"
    assert data_of(answer, ev.MessagePosted).body == "还是不行"
    assert answer.result == {"msg_id": data_of(answer, ev.MessagePosted).msg_id}


def test_a_requester_with_another_one_open_is_led_there() -> None:
    answer = refused(reopening(at(Status.CLOSED), unclosed="conv-9"))

    assert (answer.code.value, answer.detail) == ("already_open", {"conv_id": "conv-9"})


def test_what_was_closed_without_a_date_stays_closed() -> None:
    assert verdict(reopening(replace(at(Status.CLOSED), closed_at=None))) == "closed"
