from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from http.cookies import Morsel, SimpleCookie
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from deskwire.app import Desk
from deskwire.desk.people import LOGIN_REALMS, Realm
from deskwire.web.login import local_path
from deskwire.wecom.simulator.world import Person
from tests.flows.conftest import KINDS
from tests.flows.office import ANN, LINA, MEI, PASSWORD, START, WANG, Office, agent
from tests.kit.databases import Database
from tests.web.site import URL, Browser, Site, refusal, served
from tests.web.sockets import closed_with, connected, is_alive, logged_in, login_of

HALF_AN_HOUR_MS = 30 * 60 * 1000


def cookie_of(answer: httpx.Response, name: str) -> Morsel[str]:
    found: SimpleCookie = SimpleCookie()
    for line in answer.headers.get_list("set-cookie"):
        found.load(line)
    return found[name]


async def log_in(browser: Browser, name: str = "wang", password: str = PASSWORD) -> httpx.Response:
    return await browser.send_json(
        "/api/agent/login", {"login_name": name, "password": password}, without="command-id"
    )


# Password -----------------------------------------------------------------------------------------


async def test_an_agent_logs_in_and_is_known_from_then_on(site: Site) -> None:
    async with site.browser() as browser:
        answer = await log_in(browser)
        boot = await browser.get("/api/agent/boot")

    assert answer.status_code == 200
    assert answer.json()["me"]["id"] == "wang"
    assert answer.json()["until"] == START + HALF_AN_HOUR_MS
    assert boot.json()["me"] == answer.json()["me"]


async def test_the_cookie_is_for_our_pages_alone_and_no_script_reads_it(site: Site) -> None:
    async with site.browser() as browser:
        cookie = cookie_of(await log_in(browser), "deskwire-agent")

    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "lax", "/")
    assert (cookie["secure"], cookie["domain"]) == ("", "")
    assert len(cookie.value) == 43


async def test_over_https_the_cookie_is_bound_to_the_host(office: Office) -> None:
    site = await Site.at(office, "https://desk.test")
    async with site.browser() as browser:
        answer = await log_in(browser)
        boot = await browser.get("/api/agent/boot")
    await site.close()

    cookie = cookie_of(answer, "__Host-deskwire-agent")
    assert (cookie["secure"], cookie["domain"], cookie["path"]) == (True, "", "/")
    assert boot.status_code == 200


async def test_wrong_name_and_wrong_password_get_the_same_answer(site: Site) -> None:
    async with site.browser() as browser:
        answers = [
            await log_in(browser, *given)
            for given in (("wang", "wrong"), ("nobody", PASSWORD), ("ann", PASSWORD))
        ]

    assert len({answer.text for answer in answers}) == 1
    assert {refusal(answer)[:2] for answer in answers} == {(401, "login_required")}
    assert not any("set-cookie" in answer.headers for answer in answers)


async def test_a_login_out_of_bounds_is_named(site: Site) -> None:
    given = [
        ({"login_name": "wang"}, "password"),
        ({"login_name": "wang", "password": 5}, "password"),
        ({"login_name": "wang", "password": "x" * 257}, "password"),
        ({"login_name": "x" * 65, "password": "x"}, "login_name"),
        ({"login_name": "wang", "password": "x", "realm": "employee"}, "realm"),
        ([], "body"),
    ]
    async with site.browser() as browser:
        found = [
            (body, refusal(await browser.send_json("/api/agent/login", body))) for body, _ in given
        ]

    assert found == [(body, (422, "invalid", {"field": field})) for body, field in given]


async def test_logging_in_again_is_a_new_login_whatever_cookie_was_brought(site: Site) -> None:
    async with site.browser() as browser:
        browser.cookies.set("deskwire-agent", "chosen-by-somebody-else")
        first = cookie_of(await log_in(browser), "deskwire-agent").value
        second = cookie_of(await log_in(browser), "deskwire-agent").value

    assert len({first, second, "chosen-by-somebody-else"}) == 3


async def test_employees_have_no_password_door(site: Site) -> None:
    async with site.browser() as browser:
        answer = await browser.send_json(
            "/api/employee/login", {"login_name": "ann", "password": "x"}
        )

    assert answer.status_code == 404


