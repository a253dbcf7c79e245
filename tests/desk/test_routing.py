from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deskwire.desk.conversation import Status
from deskwire.desk.office import Category, Group, Hours, Pick, Routing
from deskwire.desk.people import Agent, Availability, PersonId, Presence
from deskwire.desk.routing import (
    CLAUSES,
    COOLING_MS,
    Dispatch,
    Proposal,
    TurnedAway,
    Waiting,
    WaitingReason,
    Wanted,
    absence,
    ahead_of,
    cooling_off,
    dispatch,
    pick,
    queue_place,
    waiting,
    wanted_by,
    why_not,
)
from tests.desk.cast import (
    CHEN,
    GROUP,
    LINA,
    MINUTE_MS,
    OTHER_GROUP,
    START,
    WANG,
    ZHAO,
    at,
    seen_by_routing,
)

SKILLED = Wanted(group_id="support", requester=PersonId("ann"), skill="vpn")
FIT = replace(WANG, skills=frozenset({"vpn"}))

# Each clause, by an agent and a wish that fail it and every one after it.
FAILS: tuple[tuple[str, dict[str, Any], dict[str, Any]], ...] = (
    ("cooling_off", {}, {"cooling": frozenset({PersonId("wang")})}),
    ("has_offer", {"has_offer": True}, {}),
    ("at_capacity", {"load": 2}, {}),
    ("own_conversation", {}, {"requester": PersonId("wang")}),
    ("lacks_skill", {"skills": frozenset()}, {}),
    ("not_in_group", {"groups": frozenset({"facilities"})}, {}),
    ("presence:grace", {"presence": Presence.GRACE}, {}),
    ("availability:break", {"availability": Availability.BREAK}, {}),
    ("disabled", {"is_disabled": True}, {}),
)


def test_an_agent_of_whom_all_is_true_is_assignable() -> None:
    assert why_not(FIT, SKILLED) is None


def test_the_first_failing_clause_is_the_reason_in_their_order() -> None:
    agent, wanted = FIT, SKILLED
    found = []
    for _, of_agent, of_wish in FAILS:
        agent, wanted = replace(agent, **of_agent), replace(wanted, **of_wish)
        found.append(why_not(agent, wanted))

    assert found == [clause for clause, _, _ in FAILS]
    assert [clause.partition(":")[0] for clause in CLAUSES] == [
        clause.partition(":")[0] for clause in reversed([name for name, _, _ in FAILS])
    ]


@pytest.mark.parametrize("clause, of_agent, of_wish", FAILS)
def test_a_single_failing_clause_is_the_reason(
    clause: str, of_agent: dict[str, Any], of_wish: dict[str, Any]
) -> None:
    assert why_not(replace(FIT, **of_agent), replace(SKILLED, **of_wish)) == clause


@pytest.mark.parametrize("value", [a for a in Availability if a is not Availability.ONLINE])
def test_an_agent_who_says_so_is_given_nothing(value: Availability) -> None:
    assert why_not(replace(FIT, availability=value), SKILLED) == f"availability:{value}"


@pytest.mark.parametrize("value", [Presence.GRACE, Presence.LOST])
def test_an_agent_without_a_connection_is_given_nothing(value: Presence) -> None:
    assert absence(replace(FIT, presence=value)) == f"presence:{value}"


def test_a_skill_counts_in_its_own_group_only() -> None:
    vpn = Category(id="vpn", name_zh="VPN", name_en="VPN", group=GROUP, skill="vpn")
    state = replace(at(Status.QUEUED), category=vpn)

    assert wanted_by(state).skill == "vpn"
    assert wanted_by(replace(state, moved_to=OTHER_GROUP)) == Wanted(
        group_id="facilities", requester=PersonId("ann")
    )


def test_five_minutes_after_turning_away_an_agent_is_asked_again() -> None:
    turned = [
        TurnedAway(agent=PersonId("wang"), at=START - COOLING_MS),
        TurnedAway(agent=PersonId("chen"), at=START - COOLING_MS + 1),
    ]

    assert cooling_off(turned, START) == {"chen"}


# Picking ------------------------------------------------------------------------------------------


def idle(name: str, load: int, capacity: int, last: int | None) -> Agent:
    return seen_by_routing(name, load=load, capacity=capacity, last_assigned_at=last)


