"""An office that is run from the workbench alone, through the whole application."""

from __future__ import annotations

import json
from typing import Any

from deskwire.desk.people import Realm
from tests.flows.office import ANN, CHEN, PASSWORD, Office, agent
from tests.web.site import Site, served
from tests.web.test_socket import beside, closed_with, identified, opening

AGENT, EMPLOYEE, ROOT = Realm.AGENT, Realm.EMPLOYEE, agent("root")
OFFICE: list[tuple[str, dict[str, Any]]] = [
    ("save_person", {"person": "zoe", "name": "佐伊", "version": 0}),
    ("save_agent", {"person": "zoe", "login_name": "Zoe", "role": "agent", "version": 0}),
    ("save_group", {"group_id": "hr", "name": "人事", "members": ["zoe"], "version": 0}),
    (
        "save_category",
        {
            "category_id": "leave", "name_zh": "请假", "name_en": "Leave", "group_id": "hr",
            "version": 0,
        },
    ),
    ("save_tag", {"tag_id": "urgent", "name": "急", "colour": "#FF0000", "version": 0}),
]  # fmt: skip


async def test_an_admin_makes_a_group_with_all_it_needs_and_work_goes_through_it(
    site: Site,
) -> None:
    async with site.browser(ROOT) as root, site.browser(ANN) as ann:
        made = [await root.command(AGENT, name, **said) for name, said in OFFICE]
        given = await root.put(
            "/api/agent/agents/zoe/password",
            json={"password": PASSWORD},
            headers=root.usual(without="command-id"),
        )
        asked = {"category_id": "leave", "kind": "text", "body": "年假还有几天？"}
        opened = await ann.command(EMPLOYEE, "open_conversation", **asked)
        conv = opened.json()["result"]["conv_id"]
        async with site.browser() as zoe:
            logging_in = {"login_name": "zoe", "password": PASSWORD}
            done = [
                await zoe.send_json("/api/agent/login", logging_in),
                await zoe.command(AGENT, "claim_conversation", conv),
                await zoe.command(AGENT, "set_tags", conv, tags=["urgent"], version=0),
                await zoe.command(AGENT, "post_message", conv, kind="text", body="五天"),
            ]
        seen = await ann.get(f"/api/employee/conversations/{conv}")

    assert [(each.status_code, each.json()["result"]) for each in made] == [
        (200, {"version": 1})
    ] * len(OFFICE)
    assert (given.status_code, given.json()) == (200, {"logins_ended": 0})
    assert [each.status_code for each in done] == [200] * 4
    assert seen.json()["conversation"]["assignee"]["name"] == "佐伊"
    assert seen.json()["entries"][-1]["event"]["data"]["body"] == "五天"


async def test_who_leaves_a_group_is_told_at_once_and_who_is_disabled_is_put_out(
    office: Office,
) -> None:
    out = {"group_id": "support", "name": "IT", "members": ["wang"], "version": 1}
    gone = {"person": "chen", "name": "Chen", "is_disabled": True, "version": 1}
    async with (
        served(office) as site,
        await opening(site, CHEN) as socket,
        await beside(site.browser, ROOT) as root,
    ):
        await identified(socket, "queue:support", "desk")
        await root.command(AGENT, "save_group", **out)
        told: list[dict[str, Any]] = []
        while not any(frame["op"] == "unwatched" for frame in told):
            told.append(json.loads(await socket.recv()))
        await root.command(AGENT, "save_person", **gone)
        code = await closed_with(socket)

    assert told[-1]["stream"] == "queue:support"
    assert code == 4506
