from __future__ import annotations

from dataclasses import replace

import pytest

from deskwire.desk import events as ev
from deskwire.desk.conversation import Conversation, Status, evolve, reopened, written
from deskwire.desk.events import EVENT_TYPES
from deskwire.desk.people import Realm
from tests.desk.cast import (
    CONV,
    DAY_MS,
    GROUP,
    OTHER_GROUP,
    PEOPLE,
    START,
    answered,
    at,
    doing,
)
from tests.desk.test_events import sample

STATUSES = (Status.QUEUED, Status.ACTIVE, Status.ON_HOLD, Status.RESOLVED, Status.CLOSED)


def after(state: Conversation, data: ev.Data, streams: tuple[ev.Stream, ...] = ()) -> Conversation:
    who = PEOPLE["assignee"]
    event = ev.Event(
        id="event-1",
        at=START + 9,
        conv=CONV,
        by=ev.By(who.principal, who.person),
        data=data,
        streams=streams,
        anchor=state.head,
    )
    return evolve(state, event)


@pytest.mark.parametrize("line", EVENT_TYPES, ids=lambda line: line.name)
def test_every_event_leads_from_every_status_to_a_state(line: ev.EventType) -> None:
    """Total: also where no decision would ever lead."""
    data = sample(line).data
    if isinstance(data, ev.MessagePosted):
        data = ev.MessagePosted(
            msg_id="m", command_id="c", kind="text", body="x", turn=Realm.AGENT.value
        )
    if isinstance(data, ev.ParticipantJoined | ev.ParticipantLeft):
        data = type(data)(
            **{f: getattr(data, f) for f in data.__struct_fields__} | {"realm": "agent"}
        )
    for state in map(at, STATUSES):
        found = after(state, data, (ev.conv_stream(CONV),))

        assert found.head == state.head + 1
        assert found.conv_id == state.conv_id


@pytest.mark.parametrize("line", [t for t in EVENT_TYPES if ev.C not in t.streams])
def test_what_is_not_told_on_the_conversation_moves_no_position(line: ev.EventType) -> None:
    state = at(Status.ACTIVE)

    found = after(state, sample(line).data, (ev.queue_stream("support"),))

    assert found.head == state.head


STAFF_ONLY = [
    line
    for line in EVENT_TYPES
    if line.clearance is ev.Clearance.STAFF
    and not line.name.startswith(("conversation.", "assignee."))
]


@pytest.mark.parametrize("line", STAFF_ONLY, ids=lambda line: line.name)
def test_what_is_staffs_alone_changes_nothing_that_decides(line: ev.EventType) -> None:
    state = at(Status.ACTIVE)

    assert after(state, sample(line).data) == state


@pytest.mark.parametrize("status", STATUSES)
def test_an_assignee_there_is_if_and_only_if_it_is_active(status: Status) -> None:
    state = at(status)

    assert (state.assignee is not None) == (status is Status.ACTIVE)


def test_leaving_a_status_leaves_nothing_of_it_behind() -> None:
    state = replace(
        answered(),
        assignee_absent=True,
        preferred_agent=PEOPLE["colleague"].person.id,
        prefer_until=START,
        waiting_reason="none_online",
    )

    found = after(
        state,
        ev.ConversationQueued(cause="requeued", group_id="support", waiting_since=START, version=9),
    )

    assert (found.assignee, found.assignee_absent, found.assignee_answered) == (None, False, False)
    assert (found.preferred_agent, found.prefer_until, found.waiting_reason) == (None, None, None)
    assert (found.version, found.last_agent) == (9, "wang")


def test_a_reopened_conversation_begins_a_new_wait() -> None:
    found = reopened(at(Status.CLOSED), version=7, waiting_since=START + DAY_MS)

    assert (found.status, found.waiting_since, found.reopen_count) == (
        Status.QUEUED,
        START + DAY_MS,
        1,
    )
    assert (found.closed_at, found.closed_how, found.version) == (None, None, 7)


def test_an_assignee_has_answered_only_since_they_have_it() -> None:
    first = doing(at(Status.ACTIVE), "participant", "post_message")
    own = doing(at(Status.ACTIVE), "assignee", "post_message")
    given_on = doing(own, "supervisor", "take_over")

    assert [state.assignee_answered for state in (first, own, given_on)] == [False, True, False]


def test_the_group_is_the_categorys_until_it_is_moved() -> None:
    state = at(Status.ACTIVE)
    moved = replace(state, moved_to=OTHER_GROUP)

    assert (state.group, moved.group) == (GROUP, OTHER_GROUP)
    assert (state.has_own_category, moved.has_own_category) == (True, False)
    assert moved.sight.group_id == moved.row.group.id == "facilities"


def test_the_row_shows_who_has_it() -> None:
    assert at(Status.ACTIVE).row.assignee == written(PEOPLE["assignee"].person)
    assert at(Status.QUEUED).row.assignee is None


def test_whoever_comes_back_keeps_what_they_muted() -> None:
    state = at(Status.ACTIVE)
    muted = replace(
        state, participants=tuple(replace(each, mute=True) for each in state.participants)
    )

    found = after(
        muted,
        ev.ParticipantJoined(
            realm="employee",
            person=ev.RowPerson(id="bo", name="Bo"),
            role="invited",
            visible_from=9,
        ),
    )

    (member,) = (each for each in found.participants if each.principal.person == "bo")
    assert (member.mute, member.visible_from) == (True, 9)
