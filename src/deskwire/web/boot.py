"""What `GET /boot` answers, for the schema of the API: both realms, every field, an example each.

Written for readers of the schema; the answer itself is the view's. A test holds that the two agree.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from deskwire.desk.people import Realm
from deskwire.desk.refusals import Code, Refusal
from deskwire.web.errors import refused_with

Ms = int  # Unix ms


class Answer(BaseModel):
    """What every part of an answer has in common: no field but those named."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Person(Answer):
    """A person as others see them."""

    id: str
    name: str
    avatar: str | None


class Requester(Person):
    """The employee who asked."""

    department: str


class EmployeeMe(Person):
    """Who reads the H5 page."""

    realm: Literal["employee"]
    department: str
    language: Literal["zh-CN", "en"] | None


class AgentMe(Person):
    """Who reads the workbench."""

    realm: Literal["agent"]
    role: Literal["agent", "supervisor", "admin"]
    login_name: str
    language: Literal["zh-CN", "en"] | None
    availability: Literal["online", "busy", "break", "offline"]
    availability_reason: str | None
    availability_since: Ms
    capacity: int
    load: int
    skills: list[str]
    pushes: bool
    groups: list[str]


class PageSettings(Answer):
    """What a page has to obey."""

    text_chars_max: int
    attachments_max: int
    image_bytes_max: int
    file_bytes_max: int
    recall_window_s: int
    auto_close_h: int


class AllSettings(PageSettings):
    """Every setting of the desk, and the version that `save_settings` has to name."""

    originals_days: int
    command_records_days: int
    events_days: int
    presence_grace_s: int
    reminder_h: int
    auto_resolve_h: int
    push_excerpt_chars: int
    second_rung_s: int
    quiet_from_min: int
    quiet_until_min: int
    version: int


class Category(Answer):
    """What a conversation may be about. Two deep at most."""

    id: str
    name_zh: str
    name_en: str
    group_id: str
    order: int
    parent_id: str | None


class StaffCategory(Category):
    """A category as agents know it, archived ones too."""

    skill: str | None
    is_archived: bool
    version: int


class NamedGroup(Answer):
    """The group inside a row."""

    id: str
    name: str


class NamedCategory(Answer):
    """The category inside a row."""

    id: str
    name_zh: str
    name_en: str


class LastMessage(Answer):
    """The newest public message of a row."""

    msg_id: str
    position: int
    kind: Literal["text", "image", "file"]
    realm: Literal["agent", "employee"]
    at: Ms


class Row(Answer):
    """A list line."""

    conv_id: str
    no: str
    requester: Requester
    group: NamedGroup
    category: NamedCategory
    status: Literal["queued", "active", "on_hold", "resolved", "closed"]
    assignee: Person | None
    turn: Literal["agent", "employee"]
    waiting_since: Ms | None
    opened_at: Ms
    version: int
    last_message: LastMessage | None
    preview: str | None
    unread: int


class StaffRow(Row):
    """A list line as staff see it."""

    priority: int
    tags: list[str]
    label_version: int


class OwnMark(Answer):
    """One's own delivered and read position on a conversation."""

    delivered: int
    read: int


class Group(Answer):
    """A group. `week`: seven days, Monday first, of [from, until) in minutes; null: always open."""

    id: str
    name: str
    is_mine: bool
    members: list[str]
    routing: Literal["offer", "pull"]
    pick: Literal["least_busy", "round_robin"]
    offer_s: int
    first_answer_s: int
    queue_max: int
    week: list[list[list[int]]] | None
    closed_days: list[str]
    version: int


class Agent(Person):
    """A colleague, with what they say of themselves and how much they have in hand."""

    role: Literal["agent", "supervisor", "admin"]
    availability: Literal["online", "busy", "break", "offline"]
    availability_reason: str | None
    availability_since: Ms
    presence: Literal["connected", "grace", "lost"]
    load: int
    capacity: int
    groups: list[str]
    skills: list[str]


class AdministeredAgent(Agent):
    """A colleague as an administrator sees them."""

    login_name: str
    pushes: bool
    version: int


class Tag(Answer):
    """A tag, archived ones too."""

    id: str
    name: str
    colour: str
    is_archived: bool
    version: int


class CannedReply(Answer):
    """A text one may put into a message: one's own, one's groups', everybody's."""

    id: str
    scope: Literal["mine", "group", "all"]
    shortcut: str
    text: str
    group_id: str | None
    version: int


class Draft(Answer):
    """What one was writing. `attachments` are ids of one's uploads."""

    conv_id: str
    mode: Literal["reply", "note"]
    text: str
    attachments: list[str]
    rev: int


Positions = dict[str, tuple[str, int]]


class EmployeeBoot(Answer):
    """`GET /api/employee/boot`: `positions` of every stream it stands for, as [epoch, head]."""

    now: Ms
    until: Ms
    me: EmployeeMe
    settings: PageSettings
    categories: list[Category]
    rows: list[Row]
    marks: dict[str, OwnMark]
    positions: Positions


class AgentBoot(Answer):
    """`GET /api/agent/boot`: `boards` by group, `positions` of every stream it stands for."""

    now: Ms
    until: Ms
    me: AgentMe
    settings: AllSettings
    categories: list[StaffCategory]
    rows: list[StaffRow]
    marks: dict[str, OwnMark]
    groups: list[Group]
    agents: list[AdministeredAgent | Agent]
    boards: dict[str, list[StaffRow]]
    tags: list[Tag]
    canned_replies: list[CannedReply]
    drafts: list[Draft]
    positions: Positions


