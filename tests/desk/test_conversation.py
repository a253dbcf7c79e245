from __future__ import annotations

from dataclasses import replace
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deskwire.desk import events as ev
from deskwire.desk.access import Participant
from deskwire.desk.commands import COMMANDS, PostMessage, RateConversation, ResolveConversation
from deskwire.desk.conversation import (
    FROM,
    RATING_WINDOW_MS,
    TRANSITIONS,
    Conversation,
    Decision,
    Status,
    decide,
    decide_opening,
    evolve,
)
from deskwire.desk.people import Realm
from deskwire.desk.refusals import Code, Refusal
from tests.desk.cast import (
    CATEGORY,
    CONV,
    DAY_MS,
    PEOPLE,
    START,
    agent,
    asked,
    at,
    command,
    decided,
    doing,
    moment,
    opened,
    opening,
    refused,
)
from tests.desk.fold import fold, read

STATUSES = (Status.QUEUED, Status.ACTIVE, Status.RESOLVED, Status.CLOSED)

# Who may do what when: desk.md §3 and §8 for the commands there are, cell by cell. `assignee` is an
# agent like any other until they claim, and the last agent once it is resolved.
CELLS = """
post_message         queued            active            resolved          closed
  requester          yes               yes               wrong_state       closed
  invited            yes               yes               wrong_state       closed
  assignee           claim_first       yes               yes               closed
  participant        claim_first       yes               yes               closed
  colleague          claim_first       join_first        join_first        closed
  supervisor         claim_first       join_first        join_first        closed
  admin              claim_first       join_first        join_first        closed
  requester_as_agent claim_first       join_first        join_first        closed
post_note            queued            active            resolved          closed
  requester          not_allowed       not_allowed       not_allowed       not_allowed
  invited            not_allowed       not_allowed       not_allowed       not_allowed
  assignee           yes               yes               yes               yes
  participant        yes               yes               yes               yes
  colleague          yes               yes               yes               yes
  supervisor         yes               yes               yes               yes
  admin              yes               yes               yes               yes
  requester_as_agent yes               yes               yes               yes
claim_conversation   queued            active            resolved          closed
  requester          not_allowed       not_allowed       not_allowed       not_allowed
  invited            not_allowed       not_allowed       not_allowed       not_allowed
  assignee           yes               already_taken     wrong_state       closed
  participant        yes               already_taken     wrong_state       closed
  colleague          yes               already_taken     wrong_state       closed
  supervisor         yes               already_taken     wrong_state       closed
  admin              yes               already_taken     wrong_state       closed
  requester_as_agent own_conversation  own_conversation  own_conversation  own_conversation
join_conversation    queued            active            resolved          closed
  requester          not_allowed       not_allowed       not_allowed       not_allowed
  invited            not_allowed       not_allowed       not_allowed       not_allowed
  assignee           yes               yes               yes               closed
  participant        yes               yes               yes               closed
  colleague          yes               yes               yes               closed
  supervisor         yes               yes               yes               closed
  admin              yes               yes               yes               closed
  requester_as_agent own_conversation  own_conversation  own_conversation  own_conversation
resolve_conversation queued            active            resolved          closed
  requester          not_allowed       not_allowed       not_allowed       not_allowed
  invited            not_allowed       not_allowed       not_allowed       not_allowed
  assignee           not_allowed       yes               wrong_state       closed
  participant        not_allowed       not_allowed       not_allowed       not_allowed
  colleague          not_allowed       not_allowed       not_allowed       not_allowed
  supervisor         wrong_state       yes               wrong_state       closed
  admin              wrong_state       yes               wrong_state       closed
  requester_as_agent not_allowed       not_allowed       not_allowed       not_allowed
cancel_conversation  queued            active            resolved          closed
  requester          yes               wrong_state       wrong_state       closed
  invited            not_allowed       not_allowed       not_allowed       not_allowed
  assignee           not_allowed       not_allowed       not_allowed       not_allowed
  participant        not_allowed       not_allowed       not_allowed       not_allowed
  colleague          not_allowed       not_allowed       not_allowed       not_allowed
  supervisor         not_allowed       not_allowed       not_allowed       not_allowed
  admin              not_allowed       not_allowed       not_allowed       not_allowed
  requester_as_agent not_allowed       not_allowed       not_allowed       not_allowed
confirm_solved       queued            active            resolved          closed
  requester          wrong_state       wrong_state       yes               closed
  invited            not_allowed       not_allowed       not_allowed       not_allowed
  assignee           not_allowed       not_allowed       not_allowed       not_allowed
  participant        not_allowed       not_allowed       not_allowed       not_allowed
  colleague          not_allowed       not_allowed       not_allowed       not_allowed
  supervisor         not_allowed       not_allowed       not_allowed       not_allowed
  admin              not_allowed       not_allowed       not_allowed       not_allowed
  requester_as_agent not_allowed       not_allowed       not_allowed       not_allowed
rate_conversation    queued            active            resolved          closed
  requester          wrong_state       wrong_state       yes               yes
  invited            not_allowed       not_allowed       not_allowed       not_allowed
  assignee           not_allowed       not_allowed       not_allowed       not_allowed
  participant        not_allowed       not_allowed       not_allowed       not_allowed
  colleague          not_allowed       not_allowed       not_allowed       not_allowed
  supervisor         not_allowed       not_allowed       not_allowed       not_allowed
  admin              not_allowed       not_allowed       not_allowed       not_allowed
  requester_as_agent not_allowed       not_allowed       not_allowed       not_allowed
"""


