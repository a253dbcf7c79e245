from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deskwire.desk.access import Bounds
from deskwire.desk.conversation import Conversation, Status
from deskwire.desk.decide import decide
from deskwire.desk.decision import Decision
from deskwire.desk.events import Event, Stream, conv_stream, personal_stream
from deskwire.desk.fallback import (
    ENDED,
    GAPS_MS,
    PER_HOUR_MAX,
    PER_MINUTE_MAX,
    REPEAT_MS_MAX,
    WORDS,
    Covered,
    Disarm,
    Fail,
    Failure,
    Gap,
    Later,
    Push,
    Repeat,
    Send,
    Step,
    Why,
    after_budget,
    after_crowd,
    after_limits,
    after_mark,
    after_quiet_hours,
    covered,
    covering,
    due_at,
    from_now,
    is_near_budget,
    joined,
    midnight,
    notice,
    pushes_of,
    recalls_card,
    repeat_at,
    second_rung,
    standing,
    step_of_armed,
    step_of_frozen,
)
from deskwire.desk.office import DEFAULTS
from deskwire.desk.people import Actor, PersonId, Presence, Principal, Realm
from tests.desk.cast import (
    CONV,
    DAY_MS,
    EVERYBODY,
    HOUR_MS,
    MINUTE_MS,
    OFFER_ID,
    PEOPLE,
    START,
    about,
    answered,
    at,
    decided,
    facts,
    moment,
    opened,
)

ANN, BO = PEOPLE["requester"].principal, PEOPLE["invited"].principal
WANG = PEOPLE["assignee"].principal
IN_CONV, STAFF_OF_WANG = f"conv:{CONV}", "agent:wang"
LATE = START + DAY_MS


def armed(
    state: Conversation, who: str, name: str, now: int = START, **known: Any
) -> list[tuple[str, str, str, str]]:
    said = known.pop("said", {})
    answer = decided(
        decide(EVERYBODY[who], state, about(state, name, **said), moment(now), facts(**known))
    )
    return [
        (push.who.realm.value, push.who.person, push.stream, push.why.value)
        for push in answer.pushes
    ]


# 1. Armed -----------------------------------------------------------------------------------------


def test_an_answer_is_pushed_to_every_employee_who_takes_part() -> None:
    assert armed(at(Status.ACTIVE), "assignee", "post_message") == [
        ("employee", "ann", IN_CONV, "message"),
        ("employee", "bo", IN_CONV, "message"),
    ]


def test_a_question_is_pushed_to_the_other_employees_and_to_the_assignee() -> None:
    assert armed(at(Status.ACTIVE), "requester", "post_message") == [
        ("employee", "bo", IN_CONV, "message"),
        ("agent", "wang", IN_CONV, "question"),
    ]


def test_nobody_is_pushed_what_they_did_themselves() -> None:
    assert opened().pushes == ()
    assert armed(at(Status.QUEUED), "assignee", "claim_conversation") == []


def test_whoever_has_left_or_muted_is_not_pushed() -> None:
    state = at(Status.ACTIVE)
    quiet = tuple(
        replace(each, mute=each.principal == ANN, left_at=9 if each.principal == BO else None)
        for each in state.participants
    )

    assert armed(replace(state, participants=quiet), "assignee", "post_message") == []


@pytest.mark.parametrize(
    "state, who, name, now, expected",
    [
        (answered(), "system", "remind_requester", START + DAY_MS // 2,
         [("employee", "ann", IN_CONV, "reminder")]),
        (answered(), "assignee", "resolve_conversation", START,
         [("employee", "ann", IN_CONV, "resolved"), ("employee", "bo", IN_CONV, "resolved")]),
        (answered(), "supervisor", "close_conversation", START,
         [("employee", "ann", IN_CONV, "closed"), ("employee", "bo", IN_CONV, "closed")]),
        (at(Status.RESOLVED), "requester", "confirm_solved", START, []),
        (at(Status.QUEUED), "system", "make_offer", START,
         [("agent", "zhao", "agent:zhao", "offer")]),
        (at(Status.QUEUED), "supervisor", "assign_conversation", START,
         [("agent", "zhao", "agent:zhao", "assignment")]),
        (at(Status.QUEUED), "assignee", "post_note", START, []),
    ],
)  # fmt: skip
def test_what_is_worth_a_push_is_armed(
    state: Conversation, who: str, name: str, now: int, expected: Any
) -> None:
    assert armed(state, who, name, now) == expected


