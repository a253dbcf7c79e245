"""The office: groups and their hours, categories, tags, canned replies, settings. Plain records.

What they hold is checked where it is saved (`administration`). Invariant: what is archived stays,
because conversations point to it; it is only no longer offered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

from deskwire.desk.people import PersonId

PRIORITY_MAX = 3
TAGS_MAX = 20


class Routing(StrEnum):
    """How a group's queue reaches its agents: the desk proposes, or agents help themselves."""

    OFFER = "offer"
    PULL = "pull"


class Pick(StrEnum):
    """Who among the assignable is asked first."""

    LEAST_BUSY = "least_busy"
    ROUND_ROBIN = "round_robin"


class Scope(StrEnum):
    """Whose a canned reply is."""

    MINE = "mine"
    GROUP = "group"
    ALL = "all"


Span = tuple[int, int]
Week = tuple[tuple[Span, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """When a group works, by China Standard Time.

    `week` has seven days, Monday first; a day has spans of minutes since midnight, [from, until),
    sorted and apart; 1440 is the end of the day. `closed_days` are dates, `2026-10-01`.
    """

    week: Week
    closed_days: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Agents who share one queue.

    `queue_max` bounds how many conversations may wait in it; `offer_s` is how long an offer stands
    (10 to 120); `first_answer_s` how long an assignee may be silent (0: for ever, else 30 to 900).
    No `hours`: always open.
    """

    id: str
    name: str
    queue_max: int = 200
    routing: Routing = Routing.PULL
    pick: Pick = Pick.LEAST_BUSY
    offer_s: int = 25
    first_answer_s: int = 120
    hours: Hours | None = None
    members: tuple[PersonId, ...] = ()
    version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """What a conversation is about; it decides the group. `skill` is what its agents must have."""

    id: str
    name_zh: str
    name_en: str
    group: Group
    order: int = 0
    parent_id: str | None = None
    skill: str | None = None
    is_archived: bool = False
    version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """A word that agents put on conversations. `colour` is `#RRGGBB`."""

    id: str
    name: str
    colour: str
    is_archived: bool = False
    version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CannedReply:
    """A text that is often written. `text` may hold the variables of `VARIABLES`.

    `owner` is set if the scope is `mine`, `group_id` if it is `group`.
    """

    id: str
    scope: Scope
    shortcut: str
    text: str
    owner: PersonId | None = None
    group_id: str | None = None
    is_archived: bool = False
    version: int = 0


VARIABLES = ("{姓名}", "{编号}", "{坐席}")


def _number(
    default: int, low: int, high: int, unit: str, meaning: str, zero: str | None = None
) -> Any:
    """A number between `low` and `high`; where `zero` says what it means, also 0."""
    bounds = {"low": low, "high": high, "unit": unit, "meaning": meaning, "zero": zero}
    return field(default=default, metadata=bounds)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskSettings:
    """What an administrator may turn; `SETTINGS` lists the bounds of each."""

    recall_window_s: int = _number(
        120, 1, 86_400, "s", "how long authors may recall what they wrote", zero="off"
    )
    originals_days: int = _number(
        30, 1, 365, "d", "how long the original of a recalled message is kept", zero="not at all"
    )
    command_records_days: int = _number(30, 7, 365, "d", "how long a command id is remembered")
    events_days: int = _number(
        90, 30, 3_650, "d", "how long events of boards, agents and employees stand", zero="for ever"
    )
    presence_grace_s: int = _number(
        90, 30, 600, "s", "how long an agent may be without a connection before they count as lost"
    )
    reminder_h: int = _number(
        12, 1, 720, "h", "after how much silence the requester is reminded", zero="off"
    )
    auto_resolve_h: int = _number(
        24, 1, 720, "h", "after how much silence a conversation counts as resolved", zero="off"
    )
    auto_close_h: int = _number(
        48, 1, 168, "h", "how long a resolved conversation may be reopened by a message"
    )
    push_excerpt_chars: int = _number(
        0,
        1,
        40,
        "characters",
        "how much of the newest message a push shows",
        zero="only who, how many",
    )
    second_rung_s: int = _number(
        180, 30, 3_600, "s", "when what was delivered but not read is pushed", zero="off"
    )
    quiet_from_min: int = _number(
        1_320, 0, 1_439, "min", "when quiet hours begin, in minutes of the day"
    )
    quiet_until_min: int = _number(
        480, 0, 1_439, "min", "when quiet hours end; the same as their begin: there are none"
    )


DEFAULTS = DeskSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A line of the table of settings. `zero` says what 0 means where it lies below `low`."""

    name: str
    default: int
    low: int
    high: int
    unit: str
    meaning: str
    zero: str | None = None

    def allows(self, value: int) -> bool:
        """Whether the setting may have this value."""
        return self.low <= value <= self.high or (value == 0 and self.zero is not None)


SETTINGS: Mapping[str, Setting] = {
    known.name: Setting(name=known.name, default=getattr(DEFAULTS, known.name), **known.metadata)
    for known in fields(DeskSettings)
}
