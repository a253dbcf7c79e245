from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deskwire.desk import events as ev
from deskwire.desk.conversation import Conversation, Status
from deskwire.desk.decide import decide
from deskwire.desk.decision import Decision, OfferOpened, SightLost
from deskwire.desk.people import Availability, PersonId, Presence
from deskwire.desk.refusals import Refusal
from tests.desk.cast import (
    AGENTS,
    CONV,
    EVERYBODY,
    MINUTE_MS,
    OTHER_GROUP,
    PEOPLE,
    START,
    ZHAO,
    about,
    answered,
    at,
    data_of,
    decided,
    doing,
    facts,
    moment,
    refused,
    told,
    transfer_offer,
    verdict,
)


def transferring(
    name: str = "transfer_to_agent",
    who: str = "assignee",
    state: Conversation | None = None,
    known: dict[str, Any] | None = None,
    **said: Any,
) -> Decision | Refusal:
    state = state or at(Status.ACTIVE)
    asking = about(state, name, **said)
    return decide(EVERYBODY[who], state, asking, moment(), facts(**(known or {})))


def zhao(**more: Any) -> dict[str, Any]:
    others = tuple(agent for agent in AGENTS if agent.id != ZHAO.id)
    return {"agents": (replace(ZHAO, **more), *others)}


def test_a_transfer_asks_and_leaves_the_conversation_where_it_is() -> None:
    answer = decided(transferring(stay=True))

    (opened,) = answer.offers
    assert isinstance(opened, OfferOpened)
    assert (opened.offer.kind, opened.offer.by, opened.offer.stay) == ("transfer", "wang", True)
    assert answer.result == {"offer_id": opened.offer.offer_id}
    assert data_of(answer, ev.TransferRequested) == ev.TransferRequested(
        to_agent="zhao", note="懂证书"
    )
    assert (answer.state, answer.loads) == (at(Status.ACTIVE), {})


def test_an_agent_at_capacity_may_be_asked_by_a_colleague() -> None:
    assert verdict(transferring(known=zhao(load=2))) == "yes"


@pytest.mark.parametrize(
    "away, reason",
    [
        ({"availability": Availability.BREAK}, "availability:break"),
        ({"presence": Presence.GRACE}, "presence:grace"),
        ({"has_offer": True}, "has_offer"),
        ({"is_disabled": True}, "disabled"),
        ({"groups": frozenset({"facilities"})}, "not_in_group"),
    ],
)
def test_whoever_cannot_be_asked_is_not_and_it_says_why(away: dict[str, Any], reason: str) -> None:
    answer = refused(transferring(known=zhao(**away)))

    assert (answer.code.value, answer.detail) == ("not_assignable", {"reason": reason})


def test_a_second_transfer_withdraws_the_first() -> None:
    answer = decided(transferring(agent="chen", known={"offer": transfer_offer("zhao")}))

    assert told(answer) == [
        "offer.closed",
        "transfer.closed",
        "transfer.requested",
        "offer.made",
    ]


def test_a_conversation_waits_a_quarter_of_an_hour_for_a_colleague_who_is_away() -> None:
    answer = decided(transferring(if_absent="wait", known=zhao(availability=Availability.OFFLINE)))

    state = answer.state
    assert (state.status, state.preferred_agent) == (Status.QUEUED, "zhao")
    assert state.prefer_until == START + 15 * MINUTE_MS
    assert data_of(answer, ev.ConversationQueued).cause == "transfer"
    assert data_of(answer, ev.ReasonRecorded).note == "懂证书"


def test_whoever_hands_it_to_the_queue_may_stay() -> None:
    away = zhao(availability=Availability.OFFLINE)

    stays, leaves = (
        decided(transferring(if_absent="wait", stay=stay, known=away)).state
        for stay in (True, False)
    )

    wang = PEOPLE["assignee"].principal
    assert stays.has_participant(wang)
    assert not leaves.has_participant(wang)


# To a group ---------------------------------------------------------------------------------------


def test_a_move_is_told_to_both_boards_with_the_row_as_it_is_then() -> None:
    answer = decided(transferring("transfer_to_group"))

    (moved,) = (e for e in answer.events if isinstance(e.data, ev.ConversationMoved))
    (queued,) = (e for e in answer.events if isinstance(e.data, ev.ConversationQueued))
    assert moved.streams == (f"conv:{CONV}", "queue:support", "queue:facilities")
    assert queued.streams == (f"conv:{CONV}", "queue:facilities")
    data = data_of(answer, ev.ConversationMoved)
    assert (data.from_group, data.group.id, data.row.group.id) == (
        "support",
        "facilities",
        "facilities",
    )
    assert (data.version, data_of(answer, ev.ConversationQueued).version) == (
        at(Status.ACTIVE).version + 1,
        at(Status.ACTIVE).version + 2,
    )


def test_after_a_move_the_new_group_has_it_with_all_its_settings() -> None:
    state = decided(transferring("transfer_to_group")).state

    assert state.group is OTHER_GROUP
    assert (state.status, state.assignee, state.waiting_since) == (Status.QUEUED, None, START)
    assert not state.has_own_category


def test_after_a_move_the_old_group_is_asked_again_what_it_sees() -> None:
    answer = decided(transferring("transfer_to_group", stay=True))

    assert answer.losses == tuple(
        SightLost(stream=ev.Stream(s), principal=None, why="moved")
        for s in (f"conv:{CONV}", f"conv:{CONV}:staff")
    )
    after = answer.state
    assert verdict(decide(PEOPLE["colleague"], after, about(after, "post_note"), moment())) == (
        "not_found"
    )
    assert verdict(decide(PEOPLE["assignee"], after, about(after, "post_note"), moment())) == "yes"


def test_what_is_moved_back_is_where_its_category_leads() -> None:
    support = at(Status.ACTIVE).group
    away = decided(transferring("transfer_to_group")).state

    back = decided(
        decide(
            PEOPLE["other_supervisor"],
            away,
            about(away, "transfer_to_group", group=support.id),
            moment(),
            facts(group=support),
        )
    ).state

    assert back.has_own_category


def test_a_group_that_has_one_of_this_requester_gets_no_second() -> None:
    answer = refused(transferring("transfer_to_group", known={"unclosed": "conv-9"}))

    assert (answer.code.value, answer.detail) == ("already_open", {"conv_id": "conv-9"})


@pytest.mark.parametrize("group", [None, at(Status.ACTIVE).group])
def test_a_move_leads_to_another_group_that_exists(group: Any) -> None:
    assert verdict(transferring("transfer_to_group", known={"group": group})) == "invalid"


@pytest.mark.parametrize("name", ["transfer_to_agent", "transfer_to_group"])
def test_nothing_is_handed_on_without_a_note(name: str) -> None:
    assert verdict(transferring(name, note="\n")) == "note_required"
    assert verdict(transferring(name, note="n" * 501)) == "invalid"


def test_whoever_has_been_answered_keeps_their_turn_through_a_move() -> None:
    state = doing(answered(), "assignee", "transfer_to_group")

    assert state.turn == "employee"
    assert state.waiting_since == START
    assert PersonId("wang") == state.last_agent
