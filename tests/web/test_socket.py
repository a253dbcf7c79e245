"""Who gets a socket: over a real server, because a refusal is an answer to the upgrade."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from itertools import count
from typing import Any, TypeVar

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin, Subprotocol

from deskwire.desk.people import Principal, Realm
from tests.flows.conftest import KINDS
from tests.flows.office import ANN, MEI, WANG, Office, agent
from tests.web.site import Site, served
from tests.web.sockets import is_alive

pytestmark = pytest.mark.parametrize("database", KINDS, indirect=True)

T = TypeVar("T")

_tabs = count(1)
PROTOCOL = [Subprotocol("desk.v1")]
IDENTIFY = {
    "op": "identify",
    "protocol": 1,
    "client": "tests/1",
    "device": "device-0001",
    "visible": True,
}


@pytest.fixture
async def site(office: Office) -> AsyncIterator[Site]:
    async with served(office) as site:
        yield site


def ways(site: Site, realm: Realm = Realm.AGENT) -> str:
    return f"{site.url.replace('http', 'ws')}/ws/{realm.value}"


async def beside(work: Callable[..., T], *args: Any, **more: Any) -> T:
    """What writes to the database waits for its turn: a served desk writes by itself, and goes on
    meanwhile.
    """
    return await asyncio.to_thread(work, *args, **more)


async def login(site: Site, who: Principal, **more: Any) -> str:
    return await beside(site.login, who, **more)


async def opening(
    site: Site,
    who: Principal | None,
    *,
    realm: Realm = Realm.AGENT,
    cookie: str | None = None,
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> connect:
    """A browser's attempt; `who` brings the cookie of a good login."""
    if cookie is None and who is not None:
        cookie = f"deskwire-{who.realm.value}={await login(site, who)}"
    extra = dict(headers or {}) | ({"Cookie": cookie} if cookie else {})
    usual: dict[str, Any] = {"origin": Origin(site.url), "subprotocols": PROTOCOL, "proxy": None}
    return connect(ways(site, realm), additional_headers=extra, **(usual | more))


async def refused(attempt: connect) -> tuple[int, str]:
    with pytest.raises(InvalidStatus) as raised:
        await attempt
    response = raised.value.response
    return response.status_code, json.loads(response.body or b"{}")["refusal"]["code"]


@pytest.mark.parametrize("who", [WANG, ANN])
async def test_a_good_login_of_the_realm_is_let_in(site: Site, who: Principal) -> None:
    async with await opening(site, who, realm=who.realm) as socket:
        assert socket.subprotocol == "desk.v1"


async def test_without_a_good_login_of_the_realm_nobody_is_let_in(site: Site) -> None:
    ended = await login(site, WANG)
    await beside(site.office.write, "UPDATE login SET revoked = 1")
    attempts = {
        "no cookie": await opening(site, None),
        "an empty one": await opening(site, None, cookie="deskwire-agent="),
        "an unknown one": await opening(site, None, cookie="deskwire-agent=" + "x" * 43),
        "one that ended": await opening(site, None, cookie=f"deskwire-agent={ended}"),
        "one that ran out": await opening(
            site, None, cookie=f"deskwire-agent={await login(site, WANG, expires_ms=0)}"
        ),
        "the other realm's": await opening(site, ANN),
        "the other realm's under this name": await opening(
            site, None, cookie=f"deskwire-agent={await login(site, ANN)}"
        ),
        "an agent's among employees": await opening(site, WANG, realm=Realm.EMPLOYEE),
    }

    found = {name: await refused(attempt) for name, attempt in attempts.items()}

    assert found == dict.fromkeys(attempts, (401, "login_required"))


async def test_a_foreign_or_missing_origin_is_not_let_in(site: Site) -> None:
    port = site.url.rsplit(":", 1)[1]
    origins = [
        None, "null", "http://evil.test", f"{site.url}.evil.test", f"{site.url}1", f"{site.url}/",
        f"https://127.0.0.1:{port}", "http://127.0.0.1", f"http://localhost:{port}",
        f"http://127.0.0.1.:{port}", f"http://evil@127.0.0.1:{port}", f"ws://127.0.0.1:{port}",
    ]  # fmt: skip

    found = {o: await refused(await opening(site, WANG, origin=o)) for o in origins}

    assert found == dict.fromkeys(origins, (403, "not_allowed"))


async def test_a_second_origin_is_not_let_in(site: Site) -> None:
    """By the server itself, before it reaches us."""
    twice = await opening(site, WANG, origin=None, headers={"Origin": site.url, "origin": site.url})

    with pytest.raises(InvalidStatus) as raised:
        await twice

    assert raised.value.response.status_code in {400, 403}


@pytest.mark.parametrize("offered", [None, ["desk.v2"], ["graphql-ws"]])
async def test_another_protocol_is_not_let_in(site: Site, offered: Any) -> None:
    assert await refused(await opening(site, WANG, subprotocols=offered)) == (400, "bad_request")


async def test_our_protocol_is_chosen_among_several(site: Site) -> None:
    several = [Subprotocol("x"), Subprotocol("desk.v1")]
    async with await opening(site, WANG, subprotocols=several) as socket:
        assert socket.subprotocol == "desk.v1"


