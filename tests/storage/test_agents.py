from __future__ import annotations

import asyncio

import pytest

from deskwire.desk.people import Agent, AgentChanged, Availability, PersonId, Presence
from deskwire.storage import agents
from tests.flows.office import ANN, CHEN, START, WANG, Office

GRACE_S = 90
NAMES = ("wang", "chen", "ann", "nobody")


async def read(office: Office, *names: str) -> dict[str, Agent]:
    async with office.store.reading() as conn:
        found = await agents.read(conn, names, grace_s=GRACE_S, now=office.now_ms)
    return {agent.id: agent for agent in found}


async def change(office: Office, change: AgentChanged) -> Agent:
    async with office.store.writing() as conn:
        await agents.change(conn, [change])
    return (await read(office, change.agent))[change.agent]


async def test_those_who_are_agents_are_read_disabled_ones_too(office: Office) -> None:
    office.write("UPDATE person SET disabled_at = 1 WHERE person_id = 'chen'")

    found = await read(office, *NAMES)

    assert {name: agent.is_disabled for name, agent in found.items()} == {
        "chen": True,
        "wang": False,
    }


async def test_a_groups_agents_are_its_members_each_with_all_their_groups(office: Office) -> None:
    office.write("INSERT INTO group_member VALUES ('facilities', 'wang')")
    async with office.store.reading() as conn:
        found = await agents.of_group(conn, "facilities", grace_s=GRACE_S, now=START)

    assert {agent.id: agent.groups for agent in found} == {
        "qian": {"facilities"},
        "sun": {"facilities"},
        "wang": {"facilities", "support"},
    }


async def test_presence_and_being_asked_are_read_beside_the_row(office: Office) -> None:
    office.offering()
    office.here(WANG)
    office.here(CHEN, seconds=0)
    await office.opened(ANN)
    await office.settle()

    found = await read(office, "wang", "chen", "lina")

    assert {name: (a.presence, a.has_offer) for name, a in found.items()} == {
        "wang": (Presence.CONNECTED, True),
        "chen": (Presence.GRACE, False),
        "lina": (Presence.LOST, False),
    }


@pytest.mark.parametrize("at_once", [8])
async def test_of_many_at_once_no_more_get_in_than_there_is_room_for(
    office: Office, at_once: int
) -> None:
    office.write("UPDATE agent SET capacity = 3 WHERE person_id = 'wang'")

    async def one() -> bool:
        async with office.store.writing() as conn:
            return await agents.change_load(conn, PersonId("wang"), 1)

    got_in = await asyncio.gather(*(one() for _ in range(at_once)))

    assert sum(got_in) == office.one("SELECT load FROM agent WHERE person_id = 'wang'") == 3


async def test_whoever_may_exceeds_capacity_and_room_is_given_back(office: Office) -> None:
    office.write("UPDATE agent SET capacity = 1, load = 1 WHERE person_id = 'wang'")
    done = []
    for by, may_exceed in ((1, False), (1, True), (-2, False)):
        async with office.store.writing() as conn:
            told = await agents.change_load(conn, PersonId("wang"), by, may_exceed=may_exceed)
        done.append((told, office.one("SELECT load FROM agent WHERE person_id = 'wang'")))

    assert done == [(False, 1), (True, 2), (True, 0)]


async def test_what_a_change_does_not_name_stays(office: Office) -> None:
    wang = PersonId("wang")
    away = await change(
        office,
        AgentChanged(
            agent=wang,
            availability=Availability.BREAK,
            availability_reason="lunch",
            availability_since=START,
            missed_offers=1,
        ),
    )
    asked = await change(office, AgentChanged(agent=wang, last_assigned_at=START + 5))
    back = await change(
        office,
        AgentChanged(agent=wang, availability=Availability.ONLINE, availability_since=START + 9),
    )

    assert (away.availability, away.availability_reason) == (Availability.BREAK, "lunch")
    assert (asked.availability, asked.missed_offers, asked.last_assigned_at) == (
        Availability.BREAK,
        1,
        START + 5,
    )
    assert (back.availability_reason, back.availability_since) == (None, START + 9)
