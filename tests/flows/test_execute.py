from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deskwire.desk.commands import COMMANDS, PostMessage
from deskwire.desk.refusals import Code, Refusal
from deskwire.flows.execute import Accepted, Execute
from deskwire.storage import people
from deskwire.storage.due import GivenClock
from deskwire.storage.engine import Store
from tests.desk.fold import fold
from tests.flows.office import (
    ANN,
    BO,
    CHEN,
    EMPLOYEES,
    LINA,
    MEI,
    QIAN,
    START,
    WANG,
    Office,
    agent,
    agent_record,
    employee,
    person,
)
from tests.kit.databases import Database
from tests.kit.severing import Cut, Wire

# Asked twice ------------------------------------------------------------------------------------


async def test_the_same_id_with_the_same_content_is_answered_again(office: Office) -> None:
    first = await office.yes(
        ANN,
        "open_conversation",
        command_id="command-x",
        category_id="network",
        kind="text",
        body="一",
    )
    before, rings = office.counts(), list(office.rings)

    again = await office.yes(
        ANN,
        "open_conversation",
        command_id="command-x",
        category_id="network",
        kind="text",
        body="一",
    )

    assert (first.replayed, again.replayed) == (False, True)
    assert (again.result, again.positions) == (first.result, first.positions)
    assert (office.counts(), office.rings) == (before, rings)


async def test_a_repeat_is_answered_even_where_the_command_would_now_be_refused(
    office: Office,
) -> None:
    conv = await office.opened()
    await office.yes(WANG, "claim_conversation", conv, command_id="command-x")
    await office.yes(WANG, "resolve_conversation", conv)

    again = await office.yes(WANG, "claim_conversation", conv, command_id="command-x")

    assert again.replayed


@pytest.mark.parametrize("change", ["body", "conv", "name"])
async def test_the_same_id_with_other_content_is_refused(office: Office, change: str) -> None:
    conv, other = await office.claimed(), await office.claimed(BO)
    await office.yes(WANG, "post_message", conv, command_id="command-x", kind="text", body="一")
    before = office.counts()

    match change:
        case "body":
            answer = await office.no(
                WANG, "post_message", conv, command_id="command-x", kind="text", body="二"
            )
        case "conv":
            answer = await office.no(
                WANG, "post_message", other, command_id="command-x", kind="text", body="一"
            )
        case _:
            answer = await office.no(WANG, "post_note", conv, command_id="command-x", body="一")

    assert answer == Refusal(Code.COMMAND_ID_REUSED)
    assert office.counts() == before


async def test_the_same_id_of_somebody_else_is_another_command(office: Office) -> None:
    asking = {"category_id": "network", "kind": "text", "body": "一", "command_id": "command-x"}

    answers = [await office.yes(who, "open_conversation", **asking) for who in (ANN, BO, MEI)]

    assert len({answer.result["conv_id"] for answer in answers}) == 3
    assert not any(answer.replayed for answer in answers)


async def test_one_person_has_separate_ids_in_each_realm(office: Office) -> None:
    conv = await office.claimed(BO)
    await office.yes(agent("mei"), "post_note", conv, command_id="command-x", body="一")

    answer = await office.yes(
        MEI,
        "open_conversation",
        command_id="command-x",
        category_id="network",
        kind="text",
        body="一",
    )

    assert not answer.replayed


async def test_a_refused_id_stays_free_for_another_try(office: Office) -> None:
    conv = await office.opened()
    refused = await office.no(
        WANG, "post_message", conv, command_id="command-x", kind="text", body="一"
    )
    await office.yes(WANG, "claim_conversation", conv)

    answer = await office.yes(
        WANG, "post_message", conv, command_id="command-x", kind="text", body="一"
    )

    assert (refused.code, answer.replayed) == (Code.CLAIM_FIRST, False)


async def test_the_same_command_sent_many_times_at_once_takes_effect_once(
    office: Office,
) -> None:
    conv = await office.claimed()

    answers = await asyncio.gather(
        *(
            office.yes(ANN, "post_message", conv, command_id="command-x", kind="text", body="急")
            for _ in range(10)
        )
    )

    assert len({answer.result["msg_id"] for answer in answers}) == 1
    assert sum(not answer.replayed for answer in answers) == 1
    assert office.one("SELECT count(*) FROM message WHERE body = '急'") == 1


