from __future__ import annotations

import json
from itertools import count
from typing import Any

import pytest

from deskwire.wecom.simulator.mailbox import HOUR_MS, MINUTE_MS, PER_MINUTE, RECALL_MS, Mailbox
from deskwire.wecom.simulator.people import DEMO_PEOPLE

APP = 1000002
KNOWN = {person.userid: person for person in DEMO_PEOPLE}


@pytest.fixture
def mailbox() -> Mailbox:
    numbers = count(1)
    return Mailbox(person=KNOWN.get, msgid=lambda: f"m{next(numbers)}")


def request(**changed: Any) -> bytes:
    card = {"title": "标题", "description": "内容", "url": "https://desk.test/h5?p=1"}
    card |= changed.pop("textcard", {})
    usual = {"touser": "lina", "msgtype": "textcard", "agentid": APP, "textcard": card}
    checked = {"enable_duplicate_check": 1, "duplicate_check_interval": 14_400}
    return json.dumps({**usual, **checked, **changed}).encode()


@pytest.mark.parametrize(
    "changed, code",
    [
        ({"touser": ""}, 82001),
        ({"msgtype": "voice"}, 40008),
        ({"agentid": 1}, 40056),
        ({"textcard": {"title": ""}}, 41016),
        ({"textcard": {"description": ""}}, 41033),
        ({"textcard": {"url": "desk.test"}}, 45034),
        ({"touser": "dengchao"}, 81013),
    ],
)
def test_a_request_that_wecom_refuses_is_refused(
    mailbox: Mailbox, changed: dict[str, Any], code: int
) -> None:
    assert mailbox.send(request(**changed), APP, 0) == code


def test_the_same_bytes_are_not_received_again_within_the_interval(mailbox: Mailbox) -> None:
    for now_ms in (0, 4 * HOUR_MS - 1, 4 * HOUR_MS):
        mailbox.send(request(), APP, now_ms)
    mailbox.names_duplicates = False

    assert mailbox.send(request(), APP, 4 * HOUR_MS + 1) == {}
    assert [card.at_ms for card in mailbox.shown("LiNa")] == [0, 4 * HOUR_MS]


def test_what_is_over_the_limit_of_a_member_is_thrown_away_in_silence(mailbox: Mailbox) -> None:
    url = "https://desk.test/h5?p={}"
    answers = [
        mailbox.send(request(textcard={"url": url.format(n)}), APP, n)
        for n in range(PER_MINUTE + 1)
    ]
    mailbox.send(request(textcard={"url": url.format("later")}), APP, 2 * MINUTE_MS)

    assert all(isinstance(answer, dict) for answer in answers)
    assert len(mailbox.shown("lina")) == PER_MINUTE + 1


def test_a_text_is_cut_in_characters_as_wecom_cuts_it(mailbox: Mailbox) -> None:
    mailbox.send(request(textcard={"title": "长" * 129, "description": "长" * 513}), APP, 0)

    [card] = mailbox.shown("lina")
    assert (len(card.title), len(card.description)) == (128, 512)


def test_a_card_is_taken_back_within_a_day_and_not_later(mailbox: Mailbox) -> None:
    mailbox.send(request(), APP, 0)
    named = json.dumps({"msgid": "m1"}).encode()

    assert mailbox.recall(named, RECALL_MS + 1) == 42052
    assert mailbox.recall(b"{}", 0) == 40058
    assert mailbox.recall(named, RECALL_MS) == {}
    assert mailbox.shown("lina") == []
