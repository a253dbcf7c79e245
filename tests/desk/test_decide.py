from __future__ import annotations

from dataclasses import fields, replace
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deskwire.desk.administration import DeskDecision, decide_availability
from deskwire.desk.commands import (
    COMMANDS,
    AcceptOffer,
    DeclineOffer,
    RecallMessage,
    SetAvailability,
    Source,
    name_of,
)
from deskwire.desk.conversation import Conversation, Status
from deskwire.desk.decide import NEEDS, RULES, decide, only_needed
from deskwire.desk.decision import Decision, Facts, OfferKind
from deskwire.desk.people import EMPLOYEES_ONLY, Availability, PersonId, Presence, Realm
from deskwire.desk.refusals import MEANINGS, Refusal
from tests.desk import world
from tests.desk.cast import (
    AGENTS,
    CONV,
    DAY_MS,
    EVERYBODY,
    HOUR_MS,
    MINUTE_MS,
    NOT_FOR_STRANGERS,
    PEOPLE,
    START,
    WANG,
    about,
    at,
    facts,
    moment,
    offer,
    posted,
    verdict,
)

STATUSES = (Status.QUEUED, Status.ACTIVE, Status.ON_HOLD, Status.RESOLVED, Status.CLOSED)
OF_CONVERSATION = {name: line for name, line in COMMANDS.items() if line.command in RULES}
WORDS = {
    "na": "not_allowed",
    "wrong": "wrong_state",
    "own": "own_conversation",
    "taken": "already_taken",
    "over": "offer_over",
    "claim": "claim_first",
    "join": "join_first",
}

