from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from deskwire.wecom.messages import TextCard, UserId, text_card
from deskwire.wecom.simulator.asgi import CSP, PERSON_COOKIE
from deskwire.wecom.simulator.faults import FaultKind
from tests.wecom.town import API, SECRET, STATE, Town

PHONE = Path(__file__).parents[3] / "src/deskwire/wecom/simulator"


@pytest.fixture
async def browser(town: Town) -> AsyncIterator[httpx.AsyncClient]:
    """A browser at a simulator that is mounted as in the demo."""
    app = Starlette(routes=[Mount("/_wecom", town.app)])
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url=API) as browser:
        yield browser


def login(town: Town, page: str = "/connect/oauth2/authorize") -> str:
    return "/_wecom" + page + "?" + urlsplit(town.start()).query


# --- who are you ---------------------------------------------------------------------------------


@pytest.mark.parametrize("page", ["/connect/oauth2/authorize", "/wwlogin/sso/login"])
async def test_both_login_pages_let_one_choose_a_person(
    town: Town, browser: httpx.AsyncClient, page: str
) -> None:
    shown = await browser.get(login(town, page))
    link = re.search(r'href="(\?[^"]*person=lina)"', shown.text)
    assert link is not None

    picked = await browser.get(f"/_wecom{page}{link[1].replace('&amp;', '&')}")

    assert shown.status_code == 200
    assert picked.status_code == 302
    back = urlsplit(picked.headers["location"])
    assert f"{back.scheme}://{back.netloc}{back.path}" == (
        "https://desk.example.com:8443/login/employee/return"
    )
    assert parse_qs(back.query)["state"] == [STATE]


async def test_who_was_picked_once_is_not_asked_again(
    town: Town, browser: httpx.AsyncClient
) -> None:
    await browser.get(login(town) + "&person=lina")

    again = await browser.get(login(town))

    assert again.status_code == 302


async def test_a_browser_that_shows_the_code_is_nobodys_phone(
    town: Town, browser: httpx.AsyncClient
) -> None:
    await browser.get(login(town) + "&person=lina")

    picked = await browser.get(login(town, "/wwlogin/sso/login") + "&person=zhaomin")
    asked = await browser.get(login(town, "/wwlogin/sso/login") + "&lang=en")
    phone = (await browser.get("/_wecom/_sim/state")).json()

    assert (picked.status_code, asked.status_code) == (302, 200)
    assert "Whose phone scans the code?" in asked.text
    assert phone["person"] == "lina"


async def test_each_login_has_a_code_of_its_own(town: Town, browser: httpx.AsyncClient) -> None:
    addresses = {
        (await browser.get(login(town) + "&person=lina")).headers["location"] for _ in range(3)
    }

    assert len(addresses) == 3


async def test_who_is_picked_out_of_scope_gets_a_code_all_the_same(
    town: Town, browser: httpx.AsyncClient
) -> None:
    picked = await browser.get(login(town) + "&person=dengchao")

    assert "code=" in picked.headers["location"]


async def test_an_unknown_person_is_asked_to_choose(town: Town, browser: httpx.AsyncClient) -> None:
    browser.cookies.set(PERSON_COOKIE, "nobody")

    assert (await browser.get(login(town))).status_code == 200
    assert (await browser.get(login(town) + "&person=nobody")).status_code == 200


async def test_a_login_put_together_wrongly_ends_at_an_error_page(
    browser: httpx.AsyncClient,
) -> None:
    page = await browser.get("/_wecom/connect/oauth2/authorize?appid=wwother&person=lina")

    assert page.status_code == 400
    assert "location" not in page.headers
    assert "企业或应用不存在" in page.text


async def test_the_login_pages_speak_the_browsers_language(
    town: Town, browser: httpx.AsyncClient
) -> None:
    for accepted, words in [
        ("en-GB,en;q=0.9", 'lang="en"'),
        ("zh-TW", 'lang="zh-CN"'),
        ("*", "以谁的身份登录"),
        ("", "以谁的身份登录"),
    ]:
        page = await browser.get(login(town), headers={"accept-language": accepted})
        assert words in page.text


async def test_a_name_cannot_become_markup(browser: httpx.AsyncClient, town: Town) -> None:
    page = await browser.get(login(town) + "&x=%22%3E%3Cscript%3E")

    assert "<script>" not in page.text


