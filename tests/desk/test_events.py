from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deskwire.desk import events as ev
from deskwire.desk.conversation import Status
from deskwire.desk.decide import decide
from deskwire.desk.events import (
    EVENT_TYPES,
    FLAT,
    FLAT_FIXED,
    FLAT_MESSAGES_MAX,
    NAMED,
    TYPE_OF,
    Clearance,
    MarkRise,
    To,
    Unreadable,
    decode,
    encode,
    flat_status,
    may_reach_employee,
    tombstone,
    upcast,
)
from deskwire.desk.messages import Said, Withdrawn
from deskwire.desk.people import PersonId, Principal, Realm
from tests.desk.cast import (
    CONV,
    MSG_ID,
    PEOPLE,
    START,
    at,
    command,
    decided,
    facts,
    moment,
    opened,
    posted,
)

# desk.md §6, the two tables of events: clearance, streams, data.
WRITTEN = """
public conversation.opened        | C Q E             | row
public conversation.reopened      | C Q E             | row reopen_count
public conversation.queued        | C Q               | cause group_id waiting_since version
public conversation.assigned      | C Q A(new, old)   | agent version
public conversation.moved         | C Q Q′            | from_group group row version
public conversation.held          | C Q               | until version
public conversation.resumed       | C Q               | version
public conversation.categorised   | C Q               | category_id version
public conversation.resolved      | C Q E             | how resolution_no version
public conversation.closed        | C Q E             | how version
public participant.joined         | C Q A or E        | realm person role visible_from
public participant.left           | C Q A or E        | realm person left_at
public requester.reminded         | C                 | resolve_at
public message.posted             | C Q               | msg_id command_id kind body attachments reply_to via turn
public message.recalled           | C Q               | msg_id by at
public message.redacted           | C Q               | msg_id by at
public rating.given               | E S Q             | resolution_no score reasons comment
staff  reason.recorded            | S Q               | about command cause note over_capacity
staff  note.posted                | S A(mentioned)    | msg_id command_id body attachments mentions
staff  note.recalled              | S A(mentioned)    | msg_id by at
staff  note.redacted              | S A(mentioned)    | msg_id by at
staff  offer.made                 | A Q               | offer_id conv_id agent_id kind expires_at
staff  offer.closed               | A Q               | offer_id outcome
staff  transfer.requested         | S Q               | to_agent note
staff  transfer.closed            | S A(from)         | outcome
staff  assignee.marked_absent     | S Q               | absent
staff  conversation.prioritised   | S Q               | priority label_version
staff  conversation.tagged        | S Q               | added removed label_version
staff  conversation.inspected     | S                 | msg_id
staff  push.notified              | S                 | person up_to
staff  push.failed                | S                 | person up_to reason
staff  push.recalled              | S                 | person
staff  agent.availability_changed | D A               | agent_id availability reason since
staff  settings.changed           | D                 | part version
"""  # noqa: E501  # a line of the table is a line here
EMPLOYEES_READ = {To.CONVERSATION, To.REQUESTER, To.PERSON}
STAFF_WORDS = {
    "note",
    "cause_of_staff",
    "over_capacity",
    "priority",
    "tags",
    "label_version",
    "mentions",
}


def lines() -> dict[str, tuple[str, str, tuple[str, ...]]]:
    found = {}
    for line in WRITTEN.strip().splitlines():
        head, streams, data = (part.strip() for part in line.split("|"))
        clearance, name = head.split()
        found[name] = (clearance, streams, tuple(data.split()))
    return found


def names_of(data: type[msgspec.Struct]) -> tuple[str, ...]:
    always = (f for f in msgspec.structs.fields(data) if f.default is not msgspec.UNSET)
    return tuple(field.encode_name for field in always)


def test_every_type_has_the_clearance_the_streams_and_the_data_of_its_line() -> None:
    table = {
        line.name: (line.clearance.value, line.shown, names_of(line.data)) for line in EVENT_TYPES
    }

    assert table == lines()


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
    assert len(TYPE_OF) == len(NAMED) == len(EVENT_TYPES)
    assert all(line.v == 1 for line in EVENT_TYPES)


@pytest.mark.parametrize("line", EVENT_TYPES, ids=lambda line: line.name)
def test_a_wire_name_is_its_class_in_small(line: ev.EventType) -> None:
    words = re.findall("[A-Z][a-z]+", line.data.__name__)

    assert line.name.replace("_", ".") == ".".join(word.lower() for word in words)


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


# Read back ----------------------------------------------------------------------------------------

ROW = at(Status.ACTIVE).row
PERSON = ev.RowPerson(id="wang", name="Wang")
SAMPLES: Mapping[str, Any] = {
    "str": "x",
    "int": 7,
    "bool": True,
    "Row": ROW,
    "RowPerson": PERSON,
    "RowGroup": ev.RowGroup(id="g", name="G"),
    "tuple[str, ...]": ("a", "b"),
    "tuple[WrittenAttachment, ...]": (
        ev.WrittenAttachment(id="a", kind="image", name="a.png", bytes=3, type="image/png"),
    ),
    "str | None": None,
}


