from __future__ import annotations

import asyncio
from typing import Any

import pytest

from deskwire.desk.events import Stream
from deskwire.flows.places import Places
from deskwire.realtime.frames import Ephemeral
from deskwire.storage.engine import StoreUnavailable
from tests.flows.office import ANN, BO, EMPLOYEES, LINA, WANG, Office, employee

CY = employee("cy")


class Board:
    """Places of an office, and every sign that went out."""

    def __init__(self, office: Office) -> None:
        self.told: list[Ephemeral] = []
        self.places = Places(office.store, sign=self.told.append, clock=office.clock)

    async def tell(self, group: str = "support") -> dict[str, tuple[int, Any]]:
        """What is told now: stream → place and reason."""
        self.told.clear()
        self.places.rung(f"queue:{group}")
        await self.places.tell()
        return {each.stream: (each.data["place"], each.data["reason"]) for each in self.told}


@pytest.fixture
async def board(office: Office) -> Board:
    return Board(office)


async def test_whoever_waits_is_told_how_many_are_before_them(office: Office, board: Board) -> None:
    for who in (ANN, BO):
        await office.opened(who)
        office.now_ms += 1_000

    told = await board.tell()

    assert told == {"employee:ann": (1, None), "employee:bo": (2, None)}


async def test_only_what_has_changed_is_told_again(office: Office, board: Board) -> None:
    convs = {who: await office.opened(who) for who in (ANN, BO, CY)}
    await board.tell()
    again = await board.tell()
    await office.yes(LINA, "claim_conversation", convs[BO])

    moved = await board.tell()

    assert again == {}
    assert moved == {"employee:cy": (2, None)}


async def test_a_higher_priority_moves_others_back(office: Office, board: Board) -> None:
    convs = [await office.opened(who) for who in (ANN, BO)]
    await board.tell()
    await office.yes(LINA, "set_priority", convs[1], priority=2, version=0)

    moved = await board.tell()

    assert {stream: place for stream, (place, _) in moved.items()} == {
        "employee:bo": 1,
        "employee:ann": 2,
    }


async def test_the_wait_is_told_once_enough_are_known_and_somebody_is_online(
    office: Office, board: Board
) -> None:
    office.here(WANG, seconds=7_200)
    for number in range(6):
        conv = await office.claimed(employee(EMPLOYEES[number % 3]))
        await office.yes(WANG, "resolve_conversation", conv)
        await office.yes(employee(EMPLOYEES[number % 3]), "confirm_solved", conv)
        office.now_ms += 600_000
    await office.opened(ANN)

    await board.tell()

    (sign,) = board.told
    assert (sign.type, sign.data["low_s"], sign.data["high_s"]) == ("queue_place", 420, 900)


async def test_without_a_number_the_reason_is_told(office: Office, board: Board) -> None:
    await office.opened(ANN)
    await office.settle()

    told = await board.tell()

    assert told == {"employee:ann": (1, "none_online")}
    assert board.told[0].data["low_s"] is None


async def test_whoever_comes_to_watch_is_told_where_they_stand(
    office: Office, board: Board
) -> None:
    conv = await office.opened(ANN)
    await office.opened(BO)
    await office.opened(BO, category_id="printer")

    names = ("employee:bo", "agent:wang", "employee:nobody", "employee:ann")
    own, agents, stranger, ann = await asyncio.gather(
        *(board.places.signs(Stream(name)) for name in names)
    )

    assert {sign.data["place"] for sign in own} == {1, 2}
    assert conv not in {sign.data["conv"] for sign in own}
    assert list(agents) == list(stranger) == []
    assert [(sign.data["conv"], sign.data["place"]) for sign in ann] == [(conv, 1)]


async def test_what_could_not_be_read_is_told_later(office: Office, board: Board) -> None:
    await office.opened(ANN)
    board.places.rung("queue:support")
    office.write("ALTER TABLE assignment RENAME TO hidden")
    with pytest.raises(StoreUnavailable):
        await board.places.tell()
    office.write("ALTER TABLE hidden RENAME TO assignment")

    await board.places.tell()

    assert [sign.stream for sign in board.told] == ["employee:ann"]


async def test_other_streams_move_no_queue(board: Board) -> None:
    for stream in ("conv:x", "desk", "agent:wang", "employee:ann"):
        board.places.rung(stream)

    await board.places.tell()

    assert board.told == []
