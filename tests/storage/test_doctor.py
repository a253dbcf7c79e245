"""A desk is played, found well, and then broken by hand in one place after the other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from deskwire.desk.checkup import LAWS, Finding
from deskwire.storage import doctor
from tests.flows.office import ANN, BO, CHEN, LINA, MEI, START, WANG, Office, agent, employee

ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
CY = employee("cy")
WORD = "金丝雀"
RECALLED = "(SELECT msg_id FROM message WHERE withdrawn = 'recalled')"
REDACTED = "(SELECT msg_id FROM message WHERE withdrawn = 'redacted')"
OF = "WHERE conv_id = '{}'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """Something that another program does, and what undoes it."""

    law: str
    do: str
    undo: str
    example: str


async def played(office: Office) -> Mapping[str, str]:
    """A day at the desk, with something of everything. Returns conversations by their status."""
    office.here(WANG, CHEN, LINA)
    active, queued = await office.claimed(ANN), await office.opened(BO)
    await office.post(WANG, active)
    await office.post(ANN, active, "还是不行")
    office.now_ms += 1_000
    for how, word in (("recall_message", {}), ("redact_message", {"reason": "x"})):
        said = await office.post(WANG, active, WORD)
        who = WANG if how == "recall_message" else LINA
        await office.yes(who, how, active, msg_id=said.result["msg_id"], **word)
        if how == "recall_message":  # of which nothing shall be left after all, said twice
            for _ in range(2):
                await office.yes(
                    LINA, "redact_message", active, msg_id=said.result["msg_id"], reason="x"
                )
    await office.post(ANN, active, "在吗")
    await office.note(WANG, active, "@")
    closed = await office.claimed(CY, CHEN)
    hold: dict[str, Any] = {"until": office.now_ms + 60_000, "reason": "等件"}
    await office.yes(CHEN, "hold_conversation", closed, **hold)
    await office.yes(CHEN, "resume_conversation", closed)
    await office.yes(CHEN, "resolve_conversation", closed)
    await office.post(CY, closed, "又断了")
    await office.yes(LINA, "take_over", closed, reason="急")
    await office.yes(LINA, "resolve_conversation", closed)
    await office.yes(CY, "rate_conversation", closed, score=5)
    moved = await office.claimed(MEI, CHEN)
    away: dict[str, Any] = {"agent": "qian", "note": "x", "if_absent": "wait"}
    await office.yes(CHEN, "transfer_to_group", moved, group="facilities", note="打印机")
    await office.no(CHEN, "transfer_to_agent", moved, **away)
    await office.yes(WANG, "set_availability", availability="busy")
    office.write(
        "INSERT INTO mark (stream_id, realm, person, delivered, read, at)"
        " VALUES (?, 'agent', 'wang', 2, 1, ?)", f"conv:{active}", office.now_ms,
    )  # fmt: skip
    await office.settle()
    return {"active": active, "queued": queued, "closed": closed}


def breaks(office: Office, convs: Mapping[str, str]) -> list[Break]:
    """One for each way in which the doctor looks."""
    active, queued, closed = (convs[name] for name in ("active", "queued", "closed"))
    push = office.one("SELECT push_id FROM push WHERE person = 'ann' AND state = 'armed'")
    reason = office.one(
        "SELECT event_id FROM stream_event JOIN event USING (event_id) WHERE stream_id = ?"
        " AND type = 'reason.recorded' ORDER BY position LIMIT 1", f"conv:{closed}:staff",
    )  # fmt: skip
    note = office.one("SELECT event_id FROM event WHERE type = 'note.posted'")
    a, q = OF.format(active), OF.format(queued)
    staff = f"stream_id = 'conv:{closed}:staff'"
    lost = "WHERE kind = 'agent_lost' AND key = 'wang'"
    looks = "WHERE kind = 'dispatch' AND key = 'support'"
    why = office.one(f"SELECT waiting_reason FROM conversation {q}")
    return [
        Break(
            law="I1",
            do=f"UPDATE conversation SET assignee_id = 'chen' {q}",
            undo=f"UPDATE conversation SET assignee_id = NULL {q}",
            example=f"conversation:{queued}",
        ),
        Break(
            law="I3",
            do="UPDATE agent SET load = load + 1 WHERE person_id = 'wang'",
            undo="UPDATE agent SET load = load - 1 WHERE person_id = 'wang'",
            example="agent:wang",
        ),
        *(
            Break(
                law="I6",
                do=f"UPDATE {table} SET {column} = {column} + 1 WHERE {where}",
                undo=f"UPDATE {table} SET {column} = {column} - 1 WHERE {where}",
                example="stream:desk",
            )
            for table, column, where in (
                ("stream", "head", "stream_id = 'desk'"),
                ("stream", "floor", "stream_id = 'desk'"),
                ("stream_event", "position", "stream_id = 'desk'"),
            )
        ),
        Break(
            law="I9",
            do="UPDATE mark SET delivered = delivered + 1000 WHERE person = 'wang'",
            undo="UPDATE mark SET delivered = delivered - 1000 WHERE person = 'wang'",
            example=f"mark:conv:{active} wang",
        ),
        Break(
            law="I13",
            do=f"UPDATE message SET body = '{WORD}' WHERE msg_id = {RECALLED}",
            undo=f"UPDATE message SET body = '' WHERE msg_id = {RECALLED}",
            example="message:",
        ),
        Break(
            law="I13",
            do="INSERT INTO searchable (msg_id, conv_id, terms)"
            f" VALUES ({RECALLED}, '{active}', 'x')",
            undo=f"DELETE FROM searchable WHERE msg_id = {RECALLED}",
            example="message:",
        ),
        Break(
            law="I13",
            do=f"INSERT INTO withdrawn_original VALUES ({REDACTED}, '{WORD}', 1)",
            undo=f"DELETE FROM withdrawn_original WHERE msg_id = {REDACTED}",
            example="message:",
        ),
        Break(
            law="I13",
            do="INSERT INTO attachment (attachment_id, realm, person, conv_id, stream_id, msg_id,"
            " kind, name, bytes, type, sha256, at) VALUES ('a1', 'agent', 'wang',"
            f" '{active}', 'conv:{active}', {RECALLED}, 'file', '{WORD}', 1, 'x', 'x', 1)",
            undo="DELETE FROM attachment",
            example="attachment:a1",
        ),
        Break(
            law="I15",
            do=f"UPDATE push SET due = due - 1000000 WHERE push_id = '{push}'",
            undo=f"UPDATE push SET due = due + 1000000 WHERE push_id = '{push}'",
            example=f"push:{push}",
        ),
        Break(
            law="I15",
            do=f"UPDATE push SET person = 'nobody' WHERE push_id = '{push}'",
            undo=f"UPDATE push SET person = 'ann' WHERE push_id = '{push}'",
            example=f"conv:{active} employee:ann",
        ),
        Break(
            law="I16",
            do=f"UPDATE conversation SET waiting_reason = NULL {q};"
            f"UPDATE timer SET due = due + 1000000 {looks}",
            undo=f"UPDATE timer SET due = due - 1000000 {looks};"
            f"UPDATE conversation SET waiting_reason = '{why}' {q}",
            example=f"conversation:{queued}",
        ),
        Break(
            law="I17",
            do=f"UPDATE timer SET due = due - 100000000 {lost}",
            undo=f"UPDATE timer SET due = due + 100000000 {lost}",
            example=f"conversation:{active}",
        ),
        Break(
            law="I18",
            do=f"UPDATE stream_event SET event_id = '{note}'"
            f" WHERE {staff} AND event_id = '{reason}'",
            undo=f"UPDATE stream_event SET event_id = '{reason}'"
            f" WHERE {staff} AND event_id = '{note}'",
            example=f"conversation:{closed}",
        ),
        *(
            Break(
                law="I23",
                do=f"UPDATE conversation SET {column} = {column} + 1 {a}",
                undo=f"UPDATE conversation SET {column} = {column} - 1 {a}",
                example=f"conversation:{active}",
            )
            for column in ("first_answered_at", "waiting_since")
        ),
        Break(
            law="I23",
            do=f"UPDATE conversation SET turn = 'employee' {a}",
            undo=f"UPDATE conversation SET turn = 'agent' {a}",
            example=f"conversation:{active}",
        ),
    ]


async def examined(office: Office, *, is_sending: bool = True) -> dict[str, Finding]:
    found = await doctor.examine(office.store, office.clock, is_sending=is_sending)
    return {each.law: each for each in found}


def broken(findings: Mapping[str, Finding]) -> dict[str, tuple[int, tuple[str, ...]]]:
    return {law: (each.count, each.examples) for law, each in findings.items() if each.is_broken}


def without_constraint(office: Office, written: str) -> None:
    """As a database that a bug, or a hand, has got at."""
    is_sqlite = office.database.kind == "sqlite"
    if is_sqlite:
        office.write("PRAGMA ignore_check_constraints = ON")
    for statement in written.split(";"):
        office.write(statement)


def the_log_keeps_a_text(office: Office) -> None:
    rows = office.sql("SELECT event_id, body FROM event WHERE type = 'message.posted'")
    gone, body = next(each for each in rows if "withdrawn" in json.loads(each[1])["data"])
    spoilt = json.loads(body)
    spoilt["data"]["body"] = WORD
    office.write("UPDATE event SET body = ? WHERE event_id = ?", json.dumps(spoilt).encode(), gone)


@ON_SQLITE
async def test_each_break_of_a_desk_is_found_alone_and_named(office: Office) -> None:
    convs = await played(office)
    seen = []
    for each in breaks(office, convs):
        without_constraint(office, each.do)
        seen.append((each, broken(await examined(office))))
        without_constraint(office, each.undo)
    mended = broken(await examined(office))
    the_log_keeps_a_text(office)
    kept = broken(await examined(office))

    assert mended == {}
    for each, found in seen:
        assert set(found) == {each.law}, each
        count, examples = found[each.law]
        assert (count, len(examples)) == (1, 1), each
        assert examples[0].startswith(each.example), each
    assert set(kept) == {"I13"}
    assert WORD not in str([kept, *(found for _, found in seen)])


async def test_a_desk_that_was_played_is_well_and_all_that_is_broken_is_found(
    office: Office,
) -> None:
    convs = await played(office)
    well = await examined(office)
    constraint = "conversation {} CONSTRAINT ck_conversation_assignee"
    if office.database.kind == "postgresql":
        office.write(f"ALTER TABLE {constraint.format('DROP')}")
    # One of each: several may undo each other.
    every = list({each.law: each for each in reversed(breaks(office, convs))}.values())
    try:
        for each in every:
            without_constraint(office, each.do)
        spoilt = await examined(office)
    finally:
        for each in reversed(every):
            without_constraint(office, each.undo)
        if office.database.kind == "postgresql":
            check = "CHECK ((assignee_id IS NOT NULL) = (status = 'active'))"
            office.write(f"ALTER TABLE {constraint.format('ADD')} {check}")

    assert list(well) == list(LAWS)
    assert broken(well) == {}
    assert all(each.is_whole for each in well.values())
    assert set(broken(spoilt)) == set(LAWS)
    assert WORD not in str(spoilt)


@ON_SQLITE
async def test_an_excess_is_one_unless_it_is_recorded_or_the_capacity_was_lowered(
    office: Office,
) -> None:
    for who in (ANN, BO):
        await office.claimed(who)
    office.write("UPDATE agent SET capacity = 1 WHERE person_id = 'wang'")
    unrecorded = broken(await examined(office))
    office.now_ms += 1
    saved: dict[str, Any] = {"person": "wang", "login_name": "wang", "role": "agent"}
    await office.yes(agent("root"), "save_agent", **saved, capacity=1, version=1)
    lowered = broken(await examined(office))
    office.now_ms += 1
    conv = await office.opened(CY)
    await office.yes(LINA, "assign_conversation", conv, agent="wang", reason="急")

    assert unrecorded == {"I3": (1, ("agent:wang",))}
    assert lowered == {}
    assert set(broken(await examined(office))) == {"I3"}  # three, and one of them recorded


@ON_SQLITE
async def test_an_assignee_who_was_never_there_owes_their_answer_too_long(office: Office) -> None:
    conv = await office.claimed()
    seen = []
    for seconds in (105, 0.001):
        office.now_ms += int(seconds * 1000)
        seen.append(broken(await examined(office)).get("I17"))

    assert seen == [None, (1, (f"conversation:{conv}",))]


@ON_SQLITE
async def test_where_nothing_is_sent_no_push_is_overdue(office: Office) -> None:
    conv = await office.claimed()
    await office.post(WANG, conv)
    office.now_ms = START + 600_000

    silent, sending = [await examined(office, is_sending=each) for each in (False, True)]

    assert "I15" not in broken(silent)
    assert "I15" in broken(sending)


@ON_SQLITE
async def test_ten_examples_are_enough_and_all_are_counted(office: Office) -> None:
    office.write("UPDATE agent SET load = 1")
    office.write(
        "INSERT INTO stream SELECT 'employee:' || person_id, epoch, 3, 1 FROM person, store"
    )

    found = await examined(office)

    agents = office.one("SELECT count(*) FROM agent")
    assert (found["I3"].count, len(found["I3"].examples)) == (agents, agents)
    people = office.one("SELECT count(*) FROM person")
    assert (found["I6"].count, len(found["I6"].examples)) == (people, min(people, 10))
