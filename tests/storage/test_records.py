from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from deskwire.desk.office import (
    DEFAULTS,
    CannedReply,
    Category,
    Group,
    Hours,
    Pick,
    Routing,
    Scope,
    Tag,
)
from deskwire.desk.people import Availability, PersonId, Principal, Realm
from deskwire.flows.execute import Accepted
from deskwire.storage import agents, logins, people
from deskwire.storage import office as stored
from deskwire.storage.engine import Transaction
from deskwire.storage.logins import LoginRecord
from tests.flows.office import ANN, CHEN, LINA, QIAN, START, WANG, Office, agent

Said = dict[str, Any]
ROOT = agent("root")
WEEK = (((540, 720), (780, 1_080)),) * 5 + ((), ())
GROUP: Said = {
    "group_id": "support",
    "name": "IT 服务台",
    "members": ("chen", "wang"),
    "version": 1,
}
TAG: Said = {"tag_id": "vip", "name": "贵宾", "colour": "#FF8800", "version": 0}
CATEGORY: Said = {
    "category_id": "vpn", "name_zh": "VPN", "name_en": "VPN", "group_id": "support", "version": 0,
}  # fmt: skip
REPLY: Said = {
    "reply_id": "hi",
    "scope": "mine",
    "shortcut": "hi",
    "text": "您好 {姓名}",
    "version": 0,
}
AGENT: Said = {"person": "ann", "login_name": "Ann.Li", "role": "supervisor", "version": 0}
PERSON: Said = {"person": "zoe", "name": "佐伊", "version": 0}


async def found(office: Office, look: Callable[[Transaction], Awaitable[Any]]) -> Any:
    async with office.store.reading() as conn:
        return await look(conn)


def armed(office: Office) -> set[tuple[str, str]]:
    return {(row[0], row[1]) for row in office.sql("SELECT kind, key FROM timer")}


# Kept as they were saved --------------------------------------------------------------------------


async def test_a_group_is_kept_whole_with_its_hours_and_members(office: Office) -> None:
    more = {"routing": "offer", "pick": "round_robin", "offer_s": 30, "first_answer_s": 60}
    hours = {"queue_max": 7, "week": WEEK, "closed_days": ("2026-10-01", "2026-05-01")}

    answer = await office.yes(ROOT, "save_group", **(GROUP | more | hours))
    kept, members = await found(
        office,
        lambda conn: _both(stored.group(conn, "support"), stored.members(conn, ["support"])),
    )

    assert kept == Group(
        id="support",
        name="IT 服务台",
        queue_max=7,
        routing=Routing.OFFER,
        pick=Pick.ROUND_ROBIN,
        offer_s=30,
        first_answer_s=60,
        hours=Hours(week=WEEK, closed_days=frozenset({"2026-10-01", "2026-05-01"})),
        version=2,
    )
    assert members == {"support": ("chen", "wang")}
    assert (answer.result, set(answer.positions)) == ({"version": 2}, {"desk"})
    assert {("dispatch", "support"), ("hours_edge", "support")} <= armed(office)


async def _both(one: Awaitable[Any], other: Awaitable[Any]) -> tuple[Any, Any]:
    return await one, await other


async def test_a_group_that_is_always_open_again_has_no_edge(office: Office) -> None:
    await office.yes(ROOT, "save_group", **(GROUP | {"week": WEEK}))
    await office.yes(ROOT, "save_group", **(GROUP | {"version": 2}))

    group = await found(office, lambda conn: stored.group(conn, "support"))

    assert group.hours is None
    assert ("hours_edge", "support") not in armed(office)


async def test_categories_tags_and_replies_are_kept_archived_and_offered_again(
    office: Office,
) -> None:
    await office.yes(ROOT, "save_category", **CATEGORY)
    more = {"category_id": "vpn2", "parent_id": "vpn", "skill": "cisco", "order": 9}
    await office.yes(ROOT, "save_category", **(CATEGORY | more))
    await office.yes(ROOT, "archive_category", category_id="vpn2", version=1)
    await office.yes(ROOT, "save_tag", **TAG)
    await office.yes(ROOT, "archive_tag", tag_id="vip", version=1)
    await office.yes(ROOT, "save_tag", **(TAG | {"version": 2}))
    await office.yes(WANG, "save_canned_reply", **REPLY)
    await office.yes(WANG, "archive_canned_reply", reply_id="hi", version=1)

    async with office.store.reading() as conn:
        categories = {each.id: each for each in await stored.categories(conn)}
        support = await stored.group(conn, "support")
        tags = await stored.tags(conn)
        reply = await stored.canned_reply_of(conn, "hi")

    assert support is not None
    assert categories["vpn2"] == Category(
        id="vpn2",
        name_zh="VPN",
        name_en="VPN",
        group=support,
        order=9,
        parent_id="vpn",
        skill="cisco",
        is_archived=True,
        version=2,
    )
    assert tags == [Tag(id="vip", name="贵宾", colour="#FF8800", version=3)]
    assert reply == CannedReply(
        id="hi",
        scope=Scope.MINE,
        shortcut="hi",
        text="您好 {姓名}",
        owner=PersonId("wang"),
        is_archived=True,
        version=2,
    )
    asked = {"kind": "text", "body": "x", "category_id": "vpn2"}
    assert (await office.no(ANN, "open_conversation", **asked)).detail == {"field": "category_id"}


