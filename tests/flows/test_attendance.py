from __future__ import annotations

import pytest

from deskwire.desk.people import Principal
from deskwire.flows.attendance import LEASE_MS, Attendance
from deskwire.realtime.connection import Closed, Opened
from deskwire.realtime.gate import ConnectionId
from deskwire.realtime.gate import Principal as Who
from tests.flows.office import ANN, BO, START, WANG, Office

GRACE_MS = 90_000


class Door:
    """Connections that come and go, as the manager tells of them."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self.attendance = Attendance(
            office.store,
            execute=office.execute,
            clock=office.clock,
            new_id=office.new_id,
            due=office.wake,
        )

    def opens(self, who: Principal, connection: str = "c1") -> None:
        self.attendance.heard(
            Opened(connection=ConnectionId(connection), who=Who(who.realm.value, who.person))
        )

    def closes(self, who: Principal, connection: str = "c1") -> None:
        whose = Who(who.realm.value, who.person)
        self.attendance.heard(
            Closed(connection=ConnectionId(connection), who=whose, code=1001, why="")
        )

    def due(self) -> dict[str, int]:
        return self.office.armed("agent_lost")


@pytest.fixture
async def door(office: Office) -> Door:
    return Door(office)


async def test_a_connected_agent_has_a_row_that_is_moved_while_they_are_here(door: Door) -> None:
    door.opens(WANG)
    door.opens(ANN)
    await door.attendance.flush()
    came = door.due()

    door.office.now_ms += 15_000
    await door.attendance.beat()

    assert came == {"wang": START + LEASE_MS + GRACE_MS}
    assert door.due() == {"wang": START + 15_000 + LEASE_MS + GRACE_MS}


async def test_the_last_connections_end_starts_the_grace_and_no_earlier_one(door: Door) -> None:
    door.opens(WANG, "c1")
    door.opens(WANG, "c2")
    await door.attendance.flush()
    door.closes(WANG, "c1")
    await door.attendance.flush()
    with_one = door.due()

    door.closes(WANG, "c2")
    await door.attendance.flush()
    await door.attendance.beat()

    assert with_one == {"wang": START + LEASE_MS + GRACE_MS}
    assert door.due() == {"wang": START + GRACE_MS}


async def test_whoever_comes_and_goes_between_two_writes_is_not_here(door: Door) -> None:
    door.opens(WANG)
    door.closes(WANG)

    await door.attendance.flush()

    assert door.due() == {"wang": START + GRACE_MS}


async def test_after_a_pause_of_all_nodes_agents_have_the_grace_to_come_back(door: Door) -> None:
    door.office.here(WANG, seconds=0)
    door.office.now_ms += 3_600_000

    await door.attendance.start()

    assert door.due() == {"wang": door.office.now_ms + GRACE_MS}


async def test_the_grace_is_a_setting(door: Door) -> None:
    door.office.write("INSERT INTO setting (name, value) VALUES ('presence_grace_s', 30)")
    door.opens(WANG)
    door.closes(WANG)

    await door.attendance.flush()

    assert door.due() == {"wang": START + 30_000}


async def test_an_agent_who_comes_is_what_a_queue_may_have_waited_for(
    office: Office, door: Door
) -> None:
    office.offering()
    conv = await office.opened()
    await office.settle()
    woken = office.wakings
    door.opens(WANG)

    await door.attendance.flush()
    await office.settle()

    assert office.wakings == woken + 1
    assert office.offer_of(conv) is not None


async def test_an_agent_who_comes_back_is_absent_no_longer(office: Office, door: Door) -> None:
    office.here(WANG, seconds=0)
    conv = await office.claimed(BO)
    await office.post(WANG, conv)
    await office.after(90)
    absent = bool(office.one("SELECT assignee_absent FROM conversation"))

    door.opens(WANG)
    await door.attendance.flush()
    await office.post(BO, conv, "在吗")

    assert absent
    assert office.status(conv) == "active"
    assert not office.one("SELECT assignee_absent FROM conversation")


async def test_connecting_and_leaving_change_no_availability(office: Office, door: Door) -> None:
    await office.yes(WANG, "set_availability", availability="offline")
    for deed in (door.opens, door.closes, door.opens):
        deed(WANG)
        await door.attendance.flush()

    assert office.one("SELECT availability FROM agent WHERE person_id = 'wang'") == "offline"


async def test_what_the_store_does_not_take_is_written_later(office: Office, door: Door) -> None:
    door.opens(WANG)
    office.write("ALTER TABLE timer RENAME TO hidden")

    await door.attendance.stop()
    office.write("ALTER TABLE hidden RENAME TO timer")
    await door.attendance.flush()

    assert door.due() == {"wang": START + LEASE_MS + GRACE_MS}