# Being logged in ----------------------------------------------------------------------------------


async def test_logging_out_ends_it_here_and_the_cookie_is_taken_back(site: Site) -> None:
    async with site.browser() as browser:
        secret = cookie_of(await log_in(browser), "deskwire-agent").value
        answer = await browser.send_json("/api/agent/logout")
        browser.cookies.set("deskwire-agent", secret)
        after = await browser.get("/api/agent/boot")

    taken = cookie_of(answer, "deskwire-agent")
    assert (answer.status_code, answer.json()) == (200, {})
    assert (taken.value, taken["max-age"], taken["httponly"]) == ("", "0", True)
    assert refusal(after)[:2] == (401, "login_required")


async def test_logging_out_in_one_realm_leaves_the_other(site: Site) -> None:
    async with site.browser(MEI) as browser:
        browser.cookies.set("deskwire-agent", site.login(agent("mei")))
        await browser.send_json("/api/agent/logout")
        answers = [(await browser.get(f"/api/{realm}/boot")).status_code for realm in LOGIN_REALMS]

    assert answers == [401, 200]


async def test_renewing_moves_the_end(site: Site) -> None:
    async with site.browser() as browser:
        await log_in(browser)
        site.office.now_ms += HALF_AN_HOUR_MS - 1
        answer = await browser.send_json("/api/agent/renew")

    assert answer.json() == {"until": site.office.now_ms + HALF_AN_HOUR_MS}


@pytest.mark.parametrize("who", [ANN, WANG])
async def test_me_says_who_one_is_or_what_a_socket_would_meet(site: Site, who: object) -> None:
    person = ANN if who == ANN else WANG
    path = f"/api/{person.realm.value}/me"
    async with site.browser(person) as browser, site.browser() as stranger:
        known = await browser.send_json(path)
        unknown = await stranger.send_json(path)
        extra = await browser.send_json(path, {"person": "lina"})

    assert known.json()["me"]["id"] == person.person
    assert refusal(unknown)[:2] == (401, "login_required")
    assert refusal(extra) == (422, "invalid", {"field": "person"})


async def test_a_login_of_one_realm_is_none_in_the_other(site: Site) -> None:
    async with (
        site.browser(ANN, realm=Realm.AGENT) as as_agent,
        site.browser(WANG, realm=Realm.EMPLOYEE) as as_employee,
    ):
        answers = [
            await as_agent.get("/api/agent/boot"),
            await as_employee.get("/api/employee/boot"),
            await as_employee.get("/api/agent/boot"),
        ]

    assert [refusal(answer)[:2] for answer in answers] == [(401, "login_required")] * 3


# Logins -------------------------------------------------------------------------------------------


def ids(answer: httpx.Response) -> list[str]:
    return [found["id"] for found in answer.json()["logins"]]


async def revoked(browser: Browser, realm: Realm, login_id: str) -> httpx.Response:
    return await browser.delete(f"/api/{realm.value}/logins/{login_id}", headers=browser.usual())


async def test_ones_own_logins_are_listed_and_say_which_browser_it_is(site: Site) -> None:
    async with site.browser() as first, site.browser() as second:
        for browser, name in ((first, "Firefox on the desk\x1b"), (second, "y" * 300)):
            browser.headers["user-agent"] = name
            await log_in(browser)
        answer = await first.get("/api/agent/logins")

    found = {each.pop("id"): each for each in answer.json()["logins"]}
    shared = {"realm": "agent", "created": START, "seen": START, "until": START + HALF_AN_HOUR_MS}
    assert sorted(found.values(), key=lambda each: str(each["browser"])) == [
        {**shared, "browser": "Firefox on the desk", "is_this": True},
        {**shared, "browser": "y" * 200, "is_this": False},
    ]


