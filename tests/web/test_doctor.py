from __future__ import annotations

import asyncio

import pytest

from deskwire.desk.checkup import LAWS
from tests.flows.conftest import KINDS
from tests.flows.office import LINA, agent
from tests.web.site import Site, refusal

ROOT = agent("root")


@pytest.mark.parametrize("database", KINDS, indirect=True)
async def test_an_admin_is_told_what_holds_and_what_does_not(site: Site) -> None:
    await site.office.claimed()
    async with site.browser(ROOT) as root:
        well = (await root.get("/api/agent/doctor")).json()
        site.office.write("UPDATE agent SET load = 9 WHERE person_id = 'qian'")
        broken = (await root.get("/api/agent/doctor")).json()

    assert well["is_well"]
    assert [each["law"] for each in well["findings"]] == list(LAWS)
    assert not broken["is_well"]
    assert [each for each in broken["findings"] if each["count"]] == [
        {
            "law": "I3",
            "says": LAWS["I3"],
            "count": 1,
            "examples": ["agent:qian"],
            "is_whole": True,
        }
    ]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_one_examination_at_a_time_and_for_admins_alone(site: Site) -> None:
    async with site.browser(ROOT) as root, site.browser(LINA) as lina:
        refused = await lina.get("/api/agent/doctor")
        answers = await asyncio.gather(*(root.get("/api/agent/doctor") for _ in range(3)))

    assert refusal(refused)[:2] == (403, "not_allowed")
    assert sorted(each.status_code for each in answers) == [200, 503, 503]
