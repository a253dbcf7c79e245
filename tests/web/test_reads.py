from __future__ import annotations

from typing import Any

import pytest

from tests.flows.conftest import KINDS
from tests.flows.office import ANN, BO, LINA, START, WANG
from tests.web.site import Site, code, refusal

pytestmark = pytest.mark.parametrize("database", KINDS, indirect=True)


async def test_boot_says_who_when_and_from_where(site: Site) -> None:
    conv = await site.office.claimed()
    async with site.browser(WANG) as agents, site.browser(ANN) as browser:
        staffs, own = (
            (await agents.get("/api/agent/boot")).json(),
            (await browser.get("/api/employee/boot")).json(),
        )

    shared = {"now", "until", "me", "settings", "categories", "rows", "marks", "positions"}
    assert set(own) == shared
    assert set(staffs) == shared | {
        "groups", "agents", "boards", "tags", "canned_replies", "drafts",
    }  # fmt: skip
    assert own["now"] == staffs["now"] == START
    assert set(own["positions"]) == {"employee:ann", f"conv:{conv}"}


async def test_a_conversation_is_read_with_its_entries_and_places(site: Site) -> None:
    conv = await site.office.claimed()
    await site.office.note(WANG, conv)
    async with site.browser(WANG) as browser:
        view = (await browser.get(f"/api/agent/conversations/{conv}")).json()

    assert set(view) == {"conversation", "participants", "marks", "entries", "more", "positions"}
    assert set(view["entries"][0]) == {"stream", "position", "event"}
    assert {entry["stream"] for entry in view["entries"]} == set(view["positions"])


OUT_OF_BOUNDS = [
    ("conversations?view=secret", "view"),
    ("conversations?view=", "view"),
    ("conversations?view=Mentioned", "view"),
    ("conversations?tag=", "tag"),
    ("conversations?q=", "q"),
    ("conversations?q=" + "x" * 101, "q"),
    ("conversations?group=" + "x" * 65, "group"),
    ("conversations?category=", "category"),
    ("conversations?agent=" + "x" * 65, "agent"),
    ("conversations?limit=0", "limit"),
    ("conversations?limit=101", "limit"),
    ("conversations?limit=ten", "limit"),
    ("conversations?after=forged", "after"),
    ("conversations?after=", "after"),
    ("conversations?after=OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5Ong=", "after"),
    ("conversations?after=" + "x" * 129, "after"),
    ("conversations/{conv}/messages?before=-1", "before"),
    ("conversations/{conv}/messages?after=9007199254740992", "after"),
    ("conversations/{conv}/messages?after=1&before=5", "before"),
    ("conversations/{conv}/messages?limit=101", "limit"),
    ("events", "stream"),
    ("events?stream=" + "x" * 97, "stream"),
    ("events?stream=desk&after=-1", "after"),
    ("events?stream=desk&limit=501", "limit"),
    ("rows", "ids"),
    ("rows?ids=", "ids"),
    ("rows?ids=" + ",".join("x" * 101), "ids"),
    ("rows?ids=" + "x" * 3701, "ids"),
]


async def test_a_parameter_out_of_bounds_is_named(site: Site) -> None:
    conv = await site.office.claimed()
    async with site.browser(WANG) as browser:
        found = [
            (query, refusal(await browser.get("/api/agent/" + query.replace("{conv}", conv))))
            for query, _ in OUT_OF_BOUNDS
        ]

    assert found == [(query, (422, "invalid", {"field": field})) for query, field in OUT_OF_BOUNDS]


AT_THE_BOUND = [
    "conversations?limit=100&view=closed",
    "conversations?view=unread&group=support&category=network&agent=wang",
    "conversations?view=any&q=%00%ff%22*",
    "conversations?view=mentioned&tag=vip",
    "conversations?view=on_hold&q=" + "x" * 100,
    "conversations/{conv}/messages?before=9007199254740991&limit=100",
    "conversations/{conv}/messages?after=4",
    "conversations/{conv}/messages?after=9007199254740991",
    "conversations/{conv}/messages?before=0",
    "events?stream=desk&limit=500&after=9007199254740991",
    "events?stream=conv:{conv}:staff",
    "rows?ids={conv},nowhere,",
]