# A store that does not answer -------------------------------------------------------------------


@pytest.mark.parametrize("table", ["command", "message", "stream_event"])
async def test_a_failing_store_says_later_and_the_same_id_works_afterwards(
    office: Office, table: str
) -> None:
    conv = await office.claimed()
    before, rings = office.counts(), list(office.rings)
    office.write(f"ALTER TABLE {table} RENAME TO hidden")

    refused = await office.no(
        ANN, "post_message", conv, command_id="command-x", kind="text", body="急"
    )
    office.write(f"ALTER TABLE hidden RENAME TO {table}")
    unchanged = (office.counts(), office.rings) == (before, rings)
    answer = await office.yes(
        ANN, "post_message", conv, command_id="command-x", kind="text", body="急"
    )

    assert (refused.code, refused.detail) == (Code.TRY_LATER, {"retry_after_s": 1})
    assert unchanged
    assert not answer.replayed


FAILING = """
CREATE SEQUENCE tries;
CREATE FUNCTION failing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF nextval('tries') <= {times} THEN
        RAISE EXCEPTION USING ERRCODE = '40001';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER failing BEFORE INSERT ON message FOR EACH ROW EXECUTE FUNCTION failing()
"""
NO_LONGER = "DROP FUNCTION failing CASCADE; DROP SEQUENCE tries"


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
@pytest.mark.parametrize("times, is_accepted", [(1, True), (3, True), (4, False)])
async def test_what_loses_against_others_is_run_again_three_times(
    office: Office, times: int, is_accepted: bool
) -> None:
    conv = await office.claimed()
    office.write(FAILING.format(times=times))

    answer = await office.do(ANN, "post_message", conv, kind="text", body="急")
    office.write(NO_LONGER)

    assert isinstance(answer, Accepted) is is_accepted
    written = office.one("SELECT count(*) FROM message WHERE body = '急'")
    assert written == int(is_accepted)
    if not is_accepted:
        assert answer == Refusal(Code.TRY_LATER, {"retry_after_s": 1})


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
@pytest.mark.parametrize("cut", Cut)
async def test_a_commit_whose_answer_was_lost_is_asked_for_again_under_its_id(
    office: Office, cut: Cut
) -> None:
    conv = await office.claimed()
    async with Wire(office.database.url).laid() as wire:
        store = Store(wire.url)
        far = Execute(
            store, ring=office.ring, clock=GivenClock(lambda: START), new_id=office.new_id
        )
        await far.run(ANN, "command-x", PostMessage(conv=conv, kind="text", body="一"))
        wire.cuts = [cut]

        answer = await far.run(ANN, "command-y", PostMessage(conv=conv, kind="text", body="急"))

        await store.close()
    assert isinstance(answer, Accepted)
    assert wire.cuts == []
    assert answer.replayed is (cut is Cut.AFTER_COMMIT)
    assert office.one("SELECT count(*) FROM message WHERE body = '急'") == 1


async def test_a_caller_who_gives_up_does_not_undo_what_was_begun(office: Office) -> None:
    conv = await office.claimed()
    asking = asyncio.ensure_future(office.post(ANN, conv, "急"))  # noqa: TID251  its owner is this test
    await asyncio.sleep(0)

    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await office.post(ANN, conv, "在吗")

    bodies = [row[0] for row in office.sql("SELECT body FROM message ORDER BY position")]
    assert bodies == ["VPN 连不上", "急", "在吗"]


# Rings ------------------------------------------------------------------------------------------


async def test_a_ring_follows_its_commit_once_for_each_stream(office: Office) -> None:
    conv = await office.claimed()
    office.rings.clear()

    await office.yes(WANG, "resolve_conversation", conv)

    assert all(ring.is_after_commit for ring in office.rings)
    assert all(office.head(ring.stream) == ring.position for ring in office.rings)
    assert sorted(ring.stream for ring in office.rings) == [
        f"conv:{conv}",
        f"conv:{conv}:staff",
        "employee:ann",
        "queue:support",
    ]