def boot_docs(realm: Realm) -> dict[int | str, dict[str, Any]]:
    """The answers of `GET /boot` in this realm, for the schema."""
    is_agents = realm is Realm.AGENT
    example = AGENT_EXAMPLE if is_agents else EMPLOYEE_EXAMPLE
    whole = {
        "model": AgentBoot if is_agents else EmployeeBoot,
        "description": "What a page needs once, from one moment",
        "content": {"application/json": {"example": example}},
    }
    return {
        200: whole,
        **refused_with(Refusal(Code.LOGIN_REQUIRED), Refusal(Code.TRY_LATER, {"retry_after_s": 1})),
    }


# No example holds null: the schema's writer leaves such a field out, and it would be none of ours.
_CONV = "019ab0c0-6a10-7000-8000-000000000001"
_ANN = {"id": "p-ann", "name": "安安", "avatar": "https://wework.example/ann.png"}
_WANG = {"id": "p-wang", "name": "王强", "avatar": "https://wework.example/wang.png"}
_SHARED: dict[str, Any] = {
    "text_chars_max": 4000,
    "attachments_max": 9,
    "image_bytes_max": 10_485_760,
    "file_bytes_max": 20_971_520,
    "recall_window_s": 120,
    "auto_close_h": 48,
}
_CATEGORY: dict[str, Any] = {
    "id": "network",
    "name_zh": "网络与 VPN",
    "name_en": "Network and VPN",
    "group_id": "support",
    "order": 0,
    "parent_id": "it",
}
_ROW: dict[str, Any] = {
    "conv_id": _CONV,
    "no": "IT-20261122-0007",
    "requester": {**_ANN, "department": "市场部"},
    "group": {"id": "support", "name": "IT 支持"},
    "category": {"id": "network", "name_zh": "网络与 VPN", "name_en": "Network and VPN"},
    "status": "active",
    "assignee": _WANG,
    "turn": "agent",
    "waiting_since": 1_795_305_600_000,
    "opened_at": 1_795_305_600_000,
    "version": 2,
    "last_message": {
        "msg_id": "019ab0c0-6a10-7000-8000-000000000002",
        "position": 2,
        "kind": "text",
        "realm": "employee",
        "at": 1_795_305_600_000,
    },
    "preview": "VPN 连不上",
    "unread": 1,
}
_TIMES = {"now": 1_795_305_660_000, "until": 1_795_307_400_000}
_STAFF_ROW = {**_ROW, "priority": 0, "tags": ["vip"], "label_version": 1}
_AVAILABILITY: dict[str, Any] = {
    "availability": "break",
    "availability_reason": "午饭",
    "availability_since": 1_795_300_000_000,
}

EMPLOYEE_EXAMPLE: dict[str, Any] = {
    **_TIMES,
    "me": {**_ANN, "realm": "employee", "department": "市场部", "language": "zh-CN"},
    "settings": _SHARED,
    "categories": [_CATEGORY],
    "rows": [{**_ROW, "unread": 0}],
    "marks": {_CONV: {"delivered": 4, "read": 4}},
    "positions": {"employee:p-ann": ["k3x9q1zt", 1], f"conv:{_CONV}": ["k3x9q1zt", 4]},
}
AGENT_EXAMPLE: dict[str, Any] = {
    **_TIMES,
    "me": {
        **_WANG,
        **_AVAILABILITY,
        "realm": "agent",
        "role": "agent",
        "login_name": "wangqiang",
        "language": "zh-CN",
        "capacity": 5,
        "load": 1,
        "skills": ["vpn"],
        "pushes": True,
        "groups": ["support"],
    },
    "settings": {
        **_SHARED,
        "originals_days": 30,
        "command_records_days": 30,
        "events_days": 90,
        "presence_grace_s": 90,
        "reminder_h": 12,
        "auto_resolve_h": 24,
        "push_excerpt_chars": 0,
        "second_rung_s": 180,
        "quiet_from_min": 1320,
        "quiet_until_min": 480,
        "version": 0,
    },
    "categories": [{**_CATEGORY, "skill": "vpn", "is_archived": False, "version": 1}],
    "rows": [_STAFF_ROW],
    "marks": {_CONV: {"delivered": 4, "read": 1}},
    "groups": [
        {
            "id": "support",
            "name": "IT 支持",
            "is_mine": True,
            "members": ["p-wang"],
            "routing": "offer",
            "pick": "least_busy",
            "offer_s": 25,
            "first_answer_s": 120,
            "queue_max": 200,
            "week": [*([[[540, 1080]]] * 5), [], []],
            "closed_days": ["2026-10-01"],
            "version": 3,
        }
    ],
    "agents": [
        {
            **_WANG,
            **_AVAILABILITY,
            "role": "agent",
            "presence": "connected",
            "load": 1,
            "capacity": 5,
            "groups": ["support"],
            "skills": ["vpn"],
        }
    ],
    "boards": {"support": [_STAFF_ROW]},
    "tags": [
        {"id": "vip", "name": "贵宾", "colour": "#FF8800", "is_archived": False, "version": 1}
    ],
    "canned_replies": [
        {
            "id": "hi",
            "scope": "group",
            "shortcut": "hi",
            "text": "{姓名}您好",
            "group_id": "support",
            "version": 1,
        }
    ],
    "drafts": [{"conv_id": _CONV, "mode": "reply", "text": "正在看", "attachments": [], "rev": 2}],
    "positions": {
        "agent:p-wang": ["k3x9q1zt", 3],
        "desk": ["k3x9q1zt", 12],
        "queue:support": ["k3x9q1zt", 9],
        f"conv:{_CONV}": ["k3x9q1zt", 4],
    },
}
