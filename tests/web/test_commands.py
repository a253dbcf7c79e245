from __future__ import annotations

from typing import Any

import pytest

from deskwire.desk.people import Realm
from tests.flows.conftest import KINDS
from tests.flows.office import ANN, BO, CHEN, QIAN, WANG, Office, employee
from tests.web.site import Site, code, refusal

pytestmark = pytest.mark.parametrize("database", KINDS, indirect=True)

AGENT, EMPLOYEE = Realm.AGENT, Realm.EMPLOYEE
CY = employee("cy")
BODIES = ["    four", "a\nb\r\n\tc\n", "\x01\x1b[0m\x7f", "👩🏽‍💻🇨🇳", "<b>&amp;</b>", "字" * 4000]


async def test_a_command_is_answered_after_it_took_effect(site: Site) -> None:
    async with site.browser(ANN) as browser:
        answer = await browser.command(
            EMPLOYEE, "open_conversation", category_id="network", kind="text", body="VPN"
        )

    said = answer.json()
    assert answer.status_code == 200
    assert set(said) == {"command_id", "replayed", "result", "positions"}
    assert set(said["result"]) == {"conv_id", "no", "msg_id"}
    conv, epoch = said["result"]["conv_id"], site.office.one("SELECT epoch FROM store")
    assert said["positions"] == {f"conv:{conv}": [epoch, 2], "employee:ann": [epoch, 1]}
    assert site.office.one("SELECT status FROM conversation WHERE conv_id = ?", conv) == "queued"


async def test_the_same_id_is_answered_again_with_the_same_words(site: Site) -> None:
    conv = await site.office.claimed()
    body = {"name": "post_message", "conv": conv, "args": {"kind": "text", "body": "一"}}
    path = "/api/employee/commands"
    async with site.browser(ANN) as browser:
        first = await browser.send_json(path, body, command_id="command-x")
        again = await browser.send_json(path, body, command_id="command-x")
        body["args"] = {"kind": "text", "body": "二"}
        other = await browser.send_json(path, body, command_id="command-x")

    assert again.json() == first.json() | {"replayed": True}
    assert refusal(other) == (409, "command_id_reused", {})


async def test_a_text_is_kept_to_the_letter(site: Site) -> None:
    conv = await site.office.claimed()
    async with site.browser(ANN) as browser:
        for body in BODIES:
            await browser.command(EMPLOYEE, "post_message", conv, kind="text", body=body)
        seen = (await browser.get(f"/api/employee/conversations/{conv}")).json()["entries"]

    assert [entry["event"]["data"].get("body") for entry in seen[-len(BODIES) :]] == BODIES


NOT_KEPT: list[tuple[str, tuple[int, str, Any]]] = [
    ("", (422, "invalid", {"field": "body"})),
    (" \n\t\u3000", (422, "invalid", {"field": "body"})),
    ("a\0b", (422, "invalid", {"field": "body"})),
    ("a" * 4001, (413, "too_large", {"field": "body", "max": 4000})),
    ("😀" * 4001, (413, "too_large", {"field": "body", "max": 4000})),
]


@pytest.mark.parametrize("name", ["post_message", "post_note", "open_conversation"])
async def test_a_text_that_cannot_be_kept_is_refused_with_its_reason(site: Site, name: str) -> None:
    conv = await site.office.claimed()
    realm, who = (AGENT, WANG) if name == "post_note" else (EMPLOYEE, ANN)
    args = {
        "post_message": {"kind": "text"},
        "post_note": {},
        "open_conversation": {"kind": "text", "category_id": "printer"},
    }[name]
    to = None if name == "open_conversation" else conv
    async with site.browser(who) as browser:
        found = [
            (body, refusal(await browser.command(realm, name, to, body=body, **args)))
            for body, _ in NOT_KEPT
        ]

    assert found == NOT_KEPT


async def test_a_command_id_has_a_form(site: Site) -> None:
    ids = ["", "short", "x" * 65, "wecom:1:2345678", "with space", "emoji-😀😀😀", "a/b/c/d/e"]
    body = {"name": "confirm_solved", "conv": "x", "args": {}}
    answers = {}
    async with site.browser(ANN) as browser:
        for command_id in ids:
            usual = browser.usual(without="command-id").items()
            headers = [(name.encode(), value.encode()) for name, value in usual]
            answer = await browser.post(
                "/api/employee/commands",
                json=body,
                headers=[*headers, (b"command-id", command_id.encode())],
            )
            answers[command_id] = refusal(answer)

    assert answers == dict.fromkeys(ids, (400, "bad_request", {"header": "Command-Id"}))