async def test_an_unknown_host_is_not_let_in(site: Site) -> None:
    host, port = site.url.removeprefix("http://").split(":")
    attempt = connect(
        f"ws://evil.test:{port}/ws/agent",
        host=host,
        port=int(port),
        origin=Origin(site.url),
        subprotocols=PROTOCOL,
        additional_headers={"Cookie": f"deskwire-agent={await login(site, WANG)}"},
        proxy=None,
    )

    assert await refused(attempt) == (400, "bad_request")


async def test_a_neighbours_odd_cookie_hides_nothing(site: Site) -> None:
    ours = f"deskwire-agent={await login(site, WANG)}"
    for neighbour in ('odd={"a":1}', "a=b,c", "=; ;", 'q="unclosed', "a[b]=c"):
        async with await opening(site, None, cookie=f"{neighbour}; {ours}") as socket:
            assert socket.subprotocol == "desk.v1", neighbour


async def test_a_store_that_does_not_answer_says_come_back(site: Site) -> None:
    attempt = await opening(site, WANG)
    await beside(site.office.write, "ALTER TABLE login RENAME TO hidden")

    with pytest.raises(InvalidStatus) as raised:
        await attempt

    await beside(site.office.write, "ALTER TABLE hidden RENAME TO login")
    assert raised.value.response.status_code == 503
    assert raised.value.response.headers["Retry-After"] == "2"


async def test_a_person_may_be_there_in_both_realms_at_once(site: Site) -> None:
    async with (
        await opening(site, MEI, realm=Realm.EMPLOYEE) as one,
        await opening(site, agent("mei")) as other,
    ):
        assert (one.subprotocol, other.subprotocol) == ("desk.v1", "desk.v1")


async def test_plain_http_on_a_sockets_address_is_no_page(site: Site) -> None:
    async with await beside(site.browser, WANG) as browser:
        answer = await browser.get("/ws/agent")

    assert answer.status_code == 404


# A socket's end -----------------------------------------------------------------------------------


async def closed_with(socket: ClientConnection) -> int | None:
    try:
        while True:
            await socket.recv()
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None


async def identified(socket: ClientConnection, *streams: str) -> dict[str, Any]:
    places = {"tab": f"tab-{next(_tabs):08d}", "watch": dict.fromkeys(streams)}
    await socket.send(json.dumps(IDENTIFY | places))
    answer: dict[str, Any] = json.loads(await socket.recv())
    return answer


async def test_logging_out_closes_the_logins_sockets_and_no_others(site: Site) -> None:
    secret = await login(site, WANG)
    async with (
        await opening(site, None, cookie=f"deskwire-agent={secret}") as own,
        await opening(site, WANG) as other,
        await beside(site.browser) as browser,
    ):
        first, second = await identified(own), await identified(other)
        browser.cookies.set("deskwire-agent", secret)
        await browser.send_json("/api/agent/logout")
        code = await closed_with(own)

        assert (first["op"], second["op"]) == ("hello", "hello")
        assert code == 4507
        assert await is_alive(other)


async def test_an_event_reaches_those_who_watch_and_no_staff_event_an_employee(
    site: Site,
) -> None:
    conv = await site.office.claimed()
    watch = (f"conv:{conv}", f"conv:{conv}:staff")
    async with (
        await opening(site, ANN, realm=Realm.EMPLOYEE) as own,
        await opening(site, WANG) as staffs,
    ):
        await identified(own, *watch)
        await identified(staffs, *watch)
        async with await beside(site.browser, WANG) as browser:
            for name, args in (
                ("post_note", {"body": "金丝雀"}),
                ("post_message", {"kind": "text", "body": "好了"}),
            ):
                answer = await browser.command(Realm.AGENT, name, conv, **args)
                assert answer.status_code == 200

        seen = [await frames_until(socket, "好了") for socket in (own, staffs)]

    assert "金丝雀" not in seen[0]
    assert "金丝雀" in seen[1]


async def test_a_requester_is_told_their_place_and_why_they_wait(site: Site) -> None:
    async with await opening(site, ANN, realm=Realm.EMPLOYEE) as socket:
        await identified(socket, "employee:ann")
        async with await beside(site.browser, ANN) as browser:
            asked = {"category_id": "network", "kind": "text", "body": "VPN"}
            await browser.command(Realm.EMPLOYEE, "open_conversation", **asked)

        seen = await frames_until(socket, '"reason": "none_online"')

    assert '"type": "queue_place"' in seen


async def test_agents_are_told_who_comes_and_staff_of_their_employee(site: Site) -> None:
    conv = await site.office.claimed()
    async with await opening(site, WANG) as socket:
        await identified(socket, "desk", f"conv:{conv}:staff")
        seen = await frames_until(socket, '"state": "connected", "load": 1')
        async with await opening(site, ANN, realm=Realm.EMPLOYEE) as theirs:
            await identified(theirs, "employee:ann")
            seen += await frames_until(socket, '"state": "connected", "load": null')

    assert '"key": "presence:agent:wang"' in seen
    assert '"key": "presence:employee:ann"' in seen


async def frames_until(socket: ClientConnection, word: str) -> str:
    text = ""
    while word not in text:
        text += json.dumps(json.loads(await socket.recv()), ensure_ascii=False)
    return text
