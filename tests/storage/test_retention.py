from __future__ import annotations

import pytest

from deskwire.desk.events import Stream
from deskwire.storage import retention
from tests.flows.office import ANN, BO, START, WANG, Office

MINUTE_MS = 60_000
DESK = Stream("desk")


async def said(office: Office, times: int) -> None:
    """Wang says something of themselves, once a minute: on desk and on their own stream."""
    for number in range(times):
        office.now_ms = START + number * MINUTE_MS
        word = ("busy", "online")[number % 2]
        await office.yes(WANG, "set_availability", availability=word)


async def trimmed(office: Office, name: str, before: int) -> int:
    async with office.store.writing() as conn:
        return await retention.trim(conn, Stream(name), before)


def kept(office: Office, name: str) -> list[int]:
    rows = office.sql("SELECT position FROM stream_event WHERE stream_id = ? ORDER BY 1", name)
    return [row[0] for row in rows]


def floor(office: Office, name: str) -> int:
    return int(office.one("SELECT floor FROM stream WHERE stream_id = ?", name))


async def test_a_stream_keeps_what_is_young_without_a_hole(office: Office) -> None:
    await said(office, 4)

    count = await trimmed(office, "desk", START + 2 * MINUTE_MS)
    again = await trimmed(office, "desk", START + 2 * MINUTE_MS)

    assert (count, again) == (2, 0)
    assert kept(office, "desk") == [3, 4]
    assert (floor(office, "desk"), office.head("desk")) == (3, 4)


async def test_a_stream_of_which_all_is_old_goes_on_at_the_next_position(office: Office) -> None:
    await said(office, 2)

    await trimmed(office, "desk", START + 9 * MINUTE_MS)
    emptied = kept(office, "desk"), floor(office, "desk")
    await said(office, 3)

    assert emptied == ([], 3)
    assert kept(office, "desk") == [3, 4, 5]
    page = await office.log.read("desk", 2)
    assert [each.position for each in page.events] == [3, 4, 5]


async def test_an_event_goes_with_its_last_place(office: Office) -> None:
    await said(office, 2)
    counts = []
    for name in ("desk", "agent:wang"):
        await trimmed(office, name, START + MINUTE_MS)
        counts.append(office.one("SELECT count(*) FROM event"))

    assert counts == [2, 1]


async def test_the_end_of_an_offer_stays_for_the_audit(office: Office) -> None:
    conv, offer = await office.offered()
    await office.yes(WANG, "decline_offer", conv, offer_id=offer, reason="忙")

    for name in ("agent:wang", "queue:support"):
        await trimmed(office, name, START + 1)

    types = {row[0] for row in office.sql("SELECT type FROM event")}
    assert "offer.closed" in types
    assert "offer.made" not in types


async def test_a_piece_is_bounded(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "ROWS_MAX", 2)
    await said(office, 5)

    counts = [await trimmed(office, "desk", START + 9 * MINUTE_MS) for _ in range(4)]

    assert counts == [2, 2, 1, 0]


async def test_no_conversation_is_ever_overdue(office: Office) -> None:
    for who in (ANN, BO):
        await office.claimed(who)

    async with office.store.reading() as conn:
        old = await retention.overdue(conn, START + 1)
        young = await retention.overdue(conn, START)

    assert old == ["agent:wang", "employee:ann", "employee:bo", "queue:support"]
    assert young == []