def test_whoever_is_mentioned_learns_of_it_on_their_own_stream() -> None:
    found = armed(at(Status.ACTIVE), "assignee", "post_note", said={"mentions": ("chen", "zhao")})

    assert found == [
        ("agent", "chen", "agent:chen", "mention"),
        ("agent", "zhao", "agent:zhao", "mention"),
    ]


def test_whoever_gets_a_conversation_with_its_message_is_told_once() -> None:
    assert armed(at(Status.RESOLVED), "requester", "post_message") == [
        ("employee", "bo", IN_CONV, "message"),
        ("agent", "wang", STAFF_OF_WANG, "assignment"),
    ]


def test_presence_plays_no_part() -> None:
    there = facts().agents
    gone = tuple(replace(agent, presence=Presence.LOST) for agent in there)

    pushes = [
        armed(at(Status.ACTIVE), "requester", "post_message", agents=agents)
        for agents in (there, gone)
    ]

    assert pushes[0] == pushes[1]


def test_every_push_names_an_event_of_the_decision() -> None:
    state = at(Status.RESOLVED)
    answer = decided(
        decide(PEOPLE["requester"], state, about(state, "post_message"), moment(), facts())
    )

    assert {push.event_id for push in answer.pushes} <= {event.id for event in answer.events}
    assert pushes_of(answer.events, answer.state) == list(answer.pushes)


# 2. Due -------------------------------------------------------------------------------------------


def waiting(*events: tuple[int, int], why: Why = Why.MESSAGE) -> Push:
    """A push that covers events of (position, seconds from the start)."""
    push = None
    for position, second in events:
        push = covering(push, position, why, START + second * 1000)
    assert push is not None
    return push


def due(push: Push, **more: Any) -> float:
    """Seconds from the start."""
    usual: dict[str, Any] = {"gap": ENDED, "sent": (), "wrote_at": None, "settings": DEFAULTS}
    return (due_at(push, **(usual | more)) - START) / 1000


@pytest.mark.parametrize(
    "events, seconds",
    [
        ([(5, 0)], 10),
        ([(5, 0), (6, 4)], 14),
        ([(5, 0), (6, 9), (7, 18)], 28),
        ([(5, 0), (6, 9), (7, 18), (8, 27)], 30),
    ],
)
def test_a_push_is_due_ten_seconds_after_the_last_and_thirty_after_the_first(
    events: list[tuple[int, int]], seconds: int
) -> None:
    assert due(waiting(*events)) == seconds


def test_a_key_has_one_waiting_push_that_is_extended() -> None:
    assert waiting((5, 0), (9, 3), (7, 1)) == Push(
        first=5,
        last=9,
        since=START,
        newest=START + 3_000,
        whys=frozenset({Why.MESSAGE}),
    )


# 3. Disarmed --------------------------------------------------------------------------------------


@pytest.mark.parametrize("delivered, first", [(4, 5), (5, 6), (8, 9)])
def test_a_mark_in_between_moves_the_first_position(delivered: int, first: int) -> None:
    after = after_mark(waiting((5, 0), (9, 1)), delivered=delivered, read=0)

    assert after is not None
    assert (after.first, after.last) == (first, 9)


@pytest.mark.parametrize("delivered", [9, 10])
def test_a_mark_at_or_above_the_last_disarms(delivered: int) -> None:
    assert after_mark(waiting((5, 0), (9, 1)), delivered=delivered, read=0) is None


@given(st.integers(1, 20), st.integers(0, 20), st.integers(0, 25), st.integers(0, 25))
def test_marks_disarm_alike_in_whatever_order(first: int, more: int, one: int, two: int) -> None:
    push = replace(waiting((first, 0)), last=first + more)

    def marked(*marks: int) -> Push | None:
        left: Push | None = push
        for mark in marks:
            left = after_mark(left, delivered=mark, read=0) if left else None
        return left

    assert marked(one, two) == marked(two, one) == marked(max(one, two))


# 4. The second rung -------------------------------------------------------------------------------


