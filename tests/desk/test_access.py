from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import pytest

from deskwire.desk import events as ev
from deskwire.desk.access import (
    ACTION_OF,
    DUTIES,
    STREAMS,
    TABLE,
    Action,
    Bounds,
    Cell,
    DeskItself,
    Duty,
    Office,
    Participant,
    Sight,
    Standing,
    conversation_of,
    has_duty,
    looks_in_from_outside,
    may,
    may_end_login,
    may_load,
    may_send,
    sees,
    standings,
)
from deskwire.desk.commands import COMMANDS, Command, Source
from deskwire.desk.conversation import Status
from deskwire.desk.events import Stream
from deskwire.desk.people import SYSTEM, PersonId, Realm
from tests.desk.cast import (
    CONV,
    EVERYBODY,
    NOT_FOR_STRANGERS,
    PEOPLE,
    about,
    agent,
    at,
    upload,
)

# desk.md §8, its lines taken apart by action, its columns R I P G S.
LINES = """
see the public stream                        | all          | within its bounds | ✓                         | ✓                  | ✓
see notes, reasons, tags, priority, pushes   | –            | –                 | ✓                         | ✓                  | ✓
post a note, keep a draft                    | –            | –                 | ✓                         | ✓                  | ✓
post publicly                                | until closed | until closed      | active, on_hold, resolved | after join         | after join
recall own message                           | ✓            | ✓                 | ✓                         | ✓                  | ✓
claim                                        | –            | –                 | ✓                         | ✓                  | ✓
join                                         | –            | –                 | ✓                         | ✓                  | ✓
accept or decline an offer                   | –            | –                 | ✓                         | ✓                  | ✓
transfer                                     | –            | –                 | assignee                  | –                  | ✓
hold                                         | –            | –                 | assignee                  | –                  | ✓
resume                                       | –            | –                 | last agent                | –                  | –
resolve                                      | –            | –                 | assignee, last agent      | –                  | ✓
requeue                                      | –            | –                 | assignee                  | –                  | ✓
invite                                       | –            | –                 | assignee                  | –                  | ✓
remove                                       | –            | –                 | assignee                  | –                  | ✓
leave                                        | –            | ✓                 | ✓                         | –                  | –
take over                                    | –            | –                 | if assignee absent        | if assignee absent | ✓
redact                                       | –            | –                 | –                         | –                  | ✓
assign by force                              | –            | –                 | –                         | –                  | ✓
close by force                               | –            | –                 | –                         | –                  | ✓
export                                       | –            | –                 | –                         | –                  | ✓
cancel                                       | ✓            | –                 | –                         | –                  | –
confirm                                      | ✓            | –                 | –                         | –                  | –
reopen                                       | ✓            | –                 | –                         | –                  | –
rate                                         | ✓            | –                 | –                         | –                  | –
category, priority, tags                     | at opening   | –                 | ✓                         | ✓                  | ✓
recalled originals, looking in from outside  | –            | –                 | –                         | –                  | admin only
"""  # noqa: E501  # a line of the table is a line here


def lines() -> dict[Action, tuple[Cell, ...]]:
    found = {}
    for line in LINES.strip().splitlines():
        action, *cells = (part.strip() for part in line.split("|"))
        found[Action(action)] = tuple(Cell(cell) for cell in cells)
    return found


def test_every_cell_is_that_of_the_table() -> None:
    table = {action: tuple(line.of(each) for each in Standing) for action, line in TABLE.items()}

    assert table == lines()
    assert set(TABLE) == set(Action)


# What each cell comes to: nobody's, or one's own, by somebody with exactly this standing.

MEMBERS = {
    Standing.REQUESTER: PEOPLE["requester"],
    Standing.INVITED: PEOPLE["invited"],
    Standing.PARTICIPANT: agent("qian", "facilities"),
    Standing.COLLEAGUE: PEOPLE["colleague"],
    Standing.SUPERVISOR: PEOPLE["supervisor"],
}


