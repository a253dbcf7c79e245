from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import pytest

from deskwire.desk import events as ev
from deskwire.desk.commands import NAMES
from deskwire.desk.conversation import Conversation, Status
from deskwire.desk.decide import decide
from deskwire.desk.decision import Decision
from deskwire.desk.people import Availability, Presence
from deskwire.desk.transitions import FROM, TRANSITIONS, Transition, from_refused
from tests.desk.cast import (
    AGENTS,
    CONV,
    DAY_MS,
    EVERYBODY,
    MINUTE_MS,
    START,
    WANG,
    ZHAO,
    about,
    answered,
    at,
    decided,
    doing,
    facts,
    moment,
    offer,
    opened,
    refused,
    told,
    transfer_offer,
    verdict,
)

QUEUED, ACTIVE, ON_HOLD = Status.QUEUED, Status.ACTIVE, Status.ON_HOLD
RESOLVED, CLOSED = Status.RESOLVED, Status.CLOSED
MISSED_ONCE = replace(ZHAO, missed_offers=1)
WANG_LOST = replace(WANG, presence=Presence.LOST)
WANG_AWAY = replace(WANG, availability=Availability.OFFLINE)
ZHAO_AWAY = replace(ZHAO, availability=Availability.OFFLINE)


@dataclass(frozen=True, kw_only=True)
class Play:
    """One way through a row: who says what where, and what then has happened."""

    no: str
    who: str
    name: str
    frm: Conversation
    to: Status
    events: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    said: Mapping[str, Any] = field(default_factory=dict)
    now: int = START


def with_agents(*agents: Any) -> dict[str, Any]:
    named = {agent.id for agent in agents}
    return {"agents": (*agents, *(each for each in AGENTS if each.id not in named))}


def absent() -> Conversation:
    return decided(
        decide(
            EVERYBODY["system"],
            answered(),
            about(answered(), "lose_agent"),
            moment(),
            facts(**with_agents(WANG_LOST)),
        )
    ).state


QUEUE_OFFER: dict[str, Any] = {"offer": offer()}
TRANSFER: dict[str, Any] = {"offer": transfer_offer()}
STAYING: dict[str, Any] = {"offer": transfer_offer(stay=True)}
LATE = START + DAY_MS
WITHDRAWN = "offer.closed transfer.closed"