# --- the phone page ------------------------------------------------------------------------------


async def test_the_phone_page_runs_under_a_strict_policy(
    town: Town, browser: httpx.AsyncClient
) -> None:
    for address in ("/_wecom/", login(town), "/_wecom/connect/oauth2/authorize"):
        page = await browser.get(address)
        assert page.headers["content-security-policy"] == CSP
        assert not re.search(r"<style|<script(?! type=\"module\" src=)| style=| on\w+=", page.text)


async def test_every_page_says_that_it_is_a_demo(town: Town, browser: httpx.AsyncClient) -> None:
    for address in ("/_wecom/", login(town), "/_wecom/connect/oauth2/authorize"):
        assert "演示" in (await browser.get(address)).text


async def test_the_phone_page_finds_its_style_and_script(browser: httpx.AsyncClient) -> None:
    page = await browser.get("/_wecom/")
    for name in re.findall(r'(?:src|href)="(inbox\.\w+)"', page.text):
        file = await browser.get(f"/_wecom/{name}")
        assert file.status_code == 200
        assert file.headers["content-type"].startswith(("text/css", "text/javascript"))


def test_the_phone_page_has_its_words_in_both_languages() -> None:
    script = (PHONE / "inbox.js").read_text("utf-8")
    chinese, english = (
        set(re.findall(r"^ {4}(\w+):", part, re.MULTILINE))
        for part in re.findall(r"^ {2}(?:zh|en): \{(.*?)^ {2}\},", script, re.MULTILINE | re.DOTALL)
    )
    used = set(re.findall(r'data-word="(\w+)"', (PHONE / "inbox.html").read_text("utf-8")))
    used |= set(re.findall(r"\bwords\.(\w+)", script))

    assert chinese == english
    assert used <= chinese


async def test_the_address_of_the_phone_page_picks_a_person(browser: httpx.AsyncClient) -> None:
    page = await browser.get("/_wecom/?person=LINA")
    state = (await browser.get("/_wecom/_sim/state")).json()

    cookie = page.headers["set-cookie"]
    assert cookie == f"{PERSON_COOKIE}=lina; HttpOnly; Path=/_wecom; SameSite=lax"
    assert state["person"] == "lina"


async def test_the_phone_knows_people_and_the_desks_door(browser: httpx.AsyncClient) -> None:
    state = (await browser.get("/_wecom/_sim/state")).json()

    assert state["entry"] == f"{API}/login/employee?to=/h5"
    assert state["person"] is None
    assert len(state["people"]) == 24
    assert {"userid": "dengchao", "initials": "超群", "notes": ["out_of_scope"]}.items() <= next(
        person for person in state["people"] if person["userid"] == "dengchao"
    ).items()


async def test_a_phone_shows_the_cards_of_its_owner_and_nobody_elses(
    town: Town, browser: httpx.AsyncClient
) -> None:
    card = TextCard(
        to=UserId("lina"),
        agent_id=town.world.app.agent_id,
        title="标题",
        description="a<b",
        url=f"{API}/h5/c/1?p=2",
        button="查看",
    )
    async with town.client() as client:
        msgid = await client.send(text_card(card))

    found = (await browser.get("/_wecom/_sim/inbox?person=LINA")).json()
    others = (await browser.get("/_wecom/_sim/inbox?person=zhangwei")).json()

    assert others == {"cards": []}
    [shown] = found["cards"]
    assert shown == {
        "msgid": msgid,
        "at": town.clock.now_ms,
        "title": "标题",
        "description": "a&lt;b",
        "url": card.url,
        "button": "查看",
    }


async def test_a_phone_takes_the_browser_over_before_it_opens_a_page(
    browser: httpx.AsyncClient,
) -> None:
    await browser.get("/_wecom/?person=lina")

    await browser.post("/_wecom/_sim/person", json={"userid": "zhangwei"})

    assert (await browser.get("/_wecom/_sim/state")).json()["person"] == "zhangwei"


async def test_called_by_another_name_of_this_machine_the_phone_moves_to_the_desks(
    browser: httpx.AsyncClient,
) -> None:
    moved = await browser.get("http://localhost:8000/_wecom/?person=lina&phones=2")
    alone = await browser.get("http://localhost:9000/_wecom/")

    assert moved.status_code == 307
    assert moved.headers["location"] == f"{API}/_wecom/?person=lina&phones=2"
    assert alone.status_code == 200


