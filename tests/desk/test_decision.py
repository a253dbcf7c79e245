from __future__ import annotations

import pytest

from deskwire.desk import events as ev
from deskwire.desk.conversation import Status
from deskwire.desk.decision import Deciding, Facts, Outcome, not_assignable, shown, wrong_state
from deskwire.desk.people import PersonId
from tests.desk.cast import (
    AGENTS,
    CONV,
    EVERYBODY,
    PEOPLE,
    WANG,
    about,
    at,
    facts,
    moment,
    offer,
)


def deciding(who: str = "supervisor", **known: object) -> Deciding:
    state = at(Status.ACTIVE)
    return Deciding(
        EVERYBODY[who],
        state,
        about(state, "close_conversation"),
        moment(),
        facts(**known),
    )


def test_a_decision_that_would_leave_an_offer_behind_is_our_own_bug() -> None:
    d = deciding(offer=offer())
    d.add(ev.ConversationClosed(how="forced", version=d.next_version))

    with pytest.raises(AssertionError, match="left behind"):
        d.decision()


def test_an_offer_has_one_end() -> None:
    d = deciding(offer=offer())
    d.end_offer(Outcome.DECLINED)

    with pytest.raises(AssertionError):
        d.end_offer(Outcome.EXPIRED)


def test_every_event_of_a_decision_has_the_anchor_of_its_beginning() -> None:
    d = deciding()
    d.add(ev.ConversationResolved(how="agent", resolution_no=1, version=d.next_version))
    d.reason("about")

    assert {event.anchor for event in d.decision().events} == {at(Status.ACTIVE).head}


def test_a_load_that_comes_and_goes_is_no_change() -> None:
    d = deciding()
    d.change_load(WANG.id, 1)
    d.change_load(WANG.id, -1)

    assert d.decision().loads == {}


def test_a_decision_names_the_command_that_led_to_it() -> None:
    d = deciding()
    d.reason("about")

    reason = d.decision().events[0].data
    assert isinstance(reason, ev.ReasonRecorded)
    assert (reason.command, reason.cause) == ("close_conversation", "close_conversation")


def test_what_the_desk_itself_does_is_by_nobody() -> None:
    d = deciding("system")

    assert d.add(ev.RequesterReminded(resolve_at=1)).by is None


def test_a_stream_is_named_once_though_two_letters_lead_to_it() -> None:
    d = deciding()

    event = d.add(
        ev.ConversationAssigned(agent=ev.RowPerson(id="wang", name="Wang"), version=9),
        agents=(PersonId("wang"), PersonId("wang")),
    )

    assert event.streams == (f"conv:{CONV}", "queue:support", "agent:wang")


def test_an_agent_who_was_read_is_found() -> None:
    known = Facts(agents=AGENTS)

    assert known.agent(WANG.id) is WANG
    assert known.agent(PersonId("nobody")) is None


def test_refusals_carry_what_their_line_names() -> None:
    assert wrong_state(at(Status.ACTIVE)).detail == {"status": "active"}
    assert wrong_state(at(Status.CLOSED)).code.value == "closed"
    assert not_assignable("disabled").detail == {"reason": "disabled"}
    assert shown(PEOPLE["assignee"].person) == {"id": "wang", "name": "Wang", "avatar": None}
