from __future__ import annotations

from dataclasses import replace

import pytest

from deskwire.desk.access import (
    ALLOWED,
    Action,
    Bounds,
    Participant,
    Sight,
    Standing,
    conversation_of,
    may,
    sees,
    standings,
)
from deskwire.desk.conversation import Status
from deskwire.desk.events import Stream
from tests.desk.cast import CONV, NOT_FOR_STRANGERS, PEOPLE, at

# desk.md §8, the lines whose actions there are. ASSIGNEE and LAST_AGENT are ways of being P.
TABLE = """
            requester invited participant colleague supervisor assignee last_agent
see_public  yes       yes     yes         yes       yes        -        -
see_staff   -         -       yes         yes       yes        -        -
post_note   -         -       yes         yes       yes        -        -
post_public yes       yes     yes         yes       yes        -        -
claim       -         -       yes         yes       yes        -        -
join        -         -       yes         yes       yes        -        -
resolve     -         -       -           -         yes        yes      yes
cancel      yes       -       -           -         -          -        -
confirm     yes       -       -           -         -          -        -
rate        yes       -       -           -         -          -        -
"""


def cells() -> list[tuple[Action, Standing, bool]]:
    head, *lines = TABLE.strip().splitlines()
    found = []
    for line in lines:
        action, *says = line.split()
        found += [
            (Action(action), Standing(standing), said == "yes")
            for standing, said in zip(head.split(), says, strict=True)
        ]
    return found


@pytest.mark.parametrize("action, standing, is_allowed", cells())
def test_the_table_says_who_may_do_what(
    action: Action, standing: Standing, is_allowed: bool
) -> None:
    assert (standing in ALLOWED[action]) == is_allowed


def test_every_action_and_every_standing_has_its_cell() -> None:
    assert {(a, s) for a, s, _ in cells()} == {(a, s) for a in Action for s in Standing}
    assert set(ALLOWED) == set(Action)


@pytest.mark.parametrize("who", NOT_FOR_STRANGERS)
@pytest.mark.parametrize("action", list(Action))
def test_a_stranger_may_nothing(who: str, action: Action) -> None:
    assert not may(PEOPLE[who], action, at(Status.ACTIVE).sight)


@pytest.mark.parametrize(
    "who, expected",
    [
        ("requester", {"requester"}),
        ("invited", {"invited"}),
        ("assignee", {"participant", "colleague", "assignee", "last_agent"}),
        ("participant", {"participant", "colleague"}),
        ("colleague", {"colleague"}),
        ("supervisor", {"colleague", "supervisor"}),
        ("admin", {"colleague", "supervisor"}),
        ("requester_as_agent", {"colleague"}),
        *((who, set[str]()) for who in NOT_FOR_STRANGERS),
    ],
)
def test_everybody_stands_to_a_conversation_in_their_own_ways(who: str, expected: set[str]) -> None:
    assert standings(PEOPLE[who], at(Status.ACTIVE).sight) == {Standing(s) for s in expected}


def test_an_agent_who_has_left_is_no_participant_any_more() -> None:
    sight = at(Status.QUEUED).sight
    left = tuple(replace(member, left_at=3) for member in sight.participants)

    found = standings(PEOPLE["participant"], replace(sight, participants=left))

    assert found == {Standing.COLLEAGUE}


# Streams -----------------------------------------------------------------------------------------

ALL, NONE = Bounds(), None
PUBLIC, STAFF = Stream(f"conv:{CONV}"), Stream(f"conv:{CONV}:staff")
STREAMS = {
    PUBLIC: {"requester", "assignee", "participant", "colleague", "supervisor", "admin",
             "requester_as_agent"},
    STAFF: {"assignee", "participant", "colleague", "supervisor", "admin", "requester_as_agent"},
    Stream("queue:support"): {"assignee", "participant", "colleague", "supervisor", "admin",
                              "requester_as_agent"},
    Stream("queue:facilities"): {"other_agent", "other_supervisor", "admin"},
    Stream("desk"): {who for who, actor in PEOPLE.items() if actor.is_agent},
    Stream("agent:wang"): {"assignee"},
    Stream("agent:ann"): {"requester_as_agent"},
    Stream("employee:ann"): {"requester"},
    Stream("employee:bo"): {"invited"},
    Stream("employee:wang"): set(),
}  # fmt: skip


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("who", sorted(set(PEOPLE) - {"invited"}))
def test_a_stream_is_seen_whole_or_not_at_all(stream: Stream, who: str) -> None:
    found = sees(PEOPLE[who], stream, at(Status.ACTIVE).sight)

    assert found == (ALL if who in STREAMS[stream] else NONE)


@pytest.mark.parametrize("left_at", [None, 9])
def test_an_invited_employee_sees_their_piece_of_the_public_stream_only(
    left_at: int | None,
) -> None:
    actor = PEOPLE["invited"]
    member = Participant(principal=actor.principal, role="invited", visible_from=4, left_at=left_at)
    sight = Sight(
        requester=PEOPLE["requester"].person.id, group_id="support", participants=(member,)
    )

    assert sees(actor, PUBLIC, sight) == Bounds(after=3, until=left_at)
    assert sees(actor, STAFF, sight) is None


def test_somebody_who_asked_themselves_is_not_bounded_by_an_invitation() -> None:
    sight = at(Status.ACTIVE).sight

    assert sees(PEOPLE["requester"], PUBLIC, sight) == ALL


@pytest.mark.parametrize(
    "stream",
    ["", "conv", "conv:", "conv::staff", "queue", "queue:", "desk:", "desk:x", "agent", "agent:",
     "employee:", "system:x", "CONV:conv-1", f"conv:{CONV}:staff:staff", f" conv:{CONV}"],
)  # fmt: skip
@pytest.mark.parametrize("who", ["requester", "assignee", "admin"])
def test_a_stream_of_no_known_kind_is_seen_by_nobody(stream: str, who: str) -> None:
    conv = conversation_of(Stream(stream))
    sight = at(Status.ACTIVE).sight if conv == CONV else None

    assert sees(PEOPLE[who], Stream(stream), sight) is None


def test_a_conversation_that_does_not_exist_is_seen_by_nobody() -> None:
    assert sees(PEOPLE["admin"], Stream("conv:other"), None) is None


@pytest.mark.parametrize(
    "stream, conv",
    [("conv:a", "a"), ("conv:a:staff", "a"), ("conv:", None), ("queue:a", None), ("desk", None)],
)
def test_a_stream_names_its_conversation(stream: str, conv: str | None) -> None:
    assert conversation_of(Stream(stream)) == conv