def sight(**more: Any) -> Sight:
    """`qian` of another group has been invited: a participant and nothing else."""
    members = tuple(
        Participant(principal=MEMBERS[each].principal, role=role)
        for each, role in (
            (Standing.REQUESTER, "requester"),
            (Standing.INVITED, "invited"),
            (Standing.PARTICIPANT, "agent"),
        )
    )
    usual: dict[str, Any] = {
        "requester": PersonId("ann"),
        "group_id": "support",
        "participants": members,
    }
    return Sight(**(usual | more))


QIAN_HAS_IT = sight(assignee=PersonId("qian"), last_agent=PersonId("qian"))
QIAN_HAD_IT = sight(last_agent=PersonId("qian"))
ABSENT = sight(assignee=PersonId("wang"), assignee_absent=True)
COMES_TO: dict[Cell, tuple[bool, bool, bool, bool]] = {
    # as it is, with me as assignee, with me as last agent, with an absent assignee
    Cell.NO: (False, False, False, False),
    Cell.YES: (True, True, True, True),
    Cell.ALL: (True, True, True, True),
    Cell.BOUNDS: (True, True, True, True),
    Cell.UNTIL_CLOSED: (True, True, True, True),
    Cell.UNQUEUED: (True, True, True, True),
    Cell.AFTER_JOIN: (True, True, True, True),
    Cell.ASSIGNEE: (False, True, False, False),
    Cell.LAST_AGENT: (False, True, True, False),
    Cell.ASSIGNEE_OR_LAST: (False, True, True, False),
    Cell.IF_ABSENT: (False, False, False, True),
    Cell.AT_OPENING: (False, False, False, False),
    Cell.ADMIN: (False, False, False, False),
}


@pytest.mark.parametrize("standing", Standing)
@pytest.mark.parametrize("action", Action)
def test_a_cell_comes_to_what_it_says(action: Action, standing: Standing) -> None:
    actor = MEMBERS[standing]
    cell = TABLE[action].of(standing)
    # A supervisor of the group is a colleague, too.
    lower = TABLE[action].of(Standing.COLLEAGUE) if standing is Standing.SUPERVISOR else Cell.NO

    found = tuple(may(actor, action, seen) for seen in (sight(), QIAN_HAS_IT, QIAN_HAD_IT, ABSENT))

    expected = tuple(
        mine or theirs for mine, theirs in zip(COMES_TO[cell], COMES_TO[lower], strict=True)
    )
    assert found == expected


def test_every_kind_of_cell_comes_to_something() -> None:
    assert set(COMES_TO) == set(Cell)


def test_what_is_an_admins_alone_is_theirs_everywhere() -> None:
    root = PEOPLE["admin"]

    assert may(root, Action.SEE_ORIGINAL, sight())
    assert all(
        may(root, action, sight())
        for action, line in TABLE.items()
        if line.supervisor is not Cell.NO
    )


@pytest.mark.parametrize("who", [*NOT_FOR_STRANGERS, "system"])
def test_neither_a_stranger_nor_the_desk_itself_may_anything(who: str) -> None:
    seen = at(Status.ACTIVE).sight

    assert not [action for action in Action if may(EVERYBODY[who], action, seen)]


@pytest.mark.parametrize(
    "who, expected",
    [
        ("requester", "R"),
        ("invited", "I"),
        ("assignee", "PG"),
        ("participant", "PG"),
        ("colleague", "G"),
        ("supervisor", "GS"),
        ("admin", "GS"),
        ("requester_as_agent", "G"),
        *((who, "") for who in NOT_FOR_STRANGERS),
    ],
)
def test_everybody_stands_to_a_conversation_in_their_own_ways(who: str, expected: str) -> None:
    assert standings(PEOPLE[who], at(Status.ACTIVE).sight) == {Standing(s) for s in expected}


def left(who: str) -> Sight:
    """The conversation after this one has left."""
    before = at(Status.QUEUED).sight
    gone = PEOPLE[who].principal
    return replace(
        before,
        participants=tuple(
            replace(member, left_at=3) if member.principal == gone else member
            for member in before.participants
        ),
    )


