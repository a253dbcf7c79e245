from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from deskwire.desk.people import PersonId, Role
from deskwire.storage import agents, people
from tests.flows.office import ANN, MEI, WANG, Office, agent, agent_record, employee, person


async def test_an_actor_has_the_rights_of_their_realm_alone(office: Office) -> None:
    async with office.store.reading() as conn:
        found = await people.actors(conn, [MEI, agent("mei"), agent("ann"), employee("nobody")])

    assert set(found) == {MEI, agent("mei")}
    assert (found[MEI].role, found[MEI].groups, found[MEI].capacity) == (None, frozenset(), 0)
    assert (found[agent("mei")].role, found[agent("mei")].groups) == (
        Role.AGENT,
        frozenset({"support"}),
    )


async def test_a_disabled_person_acts_in_no_realm(office: Office) -> None:
    office.write("UPDATE person SET disabled_at = 1 WHERE person_id = 'mei'")

    async with office.store.reading() as conn:
        found = await people.actors(conn, [MEI, agent("mei")])
        login = await people.credentials(conn, "mei")

    assert (found, login) == ({}, None)


@pytest.mark.parametrize("name", ["wang", "WANG", "Wang"])
async def test_a_login_name_is_compared_without_case(office: Office, name: str) -> None:
    async with office.store.reading() as conn:
        found = await people.credentials(conn, name)

    assert found is not None
    assert found[0] == "wang"


async def test_an_agent_without_a_password_has_no_hash(office: Office) -> None:
    async with office.store.writing() as conn:
        await people.save_agent(conn, agent_record("ann"))
        found = await people.credentials(conn, "ann")

    assert found == ("ann", None)


async def test_saving_a_person_again_brings_them_up_to_date(office: Office) -> None:
    async with office.store.writing() as conn:
        await people.save_person(conn, person("ann", language="en"))
        found = await people.by_id(conn, "ann")

    assert found == person("ann", language="en")
    assert office.one("SELECT count(*) FROM person WHERE person_id = 'ann'") == 1


async def test_a_member_who_is_known_keeps_all_that_wecom_does_not_say(office: Office) -> None:
    async with office.store.writing() as conn:
        await people.save_person(conn, person("ann", language="en", avatar="a", disabled_at=1))
        found = await people.remember_member(
            conn, userid="wx-ann", name="安娜", department="财务部", new_id="new"
        )
        record = await people.by_id(conn, "ann")

    assert found == "ann"
    assert record == replace(
        person("ann", language="en", avatar="a", disabled_at=1), name="安娜", department="财务部"
    )


async def test_whoever_comes_for_the_first_time_twice_at_once_is_one_person(
    office: Office,
) -> None:
    async def come(new_id: str) -> PersonId:
        async with office.store.writing() as conn:
            return await people.remember_member(
                conn, userid="wx-new", name="新人", department="", new_id=new_id
            )

    found = await asyncio.gather(*(come(f"new-{n}") for n in range(6)))

    assert len(set(found)) == 1
    assert office.sql("SELECT person_id FROM person WHERE wecom_userid = 'wx-new'") == [(found[0],)]


async def test_saving_an_agent_again_replaces_the_groups_and_keeps_the_load(
    office: Office,
) -> None:
    await office.claimed()

    async with office.store.writing() as conn:
        await people.save_agent(conn, agent_record("wang", groups=("facilities",)))
        found = await people.actor(conn, WANG)

    assert found is not None
    assert (found.groups, found.load) == (frozenset({"facilities"}), 1)


async def test_a_load_rises_to_the_capacity_and_no_further(office: Office) -> None:
    async with office.store.writing() as conn:
        answers = [await agents.change_load(conn, PersonId("wang"), 1) for _ in range(6)]
        down = await agents.change_load(conn, PersonId("wang"), -1)
        nobody = await agents.change_load(conn, ANN.person, 1)

    assert answers == [True] * 5 + [False]
    assert (down, nobody) == (True, False)
    assert office.one("SELECT load FROM agent WHERE person_id = 'wang'") == 4
