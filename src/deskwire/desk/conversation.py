"""The conversation: what may happen to it, and what it is afterwards.

`decide` takes the state, a command and the moment, and returns events or a refusal; `evolve` turns
an event into the next state. Neither waits, reads a clock or throws dice: ids and `now` are
arguments. Invariant: `assignee` is set if and only if the status is `active`; what `TRANSITIONS`
does not list is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, assert_never

from deskwire.desk import events as ev
from deskwire.desk.access import Action, Participant, Sight, may
from deskwire.desk.commands import (
    CancelConversation,
    ClaimConversation,
    Command,
    ConfirmSolved,
    JoinConversation,
    OfConversation,
    OpenConversation,
    PostMessage,
    PostNote,
    RateConversation,
    ResolveConversation,
    name_of,
)
from deskwire.desk.messages import check_body, check_note, check_rating
from deskwire.desk.office import Category
from deskwire.desk.people import Actor, PersonId, PersonRef, Principal, Realm, Requester
from deskwire.desk.refusals import Code, Refusal, invalid

RATING_WINDOW_MS = 7 * 24 * 3600 * 1000


class Status(StrEnum):
    """Where a conversation stands."""

    QUEUED = "queued"
    ACTIVE = "active"
    RESOLVED = "resolved"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Transition:
    """A row of the table in desk.md §3, under its number there."""

    no: str
    frm: tuple[Status | None, ...]
    command: type[Command]
    to: Status


TRANSITIONS: tuple[Transition, ...] = (
    Transition("T1", (None,), OpenConversation, Status.QUEUED),
    Transition("T5", (Status.QUEUED,), ClaimConversation, Status.ACTIVE),
    Transition("T6", (Status.QUEUED,), CancelConversation, Status.CLOSED),
    Transition("T18", (Status.ACTIVE,), ResolveConversation, Status.RESOLVED),
    Transition("T21", (Status.RESOLVED,), ConfirmSolved, Status.CLOSED),
    Transition("T21", (Status.RESOLVED,), RateConversation, Status.CLOSED),
)

FROM: Mapping[type[Command], tuple[Status | None, ...]] = {t.command: t.frm for t in TRANSITIONS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """The state that decides. `head` is the head of `conv:<id>`; times are Unix ms."""

    conv_id: str
    no: str
    requester: Requester
    category: Category
    status: Status
    assignee: PersonRef | None = None
    last_agent: PersonId | None = None
    turn: Realm
    version: int
    waiting_since: int | None
    opened_at: int
    first_answered_at: int | None = None
    resolution_no: int = 0
    closed_at: int | None = None
    closed_how: str | None = None
    previous_id: str | None = None
    rated: bool = False
    participants: tuple[Participant, ...] = ()
    last_message: ev.LastMessage | None = None
    head: int = 0

    @property
    def sight(self) -> Sight:
        return Sight(
            requester=self.requester.id,
            group_id=self.category.group.id,
            assignee=self.assignee.id if self.assignee else None,
            last_agent=self.last_agent,
            participants=self.participants,
        )

    def has_participant(self, principal: Principal) -> bool:
        return self.sight.has(principal)

    @property
    def row(self) -> ev.Row:
        """The list line."""
        requester = self.requester
        group = self.category.group
        return ev.Row(
            conv_id=self.conv_id,
            no=self.no,
            requester=ev.RowRequester(
                id=requester.id,
                name=requester.name,
                avatar=requester.avatar,
                department=requester.department,
            ),
            group=ev.RowGroup(id=group.id, name=group.name),
            category=ev.RowCategory(
                id=self.category.id,
                name_zh=self.category.name_zh,
                name_en=self.category.name_en,
            ),
            status=self.status.value,
            assignee=_written(self.assignee) if self.assignee else None,
            turn=self.turn.value,
            waiting_since=self.waiting_since,
            opened_at=self.opened_at,
            version=self.version,
            last_message=self.last_message,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What a decision may not fetch for itself.

    The time (Unix ms), fresh ids, the id of the command.
    """

    now: int
    new_id: Callable[[], str]
    command_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """The facts behind `open_conversation`, read in the same transaction."""

    conv_id: str
    no: str
    category: Category | None
    unclosed: str | None
    queued: int
    previous_is_own: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A "yes".

    The events in order, the state after them, the answer to the sender, and agents' loads to
    change.
    """

    events: tuple[ev.Event, ...]
    state: Conversation
    result: Mapping[str, Any] = field(default_factory=dict)
    loads: Mapping[PersonId, int] = field(default_factory=dict)


def decide_opening(
    actor: Actor, command: OpenConversation, facts: Opening, moment: Moment
) -> Decision | Refusal:
    """T1. The first message is part of the opening."""
    if refusal := check_body(command.body):
        return refusal
    category = facts.category
    if category is None:
        return invalid("category_id")
    if not facts.previous_is_own:
        return invalid("previous_id")
    if facts.unclosed is not None:
        return Refusal(Code.ALREADY_OPEN, {"conv_id": facts.unclosed})
    if facts.queued >= category.group.queue_max:
        return Refusal(Code.QUEUE_FULL)
    state = _opened(actor, command, facts, category, moment)
    draft = _Draft(actor, state, moment)
    opened = draft.add(ev.ConversationOpened(row=state.row))
    msg_id = moment.new_id()
    draft.add(_message(msg_id, moment, command.body, turn=Realm.AGENT))
    draft.reason(opened, command)
    return draft.decision(
        {"conv_id": state.conv_id, "no": state.no, "msg_id": msg_id},
    )


def decide(
    actor: Actor, state: Conversation, command: OfConversation, moment: Moment
) -> Decision | Refusal:
    """Whether this principal may do this to this conversation now, and what then has happened."""
    if not may(actor, Action.SEE_PUBLIC, state.sight):
        return Refusal(Code.NOT_FOUND)
    draft = _Draft(actor, state, moment)
    match command:
        case PostMessage():
            return _post(draft, command)
        case PostNote():
            return _note(draft, command)
        case ClaimConversation():
            return _claim(draft, command)
        case JoinConversation():
            return _join(draft)
        case ResolveConversation():
            return _resolve(draft, command)
        case CancelConversation():
            return _close(draft, command, Action.CANCEL, "cancelled")
        case ConfirmSolved():
            return _close(draft, command, Action.CONFIRM, "confirmed")
        case RateConversation():
            return _rate(draft, command)
        case _:
            assert_never(command)


class _Draft:
    """Events as they are decided, each folded into the state at once."""

    def __init__(self, actor: Actor, state: Conversation, moment: Moment) -> None:
        self.actor = actor
        self.state = state
        self.moment = moment
        self._anchor = state.head
        self._events: list[ev.Event] = []

    def add(self, data: ev.Data, *, agents: tuple[PersonId, ...] = ()) -> ev.Event:
        """Append an event. `agents` are those on whose personal streams it belongs."""
        event = ev.Event(
            id=self.moment.new_id(),
            at=self.moment.now,
            conv=self.state.conv_id,
            by=ev.By(self.actor.principal, self.actor.person),
            data=data,
            streams=_streams(self.state, data, agents),
            anchor=self._anchor,
        )
        self._events.append(event)
        self.state = evolve(self.state, event)
        return event

    def reason(self, about: ev.Event, command: Command, note: str | None = None) -> None:
        """Every change of status says why, to staff only."""
        name = name_of(command)
        self.add(ev.ReasonRecorded(about=about.id, command=name, cause=name, note=note))

    def decision(
        self,
        result: Mapping[str, Any] | None = None,
        loads: Mapping[PersonId, int] | None = None,
    ) -> Decision:
        return Decision(
            events=tuple(self._events), state=self.state, result=result or {}, loads=loads or {}
        )


def _opened(
    actor: Actor, command: OpenConversation, facts: Opening, category: Category, moment: Moment
) -> Conversation:
    requester = Requester(
        id=actor.person.id,
        name=actor.person.name,
        avatar=actor.person.avatar,
        department=actor.department,
    )
    return Conversation(
        conv_id=facts.conv_id,
        no=facts.no,
        requester=requester,
        category=category,
        status=Status.QUEUED,
        turn=Realm.AGENT,
        version=1,
        waiting_since=moment.now,
        opened_at=moment.now,
        previous_id=command.previous_id,
        participants=(Participant(principal=actor.principal, role="requester"),),
    )


def _post(draft: _Draft, command: PostMessage) -> Decision | Refusal:
    state, actor = draft.state, draft.actor
    if not may(actor, Action.POST_PUBLIC, state.sight):
        return Refusal(Code.NOT_ALLOWED)
    if refusal := check_body(command.body) or _posting_refused(actor, state):
        return refusal
    msg_id = draft.moment.new_id()
    turn = Realm.EMPLOYEE if actor.is_agent else Realm.AGENT
    draft.add(_message(msg_id, draft.moment, command.body, turn=turn))
    return draft.decision({"msg_id": msg_id})


def _posting_refused(actor: Actor, state: Conversation) -> Refusal | None:
    if state.status is Status.CLOSED:
        return Refusal(Code.CLOSED)
    if not actor.is_agent:
        return _wrong(state) if state.status is Status.RESOLVED else None
    if state.status is Status.QUEUED:
        return Refusal(Code.CLAIM_FIRST)
    if not state.has_participant(actor.principal):
        return Refusal(Code.JOIN_FIRST)
    return None


def _note(draft: _Draft, command: PostNote) -> Decision | Refusal:
    if not may(draft.actor, Action.POST_NOTE, draft.state.sight):
        return Refusal(Code.NOT_ALLOWED)
    if refusal := check_body(command.body):
        return refusal
    msg_id = draft.moment.new_id()
    draft.add(
        ev.NotePosted(msg_id=msg_id, command_id=draft.moment.command_id, body=command.body),
    )
    return draft.decision({"msg_id": msg_id})


def _claim(draft: _Draft, command: ClaimConversation) -> Decision | Refusal:
    actor, state = draft.actor, draft.state
    if not may(actor, Action.CLAIM, state.sight):
        return Refusal(Code.NOT_ALLOWED)
    if state.requester.id == actor.person.id:
        return Refusal(Code.OWN_CONVERSATION)
    if state.assignee is not None:
        return Refusal(Code.ALREADY_TAKEN, {"by": _json(state.assignee)})
    if refusal := _from_refused(state, command):
        return refusal
    if actor.load >= actor.capacity:
        return Refusal(Code.AT_CAPACITY)
    _take_part(draft)
    assigned = draft.add(
        ev.ConversationAssigned(agent=_written(actor.person), version=state.version + 1),
        agents=(actor.person.id,),
    )
    draft.reason(assigned, command)
    return draft.decision(loads={actor.person.id: 1})


def _join(draft: _Draft) -> Decision | Refusal:
    actor, state = draft.actor, draft.state
    if not may(actor, Action.JOIN, state.sight):
        return Refusal(Code.NOT_ALLOWED)
    if state.requester.id == actor.person.id:
        return Refusal(Code.OWN_CONVERSATION)
    if state.status is Status.CLOSED:
        return Refusal(Code.CLOSED)
    _take_part(draft)
    return draft.decision()


def _take_part(draft: _Draft) -> None:
    """Joining twice changes nothing."""
    actor = draft.actor
    if draft.state.has_participant(actor.principal):
        return
    joined = ev.ParticipantJoined(
        realm=actor.principal.realm.value,
        person=_written(actor.person),
        role="agent",
        visible_from=1,
    )
    draft.add(joined, agents=(actor.person.id,))


def _resolve(draft: _Draft, command: ResolveConversation) -> Decision | Refusal:
    state = draft.state
    if not may(draft.actor, Action.RESOLVE, state.sight):
        return Refusal(Code.NOT_ALLOWED)
    if refusal := check_note(command.note) or _from_refused(state, command):
        return refusal
    assert state.assignee is not None
    resolved = draft.add(
        ev.ConversationResolved(
            how="agent", resolution_no=state.resolution_no + 1, version=state.version + 1
        )
    )
    draft.reason(resolved, command, command.note)
    return draft.decision(loads={state.assignee.id: -1})


def _close(
    draft: _Draft, command: CancelConversation | ConfirmSolved, action: Action, how: str
) -> Decision | Refusal:
    state = draft.state
    if not may(draft.actor, action, state.sight):
        return Refusal(Code.NOT_ALLOWED)
    if refusal := _from_refused(state, command):
        return refusal
    closed = draft.add(ev.ConversationClosed(how=how, version=state.version + 1))
    draft.reason(closed, command)
    return draft.decision()


def _rate(draft: _Draft, command: RateConversation) -> Decision | Refusal:
    state = draft.state
    if not may(draft.actor, Action.RATE, state.sight):
        return Refusal(Code.NOT_ALLOWED)
    if refusal := check_rating(command.score, command.reasons, command.comment):
        return refusal
    if state.rated:
        return Refusal(Code.ALREADY_RATED)
    rating = ev.RatingGiven(
        resolution_no=state.resolution_no,
        score=command.score,
        reasons=command.reasons,
        comment=command.comment,
    )
    if _may_still_rate(state, draft.moment.now):
        draft.add(rating)
        return draft.decision()
    if refusal := _from_refused(state, command):
        return refusal
    closed = draft.add(ev.ConversationClosed(how="rated", version=state.version + 1))
    draft.add(rating)
    draft.reason(closed, command)
    return draft.decision()


def _may_still_rate(state: Conversation, now: int) -> bool:
    """A rating may follow the close of a solved conversation for seven days."""
    if state.status is not Status.CLOSED or state.closed_at is None or not state.resolution_no:
        return False
    return now - state.closed_at <= RATING_WINDOW_MS


def _from_refused(state: Conversation, command: Command) -> Refusal | None:
    """What the transition table does not list is refused."""
    if state.status in FROM[type(command)]:
        return None
    return Refusal(Code.CLOSED) if state.status is Status.CLOSED else _wrong(state)


def _wrong(state: Conversation) -> Refusal:
    return Refusal(Code.WRONG_STATE, {"status": state.status.value})


def evolve(state: Conversation, event: ev.Event) -> Conversation:
    """The state after the event. Pure, total over every event type."""
    head = state.head + (ev.conv_stream(state.conv_id) in event.streams)
    state = replace(state, head=head)
    match event.data:
        case ev.ConversationOpened():
            return state
        case ev.MessagePosted() as message:
            return _after_message(state, event, message)
        case ev.ParticipantJoined() as joined:
            return _after_joined(state, joined)
        case ev.ConversationAssigned() as assigned:
            return _after_assigned(state, assigned)
        case ev.ConversationResolved() as resolved:
            return replace(
                _left_active(state, resolved.version),
                status=Status.RESOLVED,
                resolution_no=resolved.resolution_no,
                rated=False,
            )
        case ev.ConversationClosed() as closed:
            return replace(
                _left_active(state, closed.version),
                status=Status.CLOSED,
                closed_how=closed.how,
                closed_at=event.at,
            )
        case ev.RatingGiven():
            return replace(state, rated=True)
        case ev.NotePosted() | ev.ReasonRecorded():
            return state
        case _:
            assert_never(event.data)


def _after_message(state: Conversation, event: ev.Event, message: ev.MessagePosted) -> Conversation:
    assert event.by is not None
    by_agent = event.by.principal.realm is Realm.AGENT
    first_answer = state.first_answered_at or (event.at if by_agent else None)
    return replace(
        state,
        turn=Realm(message.turn),
        waiting_since=None if by_agent else (state.waiting_since or event.at),
        first_answered_at=first_answer,
        last_message=ev.LastMessage(
            msg_id=message.msg_id,
            position=state.head,
            kind=message.kind,
            realm=event.by.principal.realm.value,
            at=event.at,
        ),
    )


def _after_joined(state: Conversation, joined: ev.ParticipantJoined) -> Conversation:
    newcomer = Participant(
        principal=Principal(Realm(joined.realm), PersonId(joined.person.id)),
        role=joined.role,
        visible_from=joined.visible_from,
    )
    return replace(state, participants=(*state.participants, newcomer))


def _after_assigned(state: Conversation, assigned: ev.ConversationAssigned) -> Conversation:
    agent = PersonRef(
        id=PersonId(assigned.agent.id), name=assigned.agent.name, avatar=assigned.agent.avatar
    )
    return replace(
        state,
        status=Status.ACTIVE,
        assignee=agent,
        last_agent=agent.id,
        version=assigned.version,
    )


def _left_active(state: Conversation, version: int) -> Conversation:
    return replace(state, assignee=None, waiting_since=None, version=version)


def _streams(
    state: Conversation, data: ev.Data, agents: tuple[PersonId, ...]
) -> tuple[ev.Stream, ...]:
    names: dict[ev.To, tuple[ev.Stream, ...]] = {
        ev.C: (ev.conv_stream(state.conv_id),),
        ev.S: (ev.staff_stream(state.conv_id),),
        ev.Q: (ev.queue_stream(state.category.group.id),),
        ev.A: tuple(ev.personal_stream(Principal(Realm.AGENT, agent)) for agent in agents),
        ev.E: (ev.personal_stream(Principal(Realm.EMPLOYEE, state.requester.id)),),
    }
    return tuple(stream for to in ev.TYPE_OF[type(data)].streams for stream in names[to])


def _message(msg_id: str, moment: Moment, body: str, *, turn: Realm) -> ev.MessagePosted:
    return ev.MessagePosted(
        msg_id=msg_id, command_id=moment.command_id, kind="text", body=body, turn=turn.value
    )


def _written(person: PersonRef) -> ev.RowPerson:
    return ev.RowPerson(id=person.id, name=person.name, avatar=person.avatar)


def _json(person: PersonRef) -> dict[str, Any]:
    return {"id": person.id, "name": person.name, "avatar": person.avatar}
