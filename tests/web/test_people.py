from __future__ import annotations

import json

import pytest

from deskwire.web.people import EXAMPLE, PeoplePage
from tests.flows.conftest import KINDS
from tests.flows.office import WANG, agent
from tests.web.site import Site, refusal

ROOT = agent("root")
PATH = "/api/agent/people"


@pytest.mark.parametrize("database", KINDS, indirect=True)
async def test_an_admin_finds_people_as_they_are_saved(site: Site) -> None:
    queries = ({"q": "WX-Me"}, {"q": "市场"}, {"q": "wang"}, {"q": "%"}, {"q": "\0"}, {"q": "z"})
    async with site.browser(ROOT) as browser:
        answers = [await browser.get(PATH, params=query) for query in queries]

    pages = [PeoplePage.model_validate_json(answer.content) for answer in answers]
    assert [len(page.people) for page in pages] == [1, 10, 1, 0, 0, 0]
    mei = answers[0].json()["people"][0]
    assert mei == {
        "id": "mei",
        "name": "Mei",
        "avatar": None,
        "wecom_userid": "wx-mei",
        "department": "市场部",
        "language": None,
        "is_disabled": False,
        "version": 1,
        "agent": {
            "login_name": "mei",
            "role": "agent",
            "capacity": 5,
            "skills": [],
            "pushes": True,
            "groups": ["support"],
            "has_password": True,
            "version": 1,
        },
    }
    assert "argon2" not in answers[1].text


async def test_what_was_read_may_be_saved_back_with_one_thing_changed(site: Site) -> None:
    async with site.browser(ROOT) as browser:
        found = (await browser.get(PATH, params={"q": "ann"})).json()["people"][0]
        kept = {name: found[name] for name in ("name", "wecom_userid", "department", "version")}
        saving = {**kept, "person": found["id"], "is_disabled": True}
        saved = await browser.command(ROOT.realm, "save_person", **saving)
        again = (await browser.get(PATH, params={"q": "ann"})).json()["people"][0]

    assert saved.status_code == 200
    assert again == {**found, "is_disabled": True, "version": 2}


async def test_people_are_read_page_by_page_to_the_end(site: Site) -> None:
    seen: list[str] = []
    after: dict[str, str] = {}
    async with site.browser(ROOT) as browser:
        while True:
            page = (await browser.get(PATH, params={"limit": 3, **after})).json()
            seen += [each["id"] for each in page["people"]]
            if page["next"] is None:
                break
            after = {"after": page["next"]}

    assert seen == sorted(seen)
    assert len(seen) == len(set(seen)) == 10


async def test_nobody_else_reads_the_directory(site: Site) -> None:
    async with site.browser(WANG) as browser:
        assert refusal(await browser.get(PATH)) == (403, "not_allowed", {})
        assert refusal(await browser.get(PATH, params={"limit": 101}))[0] == 422


def test_the_example_of_the_schema_is_an_answer() -> None:
    PeoplePage.model_validate_json(json.dumps(EXAMPLE))
