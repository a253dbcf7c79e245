from __future__ import annotations

import asyncio

from deskwire.desk.decision import Offer, OfferKind, Outcome
from deskwire.desk.people import PersonId
from deskwire.desk.routing import COOLING_MS
from deskwire.storage import offers
from tests.flows.office import ANN, BO, START, WANG, Office


def offer(offer_id: str, conv: str, to: str = "wang") -> Offer:
    return Offer(
        offer_id=offer_id,
        conv_id=conv,
        agent=PersonId(to),
        kind=OfferKind.TRANSFER,
        expires_at=START + 25_000,
        by=PersonId("lina"),
        stay=True,
    )


async def begin(office: Office, *made: Offer) -> list[bool]:
    async with office.store.writing() as conn:
        return [await offers.begin(conn, each, START) for each in made]


async def end(office: Office, offer_id: str, outcome: Outcome, at: int = START) -> bool:
    async with office.store.writing() as conn:
        return await offers.end(conn, offer_id, outcome, at)


async def test_an_offer_is_read_as_it_was_made_while_it_is_live(office: Office) -> None:
    conv, other = await office.opened(ANN), await office.opened(BO)
    made = offer("o-1", conv)
    await begin(office, made)
    async with office.store.reading() as conn:
        live = await offers.live(conn, [conv, other])
    await end(office, "o-1", Outcome.WITHDRAWN)
    async with office.store.reading() as conn:
        over = await offers.live(conn, [conv, other])
        whose = await offers.conversation_of(conn, "o-1")
        nobodys = await offers.conversation_of(conn, "o-2")

    assert (live, over, whose, nobodys) == ({conv: made}, {}, conv, None)


async def test_there_is_one_live_offer_on_either_side(office: Office) -> None:
    conv, other = await office.opened(ANN), await office.opened(BO)

    made = await begin(
        office,
        offer("o-1", conv),
        offer("o-2", conv, to="chen"),
        offer("o-3", other),
        offer("o-4", other, to="chen"),
    )
    await end(office, "o-1", Outcome.DECLINED)
    again = await begin(office, offer("o-5", conv))

    assert (made, again) == ([True, False, False, True], [True])


async def test_of_many_ends_at_once_one_holds(office: Office) -> None:
    await begin(office, offer("o-1", await office.opened(ANN)))
    outcomes = list(Outcome)

    held = await asyncio.gather(*(end(office, "o-1", outcome) for outcome in outcomes))

    assert held.count(True) == 1
    stored = office.one("SELECT outcome FROM offer WHERE offer_id = 'o-1'")
    assert stored == outcomes[held.index(True)].value


async def test_who_declined_missed_or_said_nothing_is_known_for_a_while(office: Office) -> None:
    conv, other = await office.opened(ANN), await office.claimed(BO, by=WANG)
    for number, (to, outcome) in enumerate(
        (("chen", Outcome.DECLINED), ("lina", Outcome.EXPIRED), ("mei", Outcome.WITHDRAWN))
    ):
        await begin(office, offer(f"o-{number}", conv, to=to))
        await end(office, f"o-{number}", outcome, START + number)
    await office.after(120)

    seen = []
    for now in (START + COOLING_MS - 1, START + COOLING_MS, START + 120_000 + COOLING_MS):
        async with office.store.reading() as conn:
            away = await offers.turned_away(conn, [conv, other], now)
        seen.append({where: sorted(each.agent for each in of) for where, of in away.items()})

    assert office.status(other) == "queued"
    assert seen == [
        {conv: ["chen", "lina"], other: ["wang"]},
        {conv: ["lina"], other: ["wang"]},
        {},
    ]