def sample(line: ev.EventType) -> ev.Event:
    values = {
        name: SAMPLES[hint]
        for name, hint in line.data.__annotations__.items()
        if "UnsetType" not in hint
    }
    by = ev.By(PEOPLE["assignee"].principal, PEOPLE["assignee"].person)
    return ev.Event(
        id="event-1",
        at=START,
        conv=CONV,
        by=by,
        data=line.data(**values),
        streams=(ev.conv_stream(CONV),),
        anchor=3 if ev.S in line.streams else 0,
    )


@pytest.mark.parametrize("line", EVENT_TYPES, ids=lambda line: line.name)
def test_an_event_is_read_as_it_was_written(line: ev.EventType) -> None:
    event = sample(line)

    assert decode(encode(event), event.streams) == event


GOLDEN = Path(__file__).resolve().parents[2] / "contract" / "cases" / "events_v1.json"


@pytest.mark.parametrize("line", EVENT_TYPES, ids=lambda line: line.name)
def test_what_was_once_written_is_written_and_read_the_same_for_ever(line: ev.EventType) -> None:
    golden = json.loads(GOLDEN.read_text("utf-8"))[line.name]
    event = sample(line)

    assert json.loads(encode(event)) == golden
    assert decode(json.dumps(golden).encode(), event.streams) == event


def test_what_a_timer_did_is_by_nobody() -> None:
    event = replace(sample(NAMED["settings.changed"]), by=None, conv=None, streams=())

    assert decode(encode(event)) == event


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"type":"message.edited","v":1}',
        b'{"type":"settings.changed","v":2,"data":{}}',
        b'{"type":"settings.changed","v":"1","data":{}}',
        b'{"type":["x"],"v":1}',
        b'{"id":"a","at":1,"conv":null,"by":null,"type":"settings.changed","v":1,"data":{"part":1}}',
        b'{"id":"a","at":1,"conv":null,"by":7,"type":"settings.changed","v":1,"data":{}}',
    ],
)
def test_what_this_version_cannot_read_is_one_kind_of_fault(body: bytes) -> None:
    with pytest.raises(Unreadable):
        decode(body)


def test_an_old_body_is_brought_up_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    line = replace(NAMED["settings.changed"], v=3)
    monkeypatch.setitem(NAMED, "settings.changed", line)
    steps = {
        ("settings.changed", 1): lambda body: {**body, "data": {"part": body["data"]["what"]}},
        ("settings.changed", 2): lambda body: {**body, "data": {**body["data"], "version": 0}},
    }

    raised = upcast({"type": "settings.changed", "v": 1, "data": {"what": "tags"}}, steps)

    assert raised == {
        "type": "settings.changed",
        "v": 3,
        "data": {"part": "tags", "version": 0},
    }
    with pytest.raises(Unreadable):
        upcast({"type": "settings.changed", "v": 1, "data": {}}, {})


# Tombstones ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", Withdrawn)
@pytest.mark.parametrize("name", ["message.posted", "note.posted"])
def test_a_tombstone_is_the_event_without_its_text(name: str, how: Withdrawn) -> None:
    before = json.loads(encode(sample(NAMED[name])))

    after = json.loads(tombstone(encode(sample(NAMED[name])), how))

    assert after.pop("data") == {
        **before.pop("data"),
        "body": "",
        "attachments": [],
        "withdrawn": how.value,
    }
    assert after == before


def test_a_tombstone_made_twice_stays_what_it_was() -> None:
    once = tombstone(encode(sample(NAMED["message.posted"])), Withdrawn.RECALLED)

    assert tombstone(once, Withdrawn.REDACTED) == once
    assert isinstance(decode(once).data, ev.MessagePosted)


def test_no_other_event_is_ever_rewritten() -> None:
    with pytest.raises(AssertionError):
        tombstone(encode(sample(NAMED["settings.changed"])), Withdrawn.RECALLED)


# The flat form ------------------------------------------------------------------------------------

ANN, WANG = PEOPLE["requester"].principal, PEOPLE["assignee"].principal
BY_WANG = [Said(msg_id=f"m-{n}", position=n, author=WANG) for n in range(1, 11)]


def rise(who: Principal = ANN, **more: Any) -> MarkRise:
    usual: dict[str, Any] = {
        "conv": CONV,
        "who": who,
        "delivered": (0, 0),
        "read": (0, 0),
        "at": START,
        "messages": BY_WANG,
    }
    return MarkRise(**(usual | more))


def one_flat(who: str, name: str, realm: Realm, **known: Any) -> dict[str, Any]:
    decision = decided(
        decide(PEOPLE[who], at(Status.ACTIVE), command(name), moment(), facts(**known))
    )
    (found,) = (each for event in decision.events for each in flat_status(event, realm))
    return found