async def test_a_refusal_rings_nobody_and_writes_nothing(office: Office) -> None:
    conv = await office.claimed()
    before = office.counts()
    office.rings.clear()

    await office.no(CHEN, "claim_conversation", conv)
    await office.no(ANN, "open_conversation", category_id="network", kind="text", body="二")

    assert (office.rings, office.counts()) == ([], before)


async def test_a_process_that_dies_between_commit_and_ring_has_lost_nothing(office: Office) -> None:
    class Killed(Exception):
        """The process is no more."""

    def ring(_stream: str, _position: int) -> None:
        raise Killed

    asking: dict[str, Any] = {"category_id": "network", "kind": "text", "body": "一"}
    dying = Execute(office.store, ring=ring, clock=office.clock, new_id=office.new_id)
    office.offering()
    office.here(WANG)
    with pytest.raises(Killed):
        await dying.run(ANN, "command-x", COMMANDS["open_conversation"].command(**asking))

    again = await office.yes(ANN, "open_conversation", command_id="command-x", **asking)
    conv = again.result["conv_id"]
    told = await office.log.read(f"conv:{conv}", 0)
    await office.settle()

    assert again.replayed
    assert [written.position for written in told.events] == [1, 2]
    assert office.offer_of(conv) is not None


async def test_the_sender_is_told_the_places_they_may_watch_and_no_others(
    office: Office,
) -> None:
    answer = await office.yes(
        ANN, "open_conversation", category_id="network", kind="text", body="一"
    )
    conv = answer.result["conv_id"]
    epoch = office.one("SELECT epoch FROM store")

    claim = await office.yes(WANG, "claim_conversation", conv)

    assert answer.positions == {f"conv:{conv}": [epoch, 2], "employee:ann": [epoch, 1]}
    assert claim.positions == {
        "agent:wang": [epoch, 2],
        f"conv:{conv}": [epoch, 4],
        f"conv:{conv}:staff": [epoch, 2],
        "queue:support": [epoch, 6],
    }


# Claims -----------------------------------------------------------------------------------------


async def test_of_fifty_agents_who_claim_at_once_exactly_one_wins(office: Office) -> None:
    names = [f"agent{number}" for number in range(50)]
    async with office.store.writing() as conn:
        for name in names:
            await people.save_person(conn, person(name))
            await people.save_agent(conn, agent_record(name))
    conv = await office.opened()

    answers = await asyncio.gather(
        *(office.do(agent(name), "claim_conversation", conv) for name in names)
    )

    winners = [n for n, a in zip(names, answers, strict=True) if isinstance(a, Accepted)]
    losers = [a for a in answers if isinstance(a, Refusal)]
    assert len(winners) == 1
    assert {a.code for a in losers} == {Code.ALREADY_TAKEN}
    assert {a.detail["by"]["id"] for a in losers} == set(winners)
    assert office.sql("SELECT person_id, load FROM agent WHERE load > 0") == [(winners[0], 1)]
    assert office.one("SELECT count(*) FROM participant WHERE role = 'agent'") == 1


async def test_an_agent_claims_up_to_their_capacity_and_no_further(office: Office) -> None:
    office.write("UPDATE agent SET capacity = 2 WHERE person_id = 'wang'")
    convs = [await office.opened(employee(name)) for name in EMPLOYEES]

    answers = await asyncio.gather(*(office.do(WANG, "claim_conversation", conv) for conv in convs))

    assert sum(isinstance(a, Accepted) for a in answers) == 2
    assert {a.code for a in answers if isinstance(a, Refusal)} == {Code.AT_CAPACITY}
    assert office.one("SELECT load FROM agent WHERE person_id = 'wang'") == 2


async def test_a_resolved_conversation_makes_room_for_the_next(office: Office) -> None:
    office.write("UPDATE agent SET capacity = 1 WHERE person_id = 'wang'")
    first, second = await office.claimed(ANN), await office.opened(BO)
    refused = await office.no(WANG, "claim_conversation", second)

    await office.yes(LINA, "resolve_conversation", first)
    answer = await office.yes(WANG, "claim_conversation", second)

    assert (refused.code, answer.replayed) == (Code.AT_CAPACITY, False)