PLAYS: tuple[Play, ...] = (
    Play(no="T2", who="system", name="make_offer", frm=at(QUEUED), to=QUEUED,
         events="offer.made"),
    Play(no="T3", who="colleague", name="accept_offer", frm=at(QUEUED), to=ACTIVE,
         facts=QUEUE_OFFER, events="offer.closed participant.joined conversation.assigned"),
    Play(no="T4", who="colleague", name="decline_offer", frm=at(QUEUED), to=QUEUED,
         facts=QUEUE_OFFER, events="offer.closed"),
    Play(no="T4", who="system", name="expire_offer", frm=at(QUEUED), to=QUEUED, now=LATE,
         facts=QUEUE_OFFER, events="offer.closed"),
    Play(no="T4", who="system", name="expire_offer", frm=at(QUEUED), to=QUEUED, now=LATE,
         facts=QUEUE_OFFER | with_agents(MISSED_ONCE),
         events="offer.closed agent.availability_changed"),
    Play(no="T5", who="colleague", name="claim_conversation", frm=at(QUEUED), to=ACTIVE,
         events="participant.joined conversation.assigned"),
    Play(no="T5", who="participant", name="claim_conversation", frm=at(QUEUED), to=ACTIVE,
         facts=QUEUE_OFFER, events="offer.closed conversation.assigned"),
    Play(no="T6", who="requester", name="cancel_conversation", frm=at(QUEUED), to=CLOSED,
         facts=QUEUE_OFFER, events="offer.closed conversation.closed"),
    Play(no="T7", who="assignee", name="transfer_to_agent", frm=at(ACTIVE), to=ACTIVE,
         events="transfer.requested offer.made"),
    Play(no="T7", who="supervisor", name="transfer_to_agent", frm=at(ACTIVE), to=ACTIVE,
         facts=TRANSFER | with_agents(replace(ZHAO, has_offer=True)),
         events=f"{WITHDRAWN} transfer.requested offer.made"),
    Play(no="T8", who="colleague", name="accept_offer", frm=at(ACTIVE), to=ACTIVE,
         facts=TRANSFER, events="offer.closed participant.joined conversation.assigned "
         "transfer.closed participant.left"),
    Play(no="T8", who="colleague", name="accept_offer", frm=at(ACTIVE), to=ACTIVE,
         facts=STAYING, events="offer.closed participant.joined conversation.assigned "
         "transfer.closed"),
    Play(no="T9", who="colleague", name="decline_offer", frm=at(ACTIVE), to=ACTIVE,
         facts=TRANSFER, events=WITHDRAWN),
    Play(no="T9", who="system", name="expire_offer", frm=at(ACTIVE), to=ACTIVE, now=LATE,
         facts=TRANSFER, events=WITHDRAWN),
    Play(no="T10", who="assignee", name="transfer_to_agent", frm=at(ACTIVE), to=QUEUED,
         facts=with_agents(ZHAO_AWAY), said={"if_absent": "wait"},
         events="participant.left conversation.queued"),
    Play(no="T10", who="assignee", name="transfer_to_agent", frm=at(ACTIVE), to=QUEUED,
         facts=TRANSFER | with_agents(ZHAO_AWAY), said={"if_absent": "wait", "stay": True},
         events=f"{WITHDRAWN} conversation.queued"),
    Play(no="T11", who="assignee", name="transfer_to_group", frm=at(ACTIVE), to=QUEUED,
         facts=TRANSFER,
         events=f"{WITHDRAWN} participant.left conversation.moved conversation.queued"),
    Play(no="T11", who="supervisor", name="transfer_to_group", frm=at(QUEUED), to=QUEUED,
         facts=QUEUE_OFFER, events="offer.closed conversation.moved conversation.queued"),
    Play(no="T12", who="supervisor", name="take_over", frm=at(QUEUED), to=ACTIVE,
         facts=QUEUE_OFFER, events="offer.closed participant.joined conversation.assigned"),
    Play(no="T12", who="supervisor", name="take_over", frm=at(ACTIVE), to=ACTIVE,
         facts=TRANSFER, events=f"{WITHDRAWN} participant.joined conversation.assigned"),
    Play(no="T12", who="supervisor", name="take_over", frm=at(ON_HOLD), to=ACTIVE,
         events="participant.joined conversation.assigned"),
    Play(no="T12", who="colleague", name="take_over", frm=absent(), to=ACTIVE,
         events="participant.joined conversation.assigned"),
    Play(no="T13", who="system", name="lose_agent", frm=at(ACTIVE), to=QUEUED,
         facts=TRANSFER | with_agents(WANG_LOST),
         events=f"{WITHDRAWN} participant.left conversation.queued"),
    Play(no="T14", who="system", name="lose_agent", frm=answered(), to=ACTIVE,
         facts=with_agents(WANG_LOST), events="assignee.marked_absent"),
    Play(no="T14", who="system", name="regain_agent", frm=absent(), to=ACTIVE,
         events="assignee.marked_absent"),
    Play(no="T15", who="system", name="miss_first_answer", frm=at(ACTIVE), to=QUEUED,
         now=START + 120_000, events="participant.left conversation.queued"),
    Play(no="T16", who="assignee", name="hold_conversation", frm=at(ACTIVE), to=ON_HOLD,
         facts=TRANSFER, events=f"{WITHDRAWN} conversation.held"),
    Play(no="T17", who="assignee", name="resume_conversation", frm=at(ON_HOLD), to=ACTIVE,
         events="conversation.resumed conversation.assigned"),
    Play(no="T17", who="assignee", name="resume_conversation", frm=at(ON_HOLD), to=QUEUED,
         facts=with_agents(WANG_AWAY), events="conversation.resumed conversation.queued"),
    Play(no="T17", who="system", name="return_from_hold", frm=at(ON_HOLD), to=ACTIVE, now=LATE,
         events="conversation.resumed conversation.assigned"),
    Play(no="T17", who="system", name="return_from_hold", frm=at(ON_HOLD), to=QUEUED, now=LATE,
         facts=with_agents(WANG_LOST), events="conversation.resumed conversation.queued"),
    Play(no="T17", who="invited", name="post_message", frm=at(ON_HOLD), to=ACTIVE,
         events="conversation.resumed message.posted conversation.assigned"),
    Play(no="T17", who="requester", name="post_message", frm=at(ON_HOLD), to=QUEUED,
         facts=with_agents(WANG_LOST),
         events="conversation.resumed message.posted conversation.queued"),
    Play(no="T18", who="assignee", name="resolve_conversation", frm=at(ACTIVE), to=RESOLVED,
         facts=TRANSFER, events=f"{WITHDRAWN} conversation.resolved"),
    Play(no="T18", who="assignee", name="resolve_conversation", frm=at(ON_HOLD), to=RESOLVED,
         events="conversation.resolved"),
    Play(no="T19", who="system", name="auto_resolve", frm=answered(), to=RESOLVED, now=LATE,
         facts=TRANSFER, events=f"{WITHDRAWN} conversation.resolved"),
    Play(no="T20", who="requester", name="post_message", frm=at(RESOLVED), to=ACTIVE,
         events="conversation.reopened message.posted conversation.assigned"),
    Play(no="T20", who="invited", name="post_message", frm=at(RESOLVED), to=QUEUED,
         facts=with_agents(WANG_AWAY),
         events="conversation.reopened message.posted conversation.queued"),
    Play(no="T20", who="requester", name="reopen_conversation", frm=at(RESOLVED), to=ACTIVE,
         events="conversation.reopened message.posted conversation.assigned"),
    Play(no="T20", who="requester", name="reopen_conversation", frm=at(RESOLVED), to=QUEUED,
         facts=with_agents(WANG_LOST),
         events="conversation.reopened message.posted conversation.queued"),
    Play(no="T21", who="requester", name="confirm_solved", frm=at(RESOLVED), to=CLOSED,
         events="conversation.closed"),
    Play(no="T21", who="requester", name="rate_conversation", frm=at(RESOLVED), to=CLOSED,
         events="conversation.closed rating.given"),
    Play(no="T21", who="system", name="close_resolved", frm=at(RESOLVED), to=CLOSED,
         now=START + 2 * DAY_MS, events="conversation.closed"),
    Play(no="T22", who="requester", name="reopen_conversation", frm=at(CLOSED), to=QUEUED,
         events="conversation.reopened message.posted conversation.queued"),
    *(Play(no="T23", who="supervisor", name="assign_conversation", frm=at(frm), to=ACTIVE,
           events="participant.joined conversation.assigned")
      for frm in (QUEUED, ACTIVE, ON_HOLD, RESOLVED)),
    Play(no="T23", who="assignee", name="requeue_conversation", frm=at(ACTIVE), to=QUEUED,
         facts=TRANSFER, events=f"{WITHDRAWN} participant.left conversation.queued"),
    *(Play(no="T23", who="supervisor", name="requeue_conversation", frm=at(frm), to=QUEUED,
           events="conversation.queued")
      for frm in (QUEUED, ON_HOLD, RESOLVED)),
    *(Play(no="T23", who="supervisor", name="close_conversation", frm=at(frm), to=CLOSED,
           events="conversation.closed")
      for frm in (QUEUED, ACTIVE, ON_HOLD, RESOLVED)),
)  # fmt: skip


