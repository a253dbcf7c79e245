from __future__ import annotations

import asyncio
from typing import Any

import pytest

from deskwire.desk.deadlines import PREFERENCE_MS, TimerKind
from deskwire.flows.execute import Accepted
from deskwire.flows.timers import Timers
from deskwire.storage.due import LEASE_MS, TIMERS
from deskwire.storage.engine import Store
from tests.flows.office import ANN, BO, CHEN, LINA, START, WANG, Office, agent

HOUR_S = 3600


async def test_an_offer_runs_out_and_the_conversation_waits_on(office: Office) -> None:
    office.offering()
    office.here(WANG)
    conv = await office.opened()
    await office.settle()
    asked = office.offer_of(conv)

    await office.after(24.999)
    before = office.offer_of(conv)
    await office.after(0.001)

    assert asked is not None
    assert asked[1] == "wang"
    assert before == asked
    assert office.sql("SELECT outcome FROM offer WHERE offer_id = ?", asked[0]) == [("expired",)]
    assert office.offer_of(conv) is None  # they are left alone for a while
    assert office.one("SELECT missed_offers FROM agent WHERE person_id = 'wang'") == 1


async def test_an_agent_who_misses_two_offers_is_taken_to_be_away(office: Office) -> None:
    office.offering()
    office.here(WANG)
    for who in (ANN, BO):
        await office.opened(who)
        await office.settle()
        await office.after(26)

    row = "SELECT availability, availability_reason, missed_offers FROM agent WHERE person_id = ?"
    assert office.sql(row, "wang") == [("break", "missed_offers", 0)]
    assert office.head("desk") == 1


async def test_an_assignee_who_says_nothing_loses_it_and_is_not_asked_at_once(
    office: Office,
) -> None:
    office.offering()
    office.here(WANG)
    conv = await office.claimed()

    await office.after(119)
    before = office.status(conv)
    await office.after(1)
    reason = office.one("SELECT waiting_reason FROM conversation WHERE conv_id = ?", conv)
    await office.after(300)

    assert (before, office.status(conv), reason) == ("active", "queued", "all_at_capacity")
    assert office.offer_of(conv) is not None
    assert office.one("SELECT waiting_since FROM conversation") == START


async def test_an_answer_in_time_takes_the_clock_away(office: Office) -> None:
    conv = await office.claimed()
    armed = office.armed("first_answer")
    await office.post(WANG, conv)

    await office.after(600)

    assert armed == {conv: START + 120_000}
    assert office.armed("first_answer") == {}
    assert office.status(conv) == "active"


async def test_a_hold_ends_by_itself_with_the_last_agent_if_they_are_there(office: Office) -> None:
    office.here(WANG)
    conv, other = await office.claimed(ANN), await office.claimed(BO, by=CHEN)
    for who, each in ((WANG, conv), (CHEN, other)):
        await office.yes(who, "hold_conversation", each, until=START + 60_000, reason="等件")

    await office.after(60)

    assert office.status(conv) == "active"
    assert office.status(other) == "queued"
    assert office.armed("preference_over") == {other: START + 60_000 + PREFERENCE_MS}


async def test_a_preference_ends_and_is_forgotten(office: Office) -> None:
    conv = await office.claimed()
    waiting: dict[str, Any] = {"agent": "chen", "note": "懂行", "if_absent": "wait"}
    await office.yes(WANG, "transfer_to_agent", conv, **waiting)
    await office.settle()
    reason = office.one("SELECT waiting_reason FROM conversation")

    await office.after(PREFERENCE_MS / 1000)

    prefers = "SELECT preferred_agent_id, prefer_until FROM conversation"
    assert office.sql(prefers) == [(None, None)]
    assert office.armed("preference_over") == {}
    assert reason == "none_online"  # a group that helps itself waits for nobody in particular


async def test_silence_is_reminded_then_resolved_then_closed(office: Office) -> None:
    conv = await office.claimed()
    await office.post(WANG, conv)
    seen = []
    for hours in (12, 12, 48):
        await office.after(hours * HOUR_S)
        seen.append(office.status(conv))

    types = [row[0] for row in office.sql("SELECT type FROM event ORDER BY at, event_id")]
    assert seen == ["active", "resolved", "closed"]
    assert types.count("requester.reminded") == 1
    assert office.one("SELECT closed_how FROM conversation") == "timer"
    assert office.sql("SELECT * FROM timer WHERE kind <> 'dispatch'") == []


async def test_a_time_that_was_made_longer_meanwhile_is_waited_for(office: Office) -> None:
    conv = await office.claimed()
    await office.post(WANG, conv)
    longer = {"reminder_h": 20, "auto_resolve_h": 30, "auto_close_h": 72}
    await office.yes(agent("root"), "save_settings", values=longer, version=0)
    seen = []
    for hours in (20, 9, 1, 71, 1):
        await office.after(hours * HOUR_S)
        seen.append(office.status(conv))

    assert seen == ["active", "active", "resolved", "resolved", "closed"]
    assert office.one("SELECT count(*) FROM event WHERE type = 'requester.reminded'") == 1


async def test_a_word_of_the_employee_starts_the_silence_anew(office: Office) -> None:
    conv = await office.claimed()
    await office.post(WANG, conv)
    await office.after(11 * HOUR_S)
    await office.post(ANN, conv, "还不行")

    await office.after(100 * HOUR_S)

    assert office.status(conv) == "active"
    assert office.armed("auto_resolve") == office.armed("reminder") == {}