async def test_nobody_claims_what_they_asked_themselves(office: Office) -> None:
    conv = await office.opened(MEI)

    refusals = [
        await office.no(agent("mei"), name, conv)
        for name in ("claim_conversation", "join_conversation")
    ]

    assert {refusal.code for refusal in refusals} == {Code.OWN_CONVERSATION}


# Opening ----------------------------------------------------------------------------------------


async def test_a_person_has_one_open_conversation_in_a_group_and_is_shown_which(
    office: Office,
) -> None:
    conv = await office.opened()

    refused = await office.no(
        ANN, "open_conversation", category_id="account", kind="text", body="二"
    )
    elsewhere = await office.opened(ANN, category_id="printer")

    assert (refused.code, refused.detail) == (Code.ALREADY_OPEN, {"conv_id": conv})
    assert elsewhere != conv


async def test_ten_openings_at_once_open_one(office: Office) -> None:
    answers = await asyncio.gather(
        *(
            office.do(ANN, "open_conversation", category_id="network", kind="text", body=str(n))
            for n in range(10)
        )
    )

    assert sum(isinstance(a, Accepted) for a in answers) == 1
    assert {a.code for a in answers if isinstance(a, Refusal)} == {Code.ALREADY_OPEN}


async def test_conversations_are_numbered_by_the_day_in_china(office: Office) -> None:
    office.now_ms = START + 16 * 3600 * 1000 - 1  # the last millisecond of New Year's Day there
    numbers = []
    for name in ("ann", "bo"):
        await office.opened(employee(name))
    await office.no(BO, "open_conversation", category_id="network", kind="text", body="二")
    office.now_ms += 1
    await office.opened(employee("cy"))

    numbers = [row[0] for row in office.sql("SELECT no FROM conversation ORDER BY opened_at, no")]

    assert numbers == ["IT-20260101-0001", "IT-20260101-0002", "IT-20260102-0001"]


@pytest.mark.parametrize("previous", ["of somebody else", "nowhere"])
async def test_a_previous_conversation_must_be_ones_own(office: Office, previous: str) -> None:
    conv = await office.opened(BO) if previous == "of somebody else" else "nowhere"

    refused = await office.no(
        ANN,
        "open_conversation",
        category_id="network",
        kind="text",
        body="再问",
        previous_id=conv,
    )

    assert refused.detail == {"field": "previous_id"}


async def test_a_full_queue_is_said(office: Office) -> None:
    office.write("UPDATE agent_group SET queue_max = 1 WHERE group_id = 'support'")
    await office.opened(ANN)

    refused = await office.no(
        BO, "open_conversation", category_id="network", kind="text", body="二"
    )

    assert refused.code is Code.QUEUE_FULL


# Who asks ---------------------------------------------------------------------------------------


async def test_a_disabled_person_may_nothing_from_the_next_command_on(office: Office) -> None:
    conv = await office.claimed()
    office.write("UPDATE person SET disabled_at = 1 WHERE person_id = 'wang'")

    refused = await office.no(WANG, "post_message", conv, kind="text", body="一")

    assert refused.code is Code.NOT_ALLOWED


@pytest.mark.parametrize("who", [agent("ann"), employee("nobody")])
async def test_somebody_who_is_not_there_may_nothing(office: Office, who: Any) -> None:
    conv = await office.opened()

    refused = await office.no(who, "post_message", conv, kind="text", body="一")

    assert refused.code is Code.NOT_ALLOWED


async def test_a_command_of_the_other_realm_is_refused(office: Office) -> None:
    conv = await office.opened()

    refusals = [
        await office.no(ANN, "claim_conversation", conv),
        await office.no(WANG, "cancel_conversation", conv),
    ]

    assert {refusal.code for refusal in refusals} == {Code.NOT_ALLOWED}


