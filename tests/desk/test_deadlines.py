from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deskwire.desk.commands import COMMANDS
from deskwire.desk.conversation import Conversation, Status
from deskwire.desk.deadlines import (
    TIMERS,
    Arm,
    Disarm,
    Timer,
    TimerKind,
    agent_lost_due,
    is_open,
    minute_of_day,
    next_edge,
    presence_of,
    timers_after,
)
from deskwire.desk.decide import decide
from deskwire.desk.office import DEFAULTS, Hours
from deskwire.desk.people import Presence
from tests.desk.cast import (
    CONV,
    DAY_MS,
    EVERYBODY,
    GROUP,
    HOUR_MS,
    MINUTE_MS,
    OFFER_ID,
    START,
    about,
    answered,
    at,
    decided,
    facts,
    moment,
    offer,
    opened,
)

# The table of timers: kind and key; its other columns are words for the reader.
WRITTEN = {
    "offer_expiry": ("offer", "`expire_offer`"),
    "dispatch": ("group", "`make_offer`"),
    "first_answer": ("conv", "`miss_first_answer`"),
    "agent_lost": ("agent", "`lose_agent`"),
    "preference_over": ("conv", "`drop_preference`"),
    "hold_return": ("conv", "`return_from_hold`"),
    "reminder": ("conv", "`remind_requester`"),
    "auto_resolve": ("conv", "`auto_resolve`"),
    "auto_close": ("conv", "`close_resolved`"),
    "push": ("principal, stream", "send"),
    "hours_edge": ("group", "dispatch"),
    "clean": ("–", "staged files, command records, originals, events past their time"),
}


def test_every_timer_has_its_line() -> None:
    assert {kind.value: (line.key, line.becomes) for kind, line in TIMERS.items()} == WRITTEN
    assert set(TIMERS) == set(TimerKind)


def test_what_a_timer_becomes_is_a_command() -> None:
    commands = {line.becomes.strip("`") for line in TIMERS.values() if "`" in line.becomes}

    assert commands <= set(COMMANDS)


# Armed and disarmed -------------------------------------------------------------------------------


def timers(
    state: Conversation, who: str, name: str, now: int = START, **known: Any
) -> dict[str, Timer]:
    said = known.pop("said", {})
    answer = decided(
        decide(EVERYBODY[who], state, about(state, name, **said), moment(now), facts(**known))
    )
    keyed = {f"{timer.kind} {timer.key}": timer for timer in answer.timers}
    assert len(keyed) == len(answer.timers), "no row is named twice"
    return keyed


def due(timer: Timer | None) -> int | str | None:
    """The time from now on, `off` where the row goes, none where there is nothing to do."""
    if isinstance(timer, Disarm):
        return "off"
    return timer.due - START if timer else None


def test_an_opening_lets_the_dispatcher_look_at_once() -> None:
    assert opened().timers == (Arm(kind=TimerKind.DISPATCH, key="support", due=START),)


def test_an_offer_runs_out_when_the_group_says() -> None:
    found = timers(at(Status.QUEUED), "system", "make_offer")

    (timer,) = found.values()
    assert (timer.kind, due(timer)) == (TimerKind.OFFER_EXPIRY, GROUP.offer_s * 1000)


@pytest.mark.parametrize(
    "who, name",
    [("colleague", "accept_offer"), ("colleague", "decline_offer"),
     ("assignee", "claim_conversation"), ("requester", "cancel_conversation")],
)  # fmt: skip
def test_an_offer_that_has_ended_runs_out_no_more(who: str, name: str) -> None:
    found = timers(at(Status.QUEUED), who, name, offer=offer())

    assert due(found[f"offer_expiry {OFFER_ID}"]) == "off"
    assert due(found["dispatch support"]) == 0


def test_an_assignee_owes_an_answer_from_the_moment_they_have_it() -> None:
    claimed = timers(at(Status.QUEUED), "assignee", "claim_conversation")
    said = timers(at(Status.ACTIVE), "assignee", "post_message")

    assert due(claimed[f"first_answer {CONV}"]) == 120_000
    assert due(said[f"first_answer {CONV}"]) == "off"


def test_a_new_assignee_has_the_whole_time() -> None:
    found = timers(at(Status.ACTIVE), "supervisor", "take_over", START + MINUTE_MS)

    assert due(found[f"first_answer {CONV}"]) == 120_000 + MINUTE_MS


