from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from deskwire.desk.conversation import Conversation
from deskwire.storage import conversations
from tests.flows.office import (
    ANN,
    BO,
    CHEN,
    LINA,
    QIAN,
    START,
    WANG,
    Office,
    agent,
)

SUN = agent("sun")


async def state_of(office: Office, conv: str) -> Conversation:
    async with office.store.reading() as conn:
        return (await conversations.load_many(conn, [conv]))[0]


# Taken back ---------------------------------------------------------------------------------------


async def said(office: Office, conv: str, text: str = "密码是 hunter2") -> str:
    return str((await office.post(WANG, conv, text)).result["msg_id"])


def everywhere(office: Office) -> str:
    """Every text that any table holds."""
    tables = (name for name in office.database.tables() if name != "withdrawn_original")
    found = []
    for name in tables:
        for row in office.sql(f"SELECT * FROM {name}"):
            found += [v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in row]
    return "\n".join(found)


async def test_a_recalled_text_stands_nowhere_but_with_the_originals(office: Office) -> None:
    conv = await office.claimed()
    msg_id = await said(office, conv)
    before = office.head(f"conv:{conv}")

    await office.yes(WANG, "recall_message", conv, msg_id=msg_id)

    assert "hunter2" not in everywhere(office)
    assert office.sql("SELECT msg_id, body, at FROM withdrawn_original") == [
        (msg_id, "密码是 hunter2", START)
    ]
    page = (await office.log.read(f"conv:{conv}", before - 1)).events
    posted, recalled = (json.loads(written.body) for written in page)
    assert (posted["data"]["body"], posted["data"]["withdrawn"]) == ("", "recalled")
    assert recalled["type"] == "message.recalled"
    assert [written.voids for written in page] == [None, before]


async def test_every_stream_that_had_the_text_learns_which_of_its_places_is_void(
    office: Office,
) -> None:
    conv = await office.claimed()
    msg_id = await said(office, conv)
    places = {name: office.head(name) for name in (f"conv:{conv}", "queue:support")}

    moving = {"group": "facilities", "note": "归他们", "stay": True}
    await office.yes(LINA, "transfer_to_group", conv, **moving)
    await office.yes(WANG, "recall_message", conv, msg_id=msg_id)

    voids = dict(office.sql("SELECT stream_id, voids FROM stream_event WHERE voids IS NOT NULL"))
    assert voids == places


async def test_a_second_recall_changes_nothing(office: Office) -> None:
    conv = await office.claimed()
    msg_id = await said(office, conv)
    await office.yes(WANG, "recall_message", conv, msg_id=msg_id)
    before = office.counts()

    await office.yes(WANG, "recall_message", conv, msg_id=msg_id)

    assert office.counts() == before | {"command": before["command"] + 1}


async def test_nothing_is_left_of_what_is_redacted(office: Office) -> None:
    conv = await office.claimed()
    first, second = await said(office, conv), await said(office, conv, "hunter2 again")
    await office.yes(WANG, "recall_message", conv, msg_id=first)

    for msg_id in (first, second):
        await office.yes(LINA, "redact_message", conv, msg_id=msg_id, reason="密码")

    assert "hunter2" not in everywhere(office)
    assert office.sql("SELECT * FROM withdrawn_original") == []
    assert dict(
        office.sql("SELECT msg_id, withdrawn FROM message WHERE withdrawn IS NOT NULL")
    ) == {
        first: "recalled",
        second: "redacted",
    }


async def test_no_original_is_kept_where_that_is_turned_off(office: Office) -> None:
    office.write("INSERT INTO setting (name, value) VALUES ('originals_days', 0)")
    conv = await office.claimed()

    await office.yes(WANG, "recall_message", conv, msg_id=await said(office, conv))

    assert "hunter2" not in everywhere(office)
    assert office.sql("SELECT * FROM withdrawn_original") == []


