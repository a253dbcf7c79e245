from __future__ import annotations

from typing import Any

import pytest

from deskwire.desk import events as ev
from deskwire.desk.conversation import Conversation, Status
from deskwire.desk.decide import decide
from deskwire.desk.decision import Decision
from deskwire.desk.people import PersonRef
from deskwire.desk.refusals import Refusal
from tests.desk.cast import (
    CONV,
    PEOPLE,
    about,
    at,
    data_of,
    decided,
    doing,
    facts,
    moment,
    opened,
    verdict,
)

PUBLIC = ev.conv_stream(CONV)


def doing_it(
    who: str, name: str, state: Conversation | None = None, **known: Any
) -> Decision | Refusal:
    said = known.pop("said", {})
    state = state or at(Status.ACTIVE)
    return decide(PEOPLE[who], state, about(state, name, **said), moment(), facts(**known))


def inviting(person: str, realm: str = "employee", who: str = "assignee", **said: Any) -> Any:
    actor = next(each for each in PEOPLE.values() if each.person.id == person)
    said = {"realm": realm, "person": person, **said}
    return doing_it(who, "invite_participant", person=actor.person, said=said)


def test_joining_twice_changes_nothing() -> None:
    state = at(Status.ACTIVE)

    answer = decided(doing_it("participant", "join_conversation", state))

    assert (answer.events, answer.state) == ((), state)


def test_an_invited_employee_sees_what_comes_from_now_on() -> None:
    answer = decided(inviting("cy"))

    joined = data_of(answer, ev.ParticipantJoined)
    assert (joined.role, joined.visible_from) == ("invited", at(Status.ACTIVE).head + 1)
    assert answer.events[0].streams == (PUBLIC, "queue:support", "employee:cy")
    assert answer.state.head == joined.visible_from, "the first that they see is their own joining"


def test_an_inviter_may_share_what_was_said_before() -> None:
    answer = decided(inviting("cy", share_history=True))

    assert data_of(answer, ev.ParticipantJoined).visible_from == 1


def test_an_invited_colleague_is_an_agent_who_sees_all() -> None:
    answer = decided(inviting("qian", "agent"))

    joined = data_of(answer, ev.ParticipantJoined)
    assert (joined.realm, joined.role, joined.visible_from) == ("agent", "agent", 1)
    assert answer.events[0].streams[-1] == "agent:qian"
    state = answer.state
    assert verdict(doing_it("other_agent", "post_message", state)) == "yes"


@pytest.mark.parametrize(
    "person, realm, says",
    [("ann", "agent", "own_conversation"), ("ann", "employee", "yes"), ("bo", "employee", "yes")],
)
def test_whoever_takes_part_already_keeps_their_bounds(person: str, realm: str, says: str) -> None:
    answer = inviting(person, realm)

    assert verdict(answer) == says
    if isinstance(answer, Decision):
        assert answer.events == ()


def test_only_somebody_who_exists_is_invited() -> None:
    said = {"realm": "employee", "person": "nobody"}

    assert verdict(doing_it("assignee", "invite_participant", said=said)) == "invalid"
    assert verdict(doing_it("assignee", "invite_participant", person=None, said=said)) == "invalid"


def test_whoever_leaves_sees_their_own_leaving_last() -> None:
    state = at(Status.ACTIVE)

    answer = decided(doing_it("invited", "leave_conversation", state))

    assert data_of(answer, ev.ParticipantLeft).left_at == state.head + 1 == answer.state.head
    after = doing(answer.state, "assignee", "post_message")
    assert verdict(doing_it("invited", "post_message", after)) == "not_allowed"


def test_whoever_is_invited_again_has_new_bounds() -> None:
    state = doing(at(Status.ACTIVE), "invited", "leave_conversation")
    said = {"person": "bo"}

    again = decided(
        doing_it(
            "assignee",
            "invite_participant",
            state,
            person=PEOPLE["invited"].person,
            said=said,
        )
    ).state

    member = again.sight.participation(PEOPLE["invited"].principal)
    assert member is not None
    assert (member.visible_from, member.left_at) == (state.head + 1, None)
    assert len(again.participants) == len(state.participants)


@pytest.mark.parametrize(
    "realm, person, says",
    [
        ("employee", "bo", "yes"),
        ("agent", "chen", "yes"),
        ("employee", "ann", "invalid"),
        ("agent", "wang", "wrong_state"),
        ("employee", "nobody", "invalid"),
    ],
)
def test_neither_requester_nor_assignee_is_removed(realm: str, person: str, says: str) -> None:
    said = {"realm": realm, "person": person}

    assert verdict(doing_it("supervisor", "remove_participant", said=said)) == says


def test_a_removed_participant_is_named_as_they_are_known() -> None:
    bo = PersonRef(id=PEOPLE["invited"].person.id, name="小波")

    named = decided(doing_it("assignee", "remove_participant", person=bo))
    unnamed = decided(doing_it("assignee", "remove_participant", person=None))

    assert data_of(named, ev.ParticipantLeft).person.name == "小波"
    assert data_of(unnamed, ev.ParticipantLeft).person.name == "bo"


def test_removing_whoever_has_left_changes_nothing() -> None:
    state = doing(at(Status.ACTIVE), "assignee", "remove_participant")

    assert decided(doing_it("assignee", "remove_participant", state)).events == ()


def test_an_invited_colleague_stays_invited_through_evolution() -> None:
    member = at(Status.QUEUED).participants[-1]

    assert (member.principal, member.role, member.visible_from) == (
        PEOPLE["invited"].principal,
        "invited",
        2,
    )


def test_the_requester_is_the_first_participant() -> None:
    (member,) = opened().state.participants

    assert (member.principal, member.role, member.visible_from) == (
        PEOPLE["requester"].principal,
        "requester",
        1,
    )
