from __future__ import annotations

import pytest

from tests.flows.conftest import KINDS
from tests.flows.office import ANN, CHEN, LINA, QIAN, START, WANG, agent
from tests.web.site import Site, refusal

ROOT = agent("root")


@pytest.mark.parametrize("database", KINDS, indirect=True)
async def test_rows_bring_what_no_event_tells_a_board(site: Site) -> None:
    conv = await site.office.claimed(ANN)
    await site.office.yes(CHEN, "set_priority", conv, priority=2, version=0)
    async with site.browser(CHEN) as browser, site.browser(QIAN) as stranger:
        found = (await browser.get(f"/api/agent/rows?ids={conv},nowhere")).json()
        nothing = (await stranger.get(f"/api/agent/rows?ids={conv}")).json()

    (row,) = found["rows"]
    assert (row["preview"], row["priority"], row["tags"]) == ("VPN 连不上", 2, [])
    assert set(found["positions"]) == {f"conv:{conv}"}
    assert nothing == {"rows": [], "positions": {}}


async def test_the_earlier_conversations_of_a_person_are_those_one_may_see(site: Site) -> None:
    office = site.office
    mine = [await office.opened(ANN)]
    await office.yes(ANN, "cancel_conversation", mine[0])
    office.now_ms += 1000
    mine.append(await office.opened(ANN))
    others = await office.opened(ANN, category_id="printer")
    path = "/api/agent/people/ann/conversations"
    async with site.browser(WANG) as wang, site.browser(ROOT) as root:
        first = (await wang.get(f"{path}?limit=1")).json()
        second = (await wang.get(path, params={"after": first["next"]})).json()
        all_ = (await root.get(path)).json()
        nobody = (await wang.get("/api/agent/people/nobody/conversations")).json()

    found = [row["conv_id"] for page in (first, second) for row in page["rows"]]
    assert found == mine[::-1]
    assert {row["conv_id"] for row in all_["rows"]} == {*mine, others}
    assert (second["next"], nobody) == (None, {"rows": [], "next": None})


async def test_the_audit_and_the_original_leave_the_door_whole(site: Site) -> None:
    conv = await site.office.claimed()
    posted = await site.office.post(ANN, conv, "hunter2")
    msg_id = posted.result["msg_id"]
    await site.office.yes(ANN, "recall_message", conv, msg_id=msg_id)
    async with site.browser(WANG) as wang, site.browser(ROOT) as root:
        audit = (await wang.get(f"/api/agent/audit?conv={conv}")).json()
        original = (await root.get(f"/api/agent/withdrawn/{msg_id}")).json()
        refused = [
            await wang.get(f"/api/agent/withdrawn/{msg_id}"),
            await wang.get("/api/agent/audit?conv=nowhere"),
            await wang.get(f"/api/agent/audit?conv={conv}&limit=201"),
        ]

    assert (audit["conv"], audit["next"]) == (conv, None)
    assert set(audit["steps"][0]) == {
        *("position", "at", "by", "type", "data", "command", "cause", "note", "over_capacity")
    }
    assert original == {
        "msg_id": msg_id,
        "conv_id": conv,
        "author": {"realm": "employee", "id": "ann"},
        "is_note": False,
        "posted_at": START,
        "recalled_at": START,
        "body": "hunter2",
        "attachments": [],
    }
    assert [refusal(answer)[:2] for answer in refused] == [
        (403, "not_allowed"),
        (404, "not_found"),
        (422, "invalid"),
    ]


@pytest.mark.parametrize("path", ["", "/messages", "?stream"])
async def test_an_admin_who_opens_a_conversation_from_outside_is_seen_by_its_staff(
    site: Site, path: str
) -> None:
    conv = await site.office.claimed()
    asked = f"conversations/{conv}{path}" if path != "?stream" else f"events?stream=conv:{conv}"
    async with site.browser(ROOT) as root, site.browser(LINA) as lina:
        for browser in (lina, root, root):
            assert (await browser.get(f"/api/agent/{asked}")).status_code == 200
        staff = (await lina.get(f"/api/agent/events?stream=conv:{conv}:staff")).json()

    seen = [entry["event"] for entry in staff["events"]]
    assert [each["by"]["id"] for each in seen if each["type"] == "conversation.inspected"] == [
        "root"
    ]
