from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deskwire.desk import events as ev
from deskwire.desk.commands import RateConversation, ResolveConversation
from deskwire.desk.conversation import Conversation, Status
from deskwire.desk.deadlines import Arm, TimerKind
from deskwire.desk.decide import decide
from deskwire.desk.decision import Decision
from deskwire.desk.ending import RATING_WINDOW_MS
from deskwire.desk.office import DEFAULTS
from deskwire.desk.refusals import Code, Refusal
from tests.desk.cast import (
    ACCOUNT,
    CONV,
    DAY_MS,
    EVERYBODY,
    HOUR_MS,
    OTHER_GROUP,
    PEOPLE,
    PRINTER,
    START,
    about,
    answered,
    at,
    data_of,
    decided,
    doing,
    facts,
    moment,
    opened,
    refused,
    told,
    verdict,
)


def by_timer(name: str, state: Conversation, now: int, **settings: int) -> Decision | Refusal:
    known = facts(settings=replace(DEFAULTS, **settings))
    return decide(EVERYBODY["system"], state, about(state, name), moment(now), known)


# Resolving ----------------------------------------------------------------------------------------


def test_resolving_gives_the_assignee_back_their_place_whoever_resolves() -> None:
    state = at(Status.ACTIVE)

    answer = decided(
        decide(PEOPLE["supervisor"], state, about(state, "resolve_conversation"), moment())
    )

    assert answer.loads == {"wang": -1}


@pytest.mark.parametrize("note, says", [("n" * 500, "yes"), ("n" * 501, "invalid"), (None, "yes")])
def test_a_note_on_resolving_has_a_bound(note: str | None, says: str) -> None:
    asking = ResolveConversation(conv=CONV, note=note)

    answer = decide(PEOPLE["assignee"], at(Status.ACTIVE), asking, moment())

    assert verdict(answer) == says


def test_after_a_move_it_is_resolved_under_a_category_of_the_new_group() -> None:
    qian = PEOPLE["other_agent"]
    moved = replace(at(Status.QUEUED), moved_to=OTHER_GROUP)
    active = decided(decide(qian, moved, about(moved, "claim_conversation"), moment())).state
    labelled = decided(
        decide(
            qian,
            active,
            about(active, "set_category", category_id=PRINTER.id),
            moment(),
            facts(category=PRINTER),
        )
    ).state

    answers = [
        decide(qian, state, about(state, "resolve_conversation"), moment())
        for state in (active, labelled)
    ]

    assert [verdict(answer) for answer in answers] == ["category_required", "yes"]


def test_silence_resolves_after_a_day_and_says_so() -> None:
    answer = decided(by_timer("auto_resolve", answered(), START + DAY_MS))

    assert data_of(answer, ev.ConversationResolved).how == "silence"
    assert answer.events[0].by is None
    assert data_of(answer, ev.ReasonRecorded).cause == "silence"