# Who may do what when: desk.md §3 and §8, for every command of a conversation. `assignee` is an
# agent like any other until they claim, and the last agent once it is on hold, resolved or closed.
# Offers are made to whoever answers them, messages are by whoever recalls them; who stands in no
# line of a command may not do it at all.
CELLS = """
post_message          queued active on_hold resolved closed
  requester           yes    yes    yes     yes      closed
  invited             yes    yes    yes     yes      closed
  assignee            claim  yes    yes     yes      closed
  participant         claim  yes    yes     yes      closed
  colleague           claim  join   join    join     closed
  supervisor          claim  join   join    join     closed
  admin               claim  join   join    join     closed
  requester_as_agent  claim  join   join    join     closed
post_note             queued active on_hold resolved closed
  assignee            yes    yes    yes     yes      yes
  participant         yes    yes    yes     yes      yes
  colleague           yes    yes    yes     yes      yes
  supervisor          yes    yes    yes     yes      yes
  admin               yes    yes    yes     yes      yes
  requester_as_agent  yes    yes    yes     yes      yes
recall_message        queued active on_hold resolved closed
  requester           yes    yes    yes     yes      closed
  invited             yes    yes    yes     yes      closed
  assignee            yes    yes    yes     yes      closed
  participant         yes    yes    yes     yes      closed
  colleague           yes    yes    yes     yes      closed
  supervisor          yes    yes    yes     yes      closed
  admin               yes    yes    yes     yes      closed
  requester_as_agent  yes    yes    yes     yes      closed
redact_message        queued active on_hold resolved closed
  supervisor          yes    yes    yes     yes      yes
  admin               yes    yes    yes     yes      yes
cancel_conversation   queued active on_hold resolved closed
  requester           yes    wrong  wrong   wrong    closed
confirm_solved        queued active on_hold resolved closed
  requester           wrong  wrong  wrong   yes      closed
reopen_conversation   queued active on_hold resolved closed
  requester           wrong  wrong  wrong   yes      yes
rate_conversation     queued active on_hold resolved closed
  requester           wrong  wrong  wrong   yes      yes
claim_conversation    queued active on_hold resolved closed
  assignee            yes    taken  wrong   wrong    closed
  participant         yes    taken  wrong   wrong    closed
  colleague           yes    taken  wrong   wrong    closed
  supervisor          yes    taken  wrong   wrong    closed
  admin               yes    taken  wrong   wrong    closed
  requester_as_agent  own    own    own     own      own
join_conversation     queued active on_hold resolved closed
  assignee            yes    yes    yes     yes      closed
  participant         yes    yes    yes     yes      closed
  colleague           yes    yes    yes     yes      closed
  supervisor          yes    yes    yes     yes      closed
  admin               yes    yes    yes     yes      closed
  requester_as_agent  own    own    own     own      own
leave_conversation    queued active on_hold resolved closed
  invited             yes    yes    yes     yes      yes
  assignee            na     wrong  yes     yes      yes
  participant         yes    yes    yes     yes      yes
take_over             queued active on_hold resolved closed
  supervisor          yes    yes    yes     wrong    closed
  admin               yes    yes    yes     wrong    closed
accept_offer          queued active on_hold resolved closed
  assignee            yes    over   over    over     over
  participant         yes    yes    over    over     over
  colleague           yes    yes    over    over     over
  supervisor          yes    yes    over    over     over
  admin               yes    yes    over    over     over
  requester_as_agent  own    own    over    over     over
decline_offer         queued active on_hold resolved closed
  assignee            yes    over   over    over     over
  participant         yes    yes    over    over     over
  colleague           yes    yes    over    over     over
  supervisor          yes    yes    over    over     over
  admin               yes    yes    over    over     over
  requester_as_agent  yes    yes    over    over     over
transfer_to_agent     queued active on_hold resolved closed
  assignee            na     yes    na      na       na
  supervisor          wrong  yes    wrong   wrong    closed
  admin               wrong  yes    wrong   wrong    closed
transfer_to_group     queued active on_hold resolved closed
  assignee            na     yes    na      na       na
  supervisor          yes    yes    wrong   wrong    closed
  admin               yes    yes    wrong   wrong    closed
hold_conversation     queued active on_hold resolved closed
  assignee            na     yes    na      na       na
  supervisor          wrong  yes    wrong   wrong    closed
  admin               wrong  yes    wrong   wrong    closed
resume_conversation   queued active on_hold resolved closed
  assignee            na     wrong  yes     wrong    closed
resolve_conversation  queued active on_hold resolved closed
  assignee            na     yes    yes     wrong    closed
  supervisor          wrong  yes    yes     wrong    closed
  admin               wrong  yes    yes     wrong    closed
requeue_conversation  queued active on_hold resolved closed
  assignee            na     yes    na      na       na
  supervisor          yes    yes    yes     yes      closed
  admin               yes    yes    yes     yes      closed
assign_conversation   queued active on_hold resolved closed
  supervisor          yes    yes    yes     yes      closed
  admin               yes    yes    yes     yes      closed
close_conversation    queued active on_hold resolved closed
  supervisor          yes    yes    yes     yes      closed
  admin               yes    yes    yes     yes      closed
invite_participant    queued active on_hold resolved closed
  assignee            na     yes    na      na       na
  supervisor          yes    yes    yes     yes      closed
  admin               yes    yes    yes     yes      closed
remove_participant    queued active on_hold resolved closed
  assignee            na     yes    na      na       na
  supervisor          yes    yes    yes     yes      yes
  admin               yes    yes    yes     yes      yes
set_category          queued active on_hold resolved closed
  assignee            yes    yes    yes     yes      yes
  participant         yes    yes    yes     yes      yes
  colleague           yes    yes    yes     yes      yes
  supervisor          yes    yes    yes     yes      yes
  admin               yes    yes    yes     yes      yes
  requester_as_agent  yes    yes    yes     yes      yes
set_priority          queued active on_hold resolved closed
  assignee            yes    yes    yes     yes      yes
  participant         yes    yes    yes     yes      yes
  colleague           yes    yes    yes     yes      yes
  supervisor          yes    yes    yes     yes      yes
  admin               yes    yes    yes     yes      yes
  requester_as_agent  yes    yes    yes     yes      yes
set_tags              queued active on_hold resolved closed
  assignee            yes    yes    yes     yes      yes
  participant         yes    yes    yes     yes      yes
  colleague           yes    yes    yes     yes      yes
  supervisor          yes    yes    yes     yes      yes
  admin               yes    yes    yes     yes      yes
  requester_as_agent  yes    yes    yes     yes      yes
make_offer            queued active on_hold resolved closed
  system              yes    wrong  wrong   wrong    closed
expire_offer          queued active on_hold resolved closed
  system              yes    yes    over    over     over
lose_agent            queued active on_hold resolved closed
  system              wrong  yes    wrong   wrong    closed
regain_agent          queued active on_hold resolved closed
  system              wrong  yes    wrong   wrong    closed
miss_first_answer     queued active on_hold resolved closed
  system              wrong  yes    wrong   wrong    closed
drop_preference       queued active on_hold resolved closed
  system              wrong  wrong  wrong   wrong    closed
return_from_hold      queued active on_hold resolved closed
  system              wrong  wrong  yes     wrong    closed
remind_requester      queued active on_hold resolved closed
  system              wrong  wrong  wrong   wrong    closed
auto_resolve          queued active on_hold resolved closed
  system              wrong  wrong  wrong   wrong    closed
close_resolved        queued active on_hold resolved closed
  system              wrong  wrong  wrong   yes      closed
record_push           queued active on_hold resolved closed
  system              yes    yes    yes     yes      yes
record_inspection     queued active on_hold resolved closed
  admin               yes    yes    yes     yes      yes
"""