async def test_a_command_without_an_id_is_no_command(site: Site) -> None:
    async with site.browser(ANN) as browser:
        answer = await browser.send_json(
            "/api/employee/commands",
            {"name": "confirm_solved", "conv": "x", "args": {}},
            without="command-id",
        )

    assert refusal(answer) == (400, "bad_request", {"header": "Command-Id"})


WRONG: list[tuple[Any, str]] = [
    ({}, "name"),
    ({"name": 1}, "name"),
    ({"name": "fly"}, "name"),
    ({"name": "x" * 65}, "name"),
    ({"name": "post_message", "args": {"kind": "text", "body": "x"}}, "conv"),
    ({"name": "post_message", "conv": 1, "args": {}}, "conv"),
    ({"name": "open_conversation", "conv": "x", "args": {}}, "conv"),
    ({"name": "post_message", "conv": "x" * 37, "args": {}}, "conv"),
    ({"name": "post_message", "conv": "x", "args": []}, "args"),
    ({"name": "post_message", "conv": "x", "args": {"kind": "text"}}, "body"),
    ({"name": "post_message", "conv": "x", "args": {"kind": "video", "body": "x"}}, "kind"),
    ({"name": "post_message", "conv": "x", "args": {"kind": "text", "body": 5}}, "body"),
    ({"name": "post_message", "conv": "x", "args": {"kind": "text", "body": None}}, "body"),
    ({"name": "post_message", "conv": "x", "args": {"kind": "text", "body": ["x"]}}, "body"),
    (
        {"name": "post_message", "conv": "x", "args": {"kind": "text", "body": "x", "at": 1}},
        "at",
    ),
    ({"name": "post_message", "conv": "x", "args": {"conv": "y"}}, "conv"),
    ({"name": "confirm_solved", "conv": "x", "args": {"by": "ann"}}, "by"),
    ({"name": "confirm_solved", "conv": "x", "args": {}, "realm": "agent"}, "realm"),
    ({"name": "rate_conversation", "conv": "x", "args": {"score": "5"}}, "score"),
    ({"name": "rate_conversation", "conv": "x", "args": {"score": 5.0}}, "score"),
    ({"name": "rate_conversation", "conv": "x", "args": {"score": True}}, "score"),
    ({"name": "rate_conversation", "conv": "x", "args": {"score": 5, "reasons": "x"}}, "reasons"),
    ({"name": "rate_conversation", "conv": "x", "args": {"score": 5, "reasons": [1]}}, "reasons"),
    ({"name": "open_conversation", "args": {"kind": "text", "body": "x"}}, "category_id"),
    (
        {"name": "open_conversation", "args": {"kind": "text", "body": "x", "category_id": "?"}},
        "category_id",
    ),
]


async def test_a_field_that_is_missing_unknown_or_wrong_is_named(site: Site) -> None:
    async with site.browser(ANN) as browser:
        found = [
            (body, refusal(await browser.send_json("/api/employee/commands", body)))
            for body, _ in WRONG
        ]

    assert found == [(body, (422, "invalid", {"field": field})) for body, field in WRONG]


async def test_a_command_of_the_other_realm_may_not_be_sent(site: Site) -> None:
    conv = await site.office.opened()
    async with site.browser(ANN) as browser, site.browser(WANG) as agents:
        answers = [
            await browser.command(EMPLOYEE, "claim_conversation", conv),
            await browser.command(EMPLOYEE, "post_note", conv, body="x"),
            await agents.command(AGENT, "rate_conversation", conv, score=5),
        ]

    assert {refusal(answer)[:2] for answer in answers} == {(403, "not_allowed")}


@pytest.mark.parametrize("who", [QIAN, BO])
async def test_a_conversation_of_others_is_not_there(site: Site, who: Any) -> None:
    conv = await site.office.claimed()
    async with site.browser(who) as browser:
        answers = [
            await browser.command(who.realm, "post_message", to, kind="text", body="x")
            for to in (conv, "nowhere", "'; DROP TABLE event; --", "x\0")
        ]

    assert {refusal(answer)[:2] for answer in answers} == {(404, "not_found")}


