from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest

from deskwire.desk import events as ev
from deskwire.desk.conversation import Status, decide
from deskwire.desk.events import EVENT_TYPES, TYPE_OF, Clearance, To, may_reach_employee
from tests.desk.cast import CONV, PEOPLE, at, command, decided, moment, opened

# desk.md §6, the lines of the types there are.
WRITTEN = {
    "conversation.opened": ("public", "C Q E"),
    "conversation.assigned": ("public", "C Q A"),
    "conversation.resolved": ("public", "C Q E"),
    "conversation.closed": ("public", "C Q E"),
    "participant.joined": ("public", "C Q A"),
    "message.posted": ("public", "C Q"),
    "rating.given": ("public", "E S Q"),
    "note.posted": ("staff", "S"),
    "reason.recorded": ("staff", "S Q"),
}
EMPLOYEES_READ = {To.CONVERSATION, To.EMPLOYEE}
STAFF_WORDS = {"note", "cause", "over_capacity", "priority", "tags", "mentions"}


def test_every_type_has_the_clearance_and_the_streams_of_its_line() -> None:
    table = {
        line.name: (line.clearance.value, " ".join(to.value for to in line.streams))
        for line in EVENT_TYPES
    }

    assert table == WRITTEN


@pytest.mark.parametrize("line", EVENT_TYPES, ids=lambda line: line.name)
def test_a_staff_event_goes_to_no_stream_that_an_employee_watches(line: ev.EventType) -> None:
    reaches = EMPLOYEES_READ & set(line.streams)

    assert not (line.clearance is Clearance.STAFF and reaches)


@pytest.mark.parametrize("line", EVENT_TYPES, ids=lambda line: line.name)
def test_what_employees_may_read_has_no_field_of_staff(line: ev.EventType) -> None:
    if not EMPLOYEES_READ & set(line.streams):
        return

    assert not STAFF_WORDS & names_in(line.data)


def names_in(struct: type[msgspec.Struct]) -> set[str]:
    found: set[str] = set()
    for field in msgspec.structs.fields(struct):
        found.add(field.encode_name)
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            found |= names_in(field.type)
    return found


def test_every_class_of_data_has_one_line_and_one_name() -> None:
    assert len(TYPE_OF) == len(EVENT_TYPES) == len({line.name for line in EVENT_TYPES})
    assert all(line.v == 1 for line in EVENT_TYPES)


@pytest.mark.parametrize("line", EVENT_TYPES, ids=lambda line: line.name)
def test_a_wire_name_is_its_class_in_small(line: ev.EventType) -> None:
    words = re.findall("[A-Z][a-z]+", line.data.__name__)

    assert line.name == ".".join(word.lower() for word in words)


@pytest.mark.parametrize(
    "stream, reaches",
    [
        ("conv:a", True),
        ("employee:a", True),
        ("conv:a:staff", False),
        ("agent:a", False),
        ("queue:a", False),
        ("desk", False),
    ],
)
def test_the_streams_that_reach_employees_are_known(stream: str, reaches: bool) -> None:
    assert may_reach_employee(ev.Stream(stream)) == reaches


# The written form --------------------------------------------------------------------------------


def written(who: str, status: Status, name: str) -> list[dict[str, Any]]:
    decision = decided(decide(PEOPLE[who], at(status), command(name), moment()))
    return [json.loads(ev.encode(event)) for event in decision.events]


def test_a_message_is_written_as_the_protocol_has_it() -> None:
    (event,) = written("assignee", Status.ACTIVE, "post_message")

    assert event == {
        "id": "id-2",
        "type": "message.posted",
        "v": 1,
        "at": 1_767_225_600_000,
        "conv": CONV,
        "by": {"realm": "agent", "id": "wang", "name": "Wang", "avatar": None},
        "data": {
            "msg_id": "id-1",
            "command_id": "command-0001",
            "kind": "text",
            "body": "在看",
            "attachments": [],
            "reply_to": None,
            "via": "page",
            "turn": "employee",
        },
    }


def test_a_note_is_anchored_where_it_was_decided() -> None:
    state = at(Status.ACTIVE)

    (event,) = written("assignee", Status.ACTIVE, "post_note")

    assert event["anchor"] == state.head
    assert event["data"]["body"] == "证书过期"


def test_the_row_of_an_opening_holds_no_text() -> None:
    opening = json.loads(ev.encode(opened().events[0]))

    assert opening["data"]["row"] == {
        "conv_id": CONV,
        "no": "IT-20260101-0001",
        "requester": {"id": "ann", "name": "Ann", "avatar": None, "department": "市场部"},
        "group": {"id": "support", "name": "IT 支持"},
        "category": {"id": "network", "name_zh": "网络", "name_en": "Network"},
        "status": "queued",
        "assignee": None,
        "turn": "agent",
        "waiting_since": 1_767_225_600_000,
        "opened_at": 1_767_225_600_000,
        "version": 1,
        "last_message": None,
    }


def test_the_note_on_a_resolution_stands_in_the_reason_alone() -> None:
    events = written("assignee", Status.ACTIVE, "resolve_conversation")

    told = [event for event in events if "已续签" in json.dumps(event, ensure_ascii=False)]
    assert [event["type"] for event in told] == ["reason.recorded"]
    assert told[0]["data"] == {
        "about": events[0]["id"],
        "command": "resolve_conversation",
        "cause": "resolve_conversation",
        "note": "已续签",
        "over_capacity": False,
    }


def test_a_claim_is_told_to_the_conversation_the_board_and_the_agent() -> None:
    decision = decided(
        decide(PEOPLE["assignee"], at(Status.QUEUED), command("claim_conversation"), moment())
    )

    assert [(event.type.name, event.streams) for event in decision.events] == [
        ("participant.joined", (f"conv:{CONV}", "queue:support", "agent:wang")),
        ("conversation.assigned", (f"conv:{CONV}", "queue:support", "agent:wang")),
        ("reason.recorded", (f"conv:{CONV}:staff", "queue:support")),
    ]


def test_a_rating_is_told_to_its_giver_and_to_staff() -> None:
    decision = decided(
        decide(PEOPLE["requester"], at(Status.CLOSED), command("rate_conversation"), moment())
    )

    assert decision.events[0].streams == ("employee:ann", f"conv:{CONV}:staff", "queue:support")
