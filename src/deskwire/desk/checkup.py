"""What the doctor looks for: the invariants by their numbers, and what a log says of its rows.

A conversation's events, told once more, must lead to its row; each change of its status must be one
line of the transition table with one reason. Must never know: where rows and events come from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from deskwire.desk import commands as ask
from deskwire.desk import events as ev
from deskwire.desk.access import Participant
from deskwire.desk.commands import COMMANDS
from deskwire.desk.conversation import Conversation, Status, evolve
from deskwire.desk.fallback import ArmPush, Why, pushes_of
from deskwire.desk.office import Category, Group
from deskwire.desk.people import PersonId, Principal, Realm, Requester
from deskwire.desk.transitions import TRANSITIONS

EXAMPLES_MAX = 10

LAWS: Mapping[str, str] = {
    "I1": "there is an assignee if and only if the status is active",
    "I3": "load is the number of an agent's active conversations, and every excess is recorded",
    "I6": "positions of a stream are floor to head without a hole",
    "I9": "read ≤ delivered ≤ head",
    "I13": "of what was withdrawn nothing is left to read",
    "I15": "what nobody acknowledged has a push, and none is overdue",
    "I16": "what is queued has an offer, a dispatch that is due, or a reason to wait",
    "I17": "whoever owes an answer is there, or not gone for long",
    "I18": "each change of status is one of the table's, with one reason",
    "I23": "status, turn, wait and first answer are what the log says",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """How often an invariant is broken, with ten examples at most: ids alone, never a text.

    `is_whole`: everything was looked at, not only the newest.
    """

    law: str
    count: int = 0
    examples: tuple[str, ...] = ()
    is_whole: bool = True

    @property
    def is_broken(self) -> bool:
        return self.count > 0

    @property
    def says(self) -> str:
        """The invariant in words."""
        return LAWS[self.law]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What a conversation's row says of it."""

    status: str
    turn: str
    waiting_since: int | None
    first_answered_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """A `reason.recorded`: the head of `conv:<id>` at its decision, the event it is about."""

    anchor: int
    command: str
    about: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Worthy:
    """A push that an event must have armed or extended, and where the event stands."""

    push: ArmPush
    position: int


def _moves() -> Mapping[tuple[Status | None, Status], frozenset[str]]:
    names = {line.command: name for name, line in COMMANDS.items()}
    found: dict[tuple[Status | None, Status], set[str]] = {
        # T14: the next message to an assignee who is absent does T13 in its own transaction.
        (Status.ACTIVE, Status.QUEUED): {names[ask.PostMessage]}
    }
    for row in TRANSITIONS:
        for frm in row.frm:
            for to in row.to:
                found.setdefault((frm, to), set()).update(names[a.command] for a in row.asked)
    return {change: frozenset(commands) for change, commands in found.items()}


MOVES = _moves()


def told(events: Sequence[ev.Event]) -> list[Conversation]:
    """The state after each event of `conv:<id>`, from the first one on. Raises Unreadable."""
    if not events or not isinstance(events[0].data, ev.ConversationOpened):
        raise ev.Unreadable("a conversation begins with its opening")
    states = [evolve(_opened(events[0], events[0].data.row), events[0])]
    for event in events[1:]:
        states.append(evolve(states[-1], event))
    return states


def _opened(event: ev.Event, row: ev.Row) -> Conversation:
    asked = row.requester
    requester = Requester(
        id=PersonId(asked.id), name=asked.name, avatar=asked.avatar, department=asked.department
    )
    group = Group(id=row.group.id, name=row.group.name)
    category = row.category
    return Conversation(
        conv_id=row.conv_id,
        no=row.no,
        requester=requester,
        category=Category(
            id=category.id, name_zh=category.name_zh, name_en=category.name_en, group=group
        ),
        status=Status(row.status),
        turn=Realm(row.turn),
        version=row.version,
        waiting_since=row.waiting_since,
        opened_at=event.at,
        participants=(
            Participant(principal=Principal(Realm.EMPLOYEE, requester.id), role="requester"),
        ),
    )


def differs(kept: Kept, states: Sequence[Conversation]) -> bool:
    """I23: the row says something else than the log."""
    last = states[-1]
    return kept != Kept(
        status=last.status.value,
        turn=last.turn.value,
        waiting_since=last.waiting_since,
        first_answered_at=last.first_answered_at,
    )


def is_unexplained(
    events: Sequence[ev.Event], states: Sequence[Conversation], reasons: Sequence[Reason]
) -> bool:
    """I18: a status changed otherwise than the table has it, without a reason, or with two.

    What moves no status may be explained as often as it is done: a message redacted again.
    """
    ids = {event.id for event in events}
    about = [reason.about for reason in reasons if reason.about in ids]
    if len(set(about)) < len(about):
        return True
    statuses: list[Status | None] = [None, *(state.status for state in states)]
    if not reasons or reasons[0].anchor != 0:
        return True
    ends = [*(later.anchor for _, later in pairwise(reasons)), len(states)]
    return any(
        not _is_a_move(statuses[reason.anchor], statuses[end], reason.command)
        for reason, end in zip(reasons, ends, strict=True)
    )


def _is_a_move(before: Status | None, after: Status | None, command: str) -> bool:
    return before is after or (
        after is not None and command in MOVES.get((before, after), frozenset())
    )


def worthy(events: Sequence[ev.Event], states: Sequence[Conversation], since: int) -> list[Worthy]:
    """The pushes on `conv:<id>` that its events since then must have armed: the newest of each."""
    withdrawn = {
        event.data.msg_id
        for event in events
        if isinstance(event.data, ev.MessageRecalled | ev.MessageRedacted)
    }
    assigned_at = {e.at for e in events if isinstance(e.data, ev.ConversationAssigned)}
    found: dict[Principal, Worthy] = {}
    for position, (event, state) in enumerate(zip(events, states, strict=True), 1):
        is_gone = isinstance(event.data, ev.MessagePosted) and event.data.msg_id in withdrawn
        if event.at < since or is_gone:
            continue
        for push in pushes_of([event], state):
            # Who is given a conversation along with its newest message is told of that alone.
            is_told_so = push.why is Why.QUESTION and event.at in assigned_at
            if push.stream == ev.conv_stream(state.conv_id) and not is_told_so:
                found[push.who] = Worthy(push=push, position=position)
    return [each for each in found.values() if _is_theirs(each, states[-1])]


def _is_theirs(each: Worthy, state: Conversation) -> bool:
    """Whether they are told it still: who has left is not, nor of a question who has handed on."""
    if each.push.why is Why.QUESTION and (
        state.assignee is None or state.assignee.id != each.push.who.person
    ):
        return False
    part = state.sight.participation(each.push.who)
    return part is not None and part.left_at is None and part.visible_from <= each.position


def found(law: str, examples: Iterable[str], *, is_whole: bool = True) -> Finding:
    """A finding of all that breaks an invariant."""
    every = sorted(examples)
    return Finding(
        law=law, count=len(every), examples=tuple(every[:EXAMPLES_MAX]), is_whole=is_whole
    )