async def test_only_an_admin_sees_and_ends_the_logins_of_others(site: Site) -> None:
    site.login(agent("mei"))
    async with (
        site.browser(MEI) as mei,
        site.browser(ANN) as ann,
        site.browser(LINA) as lina,
        site.browser(agent("root")) as root,
    ):
        own = ids(await mei.get("/api/employee/logins"))
        asked = [
            await lina.get("/api/agent/logins?person=mei"),
            await ann.get("/api/employee/logins?person=ann"),
            await root.get("/api/agent/logins?person=nobody"),
            await revoked(lina, Realm.AGENT, own[0]),
            await revoked(ann, Realm.EMPLOYEE, own[0]),
            await revoked(mei, Realm.EMPLOYEE, "no-such-login"),
        ]
        both = (await root.get("/api/agent/logins?person=mei")).json()["logins"]
        ended = [(await revoked(root, Realm.AGENT, each["id"])).status_code for each in both]
        left = await root.get("/api/agent/logins?person=mei")
        after = await mei.get("/api/employee/boot")

    assert [refusal(answer)[:2] for answer in asked] == [
        (403, "not_allowed"),
        (403, "not_allowed"),
        (404, "not_found"),
        (404, "not_found"),
        (404, "not_found"),
        (404, "not_found"),
    ]
    assert len(own) == 1
    assert {each["realm"] for each in both} == {"agent", "employee"}
    assert (ended, ids(left), after.status_code) == ([200, 200], [], 401)


async def test_ending_the_login_one_asks_with_takes_the_cookie_back(site: Site) -> None:
    async with site.browser(WANG) as browser, site.browser(WANG) as other:
        mine, theirs = (login_of(site, each.cookies["deskwire-agent"]) for each in (browser, other))
        answers = [await revoked(browser, Realm.AGENT, each) for each in (theirs, theirs, mine)]
        again = await revoked(browser, Realm.AGENT, mine)

    assert [answer.json() for answer in answers] == [{}, {}, {}]
    assert "set-cookie" not in answers[0].headers
    assert cookie_of(answers[2], "deskwire-agent")["max-age"] == "0"
    assert again.status_code == 401


@pytest.mark.parametrize("database", KINDS, indirect=True)
async def test_a_login_that_is_ended_closes_its_sockets_on_every_node(
    office: Office, database: Database
) -> None:
    """The second node learns it from the store alone. On SQLite there is one node."""
    async with AsyncExitStack() as both:
        one = await both.enter_async_context(served(office))
        several = database.kind == "postgresql"
        other = await both.enter_async_context(served(office)) if several else one
        own, kicked, kept = [await logged_in(one, who) for who in (WANG, ANN, WANG)]
        sockets = [
            await both.enter_async_context(connected(node, who, secret=secret))
            for node in (one, other)
            for who, secret in ((WANG, own), (ANN, kicked), (WANG, kept))
        ]
        wang = await both.enter_async_context(one.browser())
        wang.cookies.set("deskwire-agent", own)
        root = await both.enter_async_context(await asyncio.to_thread(one.browser, agent("root")))

        answers = [
            await revoked(root, Realm.AGENT, login_of(one, kicked)),
            await revoked(wang, Realm.AGENT, login_of(one, own)),
        ]
        codes = [await closed_with(sockets[n]) for n in (0, 1, 3, 4)]

        assert [answer.status_code for answer in answers] == [200, 200]
        assert codes == [4507, 4506, 4507, 4506]
        assert [await is_alive(sockets[n]) for n in (2, 5)] == [True, True]


# The sign-in at WeCom -----------------------------------------------------------------------------


async def test_a_sign_in_goes_to_wecom_and_leaves_a_mark_in_this_browser(site: Site) -> None:
    async with site.browser() as browser:
        answer = await browser.get("/login/employee?to=/h5/c/1")

    there = urlsplit(answer.headers["location"])
    asked = parse_qs(there.query)
    cookie = cookie_of(answer, "deskwire-employee-signin")
    assert answer.status_code == 303
    assert there.path == "/connect/oauth2/authorize"
    assert asked["redirect_uri"] == [f"{URL}/login/employee/return"]
    assert (cookie["httponly"], cookie["samesite"], cookie["max-age"]) == (True, "lax", "600")
    assert cookie.value not in there.query
    assert answer.headers["cache-control"] == "no-store"