async def test_a_lost_agents_conversations_go_back_or_wait_for_the_next_word(
    office: Office,
) -> None:
    office.here(WANG, seconds=0)
    owed, silent = await office.claimed(ANN), await office.claimed(BO)
    await office.post(WANG, owed)
    await office.post(ANN, owed, "还是不行")
    await office.post(WANG, silent)

    await office.after(90)

    assert (office.status(owed), office.status(silent)) == ("queued", "active")
    assert office.armed("agent_lost") == {}
    absent = "SELECT assignee_absent FROM conversation WHERE conv_id = ?"
    assert bool(office.one(absent, silent))

    await office.post(BO, silent, "在吗")
    assert office.status(silent) == "queued"


async def test_what_a_disabled_agent_had_goes_back_at_once_whether_they_were_connected_or_not(
    office: Office,
) -> None:
    office.here(WANG)
    convs = [await office.claimed(ANN), await office.claimed(BO, by=CHEN)]

    for name in ("wang", "chen"):
        saved = {"person": name, "name": name, "is_disabled": True, "version": 1}
        await office.yes(agent("root"), "save_person", **saved)
    await office.after(0)

    assert [office.status(conv) for conv in convs] == ["queued", "queued"]


async def test_an_agent_who_came_back_in_time_loses_nothing(office: Office) -> None:
    office.here(WANG, seconds=0)
    conv = await office.claimed()
    await office.post(WANG, conv)
    await office.post(ANN, conv, "还是不行")
    office.now_ms += 80_000
    office.here(WANG)

    await office.after(20)

    assert office.status(conv) == "active"


# Late, twice, not at all --------------------------------------------------------------------------


async def test_a_timer_whose_reason_is_gone_changes_nothing(office: Office) -> None:
    conv = await office.claimed()
    for kind in ("hold_return", "auto_close", "auto_resolve", "preference_over", "reminder"):
        office.write("INSERT INTO timer VALUES (?, ?, ?, 1, 0)", kind, conv, START)
    office.write("INSERT INTO timer VALUES ('offer_expiry', 'nowhere', ?, 1, 0)", START)
    before = office.counts()

    await office.settle()

    gone = office.counts()
    assert gone == before | {"timer": gone["timer"]}
    assert set(office.armed("first_answer")) == {conv}
    assert office.armed("hold_return") == office.armed("offer_expiry") == {}


async def test_what_a_stopped_process_had_claimed_is_done_by_another_once(office: Office) -> None:
    conv = await office.claimed()
    await office.post(WANG, conv)
    office.now_ms += 12 * HOUR_S * 1000
    async with office.store.writing() as conn:
        (late,) = [each for each in await TIMERS.claim(conn, office.clock) if each.key[1] == conv]

    await office.settle()
    during = office.armed("reminder")
    await office.after(LEASE_MS / 1000 + 1)
    async with office.store.writing() as conn:
        is_ours = await TIMERS.finish(conn, late)

    types = [row[0] for row in office.sql("SELECT type FROM event")]
    assert (set(during), office.armed("reminder"), is_ours) == ({conv}, {}, False)
    assert types.count("requester.reminded") == 1


async def test_two_processes_at_once_act_once(office: Office) -> None:
    convs = [await office.claimed(who) for who in (ANN, BO)]
    for conv in convs:
        await office.post(WANG, conv)
    office.now_ms += 12 * HOUR_S * 1000
    other = await asyncio.to_thread(Store, office.database.url, acquire_s=30)
    looking = {TimerKind.DISPATCH: office.dispatcher.look}
    twin = Timers(other, execute=office.execute, clock=office.clock, others=looking)

    await asyncio.gather(*(timers.round() for timers in (office.timers, twin) for _ in range(3)))
    await other.close()

    types = [row[0] for row in office.sql("SELECT type FROM event")]
    assert types.count("requester.reminded") == 2


async def test_a_store_that_fails_leaves_the_timer_for_the_next_second(office: Office) -> None:
    conv = await office.claimed()
    await office.post(WANG, conv)
    office.write("ALTER TABLE stream_event RENAME TO hidden")
    await office.after(12 * HOUR_S)
    waiting = office.armed("reminder")
    office.write("ALTER TABLE hidden RENAME TO stream_event")

    await office.after(1)

    types = [row[0] for row in office.sql("SELECT type FROM event")]
    assert waiting == {conv: office.now_ms}
    assert types.count("requester.reminded") == 1


async def test_a_commit_that_arms_what_is_due_wakes_whoever_looks(office: Office) -> None:
    conv = await office.opened()
    opened = office.wakings
    await office.yes(WANG, "claim_conversation", conv)
    claimed = office.wakings
    await office.yes(WANG, "resolve_conversation", conv)

    assert (opened, claimed, office.wakings) == (1, 1, 2)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_whoever_is_woken_looks_at_once(office: Office) -> None:
    office.offering()
    office.here(WANG)
    running = asyncio.ensure_future(office.timers.run())  # noqa: TID251  its owner is this test
    conv = await office.opened()

    office.timers.wake()
    async with asyncio.timeout(20):
        while office.offer_of(conv) is None:  # noqa: ASYNC110  the database has no event
            await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    answer = await office.do(LINA, "claim_conversation", conv)
    assert isinstance(answer, Accepted)
