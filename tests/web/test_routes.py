"""Every route there is, asked by everybody: made from the router, so none can be forgotten."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from deskwire.desk import access
from deskwire.desk.people import Principal, Realm
from tests.flows.office import ANN, BO, CHEN, LINA, QIAN, START, WANG, Office, agent
from tests.web.site import Site, code

# Who may ask without a login: the way in itself.
OPEN = {
    ("GET", "/api/agent/login"),
    ("POST", "/api/agent/login"),
    ("GET", "/api/openapi.json"),
}

# Which line of the table of access decides about a read; none: everybody has it, and of Ann's
# conversation in the group `support` those who see it find it there.
READS: dict[str, access.Action | access.Duty | None] = {
    "/boot": None,
    "/conversations": None,
    "/conversations/{conv_id}": access.Action.SEE_PUBLIC,
    "/conversations/{conv_id}/messages": access.Action.SEE_PUBLIC,
    "/events": access.Action.SEE_PUBLIC,
    "/rows": None,
    "/people": access.Duty.ADMINISTER,
    "/people/{person_id}/conversations": None,
    "/audit": access.Action.SEE_STAFF,
    "/withdrawn/{msg_id}": access.Action.SEE_ORIGINAL,
    "/trace/{msg_id}": access.Action.SEE_ORIGINAL,
    "/export.csv": access.Action.EXPORT,
    "/doctor": access.Duty.ADMINISTER,
    "/logins": None,
    "/attachments/{attachment_id}": access.Action.SEE_PUBLIC,
}
WITHOUT_CONVERSATIONS = {"/logins", "/people", "/doctor"}
ATTACHMENT = "attachment-1"
PEOPLE = {
    "nobody": None,
    "the requester": ANN,
    "another employee": BO,
    "the assignee": WANG,
    "an agent of the group": CHEN,
    "its supervisor": LINA,
    "an agent of another group": QIAN,
    "a supervisor of another group": agent("sun"),
    "an admin": agent("root"),
}
SUPERVISING = {"its supervisor", "a supervisor of another group", "an admin"}
SEEING = {"the requester", "the assignee", "an agent of the group", "its supervisor", "an admin"}


def walk(routes: Any) -> Iterator[APIRoute]:
    """Every API route below, however it was included."""
    for route in routes:
        if isinstance(route, APIRoute):
            yield route
        nested = getattr(route, "original_router", None) or getattr(route, "router", None)
        if nested is not None:
            yield from walk(nested.routes)


def api_routes(site: Site) -> dict[tuple[str, str], APIRoute]:
    return {
        (method, route.path): route
        for route in walk(site.desk.api.routes)
        for method in route.methods or ()
        if route.path.startswith("/api/")
    }


def asked_who(route: APIRoute) -> list[Any]:
    """The dependencies that say who asks."""
    return [
        dependency.call
        for dependency in route.dependant.dependencies
        if dependency.call is not None
        and dependency.call.__qualname__ == "identity_in.<locals>.identity"
    ]


def asks_who(route: APIRoute) -> bool:
    return bool(asked_who(route))


async def test_the_walk_finds_every_route_that_the_schema_knows(site: Site) -> None:
    schema = site.desk.api.openapi()["paths"]
    known = {(method.upper(), path) for path, methods in schema.items() for method in methods}

    assert set(api_routes(site)) == {key for key in known if key[1].startswith("/api/")}
    assert len(known) > 15


async def test_no_route_of_the_api_is_without_a_login_but_the_way_in(site: Site) -> None:
    without = {key for key, route in api_routes(site).items() if not asks_who(route)}

    assert without == OPEN - {("GET", "/api/openapi.json")}


async def test_every_route_asks_for_the_login_of_its_own_realm(site: Site) -> None:
    for (_, path), route in api_routes(site).items():
        realms = {
            inspect.getclosurevars(identity).nonlocals["realm"] for identity in asked_who(route)
        }
        assert realms <= {Realm(path.split("/")[2])}


@pytest.mark.parametrize("what", ["no cookie", "unknown", "expired", "revoked", "other realm"])
async def test_no_route_answers_without_a_good_login_of_its_realm(site: Site, what: str) -> None:
    conv = await site.office.claimed()
    for (method, path), route in api_routes(site).items():
        if (method, path) in OPEN:
            continue
        realm = Realm(path.split("/")[2])
        answer = await ask(site, cookie(site, realm, what), method, route.path, conv)
        assert (answer.status_code, code(answer)) == (401, "login_required"), (method, path)
        assert "set-cookie" not in answer.headers


def cookie(site: Site, realm: Realm, what: str) -> dict[str, str]:
    name = f"deskwire-{realm.value}"
    who = WANG if realm is Realm.AGENT else ANN
    match what:
        case "no cookie":
            return {}
        case "unknown":
            return {name: "x" * 43}
        case "expired":
            return {name: site.login(who, expires_ms=0)}
        case "other realm":
            other = ANN if realm is Realm.AGENT else WANG
            return {name: site.login(other)}
        case _:
            secret = site.login(who)
            site.office.write("UPDATE login SET revoked = ?", START)
            return {name: secret}


async def ask(
    site: Site, cookies: dict[str, str], method: str, path: str, conv: str
) -> httpx.Response:
    path = path.replace("{conv_id}", conv).replace("{attachment_id}", ATTACHMENT)
    path = path.replace("{login_id}", "login-1").replace("{person_id}", ANN.person)
    originals = site.office.sql("SELECT msg_id FROM withdrawn_original")
    path = path.replace("{msg_id}", originals[0][0] if originals else "nothing")
    queries: dict[str, dict[str, Any]] = {
        "events": {"stream": f"conv:{conv}"},
        "rows": {"ids": conv},
        "audit": {"conv": conv},
        "export.csv": {"from": START - 1, "to": START + 1},
    }
    query = queries.get(path.rsplit("/", 1)[1], {})
    async with site.browser() as browser:
        browser.cookies.update(cookies)
        if method == "GET":
            return await browser.get(path, params=query)
        body = (
            {"name": "post_message", "conv": conv, "args": {"kind": "text", "body": "x"}}
            if path.endswith("/commands")
            else {}
        )
        if path.endswith("/attachments"):
            query = {"name": "a.txt"}
        return await browser.request(method, path, json=body, params=query, headers=browser.usual())


async def attached(site: Site, conv: str) -> None:
    """An attachment of the first message, whose bytes are the conversation's id."""
    async with site.browser(ANN) as browser:
        answer = await browser.post(
            "/api/employee/attachments",
            content=conv.encode(),
            params={"name": "a.txt"},
            headers=browser.usual(),
        )
    uploaded = answer.json()["id"]
    folder = site.desk.configuration.files / ATTACHMENT[-2:]
    folder.mkdir(exist_ok=True)
    (site.desk.configuration.files / uploaded[-2:] / uploaded).replace(folder / ATTACHMENT)
    site.office.write(
        "UPDATE attachment SET attachment_id = ?, conv_id = ?, stream_id = ?,"
        " msg_id = (SELECT msg_id FROM message)",
        ATTACHMENT,
        conv,
        f"conv:{conv}",
    )