async def test_a_parameter_at_its_bound_is_answered(site: Site) -> None:
    conv = await site.office.claimed()
    async with site.browser(WANG) as browser:
        found = {
            query: (await browser.get("/api/agent/" + query.replace("{conv}", conv))).status_code
            for query in AT_THE_BOUND
        }

    assert found == dict.fromkeys(AT_THE_BOUND, 200)


NOT_THERE = [
    "conversations/nowhere",
    "conversations/nowhere/messages",
    "conversations/%00",
    "conversations/%0a",
    "conversations/%0a/messages",
    "conversations/%ed%a0%80",
    "conversations/' OR 1=1 --",
    "conversations/..%2f..%2fboot",
    "events?stream=conv:nowhere",
    "events?stream=",
    "events?stream=employee:ann",
    "events?stream=agent:lina",
    "events?stream=queue:facilities",
    "events?stream=%00",
    "nowhere",
]


async def test_what_is_not_there_is_not_found(site: Site) -> None:
    async with site.browser(WANG) as browser:
        found = {path: refusal(await browser.get(f"/api/agent/{path}")) for path in NOT_THERE}

    assert found == dict.fromkeys(NOT_THERE, (404, "not_found", {}))


async def test_the_staff_stream_is_not_there_for_its_own_requester(site: Site) -> None:
    conv = await site.office.claimed()
    await site.office.note(WANG, conv, "金丝雀")
    paths = [
        "boot",
        "conversations",
        f"conversations/{conv}",
        f"conversations/{conv}/messages",
        f"events?stream=conv:{conv}",
        "events?stream=employee:ann",
    ]
    async with site.browser(ANN) as browser:
        staff = await browser.get(f"/api/employee/events?stream=conv:{conv}:staff")
        seen = [await browser.get(f"/api/employee/{path}") for path in paths]

    assert (staff.status_code, code(staff)) == (404, "not_found")
    assert {answer.status_code for answer in seen} == {200}
    text = "".join(answer.text for answer in seen)
    assert conv in text
    assert "金丝雀" not in text
    assert ":staff" not in text


async def test_a_list_is_read_page_by_page(site: Site) -> None:
    convs = []
    for _ in range(3):
        conv = await site.office.opened()
        await site.office.yes(ANN, "cancel_conversation", conv)
        convs.append(conv)
    found: list[Any] = []
    after = ""
    async with site.browser(ANN) as browser:
        while True:
            page = (await browser.get(f"/api/employee/conversations?limit=2{after}")).json()
            found += [row["conv_id"] for row in page["rows"]]
            if page["next"] is None:
                break
            after = f"&after={page['next']}"

    assert sorted(found) == sorted(convs)


async def test_two_people_never_see_each_others_lists(site: Site) -> None:
    mine, other = await site.office.opened(ANN), await site.office.opened(BO)
    async with site.browser(ANN) as browser, site.browser(LINA) as agents:
        own = (await browser.get("/api/employee/conversations?view=queue")).json()
        all_ = (await agents.get("/api/agent/conversations?view=queue")).json()

    assert [row["conv_id"] for row in own["rows"]] == [mine]
    assert {row["conv_id"] for row in all_["rows"]} == {mine, other}


async def test_whoever_looks_for_words_finds_what_is_closed_too(site: Site) -> None:
    closed = await site.office.opened(ANN, "打印机卡纸")
    await site.office.yes(ANN, "cancel_conversation", closed)
    other = await site.office.opened(BO, "VPN 连不上")
    async with site.browser(LINA) as agents, site.browser(BO) as browser:
        found = [
            [
                row["conv_id"]
                for row in (await agents.get("/api/agent/conversations", params=query)).json()[
                    "rows"
                ]
            ]
            for query in ({"q": "卡纸"}, {"q": "卡纸", "view": "all"}, {"q": "连不"}, {})
        ]
        others = (await browser.get("/api/employee/conversations", params={"q": "卡纸"})).json()

    assert found == [[closed], [], [other], [other]]
    assert others == {"rows": [], "next": None}