def played(play: Play) -> Decision:
    return decided(
        decide(
            EVERYBODY[play.who],
            play.frm,
            about(play.frm, play.name, **play.said),
            moment(play.now, count(1)),
            facts(**play.facts),
        )
    )


def row_of(play: Play) -> Transition:
    (row,) = (
        row
        for row in TRANSITIONS
        if row.no == play.no
        and play.name in {NAMES[asked.command] for asked in row.asked}
        and play.to in row.to
    )
    return row


def name(play: Play) -> str:
    return f"{play.no}-{play.who}-{play.name}-{play.frm.status}-{play.to}"


@pytest.mark.parametrize("play", PLAYS, ids=name)
def test_a_row_leads_where_it_says_and_tells_what_it_says(play: Play) -> None:
    answer = played(play)

    assert answer.state.status is play.to
    assert [n for n in told(answer) if n != "reason.recorded"] == play.events.split()


@pytest.mark.parametrize("play", PLAYS, ids=name)
def test_a_row_tells_nothing_that_its_cell_does_not_list_and_in_its_order(play: Play) -> None:
    listed = [told_.data for told_ in row_of(play).events]
    always = {told_.data for told_ in row_of(play).events if not told_.when}
    happened = [
        type(event.data)
        for event in played(play).events
        if not isinstance(event.data, ev.ReasonRecorded)
    ]

    assert always <= set(happened)
    assert happened == sorted(happened, key=listed.index)


@pytest.mark.parametrize("play", PLAYS, ids=name)
def test_the_events_of_a_row_go_to_the_streams_of_its_cell(play: Play) -> None:
    cells = {told_.data: told_.streams.split() for told_ in row_of(play).events}
    cells[ev.ReasonRecorded] = ["S", "Q"]

    for event in played(play).events:
        letters = [letter(stream, play, event) for stream in event.streams]
        expected = [each for each in cells[type(event.data)] if each != "A′"]
        assert list(dict.fromkeys(letters)) == expected, event.type.name