@pytest.mark.parametrize("who", [QIAN, BO])
async def test_a_conversation_of_others_and_one_that_is_not_look_alike(
    office: Office, who: Any
) -> None:
    conv = await office.opened()

    answers = [
        await office.no(who, "post_message", where, kind="text", body="一")
        for where in (conv, "nowhere")
    ]

    assert answers == [Refusal(Code.NOT_FOUND)] * 2


# Exact words ------------------------------------------------------------------------------------

texts = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40
).filter(str.strip)


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(body=texts)
async def test_a_text_comes_out_as_it_went_in(office: Office, body: str) -> None:
    conv = await open_or_found(office)

    answer = await office.post(ANN, conv, body)

    page = await office.log.read(f"conv:{conv}", office.head(f"conv:{conv}") - 1)
    stored = office.one("SELECT body FROM message WHERE msg_id = ?", answer.result["msg_id"])
    assert (stored, json.loads(page.events[0].body)["data"]["body"]) == (body, body)


async def open_or_found(office: Office) -> str:
    found = office.sql("SELECT conv_id FROM conversation")
    return str(found[0][0]) if found else await office.opened()


# Laws -------------------------------------------------------------------------------------------

# What agents do with arguments of their own; many are refused, and all of it must be kept whole.
BY_STAFF: dict[str, dict[str, Any]] = {
    "take_over": {},
    "resume_conversation": {},
    "leave_conversation": {},
    "requeue_conversation": {"reason": "x"},
    "close_conversation": {"reason": "x"},
    "assign_conversation": {"agent": "chen", "reason": "x"},
    "transfer_to_agent": {"agent": "wang", "note": "x", "if_absent": "wait"},
    "transfer_to_group": {"group": "facilities", "note": "x", "stay": True},
    "invite_participant": {"realm": "employee", "person": "cy"},
    "remove_participant": {"realm": "employee", "person": "cy"},
    "set_priority": {"priority": 2, "version": 0},
}

staff = st.sampled_from(["wang", "chen", "lina", "mei", "qian", "root"])
clients = st.sampled_from(EMPLOYEES)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("open"), clients, st.sampled_from(["network", "account", "printer"])),
        st.tuples(
            st.sampled_from(["post", "cancel", "confirm", "rate"]), clients, st.integers(0, 5)
        ),
        st.tuples(
            st.sampled_from(["post_agent", "note", "claim", "join", "resolve"]),
            staff,
            st.integers(0, 5),
        ),
        st.tuples(st.sampled_from(sorted(BY_STAFF)), staff, st.integers(0, 5)),
        st.tuples(st.just("later"), staff, st.sampled_from([1, 30, 130, 50_000])),
        st.tuples(st.sampled_from(["come", "answer_offer"]), staff, st.integers(0, 5)),
    ),
    min_size=5,
    max_size=40,
)


@pytest.fixture
async def offices(database: Database) -> AsyncIterator[Any]:
    """Makes a fresh office for each example."""
    made: list[Office] = []

    async def fresh() -> Office:
        for office in made:
            await office.close()
        database.reset()
        made[:] = [await Office.at(database)]
        return made[0]

    yield fresh
    for office in made:
        await office.close()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(script=steps)