def test_an_agent_who_has_left_is_no_participant_any_more() -> None:
    assert standings(PEOPLE["participant"], left("participant")) == {Standing.COLLEAGUE}


def test_an_invited_employee_who_has_left_may_only_look_back() -> None:
    gone = left("invited")

    assert [a for a in Action if may(PEOPLE["invited"], a, gone)] == [Action.SEE_PUBLIC]


def test_an_admin_looks_in_from_outside_only_where_they_neither_work_nor_take_part() -> None:
    root, seen = PEOPLE["admin"], at(Status.ACTIVE).sight
    joined = Participant(principal=root.principal, role="agent")

    assert looks_in_from_outside(root, seen)
    assert not looks_in_from_outside(replace(root, groups=frozenset({"support"})), seen)
    assert not looks_in_from_outside(root, replace(seen, participants=(*seen.participants, joined)))
    assert not looks_in_from_outside(PEOPLE["supervisor"], seen)


# Commands ----------------------------------------------------------------------------------------


def test_every_command_has_its_line() -> None:
    assert set(ACTION_OF) == set(get_args(Command)) == {line.command for line in COMMANDS.values()}


def test_what_nobody_sends_is_the_desks_own_alone() -> None:
    own = {line.command for line in COMMANDS.values() if line.realms == {Realm.SYSTEM}}

    assert own == {command for command, line in ACTION_OF.items() if isinstance(line, DeskItself)}
    assert not any(line.is_open for line in COMMANDS.values() if line.source is not Source.CLIENT)


@pytest.mark.parametrize("name", [n for n, line in COMMANDS.items() if line.source is Source.TIMER])
def test_nobody_plays_a_timer(name: str) -> None:
    state = at(Status.ACTIVE)
    asking = about(state, name)

    may_ask = [who for who, actor in EVERYBODY.items() if may_send(actor, asking, state.sight)]

    assert may_ask == ["system"]


@pytest.mark.parametrize("name", ["claim_conversation", "post_message", "cancel_conversation"])
def test_a_timer_plays_nobody(name: str) -> None:
    state = at(Status.QUEUED)

    assert not may_send(SYSTEM, about(state, name), state.sight)


HAS: dict[Office, set[str]] = {
    Office.EMPLOYEE: {"requester", "invited", "stranger"},
    Office.AGENT: {who for who, actor in PEOPLE.items() if actor.is_agent},
    Office.GROUP_SUPERVISOR: {"supervisor", "admin"},
    Office.ADMIN: {"admin"},
}


@pytest.mark.parametrize("duty", Duty)
def test_a_duty_is_theirs_who_hold_its_office(duty: Duty) -> None:
    groups = frozenset({"support"})

    found = {who for who, actor in EVERYBODY.items() if has_duty(actor, duty, groups)}

    assert found == HAS[DUTIES[duty]]


def test_a_supervisor_has_no_duty_where_no_group_is_named() -> None:
    assert not has_duty(PEOPLE["supervisor"], Duty.ANOTHERS_AVAILABILITY)


@pytest.mark.parametrize("who", EVERYBODY)
def test_a_login_is_ended_by_its_owner_or_an_admin(who: str) -> None:
    actor, other = EVERYBODY[who], PEOPLE["colleague"].principal

    assert may_end_login(actor, actor.principal)
    assert may_end_login(actor, other) == (who in {"admin", "colleague"})


# Streams -----------------------------------------------------------------------------------------