def letter(stream: ev.Stream, play: Play, event: ev.Event) -> str:
    if stream == f"conv:{CONV}":
        return "C"
    kind, _, rest = stream.partition(":")
    if kind == "queue":
        # Q′ is the group it has moved to; afterwards that is its group.
        is_new = rest != play.frm.group.id
        return "Q′" if is_new and not isinstance(event.data, ev.ReasonRecorded) else "Q"
    return {"conv": "S", "agent": "A", "employee": "E", "desk": "D"}[kind]


@pytest.mark.parametrize("play", PLAYS, ids=name)
def test_what_changes_status_assignee_or_group_has_one_reason(play: Play) -> None:
    before, answer = play.frm, played(play)
    after = answer.state
    moved = (before.status, before.assignee, before.group) != (
        after.status,
        after.assignee,
        after.group,
    )
    reasons = [e.data for e in answer.events if isinstance(e.data, ev.ReasonRecorded)]

    is_said_anyway = play.name in {"decline_offer", "requeue_conversation"}
    assert len(reasons) == (moved or is_said_anyway)
    assert all(reason.command == play.name for reason in reasons)
    assert {reason.about for reason in reasons} <= {event.id for event in answer.events}


def test_every_row_and_every_command_of_it_is_played() -> None:
    played_ = {(play.no, play.name) for play in PLAYS} | {("T1", "open_conversation")}
    ends = {(play.no, play.name, play.to) for play in PLAYS}

    assert played_ == {(row.no, NAMES[asked.command]) for row in TRANSITIONS for asked in row.asked}
    assert {(no, to) for no, _, to in ends} == {
        (row.no, to) for row in TRANSITIONS for to in row.to if row.no != "T1"
    }


def test_every_status_from_which_a_row_leads_is_played() -> None:
    listed = {(row.no, frm) for row in TRANSITIONS for frm in row.frm if frm is not None}

    assert {(play.no, play.frm.status) for play in PLAYS} == listed


def test_the_first_row_opens() -> None:
    row, answer = TRANSITIONS[0], opened()

    assert answer.state.status is row.to[0]
    assert [type(event.data) for event in answer.events[:2]] == [t.data for t in row.events]


def test_the_rows_are_those_of_the_table() -> None:
    numbers = list(dict.fromkeys(row.no for row in TRANSITIONS))

    assert numbers == [f"T{n}" for n in range(1, 24)]


def test_every_event_of_a_row_goes_no_further_than_its_type() -> None:
    for row in TRANSITIONS:
        for told_ in row.events:
            line = ev.TYPE_OF[told_.data]
            known = {to.value for to in line.streams} | {"A", "A′", "Q′"}
            assert set(told_.streams.split()) <= known, (row.no, line.name)


def test_what_no_row_lists_is_refused_with_the_status() -> None:
    state = at(RESOLVED)
    asking = about(state, "hold_conversation")

    assert state.status not in FROM[type(asking)]
    refusal = from_refused(state, asking)
    assert refusal is not None
    assert refusal.detail == {"status": "resolved"}


# What a guard says no to --------------------------------------------------------------------------


def answer_of(who: str, name_: str, state: Conversation, now: int = START, **known: Any) -> Any:
    said = known.pop("said", {})
    asking = about(state, name_, **said)
    return decide(EVERYBODY[who], state, asking, moment(now), facts(**known))


