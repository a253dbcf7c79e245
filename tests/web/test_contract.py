"""The schema says of every route how it answers and in which refusals it may end."""

from __future__ import annotations

from typing import Any

import httpx

from deskwire.desk.refusals import MEANINGS, Code
from deskwire.web.contract import DETAILS, LINES
from deskwire.web.errors import STATUS
from tests.flows.office import ANN, LINA, START, WANG, agent
from tests.web.site import Browser, Site

ROOT = agent("root")


def operations(site: Site) -> dict[tuple[str, str], Any]:
    schema = site.desk.api.openapi()["paths"]
    return {
        (method.upper(), path): operation
        for path, methods in schema.items()
        for method, operation in methods.items()
        if path.startswith("/api/")
    }


def below(path: str) -> str:
    return "/" + path.split("/", 3)[3]


async def test_every_route_has_its_line_and_no_line_is_of_none(site: Site) -> None:
    assert {(method, below(path)) for method, path in operations(site)} == set(LINES)


async def test_every_refusal_of_a_route_stands_under_its_status_with_an_example(
    site: Site,
) -> None:
    for key, operation in operations(site).items():
        for status, response in operation["responses"].items():
            if int(status) < 400 or status == "416":
                continue
            examples = response["content"]["application/json"]["examples"]
            for name, example in examples.items():
                assert STATUS[Code(name)] == int(status), key
                refusal = example["value"]["refusal"]
                assert set(refusal["detail"]) == set(MEANINGS[Code(name)].detail), key
    assert set(DETAILS) == {name for meaning in MEANINGS.values() for name in meaning.detail}


async def test_it_says_what_every_request_needs_beside_its_parameters(site: Site) -> None:
    said = site.desk.api.openapi()["info"]["description"]

    for word in ("deskwire-agent", "Origin", "Content-Type", "Command-Id", "Deskwire-Client"):
        assert f"`{word}" in said


async def test_nothing_is_left_of_what_the_framework_says_of_itself(site: Site) -> None:
    assert "HTTPValidationError" not in str(site.desk.api.openapi())


def refused(site: Site, method: str, path: str, answer: httpx.Response) -> bool:
    """Whether the schema knows this refusal of this route."""
    responses = operations(site)[method, path]["responses"]
    code = answer.json()["refusal"]["code"]
    found = responses.get(str(answer.status_code), {}).get("content", {})
    return code in found.get("application/json", {}).get("examples", {})


async def test_what_is_answered_has_the_keys_of_the_example(site: Site) -> None:
    conv = await site.office.claimed()
    posted = await site.office.post(ANN, conv)
    msg_id = posted.result["msg_id"]
    await site.office.yes(ANN, "recall_message", conv, msg_id=msg_id)
    asked = {
        "conversations": "conversations",
        "conversations/{conv_id}": f"conversations/{conv}",
        "conversations/{conv_id}/messages": f"conversations/{conv}/messages",
        "events": f"events?stream=conv:{conv}",
        "rows": f"rows?ids={conv}",
        "people/{person_id}/conversations": "people/ann/conversations",
        "audit": f"audit?conv={conv}",
        "withdrawn/{msg_id}": f"withdrawn/{msg_id}",
        "logins": "logins",
        "login": "login",
        "doctor": "doctor",
        "trace/{msg_id}": f"trace/{msg_id}",
    }
    for_admins = ("withdrawn", "doctor", "trace")
    async with site.browser(WANG) as wang, site.browser(ROOT) as root:
        found = {
            name: (await browser.get(f"/api/agent/{path}")).json()
            for name, path in asked.items()
            for browser in (root if name.startswith(for_admins) else wang,)
        }

    for name, answer in found.items():
        example = LINES["GET", f"/{name}"].example
        assert shape(example) <= shape(answer), name
    gets = {path for method, path in LINES if method == "GET"}
    others = {"/boot", "/people", "/attachments/{attachment_id}", "/export.csv"}
    assert gets == {f"/{name}" for name in asked} | others


def shape(value: Any, at: str = "") -> set[str]:
    """The keys of an answer, down to the first of each list; what may be empty is not gone into."""
    if isinstance(value, list):
        return shape(value[0], f"{at}[]") if value else set()
    if not isinstance(value, dict) or at.endswith((".data", ".marks", ".positions")):
        return set()
    keys = {f"{at}.{key}" for key in value}
    return keys | {each for key, inner in value.items() for each in shape(inner, f"{at}.{key}")}


async def test_what_is_refused_is_known_to_the_schema(site: Site) -> None:
    conv = await site.office.claimed()
    async with site.browser(WANG) as wang, site.browser(LINA) as lina, site.browser() as nobody:
        asked: list[tuple[Browser, str, str]] = [
            (nobody, "/api/agent/boot", "boot"),
            (wang, "/api/agent/conversations/{conv_id}", "conversations/none"),
            (wang, "/api/agent/conversations", "conversations?limit=0"),
            (wang, "/api/agent/withdrawn/{msg_id}", "withdrawn/none"),
            (wang, "/api/agent/export.csv", f"export.csv?from={START}&to={START + 1}"),
            (lina, "/api/agent/audit", "audit?conv=none"),
            (lina, "/api/agent/logins", "logins?person=ann"),
        ]
        for browser, path, query in asked:
            answer = await browser.get(f"/api/agent/{query}")
            assert refused(site, "GET", path, answer), (path, answer.text)
        claimed = await lina.send_json(
            "/api/agent/commands", {"name": "claim_conversation", "conv": conv}
        )
        bare = await wang.post("/api/agent/commands", json={})

    for answer in (claimed, bare):
        assert refused(site, "POST", "/api/agent/commands", answer), answer.text
