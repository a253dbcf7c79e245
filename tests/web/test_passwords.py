from __future__ import annotations

import json
from typing import Any

import pytest
from fastapi import Request

from deskwire.desk.rates import PASSWORDS_OF_NAME
from deskwire.web.passwords import address_of
from tests.flows.office import PASSWORD, WANG, agent
from tests.web.site import Browser, Site, refusal

NEW = "another one, as long"
ROOT = agent("root")


async def put(browser: Browser, person: str, **body: Any) -> Any:
    path = f"/api/agent/agents/{person}/password"
    return await browser.put(
        path, content=json.dumps(body), headers=browser.usual(without="command-id")
    )


async def test_an_admin_gives_an_agent_a_password_over_http(site: Site) -> None:
    async with site.browser(ROOT) as root, site.browser(WANG) as wang:
        answers = [
            await put(root, "wang", password=NEW),
            await put(wang, "wang", password=NEW),
            await put(root, "wang", password="x" * 11),
            await put(root, "wang", password="x" * 257),
            await put(root, "wang"),
            await put(root, "wang", password="\ud800" * 12),
            await put(root, "wang", password=NEW, role="admin"),
            await put(root, "nowhere", password=NEW),
        ]

    assert (answers[0].status_code, answers[0].json()) == (200, {"logins_ended": 1})
    assert [refusal(each) for each in answers[1:]] == [
        (401, "login_required", {}),  # their login has ended
        *[(422, "invalid", {"field": "password"})] * 4,
        (422, "invalid", {"field": "role"}),
        (404, "not_found", {}),
    ]


async def test_whoever_guesses_too_often_is_told_when_to_come_again(site: Site) -> None:
    async with site.browser() as browser:
        body = {"login_name": "wang", "password": "wrong"}
        answers = [
            await browser.send_json("/api/agent/login", body)
            for _ in range(PASSWORDS_OF_NAME.most + 1)
        ]
        site.office.now_ms += 60_000
        right = await browser.send_json("/api/agent/login", body | {"password": PASSWORD})

    assert [each.status_code for each in answers] == [401] * PASSWORDS_OF_NAME.most + [429]
    assert refusal(right) == (429, "too_many", {"retry_after_s": 840})
    assert right.headers["retry-after"] == "840"


@pytest.mark.parametrize(
    "host, counted",
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::99", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("testclient", "testclient"),
        (None, None),
    ],
)
def test_an_address_is_counted_as_what_one_customer_has(
    host: str | None, counted: str | None
) -> None:
    scope = {"type": "http", "client": (host, 1) if host else None}

    assert address_of(Request(scope)) == counted


async def test_the_schema_says_how_a_password_is_set(site: Site) -> None:
    path = site.desk.api.openapi()["paths"]["/api/agent/agents/{person}/password"]["put"]

    own = {"401", "403", "404", "422", "429", "503"}
    assert set(path["responses"]) == {"200", *own, "400", "413", "415"}
    shown = path["responses"]["429"]["content"]["application/json"]
    assert shown["examples"]["too_many"]["value"]["refusal"]["detail"] == {"retry_after_s": 840}
