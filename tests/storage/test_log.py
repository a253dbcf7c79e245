from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import pytest

from deskwire.desk import events as ev
from deskwire.desk.people import PersonRef
from deskwire.storage import log
from deskwire.storage.log import PAGE_BYTES_MAX
from tests.flows.office import ANN, BO, CHEN, LINA, START, WANG, Office, positions

STREAM = ev.Stream("conv:x")


def event(number: int, body: str = "a", streams: Sequence[ev.Stream] = (STREAM,)) -> ev.Event:
    posted = ev.MessagePosted(
        msg_id=f"m{number}", command_id="command-1", kind="text", body=body, turn="agent"
    )
    by = ev.By(ANN, PersonRef(id=ANN.person, name="Ann"))
    return ev.Event(
        id=f"e{number}",
        at=START,
        conv="x",
        by=by,
        data=posted,
        streams=tuple(streams),
        anchor=0,
    )


async def append(office: Office, *events: ev.Event) -> None:
    async with office.store.writing() as conn:
        await log.append(conn, events)


async def test_positions_are_dense_however_many_write_at_once(office: Office) -> None:
    convs = [await office.claimed(ANN, WANG), await office.claimed(BO, CHEN)]
    writers = [(convs[0], ANN), (convs[0], WANG), (convs[1], BO), (convs[1], CHEN)]

    await asyncio.gather(
        *(office.post(who, conv, str(n)) for n in range(4) for conv, who in writers),
        *(office.note(LINA, conv, str(n)) for n in range(4) for conv in convs),
        *(office.no(LINA, "claim_conversation", conv) for _ in range(2) for conv in convs),
    )  # fmt: skip

    for stream, head in office.sql("SELECT stream_id, head FROM stream"):
        found = office.sql(
            "SELECT position FROM stream_event WHERE stream_id = ? ORDER BY position", stream
        )
        assert positions(found) == list(range(1, head + 1)), stream
    assert office.head(f"conv:{convs[0]}") == 4 + 8
    assert office.head("queue:support") == 2 * (3 + 3) + 16


async def test_every_position_is_rung_once_it_can_be_read(office: Office) -> None:
    conv = await office.claimed()
    before = office.head(f"conv:{conv}")
    office.rings.clear()

    await asyncio.gather(*(office.post(ANN, conv, str(n)) for n in range(8)))

    rings = [ring for ring in office.rings if ring.stream == f"conv:{conv}"]
    assert sorted(ring.position for ring in rings) == list(range(before + 1, before + 9))
    assert all(ring.is_after_commit for ring in rings)


async def test_an_abort_leaves_no_hole(office: Office) -> None:
    await append(office, event(1))

    async def broken_off() -> None:
        async with office.store.writing() as conn:
            await log.append(conn, [event(2), event(3)])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await broken_off()

    await append(office, event(4))

    page = await office.log.read(STREAM, 0)
    assert [w.position for w in page.events] == [1, 2]
    assert [json.loads(w.body)["id"] for w in page.events] == ["e1", "e4"]


async def test_an_event_stands_in_each_stream_at_its_own_position(office: Office) -> None:
    queue = ev.Stream("queue:support")
    await append(office, event(1, streams=[queue]))

    async with office.store.writing() as conn:
        heads, placed = await log.append(
            conn, [event(2, streams=[STREAM, queue]), event(3), event(4, streams=[queue])]
        )

    assert placed == [{STREAM: 1, queue: 2}, {STREAM: 2}, {queue: 3}]
    assert {name: head.position for name, head in heads.items()} == {STREAM: 2, queue: 3}


async def test_an_event_has_the_same_bytes_in_every_stream(office: Office) -> None:
    queue = ev.Stream("queue:support")
    await append(office, event(1, body="😀\n", streams=[STREAM, queue]))

    bodies = [(await office.log.read(name, 0)).events[0].body for name in (STREAM, queue)]

    assert bodies[0] == bodies[1] == ev.encode(event(1, body="😀\n", streams=[STREAM, queue]))