async def test_a_note_is_taken_back_where_it_was_told(office: Office) -> None:
    conv = await office.claimed()
    note = await office.yes(WANG, "post_note", conv, body="hunter2", mentions=("chen",))
    await office.yes(WANG, "recall_message", conv, msg_id=note.result["msg_id"])

    assert "hunter2" not in everywhere(office)
    voided = office.sql("SELECT stream_id FROM stream_event WHERE voids IS NOT NULL")
    assert {row[0] for row in voided} == {f"conv:{conv}:staff", "agent:chen"}


async def test_what_is_taken_back_is_unread_by_nobody(office: Office) -> None:
    conv = await office.claimed()
    msg_id = await said(office, conv)
    asked = await office.views.rows(ANN, view="all", after=None, limit=10)
    await office.yes(WANG, "recall_message", conv, msg_id=msg_id)

    left = await office.views.rows(ANN, view="all", after=None, limit=10)

    assert asked is not None
    assert left is not None
    assert [row["rows"][0]["unread"] for row in (asked, left)] == [1, 0]
    assert left["rows"][0]["preview"] == ""


# The conversation ---------------------------------------------------------------------------------

Deed = Callable[[Office, str], Awaitable[Any]]

CHANGES: Mapping[str, tuple[Deed, Mapping[str, Any]]] = {
    "hold": (
        lambda o, c: o.yes(WANG, "hold_conversation", c, until=START + 9, reason="等件"),
        {"status": "on_hold", "held_until": START + 9, "assignee": None},
    ),
    "requeue": (
        lambda o, c: o.yes(WANG, "requeue_conversation", c, reason="不会"),
        {"status": "queued", "assignee": None, "last_agent": "wang"},
    ),
    "wait for": (
        lambda o, c: o.yes(
            WANG, "transfer_to_agent", c, agent="chen", note="懂行", if_absent="wait"
        ),
        {"status": "queued", "preferred_agent": "chen", "prefer_until": START + 900_000},
    ),
    "answer": (
        lambda o, c: o.post(WANG, c),
        {"assignee_answered": True, "first_answered_at": START, "waiting_since": None},
    ),
    "priority": (
        lambda o, c: o.yes(WANG, "set_priority", c, priority=3, version=0),
        {"priority": 3, "label_version": 1},
    ),
    "tags": (
        lambda o, c: o.yes(WANG, "set_tags", c, tags=("b", "a"), version=0),
        {"tags": ("b", "a"), "label_version": 1},
    ),
    "category": (
        lambda o, c: o.yes(WANG, "set_category", c, category_id="account", version=2),
        {"version": 3},
    ),
    "resolve": (
        lambda o, c: o.yes(WANG, "resolve_conversation", c),
        {"status": "resolved", "resolved_at": START, "resolution_no": 1},
    ),
    "close": (
        lambda o, c: o.yes(LINA, "close_conversation", c, reason="重复"),
        {"status": "closed", "closed_how": "forced", "closed_at": START},
    ),
    "move": (
        lambda o, c: o.yes(LINA, "transfer_to_group", c, group="facilities", note="归他们"),
        {"status": "queued", "has_own_category": False},
    ),
}


@pytest.mark.parametrize("name", CHANGES)
async def test_what_was_decided_is_loaded_again(office: Office, name: str) -> None:
    for tag in ("a", "b"):
        office.write("INSERT INTO tag VALUES (?, ?, '#000000', false, 1)", tag, tag)
    conv = await office.claimed()
    deed, expected = CHANGES[name]

    await deed(office, conv)

    state = await state_of(office, conv)
    assert {key: getattr(state, key) for key in expected} == expected
    assert state.head == office.head(f"conv:{conv}")


async def test_a_moved_conversation_is_on_the_other_board_and_in_the_other_queue(
    office: Office,
) -> None:
    conv = await office.claimed()
    await office.yes(LINA, "transfer_to_group", conv, group="facilities", note="归他们")

    refused = await office.no(CHEN, "claim_conversation", conv)
    await office.yes(QIAN, "claim_conversation", conv)

    state = await state_of(office, conv)
    assert refused.code == "not_found"
    assert (state.group.id, state.category.id) == ("facilities", "network")
    assert office.one("SELECT load FROM agent WHERE person_id = 'wang'") == 0


