"""What may be asked about the office itself: groups, categories, tags, replies, people, settings.

Each names the whole record and the version one has seen, so that two administrators never undo each
other unseen. Their lines in the table of commands stand in `commands`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from deskwire.desk.office import Hours


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveGroup:
    """A group, all of it. `version` is the one last seen, 0 for a new one, as in all that follow.

    `name` 1–64; `offer_s` 10–120; `first_answer_s` 0 or 30–900; `queue_max` 1–10,000; ≤ 500
    members; ≤ 8 spans a day, ≤ 366 closed days, which only a group with a week has.
    """

    group_id: str
    name: str
    members: tuple[str, ...]
    version: int
    routing: Literal["offer", "pull"] = "offer"
    pick: Literal["least_busy", "round_robin"] = "least_busy"
    offer_s: int = 25
    first_answer_s: int = 120
    queue_max: int = 200
    week: tuple[tuple[tuple[int, int], ...], ...] | None = None
    closed_days: tuple[str, ...] = ()

    @property
    def hours(self) -> Hours | None:
        """The group's hours; none: always open."""
        if self.week is None:
            return None
        return Hours(week=self.week, closed_days=frozenset(self.closed_days))


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveCategory:
    """A category, all of it: two names of 1–64, a group that exists, a parent that is no child.

    `order` 0–10,000 says where it stands. Saving an archived one offers it again.
    """

    category_id: str
    name_zh: str
    name_en: str
    group_id: str
    version: int
    order: int = 0
    parent_id: str | None = None
    skill: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveTag:
    """A tag, all of it: a name of 1–32, a colour `#RRGGBB`."""

    tag_id: str
    name: str
    colour: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveCannedReply:
    """A canned reply, all of it: a shortcut of 1–32 without spaces, a text of 1–4,000.

    Any agent saves their own, a supervisor their group's, an admin everybody's.
    """

    reply_id: str
    scope: Literal["mine", "group", "all"]
    shortcut: str
    text: str
    version: int
    group_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveAgent:
    """What makes a person an agent: login name 1–64, capacity 1–50, ≤ 50 skills of 1–32.

    The login name is kept in lower case. Nobody takes the role of an admin from themselves. Their
    password is no argument: an answer that is kept for 30 days must not know it.
    """

    person: str
    login_name: str
    role: Literal["agent", "supervisor", "admin"]
    version: int
    capacity: int = 5
    skills: tuple[str, ...] = ()
    pushes: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SavePerson:
    """A person, in whatever realm. `wecom_userid` is lower case; a name of 1–64.

    `avatar` is an https address of ≤ 512 characters. Disabling ends all their logins.
    """

    person: str
    name: str
    version: int
    wecom_userid: str | None = None
    department: str = ""
    avatar: str | None = None
    language: Literal["zh-CN", "en"] | None = None
    is_disabled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveSettings:
    """Settings by name, each within the bounds of `office.SETTINGS`; those not named stay."""

    values: dict[str, int]
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveCategory:
    """Offer a category no more. What has it keeps it."""

    category_id: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveTag:
    """Offer a tag no more. What has it keeps it."""

    tag_id: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveCannedReply:
    """Offer a canned reply no more."""

    reply_id: str
    version: int


OfOffice = (
    SaveGroup
    | SaveCategory
    | SaveTag
    | SaveCannedReply
    | SaveAgent
    | SavePerson
    | SaveSettings
    | ArchiveCategory
    | ArchiveTag
    | ArchiveCannedReply
)