def rung(**more: Any) -> Push | None:
    usual: dict[str, Any] = {
        "who": ANN,
        "read": 4,
        "is_reminded": False,
        "settings": DEFAULTS,
        "now": START,
    }
    return second_rung(waiting((5, 0), (9, 1)), **(usual | more))


def test_what_is_delivered_but_not_read_is_pushed_once_after_three_minutes() -> None:
    push = rung()

    assert push is not None
    assert due(push, wrote_at=START) == 180
    assert after_mark(push, delivered=9, read=8) == replace(push, first=9)
    assert after_mark(push, delivered=9, read=9) is None


@pytest.mark.parametrize(
    "more",
    [
        {"who": WANG},
        {"read": 9},
        {"is_reminded": True},
        {"settings": replace(DEFAULTS, second_rung_s=0)},
    ],
)
def test_a_second_rung_is_for_employees_once_a_turn_and_may_be_off(more: dict[str, Any]) -> None:
    assert rung(**more) is None


def test_a_notice_of_an_end_has_no_second_rung() -> None:
    told = waiting((5, 0), why=Why.RESOLVED)

    found = second_rung(told, ANN, read=0, is_reminded=False, settings=DEFAULTS, now=START)

    assert found is None


def test_a_new_message_makes_a_first_push_of_a_second_rung() -> None:
    push = rung()

    again = covering(push, 12, Why.MESSAGE, START + 1_000)

    assert not again.is_second_rung
    assert (again.first, again.last) == (5, 12)
    assert due(again) == 11  # and not at once, though what it covers is old


# 5. Before sending --------------------------------------------------------------------------------

SAID = [
    Covered(position=n, why=Why.MESSAGE, by="李娜", msg_id=f"m-{n}", text=f"第{n}条")
    for n in range(5, 10)
]


def left(push: Push | None = None, **more: Any) -> list[int]:
    usual: dict[str, Any] = {"delivered": 0, "read": 0, "bounds": Bounds()}
    said = more.pop("said", SAID)
    found = standing(push or waiting((5, 0), (9, 1)), said, **(usual | more))
    return [each.position for each in found]


@pytest.mark.parametrize(
    "more, positions",
    [
        ({}, [5, 6, 7, 8, 9]),
        ({"delivered": 7}, [8, 9]),
        ({"read": 7}, [5, 6, 7, 8, 9]),
        ({"bounds": Bounds(until=6)}, [5, 6]),
        ({"bounds": Bounds(after=6)}, [7, 8, 9]),
        ({"bounds": None}, []),
        ({"said": [replace(each, is_withdrawn=each.position < 9) for each in SAID]}, [9]),
        ({"said": [replace(each, is_withdrawn=True) for each in SAID]}, []),
    ],
)
def test_marks_withdrawals_and_rights_are_looked_at_again(
    more: dict[str, Any], positions: list[int]
) -> None:
    assert left(**more) == positions


def test_a_second_rung_asks_what_was_read() -> None:
    assert left(rung(), delivered=9, read=6) == [7, 8, 9]


# 6. What it says ----------------------------------------------------------------------------------


def said_to(who: Principal, **more: Any) -> Any:
    usual: dict[str, Any] = {
        "conv": CONV,
        "push_id": "push-1",
        "language": None,
        "settings": DEFAULTS,
    }
    return notice(more.pop("said", SAID), who=who, **(usual | more))


def test_a_push_says_who_and_how_many_and_not_a_word_more() -> None:
    found = said_to(ANN)

    assert (found.title, found.text) == ("IT服务台有新回复", "李娜回复了您（5 条）")
    assert found.path == f"/h5/c/{CONV}?p=push-1"
    assert (found.count, found.announces, found.shows) == (
        5,
        ("m-5", "m-6", "m-7", "m-8", "m-9"),
        None,
    )


def test_an_excerpt_is_forty_characters_of_the_newest_standing_message() -> None:
    newest = replace(SAID[-1], text="字" * 60)
    settings = replace(DEFAULTS, push_excerpt_chars=40)

    found = said_to(ANN, said=[*SAID[:-1], newest], settings=settings)

    assert found.text == f"李娜回复了您（5 条）\n{'字' * 40}"
    assert found.shows == "m-9"


