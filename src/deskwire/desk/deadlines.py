"""What matters next: the timers, working hours, and what presence a timer row stands for.

Every timer is a row, armed and disarmed in the transaction that causes it, and becomes a command
whose guard is asked again: so a late or repeated run changes nothing. `timers_after` compares a
conversation before and after, so no path forgets to arm or disarm.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from deskwire.desk import events as ev
from deskwire.desk.conversation import Conversation, Status
from deskwire.desk.office import DeskSettings, Hours, Span
from deskwire.desk.people import Presence, Realm

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

PREFERENCE_MS = 15 * MINUTE_MS
HOLD_MS_MAX = 30 * DAY_MS
REOPEN_WINDOW_MS = 7 * DAY_MS
SWEEP_MS = 15_000
BEAT_MS = 15_000  # how often a node moves the row of an agent who is connected
CLEAN_MS = HOUR_MS

# China Standard Time has had no summer time since 1991: a fixed distance is the whole truth.
CHINA_AHEAD_MS = 8 * HOUR_MS
EPOCH = date(1970, 1, 1)
EDGE_DAYS_MAX = 400  # closed days are at most a year of them, and then a week


class TimerKind(StrEnum):
    """What a timer row is for; with its key it is the row's name."""

    OFFER_EXPIRY = "offer_expiry"
    DISPATCH = "dispatch"
    FIRST_ANSWER = "first_answer"
    AGENT_LOST = "agent_lost"
    PREFERENCE_OVER = "preference_over"
    HOLD_RETURN = "hold_return"
    REMINDER = "reminder"
    AUTO_RESOLVE = "auto_resolve"
    AUTO_CLOSE = "auto_close"
    PUSH = "push"
    HOURS_EDGE = "hours_edge"
    CLEAN = "clean"


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerLine:
    """A line of the table of timers, in words."""

    key: str
    armed_by: str
    disarmed_by: str
    due: str
    becomes: str