async def test_whatever_people_do_the_laws_of_the_desk_hold(
    offices: Any, script: list[tuple[str, str, Any]]
) -> None:
    await follow(offices, script)


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
@settings(
    max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(script=steps)
async def test_the_laws_hold_on_postgresql_too(
    offices: Any, script: list[tuple[str, str, Any]]
) -> None:
    await follow(offices, script)


async def follow(offices: Any, script: list[tuple[str, str, Any]]) -> None:
    office = await offices()
    office.offering()
    convs: list[str] = []
    for number, (deed, name, which) in enumerate(script):
        office.now_ms += 1000
        if deed == "later":
            await office.after(which)
        elif deed == "come":
            office.here(agent(name), seconds=which * 20)
        elif deed == "open":
            answer = await office.do(
                employee(name), "open_conversation", category_id=which, kind="text", body="问"
            )
            convs += [answer.result["conv_id"]] if isinstance(answer, Accepted) else []
        elif convs:
            await act(office, deed, name, convs[which % len(convs)], number)

    await look_at_laws(office, convs)


async def act(office: Office, deed: str, name: str, conv: str, number: int) -> None:
    who = employee(name) if deed in {"post", "cancel", "confirm", "rate"} else agent(name)
    body = f"{deed} {number}"
    match deed:
        case "post" | "post_agent":
            await office.do(who, "post_message", conv, kind="text", body=body)
        case "note":
            await office.do(who, "post_note", conv, body=body)
        case "answer_offer":
            offer = office.offer_of(conv)
            how = "accept_offer" if number % 2 else "decline_offer"
            asked = agent(offer[1]) if offer else who
            await office.do(asked, how, conv, offer_id=offer[0] if offer else "none")
        case _ if deed in BY_STAFF:
            await office.do(who, deed, conv, **BY_STAFF[deed])
        case "cancel":
            await office.do(who, "cancel_conversation", conv)
        case "confirm":
            await office.do(who, "confirm_solved", conv)
        case "rate":
            await office.do(who, "rate_conversation", conv, score=3)
        case _:
            await office.do(who, f"{deed}_conversation", conv)


async def look_at_laws(office: Office, convs: list[str]) -> None:
    for stream, head in office.sql("SELECT stream_id, head FROM stream"):
        found = office.sql(
            "SELECT position FROM stream_event WHERE stream_id = ? ORDER BY position", stream
        )
        assert [row[0] for row in found] == list(range(1, head + 1)), "I6"
    loads = dict(office.sql("SELECT person_id, load FROM agent"))
    for name, load in loads.items():
        active = "SELECT count(*) FROM conversation WHERE assignee_id = ?"
        assert office.one(active, name) == load, "I3"
    live = "SELECT count(*) FROM offer WHERE outcome IS NULL GROUP BY {} HAVING count(*) > 1"
    assert [office.sql(live.format(side)) for side in ("conv_id", "agent_id")] == [[], []], "I4"
    stray = (
        "SELECT conv_id FROM offer WHERE outcome IS NULL AND conv_id NOT IN"
        " (SELECT conv_id FROM conversation WHERE status IN ('queued', 'active'))"
    )
    assert office.sql(stray) == [], "I4"
    in_hand = set(office.sql("SELECT conv_id, agent_id FROM assignment WHERE ended_at IS NULL"))
    active = "SELECT conv_id, assignee_id FROM conversation WHERE status = 'active'"
    assert in_hand == set(office.sql(active)), "a line of the record for each assignee"
    await office.settle()
    unexplained = (
        "SELECT conv_id FROM conversation WHERE status = 'queued' AND waiting_reason IS NULL"
        " AND conv_id NOT IN (SELECT conv_id FROM offer WHERE outcome IS NULL)"
    )
    assert office.sql(unexplained) == [], "I16"
    await every_move_has_its_reason(office)
    for conv in convs:
        await fold_equals_snapshot(office, conv)
        await timelines_are_in_order(office, conv)


async def every_move_has_its_reason(office: Office) -> None:
    """I18: every move that staff were told of has its reason."""
    moved = office.one(
        "SELECT count(*) FROM event WHERE type IN ('conversation.assigned', 'conversation.queued',"
        " 'conversation.held', 'conversation.resolved', 'conversation.closed')"
    )
    reasons = office.one("SELECT count(*) FROM event WHERE type = 'reason.recorded'")
    assert reasons >= moved, "I18"


async def fold_equals_snapshot(office: Office, conv: str) -> None:
    view = await office.views.snapshot(agent("root"), conv)
    assert view is not None
    told = (await office.log.read(f"conv:{conv}", 0)).events
    folded = fold((json.loads(written.body), written.position) for written in told)
    assert folded is not None
    assert folded == {name: view["conversation"][name] for name in folded}, "I7"


async def timelines_are_in_order(office: Office, conv: str) -> None:
    view = await office.views.snapshot(agent("root"), conv)
    assert view is not None
    keys = [
        (e["event"]["anchor"], 1, e["position"])
        if e["stream"].endswith(":staff")
        else (e["position"], 0, 0)
        for e in view["entries"]
    ]
    assert all(a < b for a, b in pairwise(keys))