async def test_a_return_that_nobody_began_is_no_login(site: Site) -> None:
    async with site.browser() as browser:
        answers = [
            await browser.get(f"/login/employee/return{query}")
            for query in ("", "?code=x&state=y", "?code=x", "?state=%00&code=%ff")
        ]

    for answer in answers:
        assert answer.status_code == 303
        assert answer.headers["location"] == "/h5?login=failed&why=expired"
        assert "set-cookie" not in answer.headers


async def test_a_reload_of_the_way_back_goes_on_where_somebody_is_logged_in(site: Site) -> None:
    async with site.browser(ANN) as browser:
        answer = await browser.get("/login/employee/return?code=x&state=y")

    assert answer.headers["location"] == "/h5"


async def test_a_sign_in_is_begun_at_the_canonical_address(site: Site) -> None:
    async with site.browser() as browser:
        answer = await browser.get(
            "/login/employee?to=/h5/c/1?p=2%26q", headers={"host": "localhost:8000"}
        )

    assert answer.headers["location"] == f"{URL}/login/employee?to=/h5/c/1%3Fp%3D2%26q"
    assert "set-cookie" not in answer.headers


# An agent's, by WeCom's QR code -------------------------------------------------------------------

MEMBERS = [
    Person(userid=name, name=name, department="")
    for name in ("Wx-Wang", "Wx-Ann", "wx-chen", "wx-new")
]
REFUSED: tuple[int, str, list[str]] = (303, "/workbench?login=failed", [])


def seen(answer: httpx.Response) -> tuple[int, str | None, list[str]]:
    """All that a browser learns of a way back."""
    cookies = answer.headers.get_list("set-cookie")
    return answer.status_code, answer.headers.get("location"), cookies


async def scanned(browser: Browser, userid: str, realm: Realm = Realm.AGENT) -> str:
    """The address of ours to which WeCom sends the browser back."""
    target = "/h5" if realm is Realm.EMPLOYEE else "/workbench/c/1"
    started = await browser.get(f"/login/{realm.value}?to={target}")
    there = started.headers["location"].removesuffix("#wechat_redirect")
    answer = await browser.get(f"{there}&person={userid}")
    return str(answer.headers["location"])


async def test_an_agent_scans_the_code_and_is_at_work(office: Office) -> None:
    async with served(office, members=MEMBERS) as site, site.browser() as browser:
        browser.headers["user-agent"] = "Firefox/145"
        picker = await browser.get((await browser.get("/login/agent?lang=en")).headers["location"])
        back = await scanned(browser, "wx-wang")
        answer = await browser.get(back)
        reloaded = await browser.get(back)
        me = await browser.send_json("/api/agent/me")
        standing = (await browser.get("/api/agent/logins")).json()["logins"]
        as_employee = await browser.get("/api/employee/boot")

    assert "Whose phone scans the code?" in picker.text
    assert (answer.status_code, answer.headers["location"]) == (303, "/workbench/c/1")
    assert len(cookie_of(answer, "deskwire-agent").value) == 43
    assert cookie_of(answer, "deskwire-agent-signin")["max-age"] == "0"
    assert answer.headers["cache-control"] == "no-store"
    assert seen(reloaded) == (303, "/workbench", [])
    assert me.json()["me"]["id"] == "wang"
    assert [(one["browser"], one["is_this"]) for one in standing] == [("Firefox/145", True)]
    assert as_employee.status_code == 401


