from __future__ import annotations

import json
from typing import Any

from deskwire.desk.events import Stream
from deskwire.desk.marks import Mark
from deskwire.desk.people import Principal
from deskwire.storage import pushes
from tests.flows.office import ANN, CHEN, LINA, START, WANG, Office

MORNING = START + 2 * 3_600_000  # ten o'clock in China: no quiet hours


def armed(office: Office) -> dict[tuple[str, str], tuple[int, int, int, list[str]]]:
    """Person and stream → first, last, due and why."""
    rows = office.sql("SELECT person, stream_id, first, last, due, whys FROM push")
    return {(r[0], r[1]): (r[2], r[3], r[4], json.loads(r[5])) for r in rows}


async def mark(office: Office, who: Principal, stream: str, delivered: int) -> None:
    at = office.now_ms
    risen = Mark(realm=who.realm, person=who.person, delivered=delivered, read=0, at=at)
    async with office.store.writing() as conn:
        await pushes.marked(conn, [(who, Stream(stream), risen)])


async def test_an_answer_arms_one_push_for_the_employee_and_none_for_its_author(
    office: Office,
) -> None:
    office.now_ms = MORNING
    conv = await office.claimed()
    await office.post(WANG, conv)
    head = office.head(f"conv:{conv}")

    assert armed(office) == {("ann", f"conv:{conv}"): (head, head, MORNING + 10_000, ["message"])}


async def test_later_events_extend_the_row_up_to_thirty_seconds(office: Office) -> None:
    office.now_ms = MORNING
    conv = await office.claimed()
    first = office.head(f"conv:{conv}") + 1
    for _ in range(5):
        await office.post(WANG, conv)
        office.now_ms += 8_000

    found = armed(office)["ann", f"conv:{conv}"]
    assert found == (first, first + 4, MORNING + 30_000, ["message"])


async def test_people_whom_no_push_reaches_have_none(office: Office) -> None:
    office.write("UPDATE person SET wecom_userid = NULL WHERE person_id = 'ann'")
    office.write("UPDATE agent SET pushes = false WHERE person_id = 'wang'")
    conv = await office.claimed()

    await office.post(WANG, conv)
    await office.post(ANN, conv)

    assert armed(office) == {}


async def test_a_mention_and_an_offer_wait_on_the_agents_own_stream(office: Office) -> None:
    office.offering()
    office.here(CHEN)
    conv = await office.opened()
    await office.settle()
    await office.yes(LINA, "post_note", conv, body="看看", mentions=("wang",))

    found: dict[Any, Any] = {key: push[3] for key, push in armed(office).items()}
    assert found == {("chen", "agent:chen"): ["offer"], ("wang", "agent:wang"): ["mention"]}


async def test_a_delivered_mark_takes_back_what_it_covers_and_no_more(office: Office) -> None:
    conv = await office.claimed()
    stream = f"conv:{conv}"
    for _ in range(3):
        await office.post(WANG, conv)
    head = office.head(stream)

    await mark(office, ANN, stream, head - 1)
    some = armed(office)["ann", stream]
    await mark(office, WANG, stream, head)
    others = ("ann", stream) in armed(office)
    await mark(office, ANN, stream, head)

    assert some[:2] == (head, head)
    assert others
    # Delivered and not read: what waits now is the second rung.
    assert armed(office)["ann", stream] == (head, head, START + 180_000, ["second_rung"])


async def test_a_forced_close_is_held_until_the_morning(office: Office) -> None:
    office.now_ms = START + 15 * 3_600_000  # eleven at night in China
    conv = await office.opened()
    office.now_ms += 31 * 60_000
    await office.yes(LINA, "close_conversation", conv, reason="重复")

    due = armed(office)["ann", f"conv:{conv}"][2]
    assert due >= START + 24 * 3_600_000  # eight in the morning
