"""The conversation: what it is, and what an event makes of it.

`evolve` turns an event into the next state. It never waits, reads a clock or throws dice, and knows
every event there is. Invariant: `assignee` is set if and only if the status is `active`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never

from deskwire.desk import events as ev
from deskwire.desk.access import Participant, Sight
from deskwire.desk.office import Category, Group
from deskwire.desk.people import PersonId, PersonRef, Principal, Realm, Requester


class Status(StrEnum):
    """Where a conversation stands."""

    QUEUED = "queued"
    ACTIVE = "active"
    ON_HOLD = "on_hold"
    RESOLVED = "resolved"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """The state that decides. `head` is the head of `conv:<id>`; times are Unix ms.

    `waiting_since` is when the employee began to wait for an agent's word, none while they do not;
    no requeue moves it. `assignee_answered`: the assignee has written publicly since they took it.
    `is_reminded`: the requester has been, since the last public message.
    `version` counts what employees may learn of, `label_version` priority and tags.
    `prefer_until` is set only where the queue waits for the preferred agent. `moved_to` is the
    group a transfer led to; none: the category's own. `waiting_reason` is the dispatcher's.
    """

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
    moved_to: Group | None = None
    priority: int = 0
    tags: tuple[str, ...] = ()
    label_version: int = 0
    preferred_agent: PersonId | None = None
    prefer_until: int | None = None
    waiting_reason: str | None = None
    held_until: int | None = None
    reopen_count: int = 0
    assignee_absent: bool = False
    assignee_answered: bool = False
    assigned_at: int | None = None
    resolved_at: int | None = None
    is_reminded: bool = False

    @property
    def group(self) -> Group:
        """The group in whose hands it is."""
        return self.moved_to or self.category.group

    @property
    def has_own_category(self) -> bool:
        """Whether the category is one of the present group: after a move it is not, until set."""
        return self.category.group.id == self.group.id

    @property
    def sight(self) -> Sight:
        return Sight(
            requester=self.requester.id,
            group_id=self.group.id,
            assignee=self.assignee.id if self.assignee else None,
            last_agent=self.last_agent,
            participants=self.participants,
            assignee_absent=self.assignee_absent,
        )

    def has_participant(self, principal: Principal) -> bool:
        return self.sight.has(principal)

    @property
    def row(self) -> ev.Row:
        """The list line."""
        requester = self.requester
        return ev.Row(
            conv_id=self.conv_id,
            no=self.no,
            requester=ev.RowRequester(
                id=requester.id,
                name=requester.name,
                avatar=requester.avatar,
                department=requester.department,
            ),
            group=ev.RowGroup(id=self.group.id, name=self.group.name),
            category=ev.RowCategory(
                id=self.category.id,
                name_zh=self.category.name_zh,
                name_en=self.category.name_en,
            ),
            status=self.status.value,
            assignee=written(self.assignee) if self.assignee else None,
            turn=self.turn.value,
            waiting_since=self.waiting_since,
            opened_at=self.opened_at,
            version=self.version,
            last_message=self.last_message,
        )


def written(person: PersonRef) -> ev.RowPerson:
    """A person as events show them."""
    return ev.RowPerson(id=person.id, name=person.name, avatar=person.avatar)


def reopened(state: Conversation, *, version: int, waiting_since: int | None) -> Conversation:
    """The state at a reopening, before it is known who takes it: in the queue."""
    return replace(
        _settled(state, version),
        status=Status.QUEUED,
        waiting_since=waiting_since,
        closed_at=None,
        closed_how=None,
        reopen_count=state.reopen_count + 1,
    )


def evolve(state: Conversation, event: ev.Event) -> Conversation:
    """The state after the event. Pure, total over every event type.

    What an event does not carry stays the store's to know: a group's settings after a move, a
    category's names, and what has no event: preference and reason of waiting.
    """
    head = state.head + (ev.conv_stream(state.conv_id) in event.streams)
    state = replace(state, head=head)
    match event.data:
        case ev.MessagePosted() as message:
            return _after_message(state, event, message)
        case ev.ParticipantJoined() as joined:
            return _after_joined(state, joined)
        case ev.ParticipantLeft() as left:
            return _after_left(state, left)
        case ev.RatingGiven():
            return replace(state, rated=True)
        case ev.AssigneeMarkedAbsent() as marked:
            return replace(state, assignee_absent=marked.absent)
        case (
            ev.ConversationOpened()
            | ev.ConversationReopened()
            | ev.ConversationQueued()
            | ev.ConversationAssigned()
            | ev.ConversationMoved()
            | ev.ConversationHeld()
            | ev.ConversationResumed()
            | ev.ConversationCategorised()
            | ev.ConversationPrioritised()
            | ev.ConversationTagged()
            | ev.ConversationResolved()
            | ev.ConversationClosed()
        ) as change:
            return _after_change(state, event, change)
        case ev.RequesterReminded():
            return replace(state, is_reminded=True)
        case (
            ev.MessageRecalled()
            | ev.MessageRedacted()
            | ev.ReasonRecorded()
            | ev.NotePosted()
            | ev.NoteRecalled()
            | ev.NoteRedacted()
            | ev.OfferMade()
            | ev.OfferClosed()
            | ev.TransferRequested()
            | ev.TransferClosed()
            | ev.ConversationInspected()
            | ev.PushNotified()
            | ev.PushFailed()
            | ev.PushRecalled()
            | ev.AgentAvailabilityChanged()
            | ev.SettingsChanged()
        ):
            return state
        case _:
            assert_never(event.data)


_Change = (
    ev.ConversationOpened
    | ev.ConversationReopened
    | ev.ConversationQueued
    | ev.ConversationAssigned
    | ev.ConversationMoved
    | ev.ConversationHeld
    | ev.ConversationResumed
    | ev.ConversationCategorised
    | ev.ConversationPrioritised
    | ev.ConversationTagged
    | ev.ConversationResolved
    | ev.ConversationClosed
)


def _after_change(state: Conversation, event: ev.Event, change: _Change) -> Conversation:
    """After an event of the conversation itself: the ones that count its versions."""
    match change:
        case ev.ConversationOpened():
            return state
        case ev.ConversationReopened(row=row):
            return reopened(state, version=row.version, waiting_since=row.waiting_since)
        case ev.ConversationQueued() as queued:
            return replace(
                _settled(state, queued.version),
                status=Status.QUEUED,
                waiting_since=queued.waiting_since,
            )
        case ev.ConversationAssigned() as assigned:
            return _after_assigned(state, event, assigned)
        case ev.ConversationMoved() as moved:
            group = Group(id=moved.group.id, name=moved.group.name)
            return replace(state, moved_to=group, version=moved.version)
        case ev.ConversationHeld() as held:
            return replace(
                _settled(state, held.version), status=Status.ON_HOLD, held_until=held.until
            )
        case ev.ConversationResolved() as resolved:
            return replace(
                _settled(state, resolved.version),
                status=Status.RESOLVED,
                waiting_since=None,
                resolution_no=resolved.resolution_no,
                resolved_at=event.at,
                rated=False,
            )
        case ev.ConversationClosed() as closed:
            return replace(
                _settled(state, closed.version),
                status=Status.CLOSED,
                waiting_since=None,
                closed_how=closed.how,
                closed_at=event.at,
            )
        case _:
            return _after_label(state, change)


def _after_label(
    state: Conversation,
    change: ev.ConversationResumed
    | ev.ConversationCategorised
    | ev.ConversationPrioritised
    | ev.ConversationTagged,
) -> Conversation:
    match change:
        case ev.ConversationResumed(version=version):
            return replace(state, held_until=None, version=version)
        case ev.ConversationCategorised(category_id=category_id, version=version):
            return replace(state, category=replace(state.category, id=category_id), version=version)
        case ev.ConversationPrioritised(priority=priority, label_version=version):
            return replace(state, priority=priority, label_version=version)
        case ev.ConversationTagged(added=added, removed=removed, label_version=version):
            kept = tuple(tag for tag in state.tags if tag not in removed)
            return replace(state, tags=(*kept, *added), label_version=version)
        case _:
            assert_never(change)


def _after_message(state: Conversation, event: ev.Event, message: ev.MessagePosted) -> Conversation:
    assert event.by is not None
    author = event.by.principal
    by_agent = author.realm is Realm.AGENT
    by_assignee = by_agent and state.assignee is not None and author.person == state.assignee.id
    first_answer = state.first_answered_at or (event.at if by_agent else None)
    return replace(
        state,
        turn=Realm(message.turn),
        waiting_since=None if by_agent else (state.waiting_since or event.at),
        first_answered_at=first_answer,
        is_reminded=False,
        assignee_answered=state.assignee_answered or by_assignee,
        last_message=ev.LastMessage(
            msg_id=message.msg_id,
            position=state.head,
            kind=message.kind,
            realm=author.realm.value,
            at=event.at,
        ),
    )


def _after_joined(state: Conversation, joined: ev.ParticipantJoined) -> Conversation:
    """Whoever comes back takes their old place in the list, with new bounds."""
    newcomer = Participant(
        principal=Principal(Realm(joined.realm), PersonId(joined.person.id)),
        role=joined.role,
        visible_from=joined.visible_from,
    )
    if state.sight.participation(newcomer.principal) is None:
        return replace(state, participants=(*state.participants, newcomer))
    members = tuple(
        replace(newcomer, mute=each.mute) if each.principal == newcomer.principal else each
        for each in state.participants
    )
    return replace(state, participants=members)


def _after_left(state: Conversation, left: ev.ParticipantLeft) -> Conversation:
    gone = Principal(Realm(left.realm), PersonId(left.person.id))
    members = tuple(
        replace(each, left_at=left.left_at) if each.principal == gone else each
        for each in state.participants
    )
    return replace(state, participants=members)


def _after_assigned(
    state: Conversation, event: ev.Event, assigned: ev.ConversationAssigned
) -> Conversation:
    agent = PersonRef(
        id=PersonId(assigned.agent.id), name=assigned.agent.name, avatar=assigned.agent.avatar
    )
    return replace(
        _settled(state, assigned.version),
        status=Status.ACTIVE,
        assignee=agent,
        last_agent=agent.id,
        assigned_at=event.at,
    )


def _settled(state: Conversation, version: int) -> Conversation:
    """What every change of status or assignee begins with: nothing of the old one is left."""
    return replace(
        state,
        version=version,
        assignee=None,
        assignee_absent=False,
        assignee_answered=False,
        assigned_at=None,
        resolved_at=None,
        held_until=None,
        preferred_agent=None,
        prefer_until=None,
        waiting_reason=None,
    )