@pytest.mark.parametrize(
    "how, agents, chosen",
    [
        (Pick.LEAST_BUSY, [idle("a", 2, 4, 1), idle("b", 2, 5, 9), idle("c", 1, 2, 0)], "b"),
        (Pick.LEAST_BUSY, [idle("a", 1, 2, 7), idle("b", 2, 4, 3), idle("c", 3, 6, 5)], "b"),
        (Pick.LEAST_BUSY, [idle("a", 0, 2, 7), idle("b", 0, 2, None)], "b"),
        (Pick.LEAST_BUSY, [idle("b", 0, 2, 7), idle("a", 0, 2, 7)], "a"),
        (Pick.LEAST_BUSY, [idle("a", 1, 3, 1), idle("b", 33, 100, 1)], "b"),
        (Pick.ROUND_ROBIN, [idle("a", 0, 5, 9), idle("b", 4, 5, 1)], "b"),
        (Pick.ROUND_ROBIN, [idle("a", 0, 5, 0), idle("b", 4, 5, None)], "b"),
        (Pick.ROUND_ROBIN, [], None),
        (Pick.LEAST_BUSY, [], None),
    ],
)
def test_the_least_busy_or_the_longest_idle_is_asked(
    how: Pick, agents: list[Agent], chosen: str | None
) -> None:
    found = pick(agents, how)

    assert (found.id if found else None) == chosen


# The dispatcher -----------------------------------------------------------------------------------


def queued(name: str, **more: Any) -> Waiting:
    usual: dict[str, Any] = {
        "no": name,
        "priority": 0,
        "waiting_since": START,
        "wanted": Wanted(group_id="support", requester=PersonId("ann")),
    }
    return Waiting(conv_id=name, **(usual | more))


def run(*queue: Waiting, agents: Any = (WANG, CHEN), group: Group = GROUP) -> Dispatch:
    return dispatch(group, queue, agents, START)


def pairs(found: Dispatch) -> list[tuple[str, str]]:
    return [(each.conv_id, each.agent) for each in found.proposals]


def test_the_queue_is_taken_by_priority_then_wait_then_number() -> None:
    queue = [
        queued("d", waiting_since=START - 9),
        queued("b", priority=3, waiting_since=START - 1),
        queued("a", priority=3, waiting_since=START - 2),
        queued("c", priority=1),
        queued("e", waiting_since=START - 9),
    ]
    many = [idle(f"x{n}", 0, 1, n) for n in range(9)]

    assert [conv for conv, _ in pairs(run(*queue, agents=many))] == ["a", "b", "c", "d", "e"]
    assert [ahead_of(name, queue) for name in "abcde"] == [0, 1, 2, 3, 4]
    assert ahead_of("z", queue) is None


def test_each_agent_is_asked_once_in_a_run() -> None:
    found = run(queued("a"), queued("b"), queued("c"))

    assert pairs(found) == [("a", "chen"), ("b", "wang")]
    assert found.reasons == {"c": WaitingReason.ALL_AT_CAPACITY}


def test_what_has_a_live_offer_is_skipped_and_owes_no_reason() -> None:
    found = run(queued("a", has_offer=True))

    assert (found.proposals, found.reasons) == ((), {})


def test_the_preferred_agent_goes_first_if_assignable() -> None:
    found = run(queued("a", preferred_agent=PersonId("wang")), agents=(CHEN, replace(WANG, load=1)))

    assert pairs(found) == [("a", "wang")]


def test_a_preferred_agent_who_is_not_assignable_is_not_waited_for_unless_asked() -> None:
    away = replace(WANG, presence=Presence.LOST)
    sticky = queued("a", preferred_agent=PersonId("wang"))
    awaited = replace(sticky, prefer_until=START + 1)

    assert pairs(run(sticky, agents=(away, CHEN))) == [("a", "chen")]
    assert run(awaited, agents=(away, CHEN)).reasons == {"a": WaitingReason.WAITING_FOR_PREFERRED}
    over = replace(sticky, prefer_until=START)
    assert pairs(run(over, agents=(away, CHEN))) == [("a", "chen")]


def test_one_that_waits_for_its_agent_keeps_nobody_else_waiting() -> None:
    awaited = queued("a", priority=3, preferred_agent=PersonId("zhao"), prefer_until=START + 1)

    assert pairs(run(awaited, queued("b"), agents=(WANG,))) == [("b", "wang")]


CLOSED = Hours(week=((),) * 7)