TIMERS: Mapping[TimerKind, TimerLine] = {
    TimerKind.OFFER_EXPIRY: TimerLine(
        key="offer",
        armed_by="offer made",
        disarmed_by="offer closed",
        due="25 s",
        becomes="`expire_offer`",
    ),
    TimerKind.DISPATCH: TimerLine(
        key="group",
        armed_by="anything that makes work or room",
        disarmed_by="–",
        due="now; sweep 15 s",
        becomes="`make_offer`",
    ),
    TimerKind.FIRST_ANSWER: TimerLine(
        key="conv",
        armed_by="assigned, turn = agent",
        disarmed_by="assignee's public message, left active",
        due="120 s",
        becomes="`miss_first_answer`",
    ),
    TimerKind.AGENT_LOST: TimerLine(
        key="agent",
        armed_by="connected; moved on while a node sees them; at once when disabled",
        disarmed_by="–",
        due="lease end + 90 s",
        becomes="`lose_agent`",
    ),
    TimerKind.PREFERENCE_OVER: TimerLine(
        key="conv",
        armed_by="preferred agent set",
        disarmed_by="assigned, left the queue",
        due="15 min",
        becomes="`drop_preference`",
    ),
    TimerKind.HOLD_RETURN: TimerLine(
        key="conv",
        armed_by="held",
        disarmed_by="left on_hold",
        due="`until`",
        becomes="`return_from_hold`",
    ),
    TimerKind.REMINDER: TimerLine(
        key="conv",
        armed_by="agent's public message",
        disarmed_by="employee's message, left active",
        due="12 h [0 = off]",
        becomes="`remind_requester`",
    ),
    TimerKind.AUTO_RESOLVE: TimerLine(
        key="conv",
        armed_by="agent's public message",
        disarmed_by="employee's message, left active",
        due="24 h [0 = off]",
        becomes="`auto_resolve`",
    ),
    TimerKind.AUTO_CLOSE: TimerLine(
        key="conv",
        armed_by="resolved",
        disarmed_by="reopened, closed",
        due="48 h",
        becomes="`close_resolved`",
    ),
    TimerKind.PUSH: TimerLine(
        key="principal, stream",
        armed_by="`fallback.pushes_of`",
        disarmed_by="delivered mark; second rung: read mark",
        due="10 s; 3 min",
        becomes="send",
    ),
    TimerKind.HOURS_EDGE: TimerLine(
        key="group",
        armed_by="settings, previous edge",
        disarmed_by="–",
        due="next edge",
        becomes="dispatch",
    ),
    TimerKind.CLEAN: TimerLine(
        key="–",
        armed_by="–",
        disarmed_by="–",
        due="hourly",
        becomes="staged files, command records, originals, events past their time",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """Write the timer row, or move the one there is to this due time (Unix ms).

    Its lease number rises, so that an older run that is still under way finishes nothing.
    """

    kind: TimerKind
    key: str
    due: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Disarm:
    """Delete the timer row. That there is none changes nothing."""

    kind: TimerKind
    key: str


Timer = Arm | Disarm


@dataclass(frozen=True, slots=True, kw_only=True)
class _Watch:
    """A timer that stands as long as something is true of the conversation.

    `due` says when it is up if armed now, none where that is turned off; `renewed_by` is the event
    that starts the time anew while it stands.
    """

    kind: TimerKind
    stands: Callable[[Conversation], bool]
    due: Callable[[Conversation, DeskSettings, int], int | None]
    renewed_by: type[ev.Data]


def _owes_answer(state: Conversation) -> bool:
    return (
        state.status is Status.ACTIVE and state.turn is Realm.AGENT and not state.assignee_answered
    )


def is_silent(state: Conversation) -> bool:
    """Whether it is the requester who lets the conversation rest."""
    return (
        state.status is Status.ACTIVE
        and state.turn is Realm.EMPLOYEE
        and state.waiting_since is None
    )


def _after_s(seconds: int, now: int) -> int | None:
    return now + seconds * 1000 if seconds else None


WATCHES: tuple[_Watch, ...] = (
    _Watch(
        kind=TimerKind.FIRST_ANSWER,
        stands=_owes_answer,
        due=lambda state, _, now: _after_s(state.group.first_answer_s, now),
        renewed_by=ev.ConversationAssigned,
    ),
    _Watch(
        kind=TimerKind.PREFERENCE_OVER,
        stands=lambda state: state.preferred_agent is not None,
        due=lambda _state, _settings, now: now + PREFERENCE_MS,
        renewed_by=ev.ConversationQueued,
    ),
    _Watch(
        kind=TimerKind.HOLD_RETURN,
        stands=lambda state: state.held_until is not None,
        due=lambda state, _settings, _now: state.held_until,
        renewed_by=ev.ConversationHeld,
    ),
    _Watch(
        kind=TimerKind.REMINDER,
        stands=is_silent,
        due=lambda _, settings, now: _after_s(settings.reminder_h * 3600, now),
        renewed_by=ev.MessagePosted,
    ),
    _Watch(
        kind=TimerKind.AUTO_RESOLVE,
        stands=is_silent,
        due=lambda _, settings, now: _after_s(settings.auto_resolve_h * 3600, now),
        renewed_by=ev.MessagePosted,
    ),
    _Watch(
        kind=TimerKind.AUTO_CLOSE,
        stands=lambda state: state.status is Status.RESOLVED,
        due=lambda _, settings, now: _after_s(settings.auto_close_h * 3600, now),
        renewed_by=ev.ConversationResolved,
    ),
)


def timers_after(
    before: Conversation | None,
    after: Conversation,
    events: Sequence[ev.Event],
    settings: DeskSettings,
    now: int,
) -> list[Timer]:
    """The rows of one conversation that a decision arms and disarms; not offers and dispatch."""
    told = {type(event.data) for event in events}
    timers: list[Timer] = []
    for watch in WATCHES:
        stood = before is not None and watch.stands(before)
        if not watch.stands(after):
            if stood:
                timers.append(Disarm(kind=watch.kind, key=after.conv_id))
        elif not stood or watch.renewed_by in told:
            due = watch.due(after, settings, now)
            if due is not None:
                timers.append(Arm(kind=watch.kind, key=after.conv_id, due=due))
    return timers


def presence_of(lost_due: int | None, grace_s: int, now: int) -> Presence:
    """What an agent's `agent_lost` row says, for whoever has no registry of connections.

    Due in over the grace: connected. In less: grace. No row: lost.
    """
    if lost_due is None:
        return Presence.LOST
    return Presence.CONNECTED if lost_due - now > grace_s * 1000 else Presence.GRACE


def agent_lost_due(lease_end: int, grace_s: int) -> int:
    """When an agent counts as lost whose last connection's lease ends then."""
    return lease_end + grace_s * 1000


# Working hours -----------------------------------------------------------------------------------


def is_open(hours: Hours | None, at: int) -> bool:
    """Whether a group works at this moment. No hours: always."""
    if hours is None:
        return True
    day, minute = _local(at)
    return any(start <= minute < end for start, end in _spans(hours, day))


def next_edge(hours: Hours | None, at: int) -> int | None:
    """The next moment after `at` at which the group opens or closes; none: it never does."""
    if hours is None:
        return None
    first, _ = _local(at)
    is_open_now = is_open(hours, at)
    for days in range(EDGE_DAYS_MAX):
        day = first + timedelta(days=days)
        edges = sorted({minute for span in _spans(hours, day) for minute in span})
        for edge in (_moment(day, minute) for minute in edges):
            if edge > at and is_open(hours, edge) is not is_open_now:
                return edge
    return None


def minute_of_day(at: int) -> int:
    """The minute of the day, China Standard Time."""
    return _local(at)[1]


def _local(at: int) -> tuple[date, int]:
    """The day and the minute of the day, China Standard Time."""
    days, ms = divmod(at + CHINA_AHEAD_MS, DAY_MS)
    return EPOCH + timedelta(days=days), ms // MINUTE_MS


def _moment(day: date, minute: int) -> int:
    return (day - EPOCH).days * DAY_MS - CHINA_AHEAD_MS + minute * MINUTE_MS


def _spans(hours: Hours, day: date) -> tuple[Span, ...]:
    return () if day.isoformat() in hours.closed_days else hours.week[day.weekday()]
