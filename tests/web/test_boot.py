from __future__ import annotations

import json
from typing import Any

import pytest

from deskwire.web.boot import AGENT_EXAMPLE, EMPLOYEE_EXAMPLE, AgentBoot, EmployeeBoot
from tests.flows.conftest import KINDS
from tests.flows.office import ANN, BO, LINA, WANG, Office, agent
from tests.web.site import Site

ROOT = agent("root")
WEEK = [[[540, 1080]]] * 5 + [[], []]


async def run_in(office: Office) -> str:
    """An office with one of everything, in which something has been said."""
    conv = await office.claimed()
    await office.post(WANG, conv)
    await office.opened(BO)
    group = {"group_id": "support", "name": "IT 支持", "members": ("wang", "lina"), "version": 1}
    await office.yes(ROOT, "save_group", **group, week=tuple(WEEK), closed_days=("2026-10-01",))
    await office.yes(ROOT, "archive_category", category_id="account", version=1)
    await office.yes(ROOT, "save_tag", tag_id="vip", name="贵宾", colour="#FF8800", version=0)
    await office.yes(ROOT, "save_settings", values={"recall_window_s": 60}, version=0)
    reply = {"reply_id": "hi", "scope": "mine", "shortcut": "hi", "text": "您好", "version": 0}
    await office.yes(WANG, "save_canned_reply", **reply)
    await office.yes(WANG, "set_tags", conv, tags=("vip",), version=0)
    await office.yes(WANG, "save_draft", conv, mode="note", text="记", rev=0)
    return conv


@pytest.mark.parametrize("database", KINDS, indirect=True)
async def test_boot_answers_exactly_what_the_schema_says(site: Site) -> None:
    conv = await run_in(site.office)
    found: dict[str, Any] = {}
    for who in (ANN, WANG, LINA, ROOT):
        async with site.browser(who) as browser:
            answer = await browser.get(f"/api/{who.realm.value}/boot")
        found[who.person] = answer.json()
        model = EmployeeBoot if who == ANN else AgentBoot
        assert (
            json.loads(
                model.model_validate_json(answer.content).model_dump_json(exclude_unset=True)
            )
            == answer.json()
        )

    wangs, roots, anns = found["wang"], found["root"], found["ann"]
    assert wangs["drafts"] == [
        {"conv_id": conv, "mode": "note", "text": "记", "attachments": [], "rev": 1}
    ]
    assert [each["id"] for each in wangs["canned_replies"]] == ["hi"]
    assert (roots["canned_replies"], roots["drafts"]) == ([], [])
    assert [each["name"] for each in wangs["tags"]] == ["贵宾"]
    assert wangs["settings"]["version"] == 1
    assert anns["settings"]["recall_window_s"] == wangs["settings"]["recall_window_s"] == 60
    support = next(group for group in wangs["groups"] if group["id"] == "support")
    assert (support["members"], support["week"]) == (["lina", "wang"], WEEK)
    assert {"login_name"} <= set(roots["agents"][0]) - set(wangs["agents"][0])


async def test_an_employee_chooses_among_what_is_not_archived(site: Site) -> None:
    await run_in(site.office)
    async with site.browser(ANN) as ann, site.browser(WANG) as wang:
        offered = (await ann.get("/api/employee/boot")).json()["categories"]
        known = (await wang.get("/api/agent/boot")).json()["categories"]

    assert [each["id"] for each in offered] == ["network", "printer"]
    assert {each["id"]: each["is_archived"] for each in known} == {
        "network": False, "account": True, "printer": False,
    }  # fmt: skip


def test_the_examples_of_the_schema_are_answers() -> None:
    EmployeeBoot.model_validate_json(json.dumps(EMPLOYEE_EXAMPLE))
    AgentBoot.model_validate_json(json.dumps(AGENT_EXAMPLE))


async def test_the_schema_says_what_boot_answers_and_how_it_refuses(site: Site) -> None:
    schema = site.desk.api.openapi()
    routes: dict[str, Any] = {
        realm: schema["paths"][f"/api/{realm}/boot"]["get"]["responses"]
        for realm in ("agent", "employee")
    }

    assert [set(each) for each in routes.values()] == [{"200", "400", "401", "503"}] * 2
    content = {realm: each["200"]["content"]["application/json"] for realm, each in routes.items()}
    assert content["agent"]["schema"] == {"$ref": "#/components/schemas/AgentBoot"}
    assert content["employee"]["schema"] == {"$ref": "#/components/schemas/EmployeeBoot"}
    assert content["agent"]["example"] == AGENT_EXAMPLE
    refusals = routes["agent"]["401"]["content"]["application/json"]
    assert refusals["schema"] == {"$ref": "#/components/schemas/RefusalBody"}
    assert set(refusals["examples"]) == {"login_required"}