@pytest.mark.parametrize(
    "group, agents, reason",
    [
        (replace(GROUP, hours=CLOSED), (WANG,), "closed_hours"),
        (GROUP, (), "none_online"),
        (GROUP, (replace(WANG, availability=Availability.BUSY),), "none_online"),
        (GROUP, (replace(WANG, presence=Presence.GRACE),), "none_online"),
        (GROUP, (replace(WANG, groups=frozenset({"facilities"})),), "none_online"),
        (GROUP, (seen_by_routing("ann"),), "none_online"),
        (GROUP, (replace(WANG, load=2),), "all_at_capacity"),
        (GROUP, (replace(WANG, has_offer=True),), "all_at_capacity"),
        (replace(GROUP, routing=Routing.PULL), (WANG,), "pull"),
        (replace(GROUP, routing=Routing.PULL), (replace(WANG, load=2),), "all_at_capacity"),
        (replace(GROUP, routing=Routing.PULL), (), "none_online"),
        (replace(GROUP, routing=Routing.PULL, hours=CLOSED), (WANG,), "closed_hours"),
    ],
)
def test_where_nobody_is_asked_it_says_why(group: Group, agents: Any, reason: str) -> None:
    found = run(queued("a"), agents=agents, group=group)

    assert (found.proposals, found.reasons) == ((), {"a": WaitingReason(reason)})


def test_nobody_with_the_skill_is_nobody_online() -> None:
    found = run(queued("a", wanted=SKILLED), agents=(WANG, CHEN))

    assert found.reasons == {"a": WaitingReason.NONE_ONLINE}


def test_the_net_is_cast_again_while_anything_waits() -> None:
    assert run(queued("a", has_offer=True)).again_at == START + 15_000
    assert run().again_at is None


def test_a_conversation_enters_the_queue_as_it_stands() -> None:
    state = replace(at(Status.QUEUED), priority=2, preferred_agent=PersonId("wang"), prefer_until=7)

    assert waiting(state, has_offer=True, cooling=frozenset({PersonId("chen")})) == Waiting(
        conv_id=state.conv_id,
        no=state.no,
        priority=2,
        waiting_since=START,
        wanted=Wanted(
            group_id="support",
            requester=PersonId("ann"),
            cooling=frozenset({PersonId("chen")}),
        ),
        has_offer=True,
        preferred_agent=PersonId("wang"),
        prefer_until=7,
    )


names = st.sampled_from(["a", "b", "c", "d", "e", "f"])
agents_ = st.lists(
    st.builds(
        lambda name, load, capacity, availability, presence, offer, skills: seen_by_routing(
            name,
            load=load,
            capacity=capacity,
            availability=availability,
            presence=presence,
            has_offer=offer,
            skills=skills,
        ),
        names,
        st.integers(0, 3),
        st.integers(1, 3),
        st.sampled_from(Availability),
        st.sampled_from(Presence),
        st.booleans(),
        st.sampled_from([frozenset[str](), frozenset({"vpn"})]),
    ),
    max_size=6,
    unique_by=lambda agent: agent.id,
)
queues = st.lists(
    st.builds(
        lambda name, priority, since, offer, skill, preferred, until, cooling: queued(
            name,
            priority=priority,
            waiting_since=since,
            has_offer=offer,
            preferred_agent=preferred,
            prefer_until=until,
            wanted=Wanted(
                group_id="support",
                requester=PersonId("f"),
                skill=skill,
                cooling=frozenset(cooling),
            ),
        ),
        st.sampled_from([f"conv-{n}" for n in range(6)]),
        st.integers(0, 3),
        st.integers(START - 3, START),
        st.booleans(),
        st.sampled_from([None, "vpn"]),
        st.none() | names,
        st.none() | st.integers(START - 1, START + 1),
        st.lists(names, max_size=2),
    ),
    max_size=6,
    unique_by=lambda each: each.conv_id,
)