@pytest.mark.parametrize(
    "name, now, settings, says",
    [
        ("auto_resolve", START + DAY_MS, {"auto_resolve_h": 0}, "wrong_state"),
        ("auto_resolve", START + HOUR_MS, {"auto_resolve_h": 1}, "yes"),
        ("remind_requester", START + DAY_MS, {"reminder_h": 0}, "wrong_state"),
        ("remind_requester", START + DAY_MS, {"auto_resolve_h": 0}, "wrong_state"),
        ("remind_requester", START + DAY_MS // 2, {}, "yes"),
        ("remind_requester", START + DAY_MS // 2 - 1, {}, "try_later"),
        ("auto_resolve", START + DAY_MS, {"auto_resolve_h": 25}, "try_later"),
    ],
)
def test_silence_counts_as_the_settings_say(
    name: str, now: int, settings: dict[str, int], says: str
) -> None:
    assert verdict(by_timer(name, answered(), now, **settings)) == says


def test_the_requester_is_reminded_once_until_somebody_writes() -> None:
    first = decided(by_timer("remind_requester", answered(), START + DAY_MS // 2))
    again = by_timer("remind_requester", first.state, START + DAY_MS // 2 + HOUR_MS)
    after_a_word = doing(first.state, "assignee", "post_message", now=START + DAY_MS // 2)

    assert data_of(first, ev.RequesterReminded).resolve_at == START + DAY_MS
    assert verdict(again) == "wrong_state"
    assert verdict(by_timer("remind_requester", after_a_word, START + DAY_MS)) == "yes"


def test_what_a_late_reminder_promises_is_kept() -> None:
    late = START + 15 * HOUR_MS
    reminded = decided(by_timer("remind_requester", answered(), late))

    promised = data_of(reminded, ev.RequesterReminded).resolve_at
    assert promised == late + DAY_MS // 2
    assert reminded.timers == (Arm(kind=TimerKind.AUTO_RESOLVE, key=CONV, due=promised),)


def test_a_timer_that_came_too_early_is_told_when() -> None:
    answer = refused(by_timer("auto_resolve", answered(), START + DAY_MS, auto_resolve_h=25))

    assert answer.detail == {"retry_after_s": 3600}


def test_where_the_requester_waits_it_is_not_their_silence() -> None:
    requeued = doing(answered(), "supervisor", "requeue_conversation")
    taken = doing(requeued, "colleague", "claim_conversation")

    assert taken.waiting_since == START
    assert verdict(by_timer("auto_resolve", taken, START + DAY_MS)) == "wrong_state"


# Closing ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hours", [1, 168])
def test_what_is_resolved_closes_when_the_settings_say(hours: int) -> None:
    due = START + hours * HOUR_MS
    state = at(Status.RESOLVED)

    early = by_timer("close_resolved", state, due - 1, auto_close_h=hours)
    answer = decided(by_timer("close_resolved", state, due, auto_close_h=hours))

    assert verdict(early) == "try_later"
    assert (answer.state.closed_how, answer.state.closed_at) == ("timer", due)


def test_a_forced_close_frees_the_assignee_and_says_why_to_staff_alone() -> None:
    state = at(Status.ACTIVE)

    answer = decided(
        decide(PEOPLE["supervisor"], state, about(state, "close_conversation"), moment(), facts())
    )

    assert answer.loads == {"wang": -1}
    assert data_of(answer, ev.ConversationClosed).how == "forced"
    assert data_of(answer, ev.ReasonRecorded).note == "重复"


def test_a_wrong_status_is_named() -> None:
    state = at(Status.ACTIVE)

    answer = refused(decide(PEOPLE["requester"], state, about(state, "confirm_solved"), moment()))

    assert answer.detail == {"status": "active"}


# Rating -------------------------------------------------------------------------------------------


def rating(state: Conversation, now: int, **said: Any) -> Decision | Refusal:
    asking = RateConversation(conv=CONV, **({"score": 4} | said))
    return decide(PEOPLE["requester"], state, asking, moment(now))


def test_rating_a_resolution_closes_it() -> None:
    answer = decided(rating(at(Status.RESOLVED), START))

    assert told(answer) == ["conversation.closed", "rating.given", "reason.recorded"]
    assert (answer.state.closed_how, answer.state.rated) == ("rated", True)


@pytest.mark.parametrize(
    "after_ms, says", [(RATING_WINDOW_MS, "yes"), (RATING_WINDOW_MS + 1, "closed")]
)
def test_a_rating_may_follow_the_close_for_seven_days(after_ms: int, says: str) -> None:
    assert verdict(rating(at(Status.CLOSED), START + after_ms)) == says


def test_a_late_rating_changes_no_status() -> None:
    assert told(decided(rating(at(Status.CLOSED), START + DAY_MS))) == ["rating.given"]


def test_a_resolution_is_rated_once_and_the_next_one_again() -> None:
    rated = decided(rating(at(Status.RESOLVED), START)).state
    reopened = doing(rated, "requester", "reopen_conversation")
    taken = doing(reopened, "assignee", "claim_conversation")
    resolved = doing(taken, "assignee", "resolve_conversation")

    assert verdict(rating(rated, START)) == "already_rated"
    assert resolved.resolution_no == 2
    assert decided(rating(resolved, START)).events[1].data == ev.RatingGiven(
        resolution_no=2, score=4, reasons=(), comment=""
    )


def test_nobody_rates_what_was_never_solved() -> None:
    cancelled = doing(opened().state, "requester", "cancel_conversation")

    assert verdict(rating(cancelled, START)) == "closed"


@pytest.mark.parametrize(
    "said, field",
    [
        ({"score": 0}, "score"),
        ({"score": 6}, "score"),
        ({"reasons": ("r",) * 9}, "reasons"),
        ({"reasons": ("r" * 41,)}, "reasons"),
        ({"reasons": ("",)}, "reasons"),
        ({"reasons": ("\0",)}, "reasons"),
        ({"comment": "c" * 501}, "comment"),
        ({"comment": "\ud800"}, "comment"),
    ],
)
def test_a_rating_out_of_bounds_names_its_field(said: dict[str, Any], field: str) -> None:
    answer = refused(rating(at(Status.RESOLVED), START, **said))

    assert (answer.code, answer.detail) == (Code.INVALID, {"field": field})


def test_a_rating_at_its_bounds_is_taken() -> None:
    answer = rating(at(Status.RESOLVED), START, reasons=("r" * 40,) * 8, comment="c" * 500)

    assert verdict(answer) == "yes"


def test_a_category_of_the_same_group_is_a_category() -> None:
    state = replace(at(Status.ACTIVE), category=ACCOUNT)

    assert state.has_own_category