async def test_a_category_with_children_becomes_no_child(office: Office) -> None:
    await office.yes(ROOT, "save_category", **CATEGORY)
    await office.yes(ROOT, "save_category", **(CATEGORY | {"category_id": "b", "parent_id": "vpn"}))
    await office.yes(ROOT, "save_category", **(CATEGORY | {"category_id": "c"}))

    deep: Said = CATEGORY | {"version": 1, "parent_id": "c"}
    refusal = await office.no(ROOT, "save_category", **deep)

    assert refusal.detail == {"field": "parent_id"}


async def test_a_person_becomes_an_agent_and_works_once_they_are_in_a_group(
    office: Office,
) -> None:
    more = {"department": "法务部", "wecom_userid": "zoe", "language": "en", "avatar": "https://a"}
    await office.yes(ROOT, "save_person", **(PERSON | more))
    saving = AGENT | {"person": "zoe", "capacity": 9, "skills": ("b", "a"), "pushes": False}
    await office.yes(ROOT, "save_agent", **saving)
    await office.yes(ROOT, "save_group", **(GROUP | {"members": ("zoe",)}))

    async with office.store.reading() as conn:
        person = await people.by_id(conn, "zoe")
        (zoe,) = await agents.read(conn, ["zoe"], grace_s=90, now=START)
        named = await people.credentials(conn, "ANN.LI")

    assert person == people.PersonRecord(
        id="zoe", name="佐伊", wecom_userid="zoe", department="法务部", avatar="https://a",
        language="en",
    )  # fmt: skip
    assert (zoe.capacity, zoe.skills, zoe.groups) == (9, frozenset("ab"), frozenset({"support"}))
    assert (zoe.availability, zoe.load, zoe.preferences.pushes) == (Availability.OFFLINE, 0, False)
    assert named == ("zoe", None)
    await office.yes(agent("zoe"), "claim_conversation", await office.opened())


async def test_an_agent_saved_again_keeps_load_password_and_availability(office: Office) -> None:
    await office.claimed()
    same = "load, password_hash, availability, last_assigned_at"
    before = office.sql(f"SELECT {same} FROM agent WHERE person_id = 'wang'")

    saving = {"person": "wang", "login_name": "wang", "role": "agent", "capacity": 1, "version": 1}
    await office.yes(ROOT, "save_agent", **saving)

    assert office.sql(f"SELECT {same} FROM agent WHERE person_id = 'wang'") == before
    assert ("dispatch", "support") in armed(office)
    conv = await office.opened(Principal(Realm.EMPLOYEE, PersonId("bo")))
    assert (await office.no(WANG, "claim_conversation", conv)).code == "at_capacity"


async def test_settings_are_kept_and_those_not_named_stay(office: Office) -> None:
    await office.yes(ROOT, "save_settings", values={"recall_window_s": 60}, version=0)
    await office.yes(ROOT, "save_settings", values={"auto_close_h": 1}, version=1)

    kept = await found(office, stored.settings)

    assert kept == replace(DEFAULTS, recall_window_s=60, auto_close_h=1)
    assert (await office.no(ROOT, "save_settings", values={}, version=0)).detail == {"version": 2}


# Not written over ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, said",
    [
        ("save_group", GROUP),
        ("save_group", GROUP | {"group_id": "new", "version": 0}),
        ("save_category", CATEGORY),
        ("save_tag", TAG),
        ("save_canned_reply", REPLY | {"scope": "all"}),
        ("save_agent", AGENT),
        ("save_person", PERSON),
        ("save_settings", {"values": {"auto_close_h": 2}, "version": 0}),
    ],
)
async def test_of_several_who_have_seen_the_same_one_saves(
    office: Office, name: str, said: Said
) -> None:
    answers = await asyncio.gather(*(office.do(ROOT, name, **said) for _ in range(4)))

    refusals = [each for each in answers if not isinstance(each, Accepted)]
    assert len(refusals) == 3
    version = said["version"]
    assert {(each.code.value, each.detail["version"]) for each in refusals} == {
        ("version_changed", version + 1)
    }
    assert office.head("desk") == 1


async def test_what_was_made_beside_the_rules_is_not_taken_for_new(office: Office) -> None:
    answers = [
        await office.no(ROOT, "save_group", **(GROUP | {"version": 0})),
        await office.no(ROOT, "save_category", **(CATEGORY | {"category_id": "network"})),
        await office.no(ROOT, "save_person", person="ann", name="x", version=0),
        await office.no(ROOT, "save_agent", **(AGENT | {"person": "wang", "login_name": "wang"})),
    ]

    assert {(each.code.value, each.detail["version"]) for each in answers} == {
        ("version_changed", 1)
    }