def test_an_image_without_words_lends_its_place_to_the_words_before() -> None:
    settings = replace(DEFAULTS, push_excerpt_chars=40)

    found = said_to(ANN, said=[SAID[0], replace(SAID[1], text=" ")], settings=settings)

    assert (found.text.splitlines()[1], found.shows) == ("第5条", "m-5")


def test_an_agents_push_leads_to_the_workbench() -> None:
    asked = [Covered(position=5, why=Why.QUESTION, by="安", msg_id="m-5", text="在吗")]

    found = said_to(WANG, said=asked)

    assert (found.text, found.path) == ("安写了新消息（1 条）", f"/workbench/c/{CONV}?p=push-1")


@pytest.mark.parametrize("language", WORDS)
def test_there_are_words_for_everything_in_both_languages(language: str) -> None:
    assert set(WORDS[language]) == set(Why)
    for why in Why:
        said = [Covered(position=1, why=why, by="{by}", msg_id=None)]
        found = said_to(ANN, said=said, language=language)
        assert len(found.title) <= 128
        assert "{n}" not in found.text


# 7. The gap ---------------------------------------------------------------------------------------


def test_the_next_push_of_a_key_waits_one_then_five_then_fifteen_minutes() -> None:
    gap, waits = Gap(), []
    for _ in range(5):
        gap = gap.sent(START)
        waits.append(due(waiting((5, 0)), gap=gap) / 60)

    assert waits == [1, 5, 15, 15, 15]
    assert GAPS_MS == (60_000, 300_000, 900_000)


def test_a_sign_of_life_ends_the_wait() -> None:
    assert due(waiting((5, 0)), gap=ENDED) == 10


def test_what_is_due_after_the_gap_is_due_when_it_is() -> None:
    assert due(waiting((5, 300)), gap=Gap(unanswered=1, sent_at=START)) == 310


# 8. Limits ----------------------------------------------------------------------------------------


def test_over_a_limit_the_time_moves_to_the_first_free_moment() -> None:
    a_minute = [START + n for n in range(PER_MINUTE_MAX)]
    an_hour = [START + n * 5_000 for n in range(PER_HOUR_MAX)]

    assert after_limits(START + 10_000, a_minute[1:]) == START + 10_000
    assert after_limits(START + 10_000, a_minute) == START + MINUTE_MS
    assert after_limits(an_hour[-1] + MINUTE_MS, an_hour) == START + HOUR_MS


@given(st.lists(st.integers(0, 5 * MINUTE_MS), min_size=1, max_size=60))
def test_no_minute_holds_more_than_twenty(asked: list[int]) -> None:
    sent: list[int] = []
    for wanted in sorted(asked):
        sent.append(max([after_limits(START + wanted, sent), *sent[-1:]]))

    for n in range(PER_MINUTE_MAX, len(sent)):
        assert sent[n] - sent[n - PER_MINUTE_MAX] >= MINUTE_MS


# 9. Quiet hours -----------------------------------------------------------------------------------


def china(text: str) -> int:
    return int(datetime.fromisoformat(f"2026-01-{text}+08:00").timestamp() * 1000)


@pytest.mark.parametrize(
    "when, then",
    [
        ("05T21:59:59", "05T21:59:59"),
        ("05T22:00:00", "06T08:00:00"),
        ("05T23:59:30", "06T08:00:00"),
        ("06T00:00:00", "06T08:00:00"),
        ("06T07:59:59", "06T08:00:00"),
        ("06T08:00:00", "06T08:00:00"),
    ],
)
def test_quiet_hours_last_from_ten_until_eight(when: str, then: str) -> None:
    assert after_quiet_hours(china(when), DEFAULTS) == china(then)


def test_quiet_hours_within_a_day_and_none_at_all() -> None:
    noon = replace(DEFAULTS, quiet_from_min=12 * 60, quiet_until_min=13 * 60)
    none = replace(DEFAULTS, quiet_from_min=0, quiet_until_min=0)

    assert after_quiet_hours(china("05T12:30:00"), noon) == china("05T13:00:00")
    assert after_quiet_hours(china("05T23:00:00"), noon) == china("05T23:00:00")
    assert after_quiet_hours(china("05T23:00:00"), none) == china("05T23:00:00")