@given(queues, agents_, st.sampled_from(Routing), st.sampled_from(Pick))
def test_a_run_asks_only_the_assignable_and_leaves_nobody_without_a_word(
    queue: list[Waiting], agents: list[Agent], routing: Routing, how: Pick
) -> None:
    group = replace(GROUP, routing=routing, pick=how)
    found = dispatch(group, queue, agents, START)
    of = {agent.id: agent for agent in agents}
    asked = {each.conv_id: each for each in queue}

    assert len({each.agent for each in found.proposals}) == len(found.proposals)
    assert len({each.conv_id for each in found.proposals}) == len(found.proposals)
    for each in found.proposals:
        assert why_not(of[each.agent], asked[each.conv_id].wanted) is None
    # I16: a live offer, one proposed now, or a reason, and exactly one of the three.
    proposed = {each.conv_id for each in found.proposals}
    offered = {each.conv_id for each in queue if each.has_offer}
    assert [*sorted(proposed), *sorted(offered), *sorted(found.reasons)] == sorted(
        asked, key=lambda n: (n in found.reasons, n in offered, n)
    )
    assert (found.again_at is not None) == bool(queue)


@given(queues, agents_)
def test_whoever_is_left_out_is_left_out_for_a_reason_that_is_true(
    queue: list[Waiting], agents: list[Agent]
) -> None:
    found = dispatch(GROUP, queue, agents, START)
    taken = {each.agent for each in found.proposals}
    for each in queue:
        reason = found.reasons.get(each.conv_id)
        if reason is WaitingReason.WAITING_FOR_PREFERRED:
            assert each.prefer_until is not None
            assert each.prefer_until > START
        elif reason is not None:
            idle_ones = [a for a in agents if why_not(a, each.wanted) is None]
            assert {agent.id for agent in idle_ones} <= taken


@given(queues, agents_)
def test_the_order_in_which_rows_are_read_makes_no_difference(
    queue: list[Waiting], agents: list[Agent]
) -> None:
    assert dispatch(GROUP, queue, agents, START) == dispatch(
        GROUP, queue[::-1], agents[::-1], START
    )


def test_two_runs_at_once_propose_the_same() -> None:
    queue = (queued("a"), queued("b"))

    assert run(*queue) == run(*queue)
    assert run(*queue).proposals[0] == Proposal(conv_id="a", agent=PersonId("chen"))


# Place and wait -----------------------------------------------------------------------------------

EVERY_4_MIN = [START - n * 4 * MINUTE_MS for n in range(6)]


def place(ahead: int = 0, **more: Any) -> tuple[int, int | None, int | None, str | None]:
    usual: dict[str, Any] = {
        "assigned_at": EVERY_4_MIN,
        "is_anyone_online": True,
        "reason": None,
        "now": START,
    }
    found = queue_place(ahead, **(usual | more))
    return found.place, found.low_s, found.high_s, found.reason


def test_the_wait_is_a_range_about_place_times_the_median() -> None:
    assert place(0) == (1, 120, 360, None)  # 4 min: 2.8 to 6
    assert place(2) == (3, 480, 1_080, None)  # 12 min: 8.4 to 18


def test_four_samples_are_no_estimate() -> None:
    assert place(assigned_at=EVERY_4_MIN[:5]) == (1, None, None, None)


def test_what_was_assigned_over_an_hour_ago_is_no_sample() -> None:
    old = [at_ - 3_600_001 for at_ in EVERY_4_MIN]

    assert place(assigned_at=old) == (1, None, None, None)


def test_where_nobody_is_online_there_is_only_the_reason() -> None:
    found = place(3, is_anyone_online=False, reason=WaitingReason.NONE_ONLINE)

    assert found == (4, None, None, "none_online")


@pytest.mark.parametrize(
    "reason, has_number",
    [("closed_hours", False), ("none_online", False), ("waiting_for_preferred", False),
     ("all_at_capacity", True), ("pull", True)],
)  # fmt: skip
def test_a_number_is_given_only_where_the_desk_works(reason: str, has_number: bool) -> None:
    assert (place(reason=WaitingReason(reason))[1] is not None) == has_number


@given(
    st.integers(0, 50),
    st.lists(st.integers(START - 3_600_000, START), min_size=6, max_size=40),
)
def test_a_wait_is_in_whole_minutes_and_its_range_holds_the_estimate(
    ahead: int, assigned_at: list[int]
) -> None:
    found = queue_place(
        ahead, assigned_at=assigned_at, is_anyone_online=True, reason=None, now=START
    )

    assert found.low_s is not None
    assert found.high_s is not None
    assert found.low_s % 60 == found.high_s % 60 == 0
    assert 60 <= found.low_s <= found.high_s


def test_agents_of_the_cast_are_assignable() -> None:
    wanted = Wanted(group_id="support", requester=PersonId("ann"))

    assert [why_not(each, wanted) for each in (WANG, CHEN, ZHAO, LINA)] == [None] * 4