def test_where_a_group_does_not_ask_for_it_no_answer_is_owed() -> None:
    patient = replace(GROUP, first_answer_s=0)
    state = replace(at(Status.QUEUED), moved_to=patient)

    assert f"first_answer {CONV}" not in timers(state, "assignee", "claim_conversation")


def test_a_colleagues_word_pays_no_debt() -> None:
    found = timers(at(Status.ACTIVE), "participant", "post_message")

    assert due(found.get(f"first_answer {CONV}")) == "off"  # the turn is the employee's now
    again = timers(
        decided(
            decide(
                EVERYBODY["participant"],
                at(Status.ACTIVE),
                about(at(Status.ACTIVE), "post_message"),
                moment(),
            )
        ).state,
        "requester",
        "post_message",
    )
    assert due(again[f"first_answer {CONV}"]) == 120_000


def test_silence_is_counted_from_the_agents_last_word() -> None:
    first = timers(at(Status.ACTIVE), "assignee", "post_message")
    second = timers(answered(), "assignee", "post_message", START + HOUR_MS)
    broken = timers(answered(), "requester", "post_message")

    assert [due(each[f"reminder {CONV}"]) for each in (first, second, broken)] == [
        12 * HOUR_MS,
        13 * HOUR_MS,
        "off",
    ]
    assert [due(each[f"auto_resolve {CONV}"]) for each in (first, second, broken)] == [
        24 * HOUR_MS,
        25 * HOUR_MS,
        "off",
    ]


def test_what_the_settings_turn_off_is_not_armed() -> None:
    never = replace(DEFAULTS, reminder_h=0, auto_resolve_h=0)

    found = timers(at(Status.ACTIVE), "assignee", "post_message", settings=never)

    assert set(found) == {f"first_answer {CONV}"}


def test_a_resolved_conversation_closes_unless_it_is_reopened() -> None:
    resolved = timers(answered(), "assignee", "resolve_conversation")
    reopened = timers(at(Status.RESOLVED), "requester", "post_message")
    closed = timers(at(Status.RESOLVED), "requester", "confirm_solved")

    assert due(resolved[f"auto_close {CONV}"]) == 48 * HOUR_MS
    assert due(resolved[f"reminder {CONV}"]) == "off"
    assert [due(each[f"auto_close {CONV}"]) for each in (reopened, closed)] == ["off", "off"]


def test_a_hold_returns_when_it_says() -> None:
    held = timers(at(Status.ACTIVE), "assignee", "hold_conversation")
    resumed = timers(at(Status.ON_HOLD), "assignee", "resume_conversation")

    assert due(held[f"hold_return {CONV}"]) == DAY_MS
    assert due(held["dispatch support"]) == 0
    assert due(resumed[f"hold_return {CONV}"]) == "off"


WAIT = {"if_absent": "wait"}


def test_a_preference_lasts_a_quarter_of_an_hour() -> None:
    away = tuple(
        replace(each, presence=Presence.LOST) if each.id == "zhao" else each
        for each in facts().agents
    )
    state = decided(
        decide(
            EVERYBODY["assignee"],
            at(Status.ACTIVE),
            about(at(Status.ACTIVE), "transfer_to_agent", if_absent="wait"),
            moment(),
            facts(agents=away),
        )
    ).state

    armed = timers(at(Status.ACTIVE), "assignee", "transfer_to_agent", agents=away, said=WAIT)
    taken = timers(state, "colleague", "claim_conversation")

    assert due(armed[f"preference_over {CONV}"]) == 15 * MINUTE_MS
    assert due(taken[f"preference_over {CONV}"]) == "off"


def test_room_in_one_group_is_room_in_all_of_an_agents_groups() -> None:
    in_two = tuple(
        replace(each, groups=frozenset({"support", "facilities"})) if each.id == "wang" else each
        for each in facts().agents
    )

    found = timers(at(Status.ACTIVE), "assignee", "resolve_conversation", agents=in_two)

    assert due(found["dispatch support"]) == due(found["dispatch facilities"]) == 0


def test_what_changes_nothing_arms_nothing() -> None:
    state = at(Status.ACTIVE)

    assert timers_after(state, state, (), DEFAULTS, START) == []
    assert timers(state, "assignee", "post_note") == {}


# Presence -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lost_in_s, presence",
    [(None, "lost"), (105, "connected"), (91, "connected"), (90, "grace"), (1, "grace"),
     (-1, "grace")],
)  # fmt: skip
def test_presence_is_read_from_the_row_that_would_lose_the_agent(
    lost_in_s: int | None, presence: str
) -> None:
    row = None if lost_in_s is None else START + lost_in_s * 1000

    assert presence_of(row, 90, START) is Presence(presence)


