from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from deskwire.desk.people import Principal
from deskwire.desk.refusals import Code, Refusal
from deskwire.flows.watch import DeskGate
from deskwire.realtime.frames import Ephemeral
from deskwire.realtime.gate import LoginId, LoginState, Loss, Permit, Report
from deskwire.realtime.gate import Principal as Who
from deskwire.storage import logins
from deskwire.storage.engine import StoreUnavailable
from deskwire.storage.gathering import AT_ONCE_MAX
from deskwire.storage.logins import LoginRecord
from tests.flows.office import ANN, BO, CHEN, LINA, QIAN, START, WANG, Office, agent

ROOT = agent("root")
SIGN = Ephemeral(stream="conv:x", type="marks", key="marks:agent:staff")


class Gate:
    """The gate on an office's store, with one good login for each who asks."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self.heard: list[Report] = []
        self.inspections: list[tuple[str, str]] = []
        self.recording: Refusal | None = None
        self.gate = DeskGate(
            office.store,
            signs=self._signs,
            reported=(self._hear,),
            looked_in=self._look_in,
        )

    async def _look_in(self, who: Principal, conv_id: str) -> Refusal | None:
        self.inspections.append((who.person, conv_id))
        return self.recording

    async def _signs(self, stream: str) -> Sequence[Ephemeral]:
        return [SIGN] if stream == "conv:x" else []

    async def _hear(self, reports: Sequence[Report]) -> None:
        self.heard += reports

    async def login(self, who: Principal) -> LoginId:
        name = f"login-{who.realm}-{who.person}"
        async with self.office.store.writing() as conn:
            if not await logins.by_ids(conn, [name]):
                record = LoginRecord(id=name, principal=who, created=START, expires=START + 1000)
                await logins.create(conn, name.encode(), record)
        return LoginId(name)

    async def permits(self, who: Principal, *streams: str) -> dict[str, Permit | None]:
        login = await self.login(who)
        found = await self.gate.permits(Who(who.realm.value, who.person), login, streams)
        return dict(found.permits)

    async def revoke(self, login: str, why: str = "logged_out") -> None:
        async with self.office.store.writing() as conn:
            await logins.revoke(conn, login, why, START)


@pytest.fixture
async def gate(office: Office) -> Gate:
    return Gate(office)


async def test_a_storm_of_arrivals_may_name_as_many_streams_as_each_is_allowed(
    office: Office, gate: Gate
) -> None:
    conv = await office.claimed()
    login = await gate.login(ANN)
    named = [
        [f"conv:{conv}", *(f"conv:none{n}-{k}" for k in range(199))] for n in range(AT_ONCE_MAX)
    ]

    found = await asyncio.gather(
        *(gate.gate.permits(Who("employee", ANN.person), login, streams) for streams in named)
    )

    seen = [name for each in found for name, permit in each.permits.items() if permit is not None]
    assert seen == [f"conv:{conv}"] * AT_ONCE_MAX


async def test_a_permit_is_given_for_what_one_may_see(office: Office, gate: Gate) -> None:
    conv = await office.claimed()
    public, staff = f"conv:{conv}", f"conv:{conv}:staff"
    asked = (public, staff, "queue:support", "desk", "agent:wang", "employee:ann", "conv:none")

    permits = {str(who.person): await gate.permits(who, *asked) for who in (ANN, BO, WANG, QIAN)}

    seen = {name: {s for s, permit in found.items() if permit} for name, found in permits.items()}
    assert seen == {
        "ann": {public, "employee:ann"},
        "bo": set(),
        "wang": {public, staff, "queue:support", "desk", "agent:wang"},
        "qian": {"desk"},
    }
    assert permits["ann"][public] == Permit(after=0, until=None)


async def test_an_invited_employee_is_given_their_piece(office: Office, gate: Gate) -> None:
    conv = await office.claimed()
    office.write("INSERT INTO participant VALUES (?, 'employee', 'bo', 'invited', 4, NULL)", conv)
    before = await gate.permits(BO, f"conv:{conv}", f"conv:{conv}:staff")
    office.write("UPDATE participant SET left_at = 6 WHERE person_id = 'bo'")
    after = await gate.permits(BO, f"conv:{conv}", f"conv:{conv}:staff")

    assert before == {f"conv:{conv}": Permit(after=3), f"conv:{conv}:staff": None}
    assert after == {f"conv:{conv}": Permit(after=3, until=6), f"conv:{conv}:staff": None}


@pytest.mark.parametrize(
    "what",
    [
        "UPDATE person SET disabled_at = 1",
        "DELETE FROM group_member",
        "UPDATE login SET revoked = 1",
        "DELETE FROM login",
    ],
)
async def test_rights_are_asked_anew_each_time(office: Office, gate: Gate, what: str) -> None:
    login = await gate.login(WANG)
    who = Who("agent", "wang")
    before = await gate.gate.permits(who, login, ["queue:support"])
    office.write(what)

    after = await gate.gate.permits(who, login, ["queue:support"])

    assert (before.permits, after.permits) == (
        {"queue:support": Permit()},
        {"queue:support": None},
    )


@pytest.mark.parametrize("owner", [CHEN, ANN, agent("mei")])
async def test_somebody_elses_login_gives_nothing(
    office: Office, gate: Gate, owner: Principal
) -> None:
    login = await gate.login(owner)

    found = await gate.gate.permits(Who("agent", "wang"), login, ["queue:support"])

    assert found.permits == {"queue:support": None}


async def test_the_permits_name_the_access_number_they_were_read_under(gate: Gate) -> None:
    await gate.login(CHEN)
    await gate.revoke("login-agent-chen")

    found = await gate.gate.permits(Who("agent", "wang"), await gate.login(WANG), ["desk"])

    assert found.access == 1


async def test_a_logout_is_a_loss_that_every_node_reads(gate: Gate) -> None:
    for who in (WANG, ANN):
        await gate.revoke(await gate.login(who))

    present = await gate.gate.narrowed(-1)
    both = await gate.gate.narrowed(0)
    second = await gate.gate.narrowed(1)

    losses = [
        Loss(login=LoginId(f"login-{name}"), why="logged_out")
        for name in ("agent-wang", "employee-ann")
    ]
    assert (present.access, present.losses) == (2, ())
    assert (both.access, both.losses) == (2, tuple(losses))
    assert (second.access, second.losses) == (2, tuple(losses[1:]))


async def test_a_loss_names_the_principal_and_the_stream_where_it_has_them(
    office: Office, gate: Gate
) -> None:
    office.write(
        "INSERT INTO access (n, realm, person, stream_id, why, at)"
        " VALUES (1, 'agent', 'wang', 'queue:support', 'left', 0)"
    )

    found = await gate.gate.narrowed(0)

    assert found.losses == (
        Loss(principal=Who("agent", "wang"), stream="queue:support", why="left"),
    )


async def test_logins_say_how_they_stand(office: Office, gate: Gate) -> None:
    ids = [await gate.login(who) for who in (WANG, CHEN, ANN)]
    await gate.revoke(ids[1])
    office.write("UPDATE person SET disabled_at = 1 WHERE person_id = 'ann'")

    found = await gate.gate.logins([*ids, LoginId("unknown")])

    until = START + 1000
    assert found == {
        ids[0]: LoginState(until_ms=until),
        ids[1]: LoginState(until_ms=until, ended="logged_out"),
        ids[2]: LoginState(until_ms=until, ended="disabled"),
    }


async def test_who_was_sent_away_is_told_so_on_every_node(gate: Gate) -> None:
    login = await gate.login(WANG)
    await gate.revoke(login, "kicked")

    found = await gate.gate.logins([login])

    assert found[login].ended == "disabled"


async def test_an_admin_from_outside_is_recorded_before_a_conversation_is_given(
    office: Office, gate: Gate
) -> None:
    conv = await office.claimed()
    streams = (f"conv:{conv}", f"conv:{conv}:staff", "desk", "conv:nowhere")
    for who in (ANN, WANG, LINA, ROOT):
        await gate.permits(who, *streams)
    recorded = list(gate.inspections)
    gate.recording = Refusal(Code.TRY_LATER)

    with pytest.raises(StoreUnavailable):
        await gate.permits(ROOT, *streams)

    assert recorded == [("root", conv)]


async def test_signs_and_reports_are_handed_on(gate: Gate) -> None:
    report: Any = object()

    await gate.gate.report([report])

    assert gate.heard == [report]
    assert await gate.gate.signs("conv:x") == [SIGN]