def cells() -> list[tuple[str, str, Status, str]]:
    found = []
    name = ""
    for line in CELLS.strip().splitlines():
        first, *rest = line.split()
        if not line.startswith(" "):
            name = first
            continue
        found += [(name, first, s, says) for s, says in zip(STATUSES, rest, strict=True)]
    names = {cell[0] for cell in found}
    return found + [
        (name, who, status, "not_found")
        for name in sorted(names)
        for who in ("stranger", "other_agent", "other_supervisor")
        for status in STATUSES
    ]


def verdict(answer: Decision | Refusal) -> str:
    return answer.code.value if isinstance(answer, Refusal) else "yes"


@pytest.mark.parametrize("name, who, status, says", cells())
def test_each_person_may_do_in_each_status_what_the_table_says(
    name: str, who: str, status: Status, says: str
) -> None:
    answer = decide(PEOPLE[who], at(status), command(name), moment())

    assert verdict(answer) == says


def test_the_table_of_cells_names_every_command_and_everybody() -> None:
    named = {(name, who) for name, who, _, _ in cells()}

    assert named == {(n, p) for n in COMMANDS if n != "open_conversation" for p in PEOPLE}


def test_every_row_of_the_transition_table_ends_where_it_says() -> None:
    actors = {"claim_conversation": "assignee", "resolve_conversation": "assignee"}
    ends = []
    for row in TRANSITIONS[1:]:
        name = next(n for n, line in COMMANDS.items() if line.command is row.command)
        for status in row.frm:
            assert status is not None
            answer = decide(
                PEOPLE[actors.get(name, "requester")], at(status), command(name), moment()
            )
            ends.append(decided(answer).state.status)

    assert opened().state.status is TRANSITIONS[0].to
    assert ends == [row.to for row in TRANSITIONS[1:] for _ in row.frm]


def test_a_status_changes_only_by_a_row_of_the_table() -> None:
    for name, who, status, says in cells():
        if says != "yes":
            continue
        asking = command(name)
        after = decided(decide(PEOPLE[who], at(status), asking, moment())).state.status

        listed = type(asking) in FROM and status in FROM[type(asking)]
        assert listed == (after is not status), (name, who, status)


# Refusals that say more than their code ----------------------------------------------------------


def test_the_loser_of_a_claim_is_told_who_has_it() -> None:
    answer = refused(
        decide(PEOPLE["colleague"], at(Status.ACTIVE), command("claim_conversation"), moment())
    )

    assert answer.detail == {"by": {"id": "wang", "name": "Wang", "avatar": None}}


def test_a_wrong_status_is_named() -> None:
    answer = refused(
        decide(PEOPLE["requester"], at(Status.ACTIVE), command("confirm_solved"), moment())
    )

    assert answer.detail == {"status": "active"}


def test_a_full_agent_claims_nothing() -> None:
    full = agent("wang", "support", load=2)

    answer = refused(decide(full, at(Status.QUEUED), command("claim_conversation"), moment()))

    assert answer.code is Code.AT_CAPACITY


def test_resolving_gives_the_assignee_back_their_place_whoever_resolves() -> None:
    answer = decided(
        decide(PEOPLE["supervisor"], at(Status.ACTIVE), command("resolve_conversation"), moment())
    )

    assert answer.loads == {"wang": -1}


@pytest.mark.parametrize("note, says", [("n" * 500, "yes"), ("n" * 501, "invalid"), (None, "yes")])
def test_a_note_on_resolving_has_a_bound(note: str | None, says: str) -> None:
    asking = ResolveConversation(conv=CONV, note=note)

    answer = decide(PEOPLE["assignee"], at(Status.ACTIVE), asking, moment())

    assert verdict(answer) == says