@pytest.mark.parametrize(
    "when, then",
    [
        ("05T10:00:00", "05T10:01:00"),
        ("05T10:00:59", "05T10:01:00"),
        ("05T10:01:00", "05T10:01:00"),
        ("05T10:29:00", "05T10:29:00"),
        ("05T10:29:01", "05T10:31:00"),
        ("05T10:59:59", "05T11:01:00"),
    ],
)
def test_what_may_wait_stays_away_from_minutes_0_and_30(when: str, then: str) -> None:
    assert after_crowd(china(when)) == china(then)


NIGHT = china("05T23:00:00")


def at_night(why: Why, wrote_at: int | None = None) -> int:
    push = Push(first=1, last=1, since=NIGHT, newest=NIGHT, whys=frozenset({why}))
    return due_at(push, gap=ENDED, sent=(), wrote_at=wrote_at, settings=DEFAULTS)


@pytest.mark.parametrize("why", [Why.REMINDER, Why.RESOLVED, Why.CLOSED, Why.SECOND_RUNG])
def test_what_may_wait_waits_until_the_morning(why: Why) -> None:
    assert at_night(why) == china("06T08:01:00")


@pytest.mark.parametrize("why", [Why.MESSAGE, Why.OFFER, Why.QUESTION, Why.MENTION])
def test_what_somebody_waits_for_does_not(why: Why) -> None:
    assert at_night(why) == NIGHT + 10_000


def test_an_answer_to_somebody_who_has_just_written_is_never_held() -> None:
    recently, earlier = NIGHT - 20 * MINUTE_MS, NIGHT - 40 * MINUTE_MS

    assert at_night(Why.SECOND_RUNG, recently) == NIGHT + 180_000
    assert at_night(Why.SECOND_RUNG, earlier) == china("06T08:01:00")


def test_a_reminder_that_a_message_has_joined_waits_no_longer() -> None:
    both = Push(
        first=1, last=2, since=NIGHT, newest=NIGHT, whys=frozenset({Why.REMINDER, Why.MESSAGE})
    )

    found = due_at(both, gap=ENDED, sent=(), wrote_at=None, settings=DEFAULTS)

    assert found == NIGHT + 10_000


# 11. Withdrawal -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shown, withdrawn, after_ms, is_recalled",
    [
        ("m-2", {"m-2"}, 0, True),
        ("m-2", {"m-1"}, 0, False),
        (None, {"m-1"}, 0, False),
        (None, {"m-1", "m-2"}, 0, True),
        ("m-2", {"m-2"}, DAY_MS, True),
        ("m-2", {"m-2"}, DAY_MS + 1, False),
    ],
)
def test_a_card_is_taken_back_if_it_shows_the_text_or_speaks_of_nothing_else(
    shown: str | None, withdrawn: set[str], after_ms: int, is_recalled: bool
) -> None:
    found = recalls_card(
        ("m-1", "m-2"), shown, frozenset(withdrawn), sent_at=START, now=START + after_ms
    )

    assert found == is_recalled


def test_a_card_that_announces_no_message_is_never_taken_back() -> None:
    assert not recalls_card((), None, frozenset({"m-1"}), sent_at=START, now=START)


def test_the_desk_itself_is_pushed_nothing() -> None:
    kinds = {
        push.who.realm
        for state in (at(Status.ACTIVE), at(Status.RESOLVED))
        for push in decided(
            decide(PEOPLE["requester"], state, about(state, "post_message"), moment(), facts())
        ).pushes
    }

    assert Realm.SYSTEM not in kinds
    assert PersonId("system") not in {
        push[1] for push in armed(answered(), "system", "auto_resolve", LATE)
    }


# 7. What becomes of it ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "stands, is_reachable, due_s, step",
    [
        (True, True, 0, Send()),
        (True, True, 1, Later(START + 1_000)),
        (False, True, 0, Disarm()),
        (True, False, 0, Disarm()),
    ],
)
def test_what_waits_is_sent_when_it_stands_its_reader_is_there_and_its_time_has_come(
    stands: bool, is_reachable: bool, due_s: int, step: Step
) -> None:
    at = START + due_s * 1000

    assert step_of_armed(stands=stands, is_reachable=is_reachable, due=at, now=START) == step


