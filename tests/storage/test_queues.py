from __future__ import annotations

from deskwire.desk.routing import Waiting
from deskwire.storage import queues
from tests.flows.office import ANN, BO, CHEN, LINA, START, WANG, Office, employee

CY = employee("cy")


async def waiting(office: Office, group: str = "support") -> list[Waiting]:
    async with office.store.reading() as conn:
        queue = await queues.of_group(conn, group)
        return await queues.for_dispatch(conn, queue, office.now_ms)


async def test_a_queue_is_read_in_the_order_of_the_rule(office: Office) -> None:
    convs = []
    for who in (ANN, BO, CY):
        convs.append(await office.opened(who))
        office.now_ms += 1
    await office.yes(LINA, "set_priority", convs[2], priority=3, version=0)
    await office.yes(CHEN, "claim_conversation", convs[0])
    await office.yes(CHEN, "requeue_conversation", convs[0], reason="不会")

    found = await waiting(office)

    assert [each.conv_id for each in found] == [convs[2], convs[0], convs[1]]
    assert found == sorted(found, key=lambda each: each.order)


async def test_who_is_asked_and_who_is_to_be_left_alone_is_known(office: Office) -> None:
    office.offering()
    office.here(WANG)
    first, second = await office.opened(ANN), await office.opened(BO)
    await office.settle()
    offer = office.offer_of(first)
    assert offer is not None
    await office.yes(WANG, "decline_offer", first, offer_id=offer[0])
    await office.settle()

    found = {each.conv_id: each for each in await waiting(office)}

    assert (found[first].has_offer, found[first].wanted.cooling) == (False, frozenset({"wang"}))
    assert (found[second].has_offer, found[second].wanted.cooling) == (True, frozenset())


async def test_a_reason_is_written_to_what_still_waits_alone(office: Office) -> None:
    queued, active = await office.opened(ANN), await office.claimed(BO)
    async with office.store.writing() as conn:
        await queues.explain(conn, {queued: "none_online", active: "none_online"})

    reasons = dict(office.sql("SELECT conv_id, waiting_reason FROM conversation"))
    assert reasons == {queued: "none_online", active: None}


async def test_assignments_of_the_last_hour_are_samples(office: Office) -> None:
    await office.claimed(ANN)
    office.now_ms += 3_600_001
    await office.claimed(BO)
    async with office.store.reading() as conn:
        lately = await queues.assigned_lately(conn, "support", office.now_ms)
        elsewhere = await queues.assigned_lately(conn, "facilities", office.now_ms)

    assert (lately, elsewhere) == ([START + 3_600_001], [])


async def test_what_an_agent_has_in_hand(office: Office) -> None:
    convs = {await office.claimed(who) for who in (ANN, BO)}
    await office.claimed(CY, by=CHEN)
    async with office.store.reading() as conn:
        in_hand = await queues.in_hand(conn, "wang")
        absent = await queues.absent_from(conn, ["wang"])

    assert (set(in_hand), absent) == (convs, [])