GUARDS: tuple[tuple[str, str, str, Conversation, dict[str, Any], int, str], ...] = (
    ("T2", "system", "make_offer", at(QUEUED), QUEUE_OFFER, START, "not_assignable"),
    ("T2", "system", "make_offer", at(QUEUED), with_agents(ZHAO_AWAY), START, "not_assignable"),
    ("T2", "system", "make_offer", at(QUEUED), {"agents": ()}, START, "invalid"),
    ("T3", "colleague", "accept_offer", at(QUEUED), {}, START, "offer_over"),
    ("T3", "colleague", "accept_offer", at(QUEUED), QUEUE_OFFER, START + 25_000, "offer_over"),
    ("T3", "supervisor", "accept_offer", at(QUEUED), QUEUE_OFFER, START, "not_allowed"),
    ("T4", "system", "expire_offer", at(QUEUED), QUEUE_OFFER, START + 24_999, "wrong_state"),
    ("T7", "assignee", "transfer_to_agent", at(ACTIVE), {"said": {"agent": "wang"}}, START,
     "already_taken"),
    ("T7", "assignee", "transfer_to_agent", at(ACTIVE), {"said": {"agent": "qian"}}, START,
     "not_assignable"),
    ("T7", "assignee", "transfer_to_agent", at(ACTIVE), {"said": {"agent": "ann"}}, START,
     "own_conversation"),
    ("T7", "assignee", "transfer_to_agent", at(ACTIVE), {"said": {"note": " "}}, START,
     "note_required"),
    ("T7", "assignee", "transfer_to_agent", at(ACTIVE), with_agents(ZHAO_AWAY), START,
     "not_assignable"),
    ("T7", "assignee", "transfer_to_agent", at(ACTIVE),
     with_agents(replace(ZHAO, has_offer=True)), START, "not_assignable"),
    ("T11", "assignee", "transfer_to_group", at(ACTIVE), {"unclosed": "conv-9"}, START,
     "already_open"),
    ("T11", "assignee", "transfer_to_group", at(ACTIVE), {"group": None}, START, "invalid"),
    ("T12", "colleague", "take_over", at(ACTIVE), {}, START, "not_allowed"),
    ("T15", "system", "miss_first_answer", answered(), {}, LATE, "wrong_state"),
    ("T15", "system", "miss_first_answer", at(ACTIVE), {}, START + 119_999, "try_later"),
    ("T16", "assignee", "hold_conversation", at(ACTIVE), {"said": {"until": START}}, START,
     "invalid"),
    ("T16", "assignee", "hold_conversation", at(ACTIVE),
     {"said": {"until": START + 30 * DAY_MS + 1}}, START, "invalid"),
    ("T16", "assignee", "hold_conversation", at(ACTIVE), {"said": {"reason": ""}}, START,
     "note_required"),
    ("T17", "system", "return_from_hold", at(ON_HOLD), {}, LATE - 1, "wrong_state"),
    ("T19", "system", "auto_resolve", answered(), {}, LATE - 1, "try_later"),
    ("T19", "system", "remind_requester", answered(), {}, START + DAY_MS // 2 - 1, "try_later"),
    ("T21", "system", "close_resolved", at(RESOLVED), {}, START + 2 * DAY_MS - 1, "try_later"),
    ("T22", "requester", "reopen_conversation", at(CLOSED), {"unclosed": "conv-9"}, START,
     "already_open"),
    ("T22", "requester", "reopen_conversation", at(CLOSED), {}, START + 7 * DAY_MS + 1, "closed"),
    ("T23", "supervisor", "assign_conversation", at(QUEUED), {"said": {"reason": " "}}, START,
     "note_required"),
    ("T23", "supervisor", "requeue_conversation", at(ACTIVE), {"said": {"reason": ""}}, START,
     "note_required"),
    ("T23", "supervisor", "close_conversation", at(ACTIVE), {"said": {"reason": ""}}, START,
     "note_required"),
)  # fmt: skip


@pytest.mark.parametrize("no, who, name_, state, known, now, says", GUARDS)
def test_a_guard_says_no(
    no: str, who: str, name_: str, state: Conversation, known: dict[str, Any], now: int, says: str
) -> None:
    assert verdict(answer_of(who, name_, state, now, **known)) == says


def test_a_reopening_on_the_last_day_is_taken() -> None:
    answer = answer_of("requester", "reopen_conversation", at(CLOSED), START + 7 * DAY_MS)

    assert verdict(answer) == "yes"


def test_a_hold_of_thirty_days_is_taken() -> None:
    said = {"until": START + 30 * DAY_MS}

    assert verdict(answer_of("assignee", "hold_conversation", at(ACTIVE), said=said)) == "yes"


def test_a_requester_who_is_an_agent_takes_nothing_of_their_own_over() -> None:
    asked_by = replace(EVERYBODY["supervisor"], person=EVERYBODY["requester"].person)
    own = replace(asked_by, principal=EVERYBODY["requester_as_agent"].principal)

    answer = decide(own, at(ACTIVE), about(at(ACTIVE), "take_over"), moment(), facts())

    assert refused(answer).code.value == "own_conversation"


def test_an_employee_who_writes_to_an_absent_assignee_goes_back_to_the_queue() -> None:
    state = absent()
    waited_since = START + MINUTE_MS

    answer = answer_of("requester", "post_message", state, waited_since)

    assert told(answer) == [
        "message.posted",
        "participant.left",
        "conversation.queued",
        "reason.recorded",
    ]
    assert (answer.state.status, answer.state.waiting_since) == (QUEUED, waited_since)
    assert doing(answer.state, "colleague", "claim_conversation").status is ACTIVE