def test_an_agent_is_lost_a_grace_after_the_lease() -> None:
    assert agent_lost_due(START, 90) == START + 90_000


# Working hours ------------------------------------------------------------------------------------

NINE_TO_SIX = ((540, 720), (780, 1_080))
OFFICE = Hours(
    week=(NINE_TO_SIX,) * 5 + ((), ()), closed_days=frozenset({"2026-01-01", "2026-01-02"})
)


def china(text: str) -> int:
    """A moment in China Standard Time."""
    return int(datetime.fromisoformat(f"{text}:00+08:00").timestamp() * 1000)


@pytest.mark.parametrize(
    "when, is_open_then",
    [
        ("2026-01-05T08:59", False),
        ("2026-01-05T09:00", True),
        ("2026-01-05T11:59", True),
        ("2026-01-05T12:00", False),
        ("2026-01-05T13:00", True),
        ("2026-01-05T18:00", False),
        ("2026-01-01T10:00", False),
        ("2026-01-10T10:00", False),
    ],
)
def test_a_group_works_in_its_hours_and_not_on_closed_days(when: str, is_open_then: bool) -> None:
    assert is_open(OFFICE, china(when)) == is_open_then


@pytest.mark.parametrize(
    "when, edge",
    [
        ("2026-01-05T08:59", "2026-01-05T09:00"),
        ("2026-01-05T09:00", "2026-01-05T12:00"),
        ("2026-01-05T17:59", "2026-01-05T18:00"),
        ("2026-01-05T18:00", "2026-01-06T09:00"),
        ("2026-01-09T18:00", "2026-01-12T09:00"),
        ("2025-12-31T18:00", "2026-01-05T09:00"),
    ],
)
def test_the_next_edge_is_when_it_opens_or_closes(when: str, edge: str) -> None:
    assert next_edge(OFFICE, china(when)) == china(edge)


def test_a_night_shift_has_no_edge_at_midnight() -> None:
    nights = Hours(week=(((0, 360), (1_320, 1_440)),) * 7)

    assert next_edge(nights, china("2026-01-05T22:00")) == china("2026-01-06T06:00")


@pytest.mark.parametrize("week", [((),) * 7, (((0, 1_440),),) * 7])
def test_a_group_that_is_never_or_always_open_has_no_edge(week: Any) -> None:
    assert next_edge(Hours(week=week), START) is None


def test_a_group_without_hours_is_always_open() -> None:
    assert is_open(None, START)
    assert next_edge(None, START) is None


def test_a_year_of_closed_days_still_ends() -> None:
    days = [datetime.fromtimestamp(START / 1000 + n * 86_400, UTC) for n in range(366)]
    closed = Hours(week=OFFICE.week, closed_days=frozenset(d.date().isoformat() for d in days))

    found = next_edge(closed, START)

    assert found is not None
    assert is_open(closed, found)


def test_the_minute_of_the_day_is_chinas() -> None:
    assert minute_of_day(china("2026-07-01T00:00")) == 0
    assert minute_of_day(china("2026-07-01T23:59") + 59_999) == 1_439


spans = st.lists(st.integers(0, 1_440), max_size=6, unique=True).map(
    lambda edges: tuple(pair for pair in zip(sorted(edges)[::2], sorted(edges)[1::2], strict=False))
)


@given(st.tuples(*[spans] * 7), st.integers(0, 7 * DAY_MS))
def test_between_two_edges_nothing_changes(week: Any, after: int) -> None:
    hours, now = Hours(week=week), START + after
    edge = next_edge(hours, now)
    until = edge if edge is not None else now + 8 * DAY_MS
    inside = range(now - now % MINUTE_MS + MINUTE_MS, until, 7 * MINUTE_MS)

    assert all(is_open(hours, each) == is_open(hours, now) for each in inside)
    if edge is not None:
        assert edge > now
        assert is_open(hours, edge) != is_open(hours, now)


def test_ids_do_not_matter_to_timers() -> None:
    """The same decision twice, with other ids, arms the same rows."""
    state = at(Status.QUEUED)
    asking = about(state, "claim_conversation")

    answers = [
        decided(decide(EVERYBODY["assignee"], state, asking, moment(START, count(n)), facts()))
        for n in (1, 900)
    ]

    assert answers[0].timers == answers[1].timers
