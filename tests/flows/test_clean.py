from __future__ import annotations

import asyncio

import pytest

from deskwire.desk.deadlines import CLEAN_MS, DAY_MS, TimerKind
from deskwire.flows.clean import AGAIN_MS, Cleaning
from deskwire.flows.timers import Timers
from deskwire.storage import retention
from tests.flows.office import ANN, BO, START, WANG, Office, agent

# What the statements do on either database is told in the store's own tests.
pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


class Cleaned:
    """The cleaning of an office. `files_left` is whether there are more uploads to destroy."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self.files_left: list[bool] = []
        self.flow = Cleaning(office.store, clock=office.clock, files=self._files)

    async def _files(self) -> bool:
        return self.files_left.pop() if self.files_left else False

    async def on_day(self, day: float) -> int:
        """Clean so many days later. Returns in how long it is to be done again."""
        self.office.now_ms = START + int(day * DAY_MS)
        return await self.flow.look("desk") - self.office.now_ms


@pytest.fixture
async def cleaned(office: Office) -> Cleaned:
    return Cleaned(office)


async def test_a_command_id_is_remembered_for_thirty_days(office: Office, cleaned: Cleaned) -> None:
    await office.opened()

    await cleaned.on_day(30)
    kept = office.one("SELECT count(*) FROM command")
    again_in = await cleaned.on_day(30.001)

    assert (kept, office.one("SELECT count(*) FROM command")) == (1, 0)
    assert again_in == CLEAN_MS


async def test_an_original_is_kept_for_its_days(office: Office, cleaned: Cleaned) -> None:
    conv = await office.claimed()
    posted = await office.post(WANG, conv)
    await office.yes(WANG, "recall_message", conv, msg_id=posted.result["msg_id"])
    await office.yes(agent("root"), "save_settings", values={"originals_days": 5}, version=0)

    counts = []
    for day in (5, 5.001):
        await cleaned.on_day(day)
        counts.append(office.one("SELECT count(*) FROM withdrawn_original"))

    assert counts == [1, 0]


async def test_a_settled_push_is_kept_for_a_week_and_one_that_waits_for_ever(
    office: Office, cleaned: Cleaned
) -> None:
    for who in (ANN, BO):
        await office.post(WANG, await office.claimed(who))
    settled = "UPDATE push SET state = 'notified', settled_at = ? WHERE person = 'ann'"
    office.write(settled, START)

    left = []
    for day in (7, 7.001):
        await cleaned.on_day(day)
        left.append(sorted(row[0] for row in office.sql("SELECT person FROM push")))

    assert left == [["ann", "bo"], ["bo"]]


async def test_events_past_their_time_go_and_a_conversations_history_stays(
    office: Office, cleaned: Cleaned
) -> None:
    conv = await office.claimed()
    await office.yes(WANG, "set_availability", availability="busy")
    before = await office.views.snapshot(WANG, conv)

    await cleaned.on_day(90)
    young = office.one("SELECT count(*) FROM stream_event WHERE stream_id = 'desk'")
    await cleaned.on_day(90.001)

    left = {row[0] for row in office.sql("SELECT DISTINCT stream_id FROM stream_event")}
    assert young == 1
    assert left == {f"conv:{conv}", f"conv:{conv}:staff"}
    assert await office.views.snapshot(WANG, conv) == before


async def test_events_stand_for_ever_where_that_is_set(office: Office, cleaned: Cleaned) -> None:
    await office.yes(agent("root"), "save_settings", values={"events_days": 0}, version=0)

    await cleaned.on_day(4_000)

    assert office.head("desk") == office.one("SELECT count(*) FROM stream_event")


async def test_it_comes_again_soon_while_there_is_more(
    office: Office, cleaned: Cleaned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "ROWS_MAX", 2)
    for word in ("busy", "online") * 2:
        await office.yes(WANG, "set_availability", availability=word)
    cleaned.files_left = [True]

    again_in = [await cleaned.on_day(100) for _ in range(3)]

    assert again_in == [AGAIN_MS, AGAIN_MS, CLEAN_MS]
    assert office.one("SELECT count(*) FROM stream_event") == 0
    assert office.one("SELECT count(*) FROM command") == 0


async def test_nothing_else_is_deleted(office: Office, cleaned: Cleaned) -> None:
    conv = await office.claimed()
    await office.note(WANG, conv)
    await office.yes(WANG, "resolve_conversation", conv)
    await office.yes(ANN, "rate_conversation", conv, score=5)
    before = office.counts()

    await cleaned.on_day(4_000)

    after = office.counts()
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"command", "stream_event"}


async def test_it_is_armed_at_once_and_never_moved_by_another_start(
    office: Office, cleaned: Cleaned
) -> None:
    running = asyncio.get_running_loop().create_task(cleaned.flow.run())
    while not office.armed("clean"):  # noqa: ASYNC110  the database has no event
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait({running})
    office.now_ms += 5
    await cleaned.flow.arm()

    assert office.armed("clean") == {"desk": START}


async def test_it_is_done_under_the_lease_of_its_row(office: Office, cleaned: Cleaned) -> None:
    others = {TimerKind.CLEAN: cleaned.flow.look}
    timers = Timers(office.store, execute=office.execute, clock=office.clock, others=others)
    await cleaned.flow.arm()

    counts = [await timers.round() for _ in range(2)]

    assert counts == [1, 0]
    assert office.armed("clean") == {"desk": START + CLEAN_MS}