@pytest.mark.parametrize("who", ["requester", "assignee"])
def test_a_body_is_looked_at_only_where_one_may_post(who: str) -> None:
    asking = PostMessage(conv=CONV, kind="text", body=" \n")

    answer = refused(decide(PEOPLE[who], at(Status.ACTIVE), asking, moment()))

    assert (answer.code, answer.detail) == (Code.INVALID, {"field": "body"})


# Opening -----------------------------------------------------------------------------------------


def test_an_opening_says_its_message_in_the_same_breath() -> None:
    decision = opened()

    assert [event.type.name for event in decision.events] == [
        "conversation.opened",
        "message.posted",
        "reason.recorded",
    ]
    assert decision.result == {"conv_id": CONV, "no": "IT-20260101-0001", "msg_id": "id-2"}
    assert decision.state.last_message is not None
    assert decision.state.last_message.position == 2
    assert (decision.state.turn, decision.state.waiting_since) == (Realm.AGENT, START)


def test_the_message_carries_the_command_id_so_that_a_bubble_is_replaced() -> None:
    posted = opened().events[1].data

    assert isinstance(posted, ev.MessagePosted)
    assert posted.command_id == "command-0001"


@pytest.mark.parametrize(
    "facts, code, detail",
    [
        ({"category": None}, Code.INVALID, {"field": "category_id"}),
        ({"previous_is_own": False}, Code.INVALID, {"field": "previous_id"}),
        ({"unclosed": "conv-0"}, Code.ALREADY_OPEN, {"conv_id": "conv-0"}),
        ({"queued": 3}, Code.QUEUE_FULL, {}),
    ],
)
def test_an_opening_is_refused_with_its_reason(
    facts: dict[str, object], code: Code, detail: dict[str, str]
) -> None:
    answer = refused(decide_opening(PEOPLE["requester"], asked(), opening(**facts), moment()))

    assert (answer.code, answer.detail) == (code, detail)


def test_the_last_place_in_the_queue_is_given() -> None:
    answer = decide_opening(PEOPLE["requester"], asked(), opening(queued=2), moment())

    assert verdict(answer) == "yes"


def test_an_opening_without_words_opens_nothing() -> None:
    answer = refused(decide_opening(PEOPLE["requester"], asked("\n\t "), opening(), moment()))

    assert answer.detail == {"field": "body"}


# Turn, waiting and the first answer --------------------------------------------------------------


def test_the_wait_begins_with_the_first_question_and_outlives_the_next_ones() -> None:
    state = at(Status.ACTIVE)
    later = PostMessage(conv=CONV, kind="text", body="还在吗？")

    after = decided(decide(PEOPLE["requester"], state, later, moment(START + DAY_MS))).state

    assert after.waiting_since == START
    assert after.turn is Realm.AGENT


def test_an_answer_ends_the_wait_and_hands_the_turn_over() -> None:
    state = at(Status.ACTIVE)

    after = decided(
        decide(PEOPLE["assignee"], state, command("post_message"), moment(START + 7))
    ).state

    assert (after.turn, after.waiting_since) == (Realm.EMPLOYEE, None)
    assert after.first_answered_at == START + 7


def test_a_note_moves_neither_turn_nor_wait_nor_version() -> None:
    state = at(Status.ACTIVE)

    after = doing(state, "assignee", "post_note")

    assert after == state


def test_an_agents_message_never_reopens() -> None:
    state = at(Status.RESOLVED)

    after = doing(state, "assignee", "post_message")

    assert (after.status, after.assignee, after.version) == (
        Status.RESOLVED,
        None,
        state.version,
    )


def test_joining_twice_changes_nothing() -> None:
    state = at(Status.ACTIVE)

    answer = decided(decide(PEOPLE["participant"], state, command("join_conversation"), moment()))

    assert (answer.events, answer.state) == ((), state)


def test_an_agent_who_has_joined_is_not_named_a_newcomer_when_they_claim() -> None:
    answer = decided(
        decide(PEOPLE["participant"], at(Status.QUEUED), command("claim_conversation"), moment())
    )

    assert [event.type.name for event in answer.events] == [
        "conversation.assigned",
        "reason.recorded",
    ]


# Rating ------------------------------------------------------------------------------------------


def rating(state: Conversation, now: int, **said: object) -> Decision | Refusal:
    asking = RateConversation(conv=CONV, **({"score": 4} | said))  # type: ignore[arg-type]
    return decide(PEOPLE["requester"], state, asking, moment(now))


def test_rating_a_resolution_closes_it() -> None:
    answer = decided(rating(at(Status.RESOLVED), START))

    assert [event.type.name for event in answer.events] == [
        "conversation.closed",
        "rating.given",
        "reason.recorded",
    ]
    assert (answer.state.closed_how, answer.state.rated) == ("rated", True)


