from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from deskwire.desk.events import Stream
from deskwire.desk.people import Principal
from deskwire.flows import presence
from deskwire.flows.presence import Presences
from deskwire.realtime.frames import Ephemeral
from deskwire.realtime.gate import ConnectionId, PresenceChanged, PresenceState
from deskwire.realtime.gate import Principal as Who
from deskwire.realtime.presence import Lease, MemoryPresence
from deskwire.storage.engine import StoreUnavailable
from tests.flows.office import ANN, BO, MEI, WANG, Office, agent

# Over sockets the same is told on either database.
pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


class Desk:
    """What the flow tells of an office, and the connections that it hears of."""

    def __init__(self, office: Office) -> None:
        self.told: list[Ephemeral] = []
        self.registry = MemoryPresence()
        self.flow = Presences(
            office.store,
            sign=self.told.append,
            clock=office.clock,
            registry=self.registry,
            is_partial=False,
        )

    async def tell(self) -> dict[str, dict[str, Any]]:
        """What is told now, by key."""
        self.told.clear()
        await self.flow.tell()
        return {f"{each.stream} {each.key}": dict(each.data) for each in self.told}

    async def goes(self, who: Principal, state: PresenceState) -> None:
        change = PresenceChanged(who=Who(who.realm.value, who.person), state=state)
        await self.flow.reported([change])


@pytest.fixture
async def desk(office: Office) -> Desk:
    return Desk(office)


def states(signs: Sequence[Ephemeral]) -> dict[str, tuple[str, Any]]:
    return {each.data["principal"]["id"]: (each.data["state"], each.data["load"]) for each in signs}


async def test_agents_are_told_who_is_there_and_what_they_have_in_hand(
    office: Office, desk: Desk
) -> None:
    await desk.tell()
    office.here(WANG)

    came = await desk.tell()
    again = await desk.tell()
    await office.claimed()
    took = await desk.tell()

    key, wang = "desk presence:agent:wang", {"realm": "agent", "id": "wang"}
    assert came == {key: {"principal": wang, "state": "connected", "load": 0}}
    assert again == {}
    assert took == {key: {"principal": wang, "state": "connected", "load": 1}}


async def test_an_absence_is_a_grace_and_then_a_loss(office: Office, desk: Desk) -> None:
    office.here(WANG, seconds=0)
    seen = []
    for seconds in (0, 60, 31):
        await office.after(seconds)
        await desk.tell()
        seen.append(states(await desk.flow.signs(Stream("desk")))["wang"])

    assert seen == [("grace", 0), ("grace", 0), ("lost", 0)]


async def test_who_comes_to_watch_hears_last_of_those_who_are_there(
    office: Office, desk: Desk
) -> None:
    office.here(agent("chen"))
    await desk.tell()

    signs = await desk.flow.signs(Stream("desk"))

    assert len(signs) == 7
    assert signs[-1].key == "presence:agent:chen"


async def test_a_desk_of_too_many_agents_is_not_told_of_them(
    office: Office, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.tell()
    monkeypatch.setattr(presence, "AGENTS_MAX", 6)
    office.here(WANG)

    assert await desk.tell() == {}
    assert await desk.flow.signs(Stream("desk")) == []


async def test_an_agent_who_is_disabled_is_told_as_lost(office: Office, desk: Desk) -> None:
    office.here(WANG)
    await desk.tell()
    office.write("UPDATE person SET disabled_at = 1 WHERE person_id = 'wang'")

    told = await desk.tell()

    assert [each["state"] for each in told.values()] == ["lost"]


async def test_an_employees_presence_is_told_to_staff_of_their_conversations_alone(
    office: Office, desk: Desk
) -> None:
    conv, _ = await office.claimed(ANN), await office.claimed(BO)
    await desk.tell()

    await desk.goes(ANN, "connected")
    told = await desk.tell()

    assert told == {
        f"conv:{conv}:staff presence:employee:ann": {
            "principal": {"realm": "employee", "id": "ann"},
            "state": "connected",
            "load": None,
            "partial": False,
        }
    }


async def test_of_several_changes_the_last_is_told(office: Office, desk: Desk) -> None:
    await office.claimed(ANN)
    await desk.tell()
    for state in ("connected", "grace", "lost"):
        await desk.goes(ANN, state)

    assert [each["state"] for each in (await desk.tell()).values()] == ["lost"]


async def test_an_agents_own_sockets_say_nothing_of_them_as_an_employee(
    office: Office, desk: Desk
) -> None:
    await office.claimed(MEI)
    await desk.tell()

    await desk.goes(agent("mei"), "connected")

    assert await desk.tell() == {}


async def test_staff_who_come_to_watch_see_who_takes_part(office: Office, desk: Desk) -> None:
    conv = await office.claimed(ANN)
    for person in ("bo", "cy"):
        guest = {"realm": "employee", "person": person}
        await office.yes(WANG, "invite_participant", conv, **guest)
    await office.yes(WANG, "remove_participant", conv, realm="employee", person="cy")
    here = Lease(
        connection=ConnectionId("c1"), principal=Who("employee", "ann"), node="n", node_start=1
    )
    await desk.registry.hold([here])

    staff = await desk.flow.signs(Stream(f"conv:{conv}:staff"))
    others = [
        await desk.flow.signs(Stream(name))
        for name in (f"conv:{conv}", "employee:ann", "queue:support", "conv:nowhere:staff")
    ]

    assert states(staff) == {"ann": ("connected", None), "bo": ("lost", None)}
    assert not any(others)


async def test_what_could_not_be_read_is_told_later(office: Office, desk: Desk) -> None:
    await office.claimed(ANN)
    await desk.tell()
    await desk.goes(ANN, "connected")
    office.write("ALTER TABLE participant RENAME TO hidden")
    with pytest.raises(StoreUnavailable):
        await desk.tell()
    office.write("ALTER TABLE hidden RENAME TO participant")

    assert [each["state"] for each in (await desk.tell()).values()] == ["connected"]
