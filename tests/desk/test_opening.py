from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deskwire.desk import events as ev
from deskwire.desk.opening import decide_opening
from deskwire.desk.people import Realm
from deskwire.desk.refusals import Code
from tests.desk.cast import (
    CATEGORY,
    CONV,
    PEOPLE,
    START,
    asked,
    decided,
    moment,
    opened,
    opening,
    refused,
    told,
    upload,
    verdict,
)


def test_an_opening_says_its_message_in_the_same_breath() -> None:
    decision = opened()

    assert told(decision) == ["conversation.opened", "message.posted", "reason.recorded"]
    assert decision.result == {"conv_id": CONV, "no": "IT-20260101-0001", "msg_id": "id-2"}
    assert decision.state.last_message is not None
    assert decision.state.last_message.position == 2
    assert (decision.state.turn, decision.state.waiting_since) == (Realm.AGENT, START)


def test_the_message_carries_the_command_id_so_that_a_bubble_is_replaced() -> None:
    posted = opened().events[1].data

    assert isinstance(posted, ev.MessagePosted)
    assert posted.command_id == "command-0001"


@pytest.mark.parametrize(
    "facts, code, detail",
    [
        ({"category": None}, Code.INVALID, {"field": "category_id"}),
        ({"category": replace(CATEGORY, is_archived=True)}, Code.INVALID, {"field": "category_id"}),
        ({"previous_is_own": False}, Code.INVALID, {"field": "previous_id"}),
        ({"unclosed": "conv-0"}, Code.ALREADY_OPEN, {"conv_id": "conv-0"}),
        ({"queued": 3}, Code.QUEUE_FULL, {}),
    ],
)
def test_an_opening_is_refused_with_its_reason(
    facts: dict[str, Any], code: Code, detail: dict[str, str]
) -> None:
    answer = refused(decide_opening(PEOPLE["requester"], asked(), opening(**facts), moment()))

    assert (answer.code, answer.detail) == (code, detail)


def test_the_last_place_in_the_queue_is_given() -> None:
    answer = decide_opening(PEOPLE["requester"], asked(), opening(queued=2), moment())

    assert verdict(answer) == "yes"


def test_an_opening_without_words_opens_nothing() -> None:
    answer = refused(decide_opening(PEOPLE["requester"], asked("\n\t "), opening(), moment()))

    assert answer.detail == {"field": "body"}


def test_a_picture_may_be_the_first_message() -> None:
    asking = asked("看图", kind="image", attachments=("a-1",))

    decision = decided(
        decide_opening(PEOPLE["requester"], asking, opening(attachments=(upload("a-1"),)), moment())
    )

    posted = decision.events[1].data
    assert isinstance(posted, ev.MessagePosted)
    assert [each.id for each in posted.attachments] == ["a-1"]
    assert [(b.attachment_id, b.msg_id, b.stream) for b in decision.bindings] == [
        ("a-1", posted.msg_id, f"conv:{CONV}")
    ]
