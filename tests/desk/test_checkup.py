from __future__ import annotations

from dataclasses import replace

import pytest

from deskwire.desk import events as ev
from deskwire.desk.checkup import (
    EXAMPLES_MAX,
    LAWS,
    MOVES,
    Kept,
    Reason,
    differs,
    found,
    is_unexplained,
    told,
    worthy,
)
from deskwire.desk.conversation import Conversation, Status
from deskwire.desk.people import PersonId, PersonRef, Principal, Realm

CONV = "c1"
NAME = ev.conv_stream(CONV)
ANN = ev.By(Principal(Realm.EMPLOYEE, PersonId("ann")), PersonRef(id=PersonId("ann"), name="Ann"))
WANG = ev.By(Principal(Realm.AGENT, PersonId("wang")), PersonRef(id=PersonId("wang"), name="Wang"))
ROW = ev.Row(
    conv_id=CONV,
    no="IT-1",
    requester=ev.RowRequester(id="ann", name="Ann"),
    group=ev.RowGroup(id="it", name="IT"),
    category=ev.RowCategory(id="net", name_zh="网络", name_en="Network"),
    status="queued",
    assignee=None,
    turn="agent",
    waiting_since=0,
    opened_at=0,
    version=1,
    last_message=None,
)


def event(at: int, data: ev.Data, by: ev.By | None = ANN) -> ev.Event:
    return ev.Event(id=f"e{at}", at=at, conv=CONV, by=by, data=data, streams=(NAME,), anchor=0)


def said(at: int, by: ev.By) -> ev.Event:
    turn = "agent" if by is ANN else "employee"
    data = ev.MessagePosted(
        msg_id=f"m{at}", command_id="c", kind="text", body="x", attachments=(), turn=turn
    )
    return event(at, data, by)


OPENED = event(0, ev.ConversationOpened(row=ROW))
ASSIGNED = event(
    2, ev.ConversationAssigned(agent=ev.RowPerson(id="wang", name="Wang"), version=2), WANG
)
EVENTS = [OPENED, said(1, ANN), ASSIGNED, said(3, WANG)]
REASONS = [
    Reason(anchor=0, command="open_conversation", about="e0"),
    Reason(anchor=2, command="claim_conversation", about="e2"),
]


def states() -> list[Conversation]:
    return told(EVENTS)


def test_the_events_lead_to_the_row() -> None:
    kept = Kept(status="active", turn="employee", waiting_since=None, first_answered_at=3)

    assert not differs(kept, states())
    assert differs(replace(kept, turn="agent"), states())
    assert differs(replace(kept, first_answered_at=1), states())


def test_what_does_not_begin_with_its_opening_cannot_be_told() -> None:
    for events in ([], EVENTS[1:]):
        with pytest.raises(ev.Unreadable):
            told(events)


def test_each_change_of_status_has_its_reason() -> None:
    assert not is_unexplained(EVENTS, states(), REASONS)
    for spoilt in (
        [],
        REASONS[:1],
        REASONS[1:],
        [REASONS[0], replace(REASONS[1], command="hold_conversation")],
        [*REASONS, replace(REASONS[1], anchor=4)],
    ):
        assert is_unexplained(EVENTS, states(), spoilt)


def test_a_reason_may_explain_what_moves_no_status() -> None:
    declined = Reason(anchor=2, command="decline_offer", about="o1")

    assert not is_unexplained(EVENTS, states(), [REASONS[0], declined, REASONS[1]])


def test_what_is_redacted_twice_has_two_reasons_and_moves_nothing() -> None:
    redacted = Reason(anchor=4, command="redact_message", about="m1")

    assert not is_unexplained(EVENTS, states(), [*REASONS, redacted, redacted])


def test_the_message_that_finds_the_assignee_absent_moves_it() -> None:
    assert "post_message" in MOVES[Status.ACTIVE, Status.QUEUED]
    assert "claim_conversation" not in MOVES[Status.ACTIVE, Status.QUEUED]


def test_the_newest_of_each_that_nobody_withdrew_is_worth_a_push() -> None:
    found_ = {each.push.who.person: each.position for each in worthy(EVENTS, states(), 0)}
    recalled = event(4, ev.MessageRecalled(msg_id="m3", by="wang", at=4), WANG)
    after = [*EVENTS, recalled]

    assert found_ == {"ann": 4}
    assert worthy(after, told(after), 0) == []
    assert worthy(EVENTS, states(), 4) == []


def test_who_has_left_is_pushed_nothing() -> None:
    bo = ev.RowPerson(id="bo", name="Bo")
    joined = event(
        4, ev.ParticipantJoined(realm="employee", person=bo, role="invited", visible_from=1)
    )
    left = event(6, ev.ParticipantLeft(realm="employee", person=bo, left_at=7))
    before = [*EVENTS, joined, said(5, WANG)]

    people = [
        {each.push.who.person for each in worthy(events, told(events), 0)}
        for events in (before, [*before, left])
    ]

    assert people == [{"ann", "bo"}, {"ann"}]


def test_a_finding_counts_all_and_names_ten() -> None:
    many = found("I1", [f"conversation:{number}" for number in range(20)])

    assert (many.count, len(many.examples)) == (20, EXAMPLES_MAX)
    assert many.is_broken
    assert not found("I1", []).is_broken
    assert many.says == LAWS["I1"]