Cells = dict[tuple[str, Status], str]


def cells() -> dict[str, Cells]:
    said: dict[str, Cells] = {}
    name = ""
    for line in CELLS.strip().splitlines():
        first, *rest = line.split()
        if not line.startswith(" "):
            name = first
            everybody = ((who, status) for who in EVERYBODY for status in STATUSES)
            said[name] = {(who, status): _otherwise(who) for who, status in everybody}
            continue
        for status, says in zip(STATUSES, rest, strict=True):
            said[name][first, status] = WORDS.get(says, says)
    return said


def _otherwise(who: str) -> str:
    return "not_found" if who in NOT_FOR_STRANGERS else "not_allowed"


def around(name: str, who: str, state: Conversation) -> Facts:
    """The facts in which a command has its best chance."""
    actor = EVERYBODY[who]
    known: dict[str, Any] = {"message": posted(actor)}
    if name in {"accept_offer", "decline_offer", "expire_offer"}:
        known["offer"] = an_offer(name, who, state)
    if name == "lose_agent":
        known["agents"] = (replace(WANG, presence=Presence.LOST), *AGENTS[1:])
    return facts(**known)


def an_offer(name: str, who: str, state: Conversation) -> Any:
    """One that this agent may answer: nobody is asked to take what they have."""
    to = "zhao" if name == "expire_offer" else EVERYBODY[who].person.id
    if state.status is Status.QUEUED:
        return offer(to)
    if state.status is Status.ACTIVE and state.assignee and state.assignee.id != to:
        return offer(to, OfferKind.TRANSFER, by=state.assignee.id)
    return None


def ask(name: str, who: str, status: Status) -> Decision | Refusal:
    state = at(status)
    late = COMMANDS[name].source is Source.TIMER
    now = START + 3 * DAY_MS if late else START
    return decide(EVERYBODY[who], state, about(state, name), moment(now), around(name, who, state))


@pytest.mark.parametrize("name", cells())
def test_each_person_may_do_in_each_status_what_the_table_says(name: str) -> None:
    said = cells()[name]

    assert {(who, status): verdict(ask(name, who, status)) for who, status in said} == said


def test_the_table_of_cells_names_every_command_of_a_conversation() -> None:
    assert set(cells()) == set(OF_CONVERSATION)


def test_every_command_of_a_conversation_has_its_rule_and_its_needs() -> None:
    known = {each.name for each in fields(Facts)}

    assert set(RULES) == set(NEEDS)
    assert set().union(*NEEDS.values()) == known


