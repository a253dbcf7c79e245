"""Who plays in the tests of the rules: one conversation, and everybody who may stand to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import count
from typing import Any, TypeVar

from deskwire.desk import commands as ask
from deskwire.desk.access import Participant
from deskwire.desk.conversation import Conversation, Status
from deskwire.desk.decide import decide
from deskwire.desk.decision import (
    Decision,
    Facts,
    Moment,
    Offer,
    OfferKind,
    Opening,
)
from deskwire.desk.events import Data, Event
from deskwire.desk.messages import Attachment, AttachmentKind, Posted
from deskwire.desk.office import Category, Group, Routing
from deskwire.desk.opening import decide_opening
from deskwire.desk.people import (
    SYSTEM,
    Actor,
    Agent,
    Availability,
    PersonId,
    PersonRef,
    Presence,
    Principal,
    Realm,
    Role,
)
from deskwire.desk.refusals import Refusal

GROUP = Group(id="support", name="IT 支持", queue_max=3, routing=Routing.OFFER)
OTHER_GROUP = Group(id="facilities", name="办公设备")
CATEGORY = Category(id="network", name_zh="网络", name_en="Network", group=GROUP)
ACCOUNT = Category(id="account", name_zh="账号权限", name_en="Account", group=GROUP)
PRINTER = Category(id="printer", name_zh="打印机", name_en="Printer", group=OTHER_GROUP)
CONV = "conv-1"
START = 1_767_225_600_000  # 2026-01-01, 08:00 in China, a Thursday
SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
OFFER_ID = "offer-1"
MSG_ID = "msg-1"


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
EVERYBODY = {**PEOPLE, "system": SYSTEM}

Ids = Iterator[int]
T = TypeVar("T")


def seen_by_routing(name: str, *groups: str, **more: Any) -> Agent:
    """An agent who is there and has room, unless `more` says otherwise."""
    usual: dict[str, Any] = {
        "groups": frozenset(groups or ("support",)),
        "capacity": 2,
        "availability": Availability.ONLINE,
        "presence": Presence.CONNECTED,
    }
    return Agent(person=PersonRef(id=PersonId(name), name=name.title()), **(usual | more))


WANG, CHEN, ZHAO, LINA = (seen_by_routing(name) for name in ("wang", "chen", "zhao", "lina"))
ANN_AS_AGENT = seen_by_routing("ann")
QIAN = seen_by_routing("qian", "facilities")
AGENTS = (WANG, CHEN, ZHAO, LINA, ANN_AS_AGENT, QIAN)


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


def asked(
    body: str = "VPN 连不上", previous_id: str | None = None, **more: Any
) -> ask.OpenConversation:
    usual: dict[str, Any] = {"category_id": CATEGORY.id, "kind": "text", "body": body}
    return ask.OpenConversation(previous_id=previous_id, **(usual | more))


def decided(answer: Decision | Refusal) -> Decision:
    assert isinstance(answer, Decision), answer
    return answer


def refused(answer: Decision | Refusal) -> Refusal:
    assert isinstance(answer, Refusal), answer
    return answer


def verdict(answer: object) -> str:
    return answer.code.value if isinstance(answer, Refusal) else "yes"


@cache
def opened() -> Decision:
    return decided(decide_opening(PEOPLE["requester"], asked(), opening(), moment()))


def offer(
    to: str = "zhao",
    kind: OfferKind = OfferKind.QUEUE,
    expires_at: int = START + 25_000,
    **more: Any,
) -> Offer:
    return Offer(
        offer_id=OFFER_ID,
        conv_id=CONV,
        agent=PersonId(to),
        kind=kind,
        expires_at=expires_at,
        **more,
    )


def transfer_offer(to: str = "zhao", *, stay: bool = False) -> Offer:
    return offer(to, OfferKind.TRANSFER, by=PersonId("wang"), stay=stay)


def posted(author: Actor | None = None, **more: Any) -> Posted:
    usual: dict[str, Any] = {"position": 2, "at": START, "is_note": False}
    who = author or PEOPLE["requester"]
    return Posted(msg_id=MSG_ID, author=who.principal, **(usual | more))


def upload(name: str = "a-1", owner: Actor | None = None, **more: Any) -> Attachment:
    usual: dict[str, Any] = {"kind": AttachmentKind.IMAGE, "type": "image/png", "conv": None}
    return Attachment(
        id=name,
        owner=(owner or PEOPLE["requester"]).principal,
        name=f"{name}.png",
        bytes=1_000,
        **(usual | more),
    )


# What each command asks for when nobody could object to its arguments.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "post_message": {"kind": "text", "body": "在看"},
    "post_note": {"body": "证书过期"},
    "recall_message": {"msg_id": MSG_ID},
    "redact_message": {"msg_id": MSG_ID, "reason": "密码"},
    "cancel_conversation": {},
    "confirm_solved": {},
    "reopen_conversation": {"kind": "text", "body": "还是不行"},
    "rate_conversation": {"score": 5, "reasons": ("快",), "comment": "谢谢"},
    "claim_conversation": {},
    "join_conversation": {},
    "leave_conversation": {},
    "take_over": {"reason": "同事不在"},
    "accept_offer": {"offer_id": OFFER_ID},
    "decline_offer": {"offer_id": OFFER_ID, "reason": "在开会"},
    "transfer_to_agent": {"agent": "zhao", "note": "懂证书"},
    "transfer_to_group": {"group": OTHER_GROUP.id, "note": "是打印机"},
    "hold_conversation": {"until": START + DAY_MS, "reason": "等配件"},
    "resume_conversation": {},
    "resolve_conversation": {"note": "已续签"},
    "requeue_conversation": {"reason": "下班了"},
    "assign_conversation": {"agent": "zhao", "reason": "专家"},
    "close_conversation": {"reason": "重复"},
    "invite_participant": {"realm": "employee", "person": "cy"},
    "remove_participant": {"realm": "employee", "person": "bo"},
    "set_category": {"category_id": ACCOUNT.id, "version": 0},
    "set_priority": {"priority": 3, "version": 0},
    "set_tags": {"tags": ("vip",), "version": 0},
    "make_offer": {"agent": "zhao"},
    "expire_offer": {"offer_id": OFFER_ID},
    "lose_agent": {"agent": "wang"},
    "regain_agent": {"agent": "wang"},
    "miss_first_answer": {},
    "drop_preference": {},
    "return_from_hold": {},
    "remind_requester": {},
    "auto_resolve": {},
    "close_resolved": {},
    "record_push": {
        "push_id": "push-1",
        "lease_no": 7,
        "realm": "employee",
        "person": "ann",
        "outcome": "notified",
        "up_to": 2,
    },
    "record_inspection": {},
}


def command(name: str, **more: Any) -> Any:
    """A command of this wire name with arguments to which nobody could object."""
    kind: Any = ask.COMMANDS[name].command
    return kind(conv=CONV, **(ARGUMENTS[name] | more))


def about(state: Conversation, name: str, **more: Any) -> Any:
    """The same, with the version that the conversation has."""
    if name.startswith("set_"):
        version = state.version if name == "set_category" else state.label_version
        more = {"version": version} | more
    return command(name, **more)


def facts(**more: Any) -> Facts:
    """Everything that a command could ask about, in order."""
    usual: dict[str, Any] = {
        "agents": AGENTS,
        "group": OTHER_GROUP,
        "category": ACCOUNT,
        "tags": frozenset({"vip", "slow"}),
        "person": PEOPLE["stranger"].person,
        "mentioned": frozenset({PersonId("chen"), PersonId("zhao")}),
    }
    return Facts(**(usual | more))


def doing(
    state: Conversation, who: str, name: str, ids: Ids | None = None, now: int = START, **more: Any
) -> Conversation:
    asking = about(state, name, **more)
    return decided(decide(EVERYBODY[who], state, asking, moment(now, ids), facts())).state


@cache
def at(status: Status) -> Conversation:
    """The conversation in this status; `participant` has joined and `invited` was invited."""
    ids = count(100)
    state = doing(opened().state, "participant", "join_conversation", ids)
    invited = Participant(principal=PEOPLE["invited"].principal, role="invited", visible_from=2)
    state = replace(state, participants=(*state.participants, invited))
    roads: dict[Status, tuple[tuple[str, str], ...]] = {
        Status.QUEUED: (),
        Status.ACTIVE: (("assignee", "claim_conversation"),),
        Status.ON_HOLD: (("assignee", "claim_conversation"), ("assignee", "hold_conversation")),
        Status.RESOLVED: (
            ("assignee", "claim_conversation"),
            ("assignee", "resolve_conversation"),
        ),
        Status.CLOSED: (
            ("assignee", "claim_conversation"),
            ("assignee", "resolve_conversation"),
            ("requester", "confirm_solved"),
        ),
    }
    for who, name in roads[status]:
        state = doing(state, who, name, ids)
    assert state.status is status
    return state


def answered(now: int = START) -> Conversation:
    """Active, and it is the employee's turn."""
    return doing(at(Status.ACTIVE), "assignee", "post_message", count(500), now)


def told(answer: Decision) -> list[str]:
    """The names of the events, in order."""
    return [event.type.name for event in answer.events]


def only(answer: Decision, kind: type[Data]) -> Event:
    """The one event of this kind."""
    (found,) = (event for event in answer.events if isinstance(event.data, kind))
    return found


def data_of(answer: Decision, kind: type[T]) -> T:
    """What the one event of this kind says."""
    (found,) = (event.data for event in answer.events if isinstance(event.data, kind))
    return found