async def test_each_no_of_a_conversation_has_its_status(site: Site) -> None:
    office = site.office
    queued, active = await office.opened(BO), await office.claimed(ANN)
    solved = await office.claimed(CY, CHEN)
    await office.yes(CHEN, "resolve_conversation", solved)
    await office.yes(CY, "rate_conversation", solved, score=5)
    async with site.browser(CHEN) as chen, site.browser(ANN) as ann, site.browser(CY) as cy:
        answers = [
            await chen.command(AGENT, "claim_conversation", active),
            await chen.command(AGENT, "post_message", queued, kind="text", body="x"),
            await chen.command(AGENT, "post_message", active, kind="text", body="x"),
            await chen.command(AGENT, "post_message", solved, kind="text", body="x"),
            await ann.command(EMPLOYEE, "confirm_solved", active),
            await ann.command(
                EMPLOYEE, "open_conversation", kind="text", body="x", category_id="network"
            ),
            await cy.command(EMPLOYEE, "rate_conversation", solved, score=1),
        ]

    assert [refusal(answer) for answer in answers] == [
        (409, "already_taken", {"by": {"id": "wang", "name": "Wang", "avatar": None}}),
        (409, "claim_first", {}),
        (409, "join_first", {}),
        (409, "closed", {}),
        (409, "wrong_state", {"status": "active"}),
        (409, "already_open", {"conv_id": active}),
        (409, "already_rated", {}),
    ]


async def test_a_full_queue_and_a_store_that_fails_say_when_to_come_again(site: Site) -> None:
    asking = {"category_id": "network", "kind": "text", "body": "x"}
    site.office.write("UPDATE agent_group SET queue_max = 0")
    async with site.browser(ANN) as browser:
        full = await browser.command(EMPLOYEE, "open_conversation", **asking)
        site.office.write("ALTER TABLE event RENAME TO hidden")
        site.office.write("UPDATE agent_group SET queue_max = 9")
        failing = await browser.command(EMPLOYEE, "open_conversation", **asking)
        site.office.write("ALTER TABLE login RENAME TO hidden_too")
        nobody = await browser.get("/api/employee/boot")

    assert refusal(full) == (429, "queue_full", {})
    assert full.json()["refusal"]["retry"] == "same_id"
    assert refusal(failing) == (503, "try_later", {"retry_after_s": 1})
    assert (failing.headers["retry-after"], code(nobody)) == ("1", "try_later")


async def test_what_an_employee_asked_is_theirs_whatever_the_body_says(
    site: Site, office: Office
) -> None:
    async with site.browser(ANN) as browser:
        await browser.command(
            EMPLOYEE, "open_conversation", category_id="network", kind="text", body="bo 说的"
        )

    assert office.sql("SELECT requester_id FROM conversation") == [("ann",)]


# How often ---------------------------------------------------------------------------------------


async def test_whoever_writes_too_fast_is_told_when_to_go_on(site: Site) -> None:
    conv = await site.office.claimed()
    site.office.now_ms += 10_000
    async with site.browser(ANN) as browser:
        answers = [
            await browser.command(EMPLOYEE, "post_message", conv, kind="text", body=str(number))
            for number in range(21)
        ]
        site.office.now_ms += 9_001
        early = await browser.command(EMPLOYEE, "post_message", conv, kind="text", body="x")
        site.office.now_ms += 999
        later = await browser.command(EMPLOYEE, "post_message", conv, kind="text", body="x")

    assert [answer.status_code for answer in answers] == [200] * 20 + [429]
    assert refusal(answers[-1]) == (429, "too_many", {"retry_after_s": 10})
    assert answers[-1].headers["retry-after"] == "10"
    assert (refusal(early)[2], later.status_code) == ({"retry_after_s": 1}, 200)


async def test_a_repeat_is_answered_however_often_it_comes(site: Site) -> None:
    conv = await site.office.claimed()
    body = {"name": "post_message", "conv": conv, "args": {"kind": "text", "body": "一"}}
    async with site.browser(ANN) as browser:
        codes = {
            (
                await browser.send_json("/api/employee/commands", body, command_id="command-x")
            ).status_code
            for _ in range(25)
        }

    assert codes == {200}


async def test_a_person_opens_three_conversations_in_ten_minutes(site: Site) -> None:
    asked = {"category_id": "network", "kind": "text", "body": "x"}
    async with site.browser(ANN) as browser:
        for _ in range(3):
            opened = await browser.command(EMPLOYEE, "open_conversation", **asked)
            conv = opened.json()["result"]["conv_id"]
            await browser.command(EMPLOYEE, "cancel_conversation", conv)
        fourth = await browser.command(EMPLOYEE, "open_conversation", **asked)

    assert refusal(fourth) == (429, "too_many", {"retry_after_s": 600})


async def test_a_person_sends_sixty_commands_in_ten_seconds(site: Site) -> None:
    async with site.browser(WANG) as browser:
        codes = [
            (await browser.command(AGENT, "set_availability", availability=said)).status_code
            for _ in range(31)
            for said in ("busy", "online")
        ]

    assert codes == [200] * 60 + [429] * 2