async def recalled(office: Office, conv: str) -> None:
    """A message that was taken back."""
    posted = await office.post(ANN, conv)
    await office.yes(ANN, "recall_message", conv, msg_id=posted.result["msg_id"])


@pytest.mark.parametrize("name", PEOPLE)
async def test_every_read_shows_a_conversation_to_those_who_see_it_alone(
    site: Site, office: Office, name: str
) -> None:
    conv = await office.claimed()
    await attached(site, conv)
    await recalled(office, conv)
    for method, path in api_routes(site):
        if method != "GET" or (method, path) in OPEN:
            continue
        realm = Realm(path.split("/")[2])
        who = PEOPLE[name]
        answer = await ask(site, cookies_of(site, who), "GET", path, conv)
        kind = path.removeprefix(f"/api/{realm.value}")
        is_in = who is not None and who.realm is realm
        shows = is_in and name in SEEING and kind not in WITHOUT_CONVERSATIONS

        status = answer_to(READS[kind], name) if is_in else 401
        assert answer.status_code == status, (name, path)
        assert (conv in answer.text) == (shows and status == 200), (name, path)


def answer_to(line: access.Action | access.Duty | None, name: str) -> int:
    """How somebody is answered who asks with a good login; what they may not see is not there."""
    match line:
        case None:
            return 200
        case access.Action.EXPORT:
            return 200 if name in SUPERVISING else 403
        case access.Duty():
            return 200 if name == "an admin" else 403
        case access.Action.SEE_ORIGINAL:
            return 200 if name == "an admin" else 403 if name in SEEING else 404
        case _:
            return 200 if name in SEEING else 404


def cookies_of(site: Site, who: Principal | None) -> dict[str, str]:
    return {f"deskwire-{who.realm.value}": site.login(who)} if who else {}


async def test_every_read_has_its_line_in_the_matrix(site: Site) -> None:
    reads = {path for method, path in api_routes(site).keys() - OPEN if method == "GET"}

    assert {path.split("/", 3)[3] for path in reads} == {line[1:] for line in READS}


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_a_method_that_a_route_does_not_have_is_refused(site: Site, method: str) -> None:
    async with site.browser(WANG) as browser:
        answer = await browser.request(method, "/api/agent/commands", headers=browser.usual())

    assert (answer.status_code, code(answer)) == (405, "bad_request")
