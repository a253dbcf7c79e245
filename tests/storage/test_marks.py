from __future__ import annotations

import asyncio
from random import Random

from deskwire.desk.events import Stream
from deskwire.desk.marks import Mark
from deskwire.desk.people import Principal
from deskwire.storage import marks
from tests.flows.office import ANN, START, WANG, Office, employee

STREAM = Stream("conv:x")


def mark(who: Principal, delivered: int, read: int, at: int = START) -> Mark:
    return Mark(realm=who.realm, person=who.person, delivered=delivered, read=read, at=at)


async def save(office: Office, *risen: Mark, stream: Stream = STREAM) -> None:
    async with office.store.writing() as conn:
        await marks.save(conn, [(stream, each) for each in risen])


async def stored(office: Office) -> list[Mark]:
    async with office.store.reading() as conn:
        return list((await marks.of_streams(conn, [STREAM])).get(STREAM, ()))


async def test_what_another_node_stored_higher_stays(office: Office) -> None:
    await save(office, mark(ANN, 7, 3, at=START + 9))

    await save(office, mark(ANN, 5, 5))

    assert await stored(office) == [mark(ANN, 7, 5, at=START + 9)]


async def test_nodes_that_store_the_same_marks_at_once_wait_in_one_order(office: Office) -> None:
    dice = Random(7)
    people = [ANN, WANG, *(employee(f"e{n}") for n in range(6))]
    batches = [
        [mark(who, n, n // 2) for who in dice.sample(people, len(people))] for n in range(1, 13)
    ]

    await asyncio.gather(*(save(office, *batch) for batch in batches))

    assert {(each.delivered, each.read) for each in await stored(office)} == {(12, 6)}


async def test_one_principals_marks_are_found_among_all(office: Office) -> None:
    await save(office, mark(ANN, 2, 1), mark(WANG, 3, 3))
    await save(office, mark(WANG, 9, 9), stream=Stream("conv:y"))

    async with office.store.reading() as conn:
        own = await marks.of_principal(conn, WANG, [STREAM, Stream("conv:none")])

    assert own == {STREAM: mark(WANG, 3, 3)}


async def test_no_marks_are_no_statement(office: Office) -> None:
    await save(office)

    assert await stored(office) == []