# --- the log and the faults ----------------------------------------------------------------------


async def test_the_log_gives_what_is_new(town: Town, browser: httpx.AsyncClient) -> None:
    await browser.get("/_wecom/cgi-bin/gettoken")
    await browser.get("/_wecom/cgi-bin/user/get?userid=lina")

    log = (await browser.get("/_wecom/_sim/calls?after=1")).json()

    assert log["made"] == 2
    assert [call["path"] for call in log["calls"]] == ["/cgi-bin/user/get"]
    assert log["calls"][0]["errcode"] == 41001


async def test_a_fault_can_be_asked_for_over_http(town: Town, browser: httpx.AsyncClient) -> None:
    added = await browser.post(
        "/_wecom/_sim/faults", json={"path": "user/get", "kind": "system_busy", "times": 2}
    )

    assert added.json()["waiting"] == [{"path": "user/get", "kind": "system_busy", "times": 2}]
    reply = await browser.get("/_wecom/cgi-bin/user/get?userid=lina")
    assert reply.json()["errcode"] == -1
    cleared = await browser.delete("/_wecom/_sim/faults")
    assert cleared.json()["waiting"] == []
    assert cleared.json()["kinds"] == list(FaultKind)


@pytest.mark.parametrize(
    "fault",
    [
        {},
        {"path": "message/burn", "kind": "slow"},
        {"path": "user/get", "kind": "flood"},
        {"path": "user/get", "kind": "slow", "times": 0},
        {"path": "user/get", "kind": "slow", "times": "2"},
    ],
)
async def test_a_fault_that_makes_no_sense_is_refused(
    browser: httpx.AsyncClient, fault: dict[str, object]
) -> None:
    answer = await browser.post("/_wecom/_sim/faults", json=fault)

    assert answer.status_code == 422
    assert answer.json()["error"]


@pytest.mark.parametrize(
    "content, kind",
    [
        ('{"userid":"lina"}', "text/plain"),
        ("[1]", "application/json"),
        ("{", "application/json"),
        (json.dumps({"userid": "lina", "x": "y" * 70_000}), "application/json"),
    ],
)
async def test_what_is_not_a_small_json_object_is_not_taken(
    browser: httpx.AsyncClient, content: str, kind: str
) -> None:
    answer = await browser.post(
        "/_wecom/_sim/person", content=content, headers={"content-type": kind}
    )

    assert answer.status_code == 422


async def test_a_foreign_page_may_not_add_faults(browser: httpx.AsyncClient) -> None:
    answer = await browser.post(
        "/_wecom/_sim/faults",
        json={"path": "user/get", "kind": "slow"},
        headers={"origin": "https://evil.example"},
    )

    assert answer.status_code == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "desk.example.com"},
        {"forwarded": "for=10.0.0.7"},
        {"x-forwarded-for": "10.0.0.7"},
        {"x-forwarded-host": "desk.example.com"},
    ],
)
@pytest.mark.parametrize("path", ["/", "/_sim/state", "/cgi-bin/gettoken", "/inbox.js"])
async def test_behind_a_proxy_there_is_no_simulator(
    browser: httpx.AsyncClient, path: str, headers: dict[str, str]
) -> None:
    assert (await browser.get(f"/_wecom{path}", headers=headers)).status_code == 404


async def test_from_another_machine_there_is_no_simulator(town: Town) -> None:
    transport = httpx.ASGITransport(town.app, client=("10.0.0.7", 5000))
    async with httpx.AsyncClient(transport=transport, base_url=API) as stranger:
        assert (await stranger.get("/")).status_code == 404


async def test_no_answer_but_gettokens_own_holds_a_secret(
    town: Town, browser: httpx.AsyncClient
) -> None:
    code = await town.code("lina")
    async with town.client() as client:
        await client.identify(code)
    secrets = [SECRET, code, *town.world._tokens]

    for path in ("/", "/inbox.js", "/_sim/state", "/_sim/calls", "/_sim/faults"):
        answer = await browser.get(f"/_wecom{path}")
        assert answer.status_code == 200
        assert not [secret for secret in secrets if secret in answer.text]
    for page in ("/connect/oauth2/authorize", "/wwlogin/sso/login"):
        picker = await browser.get(login(town, page))
        assert not [secret for secret in secrets if secret in picker.text]