@pytest.mark.parametrize("name", OF_CONVERSATION)
def test_a_command_that_changes_nothing_tells_nothing(name: str) -> None:
    for who, status in ((who, status) for who in EVERYBODY for status in STATUSES):
        answer = ask(name, who, status)
        if isinstance(answer, Refusal):
            assert set(MEANINGS[answer.code].detail) <= set(answer.detail)
        elif not answer.events:
            assert answer.state.version == at(status).version


@pytest.mark.parametrize("name", OF_CONVERSATION)
def test_a_rule_looks_at_no_fact_beyond_those_it_names(name: str) -> None:
    for who, status in ((who, status) for who in EVERYBODY for status in STATUSES):
        state = at(status)
        asking, known = about(state, name), around(name, who, state)

        answers = [
            decide(EVERYBODY[who], state, asking, moment(START, count(1)), seen)
            for seen in (known, only_needed(asking, known))
        ]

        assert answers[0] == answers[1]


def test_whoever_does_not_see_it_is_told_that_there_is_none() -> None:
    answers = [
        ask(name, who, status)
        for name in OF_CONVERSATION
        for who in NOT_FOR_STRANGERS
        for status in STATUSES
    ]

    assert {verdict(answer) for answer in answers} == {"not_found"}


def test_a_conversation_knows_its_streams_only() -> None:
    mine = {f"conv:{CONV}", f"conv:{CONV}:staff", "queue:support", "queue:facilities", "desk"}
    own = {
        f"{realm}:{person.person.id}"
        for person in PEOPLE.values()
        for realm in ("agent", "employee")
    }

    for name in OF_CONVERSATION:
        for who, status in ((who, status) for who in EVERYBODY for status in STATUSES):
            answer = ask(name, who, status)
            if isinstance(answer, Decision):
                told = {stream for event in answer.events for stream in event.streams}
                assert told <= mine | own


# The laws, by random people doing random things ---------------------------------------------------