async def test_of_a_refused_agent_nothing_is_told_whatever_the_reason(office: Office) -> None:
    office.write("UPDATE person SET disabled_at = 1 WHERE person_id = 'chen'")
    async with served(office, members=MEMBERS) as site:
        answers = {}
        for userid in ("wx-ann", "wx-chen", "wx-new"):
            async with site.browser() as browser:
                answers[userid] = await browser.get(await scanned(browser, userid))
        async with site.browser() as browser:
            back = await scanned(browser, "wx-wang")
            code, state = (parse_qs(urlsplit(back).query)[name][0] for name in ("code", "state"))
            at = "/login/agent/return"
            answers["state forged"] = await browser.get(f"{at}?code={code}&state={'0' * 32}")
            answers["state of the other realm"] = await browser.get(
                (await scanned(browser, "wx-wang", Realm.EMPLOYEE)).replace("employee", "agent")
            )
            async with site.browser() as other:
                await other.get("/login/agent")
                answers["state of another browser"] = await other.get(back)
            answers["code forged"] = await browser.get(f"{at}?code=x&state={state}")
            answers["state used"] = await browser.get(back)
            # The code itself is still good, and then used.
            used = []
            for _ in range(2):
                state = parse_qs(urlsplit(await scanned(browser, "wx-wang")).query)["state"][0]
                used.append(await browser.get(f"{at}?code={code}&state={state}"))
                browser.cookies.delete("deskwire-agent")
            answers["code used"] = used[1]

    assert {why: seen(answer) for why, answer in answers.items()} == dict.fromkeys(answers, REFUSED)
    assert len({answer.content for answer in answers.values()}) == 1
    assert used[0].headers["location"] == "/workbench/c/1"
    assert office.one("SELECT count(*) FROM login") == 1


async def test_the_pages_ask_whether_there_is_a_code_to_scan(office: Office, site: Site) -> None:
    without = replace(site.desk.configuration, wecom=None)
    alone = await asyncio.to_thread(Desk, without, now=lambda: office.now_ms)
    transport = httpx.ASGITransport(alone.asgi)
    async with site.browser() as browser, Browser(transport=transport, base_url=URL) as other:
        ways = [(await each.get("/api/agent/login")).json() for each in (browser, other)]
        refused = await other.get("/login/agent")
    alone.logins.close()
    await alone.store.close()

    assert ways == [{"wecom": True}, {"wecom": False}]
    assert seen(refused) == REFUSED


@pytest.mark.parametrize(
    "browser_says, path",
    [("Mozilla/5.0 wxwork/4.1.0", "/connect/oauth2/authorize"), ("Firefox", "/wwlogin/sso/login")],
)
async def test_an_agent_inside_wecom_needs_no_code_to_scan(
    site: Site, browser_says: str, path: str
) -> None:
    async with site.browser() as browser:
        answer = await browser.get("/login/agent", headers={"user-agent": browser_says})

    there = urlsplit(answer.headers["location"])
    assert there.path == path
    assert parse_qs(there.query)["redirect_uri"] == [f"{URL}/login/agent/return"]


@pytest.mark.parametrize(
    "to", ["/h5", "/h5/", "/h5/c/0199-ab", "/h5/c/1?p=push-1", "/h5?a=b&c=/d", "/h5/c/1?to=../x"]
)
def test_a_path_on_our_page_is_gone_to(to: str) -> None:
    assert local_path(to, Realm.EMPLOYEE) == to
    at_work = to.replace("/h5", "/workbench", 1)
    assert local_path(at_work, Realm.AGENT) == at_work


@pytest.mark.parametrize(
    "to",
    [
        "", "/", "//evil.test", "///evil.test", "https://evil.test", "//evil.test/h5", "/h5evil",
        "/h5.evil.test", "h5", "/login/agent", "/H5", "javascript:alert(1)", "/h5/../workbench",
        "/h5/..", "/h5/./x", "/h5/..//evil.test", "/h5/%2e%2e/x", "/h5/.%2E/x", "/h5/%2E/x",
        "/h5\\..\\..", "/h5/\\evil.test", "/\\evil.test", "/h5/c/1\r\nSet-Cookie: a=b", "/h5\t",
        "/h5/\x00", "/h5 ", "/h5/会话", "/h5@evil.test", "/h5#", '/h5/"', "/h5/" + "x" * 256,
    ],
)  # fmt: skip
def test_any_other_place_becomes_the_pages_start(to: str) -> None:
    assert local_path(to, Realm.EMPLOYEE) == "/h5"
    assert local_path(to.replace("/h5", "/workbench"), Realm.AGENT) == "/workbench"


def test_the_other_realms_page_is_another_place() -> None:
    assert local_path("/workbench", Realm.EMPLOYEE) == "/h5"
    assert local_path("/h5", Realm.AGENT) == "/workbench"