def test_a_message_is_sent_once_it_stands() -> None:
    assert one_flat("assignee", "post_message", Realm.EMPLOYEE) == {
        "type": "message_status",
        "conv_id": CONV,
        "msg_id": "id-1",
        "status": "sent",
        "sent_at": START,
    }


@pytest.mark.parametrize(
    "who, name, extra",
    [
        ("requester", "recall_message", {"recall_by": "ann", "recall_at": START}),
        ("supervisor", "redact_message", {"delete_by": "lina", "delete_at": START}),
    ],
)
def test_a_withdrawal_says_who_and_when(who: str, name: str, extra: dict[str, Any]) -> None:
    flat = one_flat(who, name, Realm.AGENT, message=posted(PEOPLE["requester"]))

    assert flat["status"] == ("recalled" if name == "recall_message" else "deleted")
    assert {key: flat[key] for key in extra} == extra
    assert flat["msg_id"] == MSG_ID


def test_a_mark_tells_of_each_message_it_passed() -> None:
    told = flat_status(rise(delivered=(2, 4), read=(1, 3)), Realm.AGENT)

    assert [(each["msg_id"], each["status"]) for each in told] == [
        ("m-3", "delivered"),
        ("m-4", "delivered"),
        ("m-2", "read"),
        ("m-3", "read"),
    ]
    assert told[0] == {
        "type": "message_status",
        "conv_id": CONV,
        "msg_id": "m-3",
        "status": "delivered",
        "delivered_to": "ann",
        "delivered_at": START,
    }


@pytest.mark.parametrize(
    "who, reader, shown",
    [
        (WANG, Realm.EMPLOYEE, "staff"),
        (WANG, Realm.AGENT, "wang"),
        (ANN, Realm.EMPLOYEE, "ann"),
        (ANN, Realm.AGENT, "ann"),
    ],
)
def test_employees_see_agents_as_one_reader(who: Principal, reader: Realm, shown: str) -> None:
    others = [Said(msg_id="m", position=1, author=Principal(Realm.AGENT, PersonId("chen")))]

    told = flat_status(rise(who, read=(0, 1), delivered=(0, 1), messages=others), reader)

    assert [each.get("delivered_to", each.get("read_by")) for each in told] == [shown, shown]


def test_neither_ones_own_message_nor_a_withdrawn_one_is_told() -> None:
    messages = [
        Said(msg_id="own", position=1, author=ANN),
        Said(msg_id="gone", position=2, author=WANG, is_withdrawn=True),
        Said(msg_id="there", position=3, author=WANG),
    ]

    told = flat_status(rise(read=(0, 3), messages=messages), Realm.AGENT)

    assert [each["msg_id"] for each in told] == ["there"]


def test_only_the_newest_two_hundred_are_told() -> None:
    many = [Said(msg_id=f"m-{n}", position=n, author=WANG) for n in range(1, 302)]

    told = flat_status(rise(read=(0, 301), messages=many), Realm.AGENT)

    assert len(told) == FLAT_MESSAGES_MAX
    assert (told[0]["msg_id"], told[-1]["msg_id"]) == ("m-102", "m-301")


marks = st.lists(
    st.tuples(st.integers(0, 10), st.integers(0, 10)).map(sorted), min_size=1, max_size=8
)


@given(marks)
def test_the_status_of_a_message_never_falls(reports: list[list[int]]) -> None:
    read = delivered = 0
    status: dict[str, int] = {}
    order = {"delivered": 1, "read": 2}
    for low, high in reports:
        new_read, new_delivered = max(read, low), max(delivered, high, low)
        told = flat_status(
            rise(delivered=(delivered, new_delivered), read=(read, new_read)), Realm.AGENT
        )
        for each in told:
            rank = order[each["status"]]
            assert rank > status.get(each["msg_id"], 0)
            status[each["msg_id"]] = rank
        read, delivered = new_read, new_delivered

    assert {n for n, rank in status.items() if rank == 2} == {f"m-{n}" for n in range(1, read + 1)}


def test_what_is_of_no_message_has_no_flat_form() -> None:
    note = decided(
        decide(PEOPLE["assignee"], at(Status.ACTIVE), command("post_note"), moment(START, count(1)))
    ).events[0]

    assert flat_status(note, Realm.AGENT) == []
    assert flat_status(decode(tombstone(encode(note), Withdrawn.RECALLED)), Realm.AGENT) == []


def test_the_tombstone_of_a_message_is_not_sent_again() -> None:
    stone = tombstone(encode(sample(NAMED["message.posted"])), Withdrawn.RECALLED)

    assert flat_status(decode(stone), Realm.AGENT) == []


def test_no_extra_key_names_a_fixed_one() -> None:
    extras = {key for line in FLAT.values() for key in (line.by, line.at)}

    assert not extras & set(FLAT_FIXED)
    assert {name for name in FLAT if "." in name} <= set(NAMED)