ALL, NONE = Bounds(), None
PUBLIC, STAFF = Stream(f"conv:{CONV}"), Stream(f"conv:{CONV}:staff")
WATCHED = {
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


@pytest.mark.parametrize("stream", WATCHED)
def test_a_stream_is_seen_whole_or_not_at_all(stream: Stream) -> None:
    others = set(EVERYBODY) - {"invited"}

    found = {who: sees(EVERYBODY[who], stream, at(Status.ACTIVE).sight) for who in others}

    assert found == {who: ALL if who in WATCHED[stream] else NONE for who in others}


def test_every_kind_of_stream_has_its_line() -> None:
    kinds = {stream.replace("<id>", "x").replace("<group>", "x") for stream in STREAMS}
    principal = PEOPLE["assignee"].principal
    made = {
        ev.conv_stream("x"),
        ev.staff_stream("x"),
        ev.queue_stream("x"),
        ev.personal_stream(principal._replace(person=PersonId("x"))),
        ev.personal_stream(principal._replace(realm=Realm.EMPLOYEE, person=PersonId("x"))),
        ev.DESK_STREAM,
    }

    assert kinds == made


@pytest.mark.parametrize("left_at", [None, 9])
def test_an_invited_employee_sees_their_piece_of_the_public_stream_only(
    left_at: int | None,
) -> None:
    actor = PEOPLE["invited"]
    member = Participant(principal=actor.principal, role="invited", visible_from=4, left_at=left_at)
    seen = Sight(
        requester=PEOPLE["requester"].person.id, group_id="support", participants=(member,)
    )

    assert sees(actor, PUBLIC, seen) == Bounds(after=3, until=left_at)
    assert sees(actor, STAFF, seen) is None


def test_bounds_hold_both_of_their_ends() -> None:
    bounds = Bounds(after=3, until=9)

    assert [n for n in range(12) if bounds.hold(n)] == [4, 5, 6, 7, 8, 9]
    assert Bounds().hold(10**9)


def test_somebody_who_asked_themselves_is_not_bounded_by_an_invitation() -> None:
    assert sees(PEOPLE["requester"], PUBLIC, at(Status.ACTIVE).sight) == ALL


@pytest.mark.parametrize(
    "stream",
    ["", "conv", "conv:", "conv::staff", "queue", "queue:", "desk:", "desk:x", "agent", "agent:",
     "employee:", "system:x", "system:system", "CONV:conv-1", f"conv:{CONV}:staff:staff",
     f" conv:{CONV}"],
)  # fmt: skip
def test_a_stream_of_no_known_kind_is_seen_by_nobody(stream: str) -> None:
    conv = conversation_of(Stream(stream))
    seen = at(Status.ACTIVE).sight if conv == CONV else None

    assert not [who for who, actor in EVERYBODY.items() if sees(actor, Stream(stream), seen)]


def test_a_conversation_that_does_not_exist_is_seen_by_nobody() -> None:
    assert sees(PEOPLE["admin"], Stream("conv:other"), None) is None


@pytest.mark.parametrize(
    "stream, conv",
    [("conv:a", "a"), ("conv:a:staff", "a"), ("conv:", None), ("queue:a", None), ("desk", None)],
)
def test_a_stream_names_its_conversation(stream: str, conv: str | None) -> None:
    assert conversation_of(Stream(stream)) == conv


# Attachments -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "place, may_have_it",
    [
        (None, {"requester"}),
        ((PUBLIC, 1), WATCHED[PUBLIC]),
        ((PUBLIC, 2), WATCHED[PUBLIC] | {"invited"}),
        ((STAFF, 1), WATCHED[STAFF]),
    ],
    ids=["staged", "before the invited", "said to all", "in a note"],
)
def test_an_attachment_is_theirs_who_see_its_message(
    place: tuple[Stream, int] | None, may_have_it: set[str]
) -> None:
    seen = at(Status.ACTIVE).sight
    found = upload(owner=PEOPLE["requester"], conv=CONV if place else None)

    loading = {who for who, actor in EVERYBODY.items() if may_load(actor, found, place, seen)}

    assert loading == may_have_it


@pytest.mark.parametrize("place", [None, (PUBLIC, 2)])
def test_a_withdrawn_attachment_is_nobodys(place: tuple[Stream, int] | None) -> None:
    gone = upload(withdrawn_at=1)
    seen = at(Status.ACTIVE).sight

    assert not [who for who, actor in EVERYBODY.items() if may_load(actor, gone, place, seen)]