# Reading ------------------------------------------------------------------------------------------


async def test_a_page_holds_at_most_as_many_events_as_asked(office: Office) -> None:
    await append(office, *(event(n) for n in range(1, 301)))

    first = await office.log.read(STREAM, 0)
    rest = await office.log.read(STREAM, 256)
    few = await office.log.read(STREAM, 10, 5)

    assert positions_of(first) == list(range(1, 257))
    assert positions_of(rest) == list(range(257, 301))
    assert positions_of(few) == [11, 12, 13, 14, 15]
    assert {first.head, rest.head, few.head} == {300}


async def test_a_page_holds_at_most_256_kib(office: Office) -> None:
    await append(office, *(event(n, body="x" * 60_000) for n in range(1, 11)))

    page = await office.log.read(STREAM, 0)

    size = len(page.events[0].body)
    assert positions_of(page) == [1, 2, 3, 4]
    assert size * 4 <= PAGE_BYTES_MAX < size * 5


async def test_a_page_holds_at_least_one_event_however_large(office: Office) -> None:
    await append(office, event(1), event(2, body="x" * (PAGE_BYTES_MAX + 1)), event(3))

    pages = [await office.log.read(STREAM, after) for after in (0, 1, 2)]

    assert [positions_of(page) for page in pages] == [[1], [2], [3]]


@pytest.mark.parametrize("after", [1, 5, 2**53])
async def test_behind_the_head_there_is_nothing(office: Office, after: int) -> None:
    await append(office, event(1))

    page = await office.log.read(STREAM, after)

    assert (page.events, page.head) == ((), 1)


def positions_of(page: log.Page) -> list[int]:
    return [written.position for written in page.events]


async def test_a_stream_without_events_stands_at_zero_of_the_stores_epoch(
    office: Office,
) -> None:
    epoch = office.one("SELECT epoch FROM store")

    heads = await office.log.heads(["conv:none", "desk"])
    page = await office.log.read("conv:none", 0)

    assert heads == {name: log.Head(epoch, 0, 1) for name in ("conv:none", "desk")}
    assert (page.epoch, page.events, page.head, page.access) == (epoch, (), 0, 0)


async def test_the_heads_of_many_streams_are_read_at_once(office: Office) -> None:
    names = [ev.Stream(f"conv:{n}") for n in range(601)]
    for name in names:
        office.write("INSERT INTO stream VALUES (?, 'epoch', 1, 1)", name)

    heads = await office.log.heads(names)

    assert {head.position for head in heads.values()} == {1}
    assert set(heads) == set(names)


async def test_a_page_names_the_access_number_of_its_moment(office: Office) -> None:
    office.write("UPDATE store SET access = 7")

    page = await office.log.read(STREAM, 0)

    assert page.access == 7


async def test_a_head_names_the_lowest_position_kept(office: Office) -> None:
    await append(office, *(event(n) for n in range(1, 6)))
    office.write("DELETE FROM stream_event WHERE position < 3")
    office.write("UPDATE stream SET floor = 3")

    head = (await office.log.heads([STREAM]))[STREAM]

    assert (head.floor, head.position) == (3, 5)


# Command ids -------------------------------------------------------------------------------------


async def test_what_a_command_led_to_is_remembered_for_its_sender_alone(office: Office) -> None:
    async with office.store.writing() as conn:
        first = await log.take_command(conn, ANN, "command-1", b"h" * 32, START)
        await log.answer_command(conn, ANN, "command-1", {"result": {"n": 1}})

    async with office.store.writing() as conn:
        own = await log.take_command(conn, ANN, "command-1", b"other", START + 1)
        others = [
            await log.take_command(conn, who, name, b"h" * 32, START)
            for who, name in ((BO, "command-1"), (ANN, "command-2"), (ANN, "COMMAND-1"))
        ]

    assert first is None
    assert own == log.Remembered(b"h" * 32, {"result": {"n": 1}})
    assert others == [None] * 3