@pytest.mark.parametrize(
    "stands, has_body, after_ms, step",
    [
        (True, True, REPEAT_MS_MAX - 1, Repeat()),
        (True, True, REPEAT_MS_MAX, Fail(Failure.UNKNOWN)),
        (True, False, 0, Fail(Failure.WITHDRAWN)),
        (False, True, 0, Disarm()),
    ],
)
def test_what_was_frozen_is_repeated_as_it_is_until_wecom_would_take_it_twice(
    stands: bool, has_body: bool, after_ms: int, step: Step
) -> None:
    now = START + after_ms

    assert step_of_frozen(stands=stands, has_body=has_body, tried_at=START, now=now) == step


def test_a_try_without_an_answer_is_repeated_after_2_10_60_and_then_each_300_seconds() -> None:
    assert [repeat_at(tries, 0) for tries in (1, 2, 3, 4, 9)] == [
        2_000, 10_000, 60_000, 300_000, 300_000,
    ]  # fmt: skip


def test_nine_tenths_of_what_the_seats_allow_go_out_in_a_day() -> None:
    assert after_budget(START, 179, seats=1) == START
    assert after_budget(START, 180, seats=1) == midnight(START) + DAY_MS
    assert [is_near_budget(sent, seats=1) for sent in (139, 140)] == [False, True]
    assert midnight(midnight(START)) == midnight(START) <= START < midnight(START) + DAY_MS


@pytest.mark.parametrize("why, is_held", [(Why.RESOLVED, True), (Why.MESSAGE, False)])
def test_what_comes_late_keeps_to_quiet_hours_as_well(why: Why, is_held: bool) -> None:
    push = waiting((5, 0), why=why)
    at_night = midnight(START) + DAY_MS - HOUR_MS

    due = from_now(START, push, wrote_at=None, settings=DEFAULTS, now=at_night)

    assert due == (midnight(START) + DAY_MS + 8 * HOUR_MS + MINUTE_MS if is_held else at_night)


def test_of_two_pushes_of_one_key_nothing_is_lost() -> None:
    reminder = Push(first=2, last=4, since=9, newest=9, whys=frozenset({Why.SECOND_RUNG}))
    message = Push(first=5, last=7, since=3, newest=12, whys=frozenset({Why.MESSAGE}))

    assert joined(reminder, message) == joined(message, reminder)
    assert joined(reminder, message) == Push(
        first=2, last=7, since=3, newest=12, whys=frozenset({Why.MESSAGE})
    )
    assert joined(reminder, reminder) == reminder


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("name", ["post_message", "resolve_conversation", "close_conversation"])
def test_what_armed_a_push_is_what_it_covers_when_it_is_looked_at_again(
    status: Status, name: str
) -> None:
    """And nothing else is: the two directions of one rule must not drift apart."""
    state = at(status)
    for actor in ("assignee", "supervisor", "requester"):
        found = decide(PEOPLE[actor], state, about(state, name), moment(), facts())
        if not isinstance(found, Decision):
            continue
        armed_now = {(each.who, each.stream, each.event_id, each.why) for each in found.pushes}
        for who in (PEOPLE["requester"], PEOPLE["invited"], PEOPLE["assignee"]):
            for stream in (conv_stream(CONV), personal_stream(who.principal)):
                seen = {
                    (who.principal, stream, event.id, each.why)
                    for event in found.events
                    if stream in event.streams
                    and (each := looked_at(event, who, stream, found.state)) is not None
                    and not each.is_withdrawn
                }
                mine = {each for each in armed_now if each[:2] == (who.principal, stream)}
                # Who is given it along with its newest message is told once, by the other push.
                given = any(each[::3] == (who.principal, Why.ASSIGNMENT) for each in armed_now)
                told_once = {each for each in seen if given and each[3] is Why.QUESTION}
                assert mine == seen - told_once, (actor, who.principal, stream)


def looked_at(event: Event, who: Actor, stream: Stream, state: Conversation) -> Covered | None:
    every = Push(first=1, last=99, since=0, newest=0, whys=frozenset(Why))
    every = replace(every, whys=every.whys - {Why.SECOND_RUNG})
    sight, offers = state.sight, frozenset({OFFER_ID})
    return covered(event, 1, push=every, reader=who, stream=stream, sight=sight, live_offers=offers)