@pytest.mark.parametrize(
    "after_ms, says", [(RATING_WINDOW_MS, "yes"), (RATING_WINDOW_MS + 1, "closed")]
)
def test_a_rating_may_follow_the_close_for_seven_days(after_ms: int, says: str) -> None:
    answer = rating(at(Status.CLOSED), START + after_ms)

    assert verdict(answer) == says


def test_a_late_rating_changes_no_status() -> None:
    answer = decided(rating(at(Status.CLOSED), START + DAY_MS))

    assert [event.type.name for event in answer.events] == ["rating.given"]


def test_a_resolution_is_rated_once() -> None:
    state = decided(rating(at(Status.RESOLVED), START)).state

    assert verdict(rating(state, START)) == "already_rated"


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
def test_a_rating_out_of_bounds_names_its_field(said: dict[str, object], field: str) -> None:
    answer = refused(rating(at(Status.RESOLVED), START, **said))

    assert (answer.code, answer.detail) == (Code.INVALID, {"field": field})


def test_a_rating_at_its_bounds_is_taken() -> None:
    answer = rating(at(Status.RESOLVED), START, reasons=("r" * 40,) * 8, comment="c" * 500)

    assert verdict(answer) == "yes"


# Laws, by random people doing random things ------------------------------------------------------

deeds = st.lists(
    st.tuples(
        st.sampled_from(sorted(PEOPLE)),
        st.sampled_from(sorted(set(COMMANDS) - {"open_conversation"})),
        st.integers(0, 5 * DAY_MS),
    ),
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(deeds)
def test_whatever_people_do_the_laws_of_a_conversation_hold(
    script: list[tuple[str, str, int]],
) -> None:
    ids, now = count(1), START
    decision = decided(decide_opening(PEOPLE["requester"], asked(), opening(), moment(now, ids)))
    hold(None, decision)
    state = decision.state
    loads = dict.fromkeys(PEOPLE, 0)
    seen = list(decision.events)
    for who, name, wait_ms in script:
        now += wait_ms
        actor = replace(PEOPLE[who], load=loads[who])
        answer = decide(actor, state, command(name), moment(now, ids))
        if isinstance(answer, Refusal):
            continue
        hold(state, answer)
        state = answer.state
        seen += answer.events
        for person, by in answer.loads.items():
            key = next(k for k, p in PEOPLE.items() if p.person.id == person and p.is_agent)
            loads[key] += by

    assert sum(loads.values()) == (state.status is Status.ACTIVE)
    assert all(load >= 0 for load in loads.values())
    assert len({event.id for event in seen}) == len(seen)
    for letter, streams in {"C": ev.conv_stream(CONV), "Q": ev.queue_stream("support")}.items():
        told = [read(event) for event in seen if streams in event.streams]
        assert fold(told) == ev.as_json(state.row), letter


def hold(before: Conversation | None, answer: Decision) -> None:
    """Laws of one step, by their numbers in desk.md §11."""
    after = answer.state
    assert (after.assignee is not None) == (after.status is Status.ACTIVE), "I1"
    assert not any(
        p.principal.realm is Realm.AGENT and p.principal.person == after.requester.id
        for p in after.participants
    ), "I22"
    principals = [p.principal for p in after.participants]
    assert len(set(principals)) == len(principals), "everybody takes part once"
    for event in answer.events:
        staff = event.type.clearance is ev.Clearance.STAFF
        assert not (staff and any(map(ev.may_reach_employee, event.streams))), "I11"
        assert event.anchor == (before.head if before else 0)
    step_is_one_of_the_table(before, answer)
    if before is not None:
        folded = before
        for event in answer.events:
            folded = evolve(folded, event)
        assert folded == after
        assert after.head == before.head + sum(
            ev.conv_stream(CONV) in event.streams for event in answer.events
        )


def step_is_one_of_the_table(before: Conversation | None, answer: Decision) -> None:
    status = before.status if before else None
    changes = [event for event in answer.events if event.type.name.startswith("conversation.")]
    reasons = [e.data for e in answer.events if isinstance(e.data, ev.ReasonRecorded)]
    assert len(changes) == len(reasons) == (status is not answer.state.status), "I18"
    assert [r.about for r in reasons] == [event.id for event in changes], "I18"
    rows = [(frm, row.to) for row in TRANSITIONS for frm in row.frm]
    assert status is answer.state.status or (status, answer.state.status) in rows, "I18"
    version = before.version if before else 0
    assert answer.state.version == version + len(changes)


def test_an_opening_holds_the_laws_too() -> None:
    hold(None, opened())


def test_an_invited_colleague_stays_invited_through_evolution() -> None:
    state = at(Status.QUEUED)

    assert state.participants[-1] == Participant(
        principal=PEOPLE["invited"].principal, role="invited", visible_from=2
    )
    assert state.category is CATEGORY
