from __future__ import annotations

from typing import Any

import pytest

from deskwire.desk.events import Stream
from deskwire.desk.people import Principal
from deskwire.flows.marks import Marks
from deskwire.realtime.frames import Ephemeral
from deskwire.realtime.gate import (
    Acked,
    ConnectionId,
    LoginId,
    MarkedRead,
    TypingSign,
)
from deskwire.realtime.gate import Principal as Who
from tests.flows.office import ANN, BO, CHEN, LINA, START, WANG, Office


class Teller:
    """Marks on an office's store, and every sign that went out."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self.signs: list[Ephemeral] = []
        self.marks = Marks(office.store, sign=self.signs.append, now=lambda: office.now_ms)

    async def acked(self, who: Principal, stream: str, position: int) -> None:
        await self.marks.reported([Acked(**_from(who), positions={stream: position})])

    async def read(self, who: Principal, stream: str, position: int) -> None:
        await self.marks.reported([MarkedRead(**_from(who), stream=stream, position=position)])

    def stored(self) -> dict[tuple[str, str], tuple[int, int]]:
        rows = self.office.sql("SELECT stream_id, person, delivered, read FROM mark")
        return {(row[0], row[1]): (row[2], row[3]) for row in rows}

    def told(self) -> list[tuple[str, str, dict[str, Any]]]:
        return [(sign.stream, sign.key, dict(sign.data)) for sign in self.signs]


def _from(who: Principal) -> dict[str, Any]:
    return {
        "who": Who(who.realm.value, who.person),
        "login": LoginId("login-1"),
        "connection": ConnectionId("c1"),
    }


@pytest.fixture
async def teller(office: Office) -> Teller:
    return Teller(office)


async def test_acks_and_reads_are_stored_as_the_highest_of_a_persons_devices(
    office: Office, teller: Teller
) -> None:
    conv = await office.claimed()
    stream = f"conv:{conv}"
    for position in (3, 1, 2):
        await teller.acked(ANN, stream, position)
    await teller.read(ANN, stream, 2)

    await teller.marks.flush()

    assert teller.stored() == {(stream, "ann"): (3, 2)}


async def test_nothing_is_stored_above_the_head(office: Office, teller: Teller) -> None:
    conv = await office.claimed()
    stream = f"conv:{conv}"
    await teller.read(ANN, stream, 2**53)

    await teller.marks.flush()

    assert teller.stored() == {(stream, "ann"): (4, 4)}


async def test_a_mark_never_falls(office: Office, teller: Teller) -> None:
    conv = await office.claimed()
    stream = f"conv:{conv}"
    for position in (4, 2):
        await teller.read(ANN, stream, position)
        await teller.marks.flush()

    assert teller.stored() == {(stream, "ann"): (4, 4)}


async def test_what_says_nothing_new_writes_nothing_and_tells_nobody(
    office: Office, teller: Teller
) -> None:
    conv = await office.claimed()
    await teller.read(ANN, f"conv:{conv}", 4)
    await teller.marks.flush()
    teller.signs.clear()
    office.now_ms += 1

    await teller.read(ANN, f"conv:{conv}", 4)
    await teller.marks.flush()

    assert teller.signs == []
    assert office.one("SELECT at FROM mark") == START


@pytest.mark.parametrize("who", [LINA, CHEN, BO])
async def test_whoever_only_looks_on_moves_nothing(
    office: Office, teller: Teller, who: Principal
) -> None:
    conv = await office.claimed()
    await teller.read(who, f"conv:{conv}", 4)

    await teller.marks.flush()

    assert (teller.stored(), teller.signs) == ({}, [])


async def test_who_has_left_moves_nothing_any_more(office: Office, teller: Teller) -> None:
    conv = await office.claimed()
    office.write("UPDATE participant SET left_at = 4 WHERE person_id = 'wang'")
    await teller.read(WANG, f"conv:{conv}", 4)

    await teller.marks.flush()

    assert teller.stored() == {}


async def test_streams_that_know_no_marks_move_nothing(office: Office, teller: Teller) -> None:
    conv = await office.claimed()
    for stream in (f"conv:{conv}:staff", "queue:support", "desk", "employee:ann", "agent:chen"):
        await teller.acked(WANG, stream, 1)
        await teller.read(WANG, stream, 1)

    await teller.marks.flush()

    assert teller.stored() == {}


async def test_ones_own_personal_stream_keeps_what_was_delivered(
    office: Office, teller: Teller
) -> None:
    await office.claimed()
    await teller.acked(WANG, "agent:wang", 2)
    await teller.acked(ANN, "employee:ann", 1)

    await teller.marks.flush()

    assert teller.stored() == {("agent:wang", "wang"): (2, 0), ("employee:ann", "ann"): (1, 0)}
    assert teller.signs == []


async def test_an_agents_mark_is_told_as_staff_to_all_by_name_to_staff_and_to_themselves(
    office: Office, teller: Teller
) -> None:
    conv = await office.claimed()
    await office.post(ANN, conv)
    await teller.read(WANG, f"conv:{conv}", 4)

    await teller.marks.flush()

    facts = {"realm": "agent", "delivered": 4, "read": 4, "at": START}
    assert teller.told() == [
        (f"conv:{conv}", "marks:agent:staff", {"person": "staff", **facts}),
        (f"conv:{conv}:staff", "marks:agent:wang", {"person": "wang", **facts}),
        (
            "agent:wang",
            f"marks:{conv}",
            {"conv": conv, "delivered": 4, "read": 4, "unread": 1},
        ),
    ]


async def test_an_employees_mark_is_told_by_name_and_to_their_other_devices(
    office: Office, teller: Teller
) -> None:
    conv = await office.claimed()
    await office.post(WANG, conv)
    await teller.acked(ANN, f"conv:{conv}", 5)

    await teller.marks.flush()

    facts = {"realm": "employee", "delivered": 5, "read": 0, "at": START}
    assert teller.told() == [
        (f"conv:{conv}", "marks:employee:ann", {"person": "ann", **facts}),
        ("employee:ann", f"marks:{conv}", {"conv": conv, "delivered": 5, "read": 0, "unread": 1}),
    ]


async def test_toward_employees_staff_has_read_what_any_agent_has(
    office: Office, teller: Teller
) -> None:
    conv = await office.claimed()
    await office.yes(CHEN, "join_conversation", conv)
    await teller.read(WANG, f"conv:{conv}", 5)
    await teller.marks.flush()
    teller.signs.clear()

    await teller.read(CHEN, f"conv:{conv}", 2)
    await teller.marks.flush()

    public = [sign for sign in teller.signs if sign.stream == f"conv:{conv}"]
    assert [(sign.data["person"], sign.data["read"]) for sign in public] == [("staff", 5)]


async def test_no_sign_that_reaches_an_employee_names_an_agent(
    office: Office, teller: Teller
) -> None:
    conv = await office.claimed()
    await teller.read(WANG, f"conv:{conv}", 4)
    await teller.marks.flush()

    stand = await teller.marks.signs(Stream(f"conv:{conv}"))

    reaching = [sign for sign in (*teller.signs, *stand) if sign.stream == f"conv:{conv}"]
    assert len(reaching) == 2
    assert "wang" not in repr(reaching)


async def test_marks_as_they_stand_are_told_to_whoever_begins_to_watch(
    office: Office, teller: Teller
) -> None:
    conv = await office.claimed()
    await office.yes(CHEN, "join_conversation", conv)
    for who, position in ((ANN, 1), (WANG, 3), (CHEN, 2)):
        await teller.read(who, f"conv:{conv}", position)
    await teller.marks.flush()

    public = await teller.marks.signs(Stream(f"conv:{conv}"))
    staff = await teller.marks.signs(Stream(f"conv:{conv}:staff"))

    assert [(s.key, s.data["read"]) for s in public] == [
        ("marks:employee:ann", 1),
        ("marks:agent:staff", 3),
    ]
    assert [(s.key, s.data["read"]) for s in staff] == [
        ("marks:agent:chen", 2),
        ("marks:agent:wang", 3),
    ]
    assert {s.stream for s in staff} == {f"conv:{conv}:staff"}


async def test_streams_without_a_conversation_have_no_marks_to_tell(teller: Teller) -> None:
    assert await teller.marks.signs(Stream("desk")) == ()


async def test_what_the_store_did_not_take_is_stored_the_next_time(
    office: Office, teller: Teller
) -> None:
    conv = await office.claimed()
    stream = f"conv:{conv}"
    office.write("ALTER TABLE mark RENAME TO hidden")
    await teller.read(ANN, stream, 2)
    await teller.marks.flush()
    await teller.acked(ANN, stream, 4)
    office.write("ALTER TABLE hidden RENAME TO mark")

    await teller.marks.flush()

    assert teller.stored() == {(stream, "ann"): (4, 2)}


async def test_marks_of_many_people_are_one_transaction(office: Office, teller: Teller) -> None:
    convs = [await office.claimed(who) for who in (ANN, BO)]
    for conv in convs:
        for who in (ANN, BO, WANG):
            await teller.read(who, f"conv:{conv}", 4)

    await teller.marks.flush()

    assert set(teller.stored()) == {
        (f"conv:{convs[0]}", "ann"),
        (f"conv:{convs[0]}", "wang"),
        (f"conv:{convs[1]}", "bo"),
        (f"conv:{convs[1]}", "wang"),
    }


async def test_other_reports_are_somebody_elses(teller: Teller) -> None:
    await teller.marks.reported([TypingSign(**_from(WANG), stream="conv:x", on=True)])
    await teller.marks.flush()

    assert (teller.stored(), teller.signs) == ({}, [])