async def test_tags_are_replaced_and_keep_their_order(office: Office) -> None:
    for tag, is_archived in (("a", "false"), ("b", "false"), ("old", "true")):
        office.write(f"INSERT INTO tag VALUES ('{tag}', '{tag}', '#000000', {is_archived}, 1)")
    conv = await office.claimed()
    await office.yes(WANG, "set_tags", conv, tags=("a", "b"), version=0)

    refused = await office.no(WANG, "set_tags", conv, tags=("b", "old"), version=1)
    await office.yes(WANG, "set_tags", conv, tags=("b",), version=1)

    assert refused.detail == {"field": "tags"}
    assert (await state_of(office, conv)).tags == ("b",)


async def test_whoever_leaves_and_comes_back_has_one_place_in_the_list(office: Office) -> None:
    conv = await office.claimed()
    await office.yes(CHEN, "join_conversation", conv)
    await office.yes(CHEN, "leave_conversation", conv)
    left = office.one("SELECT left_at FROM participant WHERE person_id = 'chen'")

    await office.yes(CHEN, "join_conversation", conv)

    assert left == office.head(f"conv:{conv}") - 1
    assert office.sql("SELECT left_at FROM participant WHERE person_id = 'chen'") == [(None,)]


async def test_a_loss_of_sight_is_recorded_for_both_streams_in_order(office: Office) -> None:
    conv = await office.claimed()
    await office.yes(CHEN, "join_conversation", conv)

    await office.yes(CHEN, "leave_conversation", conv)

    assert office.sql("SELECT n, realm, person, stream_id, why FROM access ORDER BY n") == [
        (1, "agent", "chen", f"conv:{conv}", "left"),
        (2, "agent", "chen", f"conv:{conv}:staff", "left"),
    ]
    assert office.one("SELECT access FROM store") == 2


# Agents -------------------------------------------------------------------------------------------


async def test_an_assignment_by_force_may_exceed_capacity_and_says_so(office: Office) -> None:
    office.write("UPDATE agent SET capacity = 1 WHERE person_id = 'wang'")
    await office.claimed(ANN)
    conv = await office.opened(BO)

    await office.yes(LINA, "assign_conversation", conv, agent="wang", reason="只有他会")

    assert office.one("SELECT load FROM agent WHERE person_id = 'wang'") == 2
    assert office.sql(
        "SELECT agent_id, cause, by_id, over_capacity FROM assignment WHERE conv_id = ?", conv
    ) == [("wang", "assign_conversation", "lina", True)]


async def test_each_piece_of_time_in_somebodys_hands_is_a_line(office: Office) -> None:
    conv = await office.claimed()
    office.now_ms += 1_000
    await office.yes(LINA, "take_over", conv)
    office.now_ms += 1_000
    await office.yes(LINA, "resolve_conversation", conv)

    lines = office.sql(
        "SELECT agent_id, began_at, ended_at, ended_cause FROM assignment ORDER BY began_at"
    )
    assert lines == [
        ("wang", START, START + 1_000, "take_over"),
        ("lina", START + 1_000, START + 2_000, "resolve_conversation"),
    ]
    assert office.sql("SELECT person_id FROM agent WHERE load <> 0") == []
    assert (
        office.one("SELECT last_assigned_at FROM agent WHERE person_id = 'lina'") == START + 1_000
    )


async def test_availability_is_kept_with_its_reason_and_told_to_the_desk(office: Office) -> None:
    office.now_ms += 5
    answer = await office.yes(
        LINA, "set_availability", availability="break", reason="开会", agent="wang"
    )

    row = office.sql(
        "SELECT availability, availability_reason, availability_since FROM agent"
        " WHERE person_id = 'wang'"
    )
    assert row == [("break", "开会", START + 5)]
    assert set(answer.positions) == {"desk"}
    assert office.head("agent:wang") == 1
    assert (await office.no(SUN, "set_availability", availability="online", agent="wang")).code == (
        "not_allowed"
    )