PAUSES_MS = (
    *(0, 0, 0, 1_000, 1_000, 20_000),
    *(130_000, 16 * MINUTE_MS, 13 * HOUR_MS, 25 * HOUR_MS, 8 * DAY_MS),
)
USUAL = (
    *("claim_conversation", "accept_offer", "post_message", "post_message", "resolve_conversation"),
    *("hold_conversation", "transfer_to_agent", "recall_message", "reopen_conversation"),
    *("rate_conversation", "leave_conversation", "resume_conversation"),
)
CLIENTS = (
    *USUAL,
    *USUAL,
    *sorted(n for n, t in OF_CONVERSATION.items() if t.source in {Source.CLIENT, Source.READ}),
)
WHO = [
    *((Realm.EMPLOYEE, name) for name in sorted(world.EMPLOYEES)),
    *((Realm.AGENT, name) for name in sorted(world.AGENTS)),
]
DEEDS = ("open", "presence", "say", *("ask",) * 12)
deeds = st.lists(
    st.tuples(
        st.sampled_from(DEEDS),
        st.integers(0, 3 * len(WHO) - 1),
        st.integers(0, 3),
        st.integers(0, len(CLIENTS) - 1),
        st.integers(0, 11),
        st.sampled_from(PAUSES_MS),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(deeds)
def test_whatever_people_do_the_laws_of_the_desk_hold(
    script: list[tuple[str, int, int, int, int, int]],
) -> None:
    desk = world.World()
    desk.open("ann", "network")
    for line in script:
        play(desk, *line)
    desk.tick(0)


def play(
    desk: world.World, deed: str, who: int, conv: int, name: int, dice: int, pause: int
) -> None:
    """One deed of a script, after a pause."""
    desk.tick(pause)
    agent = sorted(world.AGENTS)[who % len(world.AGENTS)]
    match deed:
        case "open":
            desk.open(["ann", "bo", "chen"][who % 3], ["network", "vpn", "printer"][dice % 3])
        case "presence":
            desk.presence(agent, list(Presence)[max(0, dice - 9)])
        case "say":
            say(desk, agent, max(0, dice - 8))
        case "ask":
            alive = sorted(desk.convs, key=lambda n: (desk.convs[n].status is Status.CLOSED, n))
            conv_id = alive[conv % len(alive)]
            asking = chosen(desk, conv_id, CLIENTS[name], dice)
            actor = desk.actor(*speaker(desk, asking, who))
            desk.same_with_less(actor, asking)
            desk.do(actor, asking)


def speaker(desk: world.World, asking: Any, who: int) -> tuple[Realm, str]:
    """Anybody, or more often whoever would ask for this."""
    if who < len(WHO):
        return WHO[who]
    state, live = desk.convs[asking.conv], desk.offer_of(asking.conv)
    if COMMANDS[name_of(asking)].realms == EMPLOYEES_ONLY or (who % 2 and hasattr(asking, "kind")):
        return Realm.EMPLOYEE, state.requester.id
    if isinstance(asking, AcceptOffer | DeclineOffer) and live is not None:
        return Realm.AGENT, live.agent
    if isinstance(asking, RecallMessage):
        return desk.messages[asking.msg_id][1].author
    hands = state.assignee.id if state.assignee else state.last_agent
    return Realm.AGENT, hands or sorted(world.AGENTS)[who % len(world.AGENTS)]


def say(desk: world.World, name: PersonId, dice: int) -> None:
    """An agent says what they are, and the dispatcher looks where that makes room."""
    asking = SetAvailability(availability=list(Availability)[dice].value)
    actor = desk.actor(Realm.AGENT, name)
    answer = decide_availability(actor, asking, desk.seen(name), desk.moment())
    assert isinstance(answer, DeskDecision)
    for change in answer.agents:
        desk._agent(change)
    for timer in answer.timers:
        desk._timer(timer)


def chosen(desk: world.World, conv: str, name: str, dice: int) -> Any:
    """A command with arguments that the dice choose, mostly ones that make sense."""
    state, people = desk.convs[conv], sorted(world.AGENTS)
    mine = [msg for msg, (where, _, _) in desk.messages.items() if where == conv]
    live = desk.offer_of(conv)
    text = {"kind": "text", "body": "一"}
    of_name: dict[str, dict[str, Any]] = {
        "post_message": text | {"seen": state.head - dice if dice % 3 else None,
                                "send_anyway": dice % 4 == 1,
                                "reply_to": mine[dice % len(mine)] if dice == 11 else None},
        "post_note": {"body": "二", "mentions": (people[dice % 5],) if dice % 2 else ()},
        "recall_message": {"msg_id": mine[-1 - dice % len(mine)]},
        "redact_message": {"msg_id": mine[-1 - dice % len(mine)], "reason": "三"},
        "reopen_conversation": text,
        "rate_conversation": {"score": 1 + dice % 5},
        "accept_offer": {"offer_id": live.offer_id if live else "none"},
        "decline_offer": {"offer_id": live.offer_id if live else "none"},
        "transfer_to_agent": {"agent": people[dice % 5], "note": "四", "stay": dice % 2 == 0,
                              "if_absent": "wait" if dice > 5 else "refuse"},
        "transfer_to_group": {"group": sorted(world.GROUPS)[dice % 2], "note": "五",
                              "stay": dice % 3 == 0},
        "hold_conversation": {"until": desk.now + (1 + dice) * HOUR_MS, "reason": "六"},
        "requeue_conversation": {"reason": "七"},
        "assign_conversation": {"agent": people[dice % 5], "reason": "八"},
        "close_conversation": {"reason": "九"},
        "invite_participant": {"realm": ["agent", "employee"][dice % 2],
                               "person": [*people, "ann", "bo"][dice % 7],
                               "share_history": dice > 6},
        "remove_participant": {"realm": ["agent", "employee"][dice % 2],
                               "person": [*people, "ann", "bo"][dice % 7]},
        "set_category": {"category_id": sorted(world.CATEGORIES)[dice % 3],
                         "version": state.version},
        "set_priority": {"priority": dice % 4, "version": state.label_version},
        "set_tags": {"tags": [(), ("vip",), ("slow", "vip")][dice % 3],
                     "version": state.label_version},
    }  # fmt: skip
    kind: Any = COMMANDS[name].command
    return kind(conv=conv, **of_name.get(name, {}))
