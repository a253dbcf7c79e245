from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deskwire.desk import events as ev
from deskwire.desk.conversation import Conversation, Status
from deskwire.desk.decide import decide
from deskwire.desk.decision import Decision
from deskwire.desk.messages import Reply
from deskwire.desk.people import PersonId, PersonRef, Realm
from deskwire.desk.posting import STALE_MAX
from deskwire.desk.refusals import Code, Refusal
from tests.desk.cast import (
    CONV,
    DAY_MS,
    MSG_ID,
    PEOPLE,
    START,
    about,
    answered,
    at,
    data_of,
    decided,
    facts,
    moment,
    posted,
    refused,
    upload,
    verdict,
)


def posting(
    who: str = "requester",
    state: Conversation | None = None,
    now: int = START,
    known: dict[str, Any] | None = None,
    **said: Any,
) -> Decision | Refusal:
    state = state or at(Status.ACTIVE)
    asking = about(state, "post_message", **said)
    return decide(PEOPLE[who], state, asking, moment(now), facts(**(known or {})))


# Turn, waiting and the first answer --------------------------------------------------------------


def test_the_wait_begins_with_the_first_question_and_outlives_the_next_ones() -> None:
    after = decided(posting("requester", now=START + DAY_MS)).state

    assert after.waiting_since == START
    assert after.turn is Realm.AGENT


def test_an_answer_ends_the_wait_and_hands_the_turn_over() -> None:
    after = decided(posting("assignee", now=START + 7)).state

    assert (after.turn, after.waiting_since) == (Realm.EMPLOYEE, None)
    assert after.first_answered_at == START + 7


def test_the_first_answer_is_the_first() -> None:
    after = decided(posting("assignee", answered(START + 7), START + 9)).state

    assert after.first_answered_at == START + 7


def test_a_new_question_begins_a_new_wait() -> None:
    after = decided(posting("requester", answered(), START + 5)).state

    assert (after.turn, after.waiting_since) == (Realm.AGENT, START + 5)


def test_an_agents_message_never_reopens() -> None:
    state = at(Status.RESOLVED)

    after = decided(posting("assignee", state)).state

    assert (after.status, after.assignee, after.version) == (Status.RESOLVED, None, state.version)


def test_an_agents_message_leaves_a_hold_alone() -> None:
    assert decided(posting("assignee", at(Status.ON_HOLD))).state.status is Status.ON_HOLD


def test_whoever_was_invited_and_has_left_writes_no_more() -> None:
    state = decided(
        decide(
            PEOPLE["invited"],
            at(Status.ACTIVE),
            about(at(Status.ACTIVE), "leave_conversation"),
            moment(),
        )
    ).state

    assert verdict(posting("invited", state)) == "not_allowed"


@pytest.mark.parametrize("who", ["requester", "assignee"])
def test_a_body_is_looked_at_only_where_one_may_post(who: str) -> None:
    answer = refused(posting(who, body=" \n"))

    assert (answer.code, answer.detail) == (Code.INVALID, {"field": "body"})


# Stale views --------------------------------------------------------------------------------------


def reply(position: int, by: str = "chen") -> Reply:
    return Reply(
        msg_id=f"m-{position}",
        position=position,
        author=PersonRef(id=PersonId(by), name=by.title()),
        kind="text",
        body="重启试试",
        at=START,
    )


def test_a_reply_does_not_go_out_over_a_colleagues_unseen_one() -> None:
    answer = refused(posting("assignee", known={"replies": (reply(9), reply(8))}, seen=7))

    assert answer.code is Code.STALE_VIEW
    assert [each["position"] for each in answer.detail["messages"]] == [8, 9]
    assert answer.detail["messages"][0] == {
        "msg_id": "m-8",
        "position": 8,
        "by": {"id": "chen", "name": "Chen", "avatar": None},
        "kind": "text",
        "body": "重启试试",
        "at": START,
    }


@pytest.mark.parametrize(
    "who, replies, said",
    [
        ("assignee", (reply(9),), {"seen": 9}),
        ("assignee", (reply(9),), {"seen": 7, "send_anyway": True}),
        ("assignee", (reply(9),), {}),
        ("assignee", (reply(9, "wang"),), {"seen": 7}),
        ("requester", (reply(9),), {"seen": 7}),
        ("assignee", (), {"seen": 7}),
    ],
)
def test_what_is_seen_ones_own_or_meant_stops_nobody(
    who: str, replies: tuple[Reply, ...], said: dict[str, Any]
) -> None:
    assert verdict(posting(who, known={"replies": replies}, **said)) == "yes"


def test_a_stale_view_shows_the_newest_that_one_screen_holds() -> None:
    many = tuple(reply(position) for position in range(8, 40))

    answer = refused(posting("assignee", known={"replies": many}, seen=7))

    shown = [each["position"] for each in answer.detail["messages"]]
    assert (len(shown), shown[0], shown[-1]) == (STALE_MAX, 20, 39)


def test_a_message_says_on_which_road_it_came() -> None:
    state = at(Status.ACTIVE)
    by_wecom = replace(moment(), via="wecom")

    answer = decided(
        decide(PEOPLE["requester"], state, about(state, "post_message"), by_wecom, facts())
    )

    assert data_of(answer, ev.MessagePosted).via == "wecom"


# Replies and attachments --------------------------------------------------------------------------


def test_a_message_may_answer_another_of_its_conversation() -> None:
    answer = decided(posting("assignee", known={"message": posted()}, reply_to=MSG_ID))

    assert data_of(answer, ev.MessagePosted).reply_to == MSG_ID


@pytest.mark.parametrize(
    "who, message",
    [
        ("assignee", None),
        ("assignee", posted(is_note=True)),
        ("invited", posted(position=1)),
    ],
    ids=["of another conversation", "a note", "before their time"],
)
def test_what_one_may_not_quote_is_not_quoted(who: str, message: Any) -> None:
    answer = refused(posting(who, known={"message": message}, reply_to=MSG_ID))

    assert answer.detail == {"field": "reply_to"}


def test_an_attachment_is_told_with_what_a_reader_needs_to_draw_it() -> None:
    found = upload("a-1", width=640, height=480)

    answer = decided(
        posting(kind="image", body="", attachments=("a-1",), known={"attachments": (found,)})
    )

    (written,) = data_of(answer, ev.MessagePosted).attachments
    assert written == ev.WrittenAttachment(
        id="a-1",
        kind="image",
        name="a-1.png",
        bytes=1_000,
        type="image/png",
        width=640,
        height=480,
    )
    assert answer.bindings[0].stream == f"conv:{CONV}"
