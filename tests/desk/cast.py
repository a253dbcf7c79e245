"""Who plays in the tests of the rules: one conversation, and everybody who may stand to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import Any

from deskwire.desk.access import Participant
from deskwire.desk.commands import (
    CancelConversation,
    ClaimConversation,
    ConfirmSolved,
    JoinConversation,
    OfConversation,
    OpenConversation,
    PostMessage,
    PostNote,
    RateConversation,
    ResolveConversation,
)
from deskwire.desk.conversation import (
    Conversation,
    Decision,
    Moment,
    Opening,
    Status,
    decide,
    decide_opening,
)
from deskwire.desk.office import Category, Group
from deskwire.desk.people import Actor, PersonId, PersonRef, Principal, Realm, Role
from deskwire.desk.refusals import Refusal

GROUP = Group(id="support", name="IT 支持", queue_max=3)
CATEGORY = Category(id="network", name_zh="网络", name_en="Network", group=GROUP)
CONV = "conv-1"
START = 1_767_225_600_000
DAY_MS = 24 * 3600 * 1000


def employee(name: str) -> Actor:
    person = PersonId(name)
    ref = PersonRef(id=person, name=name.title())
    return Actor(principal=Principal(Realm.EMPLOYEE, person), person=ref, department="市场部")


def agent(name: str, *groups: str, role: Role = Role.AGENT, load: int = 0) -> Actor:
    person = PersonId(name)
    return Actor(
        principal=Principal(Realm.AGENT, person),
        person=PersonRef(id=person, name=name.title()),
        role=role,
        groups=frozenset(groups),
        capacity=2,
        load=load,
    )


PEOPLE: dict[str, Actor] = {
    "requester": employee("ann"),
    "invited": employee("bo"),
    "stranger": employee("cy"),
    "assignee": agent("wang", "support"),
    "participant": agent("chen", "support"),
    "colleague": agent("zhao", "support"),
    "supervisor": agent("lina", "support", role=Role.SUPERVISOR),
    "admin": agent("root", role=Role.ADMIN),
    "requester_as_agent": agent("ann", "support"),
    "other_agent": agent("qian", "facilities"),
    "other_supervisor": agent("sun", "facilities", role=Role.SUPERVISOR),
}
NOT_FOR_STRANGERS = ("stranger", "other_agent", "other_supervisor")

Ids = Iterator[int]


def moment(now: int = START, ids: Ids | None = None) -> Moment:
    numbers = ids or count(1)
    return Moment(now=now, new_id=lambda: f"id-{next(numbers)}", command_id="command-0001")


def opening(**facts: Any) -> Opening:
    usual: dict[str, Any] = {
        "conv_id": CONV,
        "no": "IT-20260101-0001",
        "category": CATEGORY,
        "unclosed": None,
        "queued": 0,
    }
    return Opening(**(usual | facts))


def asked(body: str = "VPN 连不上", previous_id: str | None = None) -> OpenConversation:
    return OpenConversation(
        category_id=CATEGORY.id, kind="text", body=body, previous_id=previous_id
    )


def decided(answer: Decision | Refusal) -> Decision:
    assert isinstance(answer, Decision), answer
    return answer


def refused(answer: Decision | Refusal) -> Refusal:
    assert isinstance(answer, Refusal), answer
    return answer


def opened() -> Decision:
    return decided(decide_opening(PEOPLE["requester"], asked(), opening(), moment()))


def command(name: str) -> OfConversation:
    """A command of this wire name with arguments to which nobody could object."""
    match name:
        case "post_message":
            return PostMessage(conv=CONV, kind="text", body="在看")
        case "post_note":
            return PostNote(conv=CONV, body="证书过期")
        case "claim_conversation":
            return ClaimConversation(conv=CONV)
        case "join_conversation":
            return JoinConversation(conv=CONV)
        case "resolve_conversation":
            return ResolveConversation(conv=CONV, note="已续签")
        case "cancel_conversation":
            return CancelConversation(conv=CONV)
        case "confirm_solved":
            return ConfirmSolved(conv=CONV)
        case "rate_conversation":
            return RateConversation(conv=CONV, score=5, reasons=("快",), comment="谢谢")
    raise AssertionError(name)


def doing(state: Conversation, who: str, name: str, ids: Ids | None = None) -> Conversation:
    return decided(decide(PEOPLE[who], state, command(name), moment(START, ids))).state


def at(status: Status) -> Conversation:
    """The conversation in this status; `participant` has joined and `invited` was invited."""
    ids = count(100)
    state = doing(opened().state, "participant", "join_conversation", ids)
    invited = Participant(principal=PEOPLE["invited"].principal, role="invited", visible_from=2)
    state = replace(state, participants=(*state.participants, invited))
    road = {
        Status.ACTIVE: ("assignee", "claim_conversation"),
        Status.RESOLVED: ("assignee", "resolve_conversation"),
        Status.CLOSED: ("requester", "confirm_solved"),
    }
    for reached, (who, name) in road.items():
        if state.status is status:
            break
        state = doing(state, who, name, ids)
        assert state.status is reached
    assert state.status is status
    return state
