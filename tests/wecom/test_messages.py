from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deskwire.wecom.messages import (
    Member,
    MemberStatus,
    Outsider,
    Sent,
    Stranger,
    TextCard,
    Unreadable,
    UserId,
    read_department_name,
    read_grant,
    read_identity,
    read_listing,
    read_outcome,
    read_sent,
    text_card,
    user_id,
)


def body(**fields: Any) -> bytes:
    return json.dumps(fields, ensure_ascii=False).encode()


LISTING = {"userid": "LiNa", "name": "李娜", "department": [3, 2], "status": 1}


def test_success_is_errcode_0_or_none_at_all() -> None:
    assert read_outcome(body(errcode=0, errmsg="ok")).code == 0
    assert read_outcome(body(ip_list=[])).code == 0


def test_a_refusal_keeps_its_code_and_words() -> None:
    outcome = read_outcome(body(errcode=40029, errmsg="invalid code"))

    assert (outcome.code, outcome.errmsg) == (40029, "invalid code")


@pytest.mark.parametrize(
    "raw", [b"", b"<html>", b"[]", b'"ok"', b"{", b'{"errcode":"0"}', b"\xff\xfe", b"\x00"]
)
def test_what_is_no_reply_is_unreadable(raw: bytes) -> None:
    with pytest.raises(Unreadable):
        read_outcome(raw)


@given(st.binary(max_size=300))
def test_junk_raises_nothing_but_unreadable(raw: bytes) -> None:
    for read in (read_outcome, read_grant, read_identity, read_listing, read_department_name):
        with suppress(Unreadable):
            read(raw)


def test_what_could_not_be_read_is_not_quoted() -> None:
    with pytest.raises(Unreadable) as caught:
        read_grant(b'{"access_token":"abc","expires_in":"soon"}')

    assert "abc" not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_grant_is_a_token_and_its_lifetime() -> None:
    grant = read_grant(body(errcode=0, access_token="T" * 512, expires_in=7200))

    assert (grant.value, grant.lifetime_s) == ("T" * 512, 7200)
    assert "T" not in repr(grant).removeprefix("Grant")


@pytest.mark.parametrize(
    "fields",
    [
        {"access_token": "", "expires_in": 7200},
        {"access_token": "T" * 513, "expires_in": 7200},
        {"access_token": "T", "expires_in": 0},
        {"access_token": "T"},
        {"expires_in": 7200},
    ],
)
def test_a_grant_without_token_or_time_is_unreadable(fields: dict[str, Any]) -> None:
    with pytest.raises(Unreadable):
        read_grant(body(**fields))


def test_a_member_is_known_by_the_user_id_in_lower_case() -> None:
    assert read_identity(body(errcode=0, userid="LiNa")) == Member(userid=UserId("lina"))


@pytest.mark.parametrize(
    "fields, kind",
    [
        ({"openid": "oXYZ"}, Stranger.EXTERNAL),
        ({"openid": "oXYZ", "external_userid": "wmXYZ"}, Stranger.EXTERNAL),
        ({}, Stranger.EXTERNAL),
        ({"UserId": "lina"}, Stranger.EXTERNAL),
        ({"userid": "wwother/lina"}, Stranger.LINKED),
    ],
)
def test_success_without_a_bare_userid_proves_nobody(
    fields: dict[str, Any], kind: Stranger
) -> None:
    assert read_identity(body(errcode=0, errmsg="ok", **fields)) == Outsider(kind=kind)


@pytest.mark.parametrize("raw", ["", "x" * 65, "员" * 22])
def test_a_user_id_has_1_to_64_bytes(raw: str) -> None:
    with pytest.raises(Unreadable):
        user_id(raw)


def test_a_user_id_of_64_bytes_is_taken() -> None:
    assert user_id("X" * 64) == "x" * 64


def test_a_member_is_listed_with_name_department_and_status() -> None:
    listing = read_listing(body(**LISTING, main_department=2, position="IT", extattr={"attrs": []}))

    assert listing.userid == "lina"
    assert listing.name == "李娜"
    assert listing.department_id == 2
    assert listing.status is MemberStatus.ACTIVE


def test_the_first_department_stands_in_for_a_main_one_we_may_not_see() -> None:
    assert read_listing(body(**LISTING)).department_id == 3


def test_a_member_may_have_neither_name_nor_department() -> None:
    listing = read_listing(body(userid="lina", status=4))

    assert (listing.name, listing.department_id) == ("", None)
    assert listing.status is MemberStatus.NOT_ACTIVATED


def test_a_status_we_do_not_know_lets_nobody_in() -> None:
    assert read_listing(body(**LISTING | {"status": 3})).status is MemberStatus.DISABLED


def test_a_department_has_a_name_where_the_app_may_see_it() -> None:
    assert read_department_name(body(department={"id": 2, "name": "市场部"})) == "市场部"
    assert read_department_name(body(department={"id": 2})) == ""


# --- cards ---------------------------------------------------------------------------------------


def card(**changed: Any) -> TextCard:
    usual: dict[str, Any] = {
        "to": UserId("lina"),
        "agent_id": 1000002,
        "title": "IT服务台有新回复",
        "description": "李娜回复了您（3 条）",
        "url": "https://desk.example.com/h5/c/01K5X6?p=01K5X7",
        "button": "查看",
    }
    return TextCard(**(usual | changed))


def test_a_card_is_the_same_bytes_each_time_and_asks_for_the_duplicate_check() -> None:
    written = text_card(card())

    assert written == text_card(card()) != text_card(card(url="https://desk.example.com/"))
    assert json.loads(written) == {
        "touser": "lina",
        "msgtype": "textcard",
        "agentid": 1000002,
        "textcard": {
            "title": "IT服务台有新回复",
            "description": "李娜回复了您（3 条）",
            "url": "https://desk.example.com/h5/c/01K5X6?p=01K5X7",
            "btntxt": "查看",
        },
        "enable_duplicate_check": 1,
        "duplicate_check_interval": 14400,
    }


def test_a_cards_text_is_no_html_and_is_cut_at_a_whole_character() -> None:
    shown = json.loads(text_card(card(description="a<b>\n" + "&" * 200)))["textcard"]

    assert shown["description"].startswith("a&lt;b&gt;<br>&amp;&amp;")
    assert shown["description"].endswith("&amp;")
    assert 508 <= len(shown["description"]) <= 512
    assert len(json.loads(text_card(card(title="长" * 200)))["textcard"]["title"]) == 128


@pytest.mark.parametrize("url", ["/h5/c/1", "javascript:alert(1)", "https://" + "a" * 2041])
def test_a_card_that_leads_nowhere_is_not_made(url: str) -> None:
    with pytest.raises(ValueError, match="address"):
        text_card(card(url=url))


def test_what_was_accepted_names_whom_it_does_not_reach() -> None:
    sent = read_sent(body(errcode=0, msgid="m1", invaliduser="LiNa|bo", unlicenseduser="cy"))

    assert sent == Sent(msgid="m1", invalid=frozenset({"lina", "bo"}), unlicensed=frozenset({"cy"}))


@pytest.mark.parametrize("msgid", [None, "", 7, "m" * 257])
def test_what_was_accepted_stays_so_without_an_id_of_its_own(msgid: object) -> None:
    sent = read_sent(body(msgid=msgid, invaliduser=None))

    assert sent == Sent(msgid=None, invalid=frozenset(), unlicensed=frozenset())
