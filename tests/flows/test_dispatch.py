from __future__ import annotations

import json

from deskwire.desk.refusals import Code
from tests.flows.office import ANN, BO, CHEN, LINA, START, WANG, Office, employee

CY = employee("cy")


def reason(office: Office, conv: str) -> str | None:
    found = office.one("SELECT waiting_reason FROM conversation WHERE conv_id = ?", conv)
    return str(found) if found is not None else None


async def test_a_queue_drains_in_its_order_as_agents_have_room(office: Office) -> None:
    office.offering()
    convs = []
    for who in (ANN, BO, CY):
        convs.append(await office.opened(who))
        office.now_ms += 1_000
    await office.yes(LINA, "set_priority", convs[2], priority=1, version=0)
    office.here(WANG, CHEN)
    await office.after(15)

    asked = {conv: office.offer_of(conv) for conv in convs}

    assert asked[convs[1]] is None
    assert {asked[conv][1] for conv in (convs[0], convs[2]) if asked[conv]} == {"wang", "chen"}  # type: ignore[index]
    assert reason(office, convs[1]) == "all_at_capacity"


async def test_whoever_shows_why_a_queue_waits_is_told_that_it_has_changed(office: Office) -> None:
    office.offering()
    await office.opened(ANN)
    await office.settle()
    told = list(office.explained)
    await office.after(15)
    office.here(WANG)
    await office.after(15)

    assert (told, office.explained) == (["support"], ["support", "support"])


async def test_whoever_takes_an_offer_is_asked_for_the_next(office: Office) -> None:
    office.offering()
    office.here(WANG)
    first, second = await office.opened(ANN), await office.opened(BO)
    await office.settle()
    offer = office.offer_of(first)
    assert offer is not None

    await office.yes(WANG, "accept_offer", first, offer_id=offer[0])
    await office.settle()

    assert office.status(first) == "active"
    assert office.offer_of(second) is not None
    assert office.one("SELECT load FROM agent WHERE person_id = 'wang'") == 1


async def test_an_offer_is_taken_once_and_the_loser_is_told(office: Office) -> None:
    conv, offer = await office.offered()
    await office.yes(CHEN, "claim_conversation", conv)

    late = await office.no(WANG, "accept_offer", conv, offer_id=offer)

    assert late.code is Code.OFFER_OVER
    assert office.sql("SELECT outcome FROM offer") == [("withdrawn",)]


async def test_a_declined_offer_goes_to_another_and_not_back(office: Office) -> None:
    office.offering()
    office.here(WANG, CHEN)
    conv = await office.opened()
    await office.settle()
    first = office.offer_of(conv)
    assert first is not None
    who = WANG if first[1] == "wang" else CHEN

    await office.yes(who, "decline_offer", conv, offer_id=first[0], reason="在开会")
    await office.settle()

    second = office.offer_of(conv)
    assert second is not None
    assert {first[1], second[1]} == {"wang", "chen"}


async def test_a_waiting_conversation_says_why(office: Office) -> None:
    conv = await office.opened()
    await office.settle()
    pull_alone = reason(office, conv)
    office.here(WANG)
    await office.after(15)
    pull = reason(office, conv)
    week = json.dumps([[] for _ in range(7)])
    office.write("UPDATE agent_group SET routing = 'offer', week = ?", week)
    await office.after(15)

    assert (pull_alone, pull, reason(office, conv)) == ("none_online", "pull", "closed_hours")


async def test_nobody_without_the_skill_is_asked(office: Office) -> None:
    office.offering()
    office.write("UPDATE category SET skill = 'vpn' WHERE category_id = 'network'")
    office.write("UPDATE agent SET skills = '[\"vpn\"]' WHERE person_id = 'chen'")
    office.here(WANG, CHEN)
    conv = await office.opened()

    await office.settle()

    asked = office.offer_of(conv)
    assert asked is not None
    assert asked[1] == "chen"


async def test_a_queue_is_looked_at_again_while_something_waits_and_no_longer(
    office: Office,
) -> None:
    conv = await office.opened()
    await office.settle()
    waiting = office.armed("dispatch")
    await office.yes(WANG, "claim_conversation", conv)

    await office.after(15)

    assert waiting == {"support": START + 15_000}
    assert office.armed("dispatch") == {}


async def test_the_sweep_finds_a_queue_that_nothing_looks_at(office: Office) -> None:
    await office.opened()
    office.write("DELETE FROM timer")
    woken = office.wakings

    await office.dispatcher.sweep()
    await office.dispatcher.sweep()

    assert office.armed("dispatch") == {"support": START}
    assert office.wakings == woken + 1


async def test_at_the_edge_of_its_hours_a_group_is_looked_at_and_the_next_is_timed(
    office: Office,
) -> None:
    day = [[9 * 60, 18 * 60]]  # START is midnight in London, eight in the morning in China
    office.write("UPDATE agent_group SET week = ?", json.dumps([day] * 7))
    opening = START + 3_600_000
    office.write("INSERT INTO timer VALUES ('hours_edge', 'support', ?, 1, 0)", opening)

    await office.after(3_600)

    assert office.armed("hours_edge") == {"support": opening + 9 * 3_600_000}


async def test_a_group_that_is_no_more_is_looked_at_in_vain(office: Office) -> None:
    for kind in ("dispatch", "hours_edge"):
        office.write("INSERT INTO timer VALUES (?, 'nowhere', ?, 1, 0)", kind, START)

    await office.settle()

    assert office.sql("SELECT * FROM timer") == []