async def test_a_name_is_given_once(office: Office) -> None:
    await office.yes(WANG, "save_canned_reply", **REPLY)
    refusals = [
        await office.no(ROOT, "save_agent", **(AGENT | {"login_name": "WANG"})),
        await office.no(ROOT, "save_person", **(PERSON | {"wecom_userid": "wx-ann"})),
        await office.no(WANG, "save_canned_reply", **(REPLY | {"reply_id": "other"})),
    ]
    await office.yes(CHEN, "save_canned_reply", **(REPLY | {"reply_id": "chens"}))
    await office.yes(WANG, "archive_canned_reply", reply_id="hi", version=1)
    await office.yes(WANG, "save_canned_reply", **(REPLY | {"reply_id": "other"}))

    fields = [each.detail["field"] for each in refusals]
    assert fields == ["login_name", "wecom_userid", "shortcut"]


async def test_replies_reach_their_owner_the_group_or_everybody(office: Office) -> None:
    await office.yes(WANG, "save_canned_reply", **REPLY)
    groups = {"reply_id": "g", "scope": "group", "group_id": "support"}
    await office.yes(LINA, "save_canned_reply", **(REPLY | groups))
    await office.yes(ROOT, "save_canned_reply", **(REPLY | {"reply_id": "a", "scope": "all"}))

    async def of(who: Principal) -> set[str]:
        async with office.store.reading() as conn:
            actor = await people.actor(conn, who)
            assert actor is not None
            return {each.id for each in await stored.canned_replies(conn, actor)}

    assert [await of(who) for who in (WANG, CHEN, QIAN)] == [{"hi", "g", "a"}, {"g", "a"}, {"a"}]
    assert (await office.no(CHEN, "archive_canned_reply", reply_id="hi", version=1)).code == (
        "not_found"
    )


# Rights -------------------------------------------------------------------------------------------


async def signed_in(office: Office, *everybody: Principal) -> None:
    async with office.store.writing() as conn:
        for who in everybody:
            name = f"{who.realm}-{who.person}"
            record = LoginRecord(id=name, principal=who, created=START, expires=START + 9_000)
            await logins.create(conn, name.encode(), record)


async def test_who_leaves_a_group_loses_its_sight_and_who_joins_gains_it(office: Office) -> None:
    conv = await office.opened()
    saving = GROUP | {"members": ("lina", "mei", "qian", "wang")}

    await office.yes(ROOT, "save_group", **saving)

    assert office.sql("SELECT realm, person, stream_id, why FROM access") == [
        ("agent", "chen", None, "rights")
    ]
    assert (await office.no(CHEN, "claim_conversation", conv)).code == "not_found"
    await office.yes(QIAN, "claim_conversation", conv)


async def test_a_role_counts_from_its_commit_on(office: Office) -> None:
    conv = await office.claimed()
    lina: Said = {"person": "lina", "login_name": "lina", "version": 1}
    await office.yes(ROOT, "save_agent", role="agent", **lina)

    refusal = await office.no(LINA, "close_conversation", conv, reason="x")

    assert refusal.code == "not_allowed"
    assert office.sql("SELECT person, why FROM access") == [("lina", "rights")]
    again = {"role": "supervisor"} | lina | {"version": 2}
    await office.yes(ROOT, "save_agent", **again)
    await office.yes(LINA, "close_conversation", conv, reason="x")


async def test_who_is_disabled_has_no_login_in_either_realm(office: Office) -> None:
    mei: Said = {"person": "mei", "name": "Mei", "wecom_userid": "wx-mei"}
    both = (agent("mei"), Principal(Realm.EMPLOYEE, PersonId("mei")))
    await signed_in(office, *both, WANG)

    await office.yes(ROOT, "save_person", **mei, is_disabled=True, version=1)
    office.now_ms += 5
    await office.yes(ROOT, "save_person", **mei, is_disabled=True, version=2)

    ended = office.sql("SELECT login_id FROM login WHERE revoked IS NOT NULL ORDER BY 1")
    assert [row[0] for row in ended] == ["agent-mei", "employee-mei"]
    losses = office.sql("SELECT login_id, why FROM access WHERE login_id IS NOT NULL ORDER BY 1")
    assert losses == [("agent-mei", "disabled"), ("employee-mei", "disabled")]
    assert office.one("SELECT disabled_at FROM person WHERE person_id = 'mei'") == START
    for who in both:
        assert (await office.no(who, "post_message", "x", kind="text", body="x")).code == (
            "not_allowed"
        )
    await office.yes(ROOT, "save_person", **mei, version=3)
    assert office.one("SELECT disabled_at FROM person WHERE person_id = 'mei'") is None
