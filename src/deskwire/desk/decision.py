"""A decision: what it is made of, and how it is put together.

What a rule cannot know it gets as `Facts`, read in the deciding transaction; what is to be written
it hands back as values in `Decision`. `Deciding` collects events, each folded into the state at
once, and what goes with them. Invariant: a decision that changes status, assignee or group leaves
no live offer behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal

from deskwire.desk import events as ev
from deskwire.desk.commands import Command, name_of
from deskwire.desk.conversation import Conversation, Status, evolve
from deskwire.desk.deadlines import Arm, Disarm, Timer, TimerKind, timers_after
from deskwire.desk.fallback import ArmPush, Settle, pushes_of
from deskwire.desk.messages import Attachment, Posted, Reply, Withdrawal
from deskwire.desk.office import DEFAULTS, Category, DeskSettings, Group
from deskwire.desk.people import Actor, Agent, AgentChanged, PersonId, PersonRef, Principal, Realm
from deskwire.desk.refusals import Code, Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What a decision may not fetch for itself.

    The time (Unix ms), fresh ids, the id of the command, and the road on which it came.
    """

    now: int
    new_id: Callable[[], str]
    command_id: str
    via: Literal["page", "wecom"] = "page"


class OfferKind(StrEnum):
    """What an offer proposes: a conversation from the queue, or a colleague's."""

    QUEUE = "queue"
    TRANSFER = "transfer"


class Outcome(StrEnum):
    """The only ends of an offer."""

    ACCEPTED = "accepted"
    DECLINED = "declined"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """An offer. From `expires_at` on nobody can accept it, only expiry is left.

    A transfer's names who hands on (`by`: their stream is told of the end) and whether the assignee
    stays.
    """

    offer_id: str
    conv_id: str
    agent: PersonId
    kind: OfferKind
    expires_at: int
    by: PersonId | None = None
    stay: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferOpened:
    """Insert it. Unique indexes keep one live offer for each conversation and each agent."""

    offer: Offer


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferEnded:
    """End it by compare-and-set; that it has ended before means `offer_over` and a rollback."""

    offer_id: str
    outcome: Outcome
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignmentBegun:
    """A line of the record of assignments. `by` is none where the desk itself gave it."""

    agent: PersonId
    at: int
    cause: str
    by: PersonId | None
    over_capacity: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignmentEnded:
    """End the open line of this agent. After `no_answer` they are left alone for five minutes."""

    agent: PersonId
    at: int
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """A staged upload becomes part of a message; who sees the stream may load it."""

    attachment_id: str
    msg_id: str
    stream: ev.Stream


@dataclass(frozen=True, slots=True, kw_only=True)
class SightLost:
    """Somebody may have lost sight of a stream: an `access` row. No principal: all who watch it."""

    stream: ev.Stream
    principal: Principal | None
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What else a decision about a conversation reads in its transaction; empty: there is none.

    `NEEDS` in `decide` says which command looks at which.
    """

    agents: tuple[Agent, ...] = ()  # assignee, last agent, whoever the command or offer names
    cooling: frozenset[PersonId] = frozenset()  # `routing.cooling_off` of this conversation
    offer: Offer | None = None  # the live offer of this conversation
    message: Posted | None = None  # the one the command names, if it is of this conversation
    replies: tuple[Reply, ...] = ()  # agents' standing public messages above `seen`
    attachments: tuple[Attachment, ...] = ()  # those the command names, as far as they exist
    group: Group | None = None  # the group the command names
    category: Category | None = None  # the category the command names
    tags: frozenset[str] = frozenset()  # of those the command names, the ones not archived
    unclosed: str | None = None  # another unclosed conversation of the requester, in the group
    person: PersonRef | None = None  # whoever is named, if enabled in the realm that is named
    mentioned: frozenset[PersonId] = frozenset()  # enabled agents of the group among those named
    settings: DeskSettings = DEFAULTS

    def agent(self, person: PersonId) -> Agent | None:
        """An agent who has been read."""
        return next((agent for agent in self.agents if agent.id == person), None)


NO_FACTS = Facts()


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """The facts behind `open_conversation`, read in the same transaction."""

    conv_id: str
    no: str
    category: Category | None
    unclosed: str | None
    queued: int
    previous_is_own: bool = True
    attachments: tuple[Attachment, ...] = ()
    settings: DeskSettings = DEFAULTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A "yes": everything that is to be written in the one transaction.

    `events` in order, `state` after them, `result` for the sender. `loads` are agents' loads to
    change, by compare-and-set against their capacity but for those in `may_exceed`. All times are
    the moment's.
    """

    events: tuple[ev.Event, ...]
    state: Conversation
    result: Mapping[str, Any] = field(default_factory=dict)
    loads: Mapping[PersonId, int] = field(default_factory=dict)
    may_exceed: frozenset[PersonId] = frozenset()
    timers: tuple[Timer, ...] = ()
    offers: tuple[OfferOpened | OfferEnded, ...] = ()
    assignments: tuple[AssignmentBegun | AssignmentEnded, ...] = ()
    agents: tuple[AgentChanged, ...] = ()
    pushes: tuple[ArmPush, ...] = ()
    bindings: tuple[Binding, ...] = ()
    withdrawals: tuple[Withdrawal, ...] = ()
    losses: tuple[SightLost, ...] = ()
    settles: Settle | None = None


class Deciding:
    """A decision under way: events as they are decided, and what goes with them."""

    def __init__(
        self,
        actor: Actor,
        state: Conversation,
        command: Command,
        moment: Moment,
        facts: Facts = NO_FACTS,
        *,
        is_new: bool = False,
    ) -> None:
        self.actor = actor
        self.state = state
        self.moment = moment
        self.facts = facts
        self._command = command
        self._before = None if is_new else state
        self._anchor = state.head
        self._events: list[ev.Event] = []
        self._loads: dict[PersonId, int] = {}
        self._may_exceed: set[PersonId] = set()
        self._timers: list[Timer] = []
        self._offers: list[OfferOpened | OfferEnded] = []
        self._assignments: list[AssignmentBegun | AssignmentEnded] = []
        self._agents: list[AgentChanged] = []
        self._bindings: list[Binding] = []
        self._withdrawals: list[Withdrawal] = []
        self._losses: list[SightLost] = []
        self._settles: Settle | None = None
        self._offer = facts.offer
        self._has_room = False
        self._freed: list[PersonId] = []

    @property
    def name(self) -> str:
        """The command's wire and audit name."""
        return name_of(self._command)

    @property
    def now(self) -> int:
        return self.moment.now

    @property
    def is_by_employee(self) -> bool:
        return self.actor.principal.realm is Realm.EMPLOYEE

    @property
    def offer(self) -> Offer | None:
        """The live offer of this conversation as it stands by now."""
        return self._offer

    @property
    def next_version(self) -> int:
        return self.state.version + 1

    # --- what has happened ---

    def add(
        self,
        data: ev.Data,
        *,
        agents: Iterable[PersonId] = (),
        person: Principal | None = None,
    ) -> ev.Event:
        """Append an event.

        `agents` and `person` are those on whose personal streams it belongs, by the table's A and
        "A or E".
        """
        speaker = None if self.actor.is_system else ev.By(self.actor.principal, self.actor.person)
        event = ev.Event(
            id=self.moment.new_id(),
            at=self.now,
            conv=None if isinstance(data, ev.AgentAvailabilityChanged) else self.state.conv_id,
            by=speaker,
            data=data,
            streams=_streams(self.state, data, tuple(agents), person),
            anchor=self._anchor,
        )
        self._events.append(event)
        self.state = evolve(self.state, event)
        return event

    def reason(
        self,
        about: str,
        *,
        cause: str | None = None,
        note: str | None = None,
        over_capacity: bool = False,
    ) -> None:
        """Every change of status, assignee or group says why, to staff only."""
        self.add(
            ev.ReasonRecorded(
                about=about,
                command=self.name,
                cause=cause or self.name,
                note=note,
                over_capacity=over_capacity,
            )
        )

    def know(self, **changes: Any) -> None:
        """Change what no event carries: preference, or the whole record behind a written id."""
        self.state = replace(self.state, **changes)

    # --- what goes with it ---

    def arm(self, kind: TimerKind, due: int) -> None:
        """The conversation's timer of this kind is due then, whatever it was before."""
        self._timers.append(Arm(kind=kind, key=self.state.conv_id, due=due))

    def change_load(self, agent: PersonId, by: int, *, may_exceed: bool = False) -> None:
        self._loads[agent] = self._loads.get(agent, 0) + by
        if may_exceed:
            self._may_exceed.add(agent)
        if by < 0:
            self._freed.append(agent)

    def open_offer(self, offer: Offer) -> None:
        self._offers.append(OfferOpened(offer=offer))
        self._timers.append(
            Arm(kind=TimerKind.OFFER_EXPIRY, key=offer.offer_id, due=offer.expires_at)
        )
        self._offer = offer

    def end_offer(self, outcome: Outcome) -> ev.Event:
        """End the live offer, which there must be, and tell those who were asked and who see it."""
        offer = self._offer
        assert offer is not None
        closed = self.add(
            ev.OfferClosed(offer_id=offer.offer_id, outcome=outcome.value), agents=(offer.agent,)
        )
        self._offers.append(OfferEnded(offer_id=offer.offer_id, outcome=outcome, at=self.now))
        self._timers.append(Disarm(kind=TimerKind.OFFER_EXPIRY, key=offer.offer_id))
        self._freed.append(offer.agent)
        self._offer = None
        return closed

    def end_transfer(self, offer: Offer, outcome: Outcome) -> None:
        """Tell whoever handed on how it ended."""
        assert offer.by is not None
        self.add(ev.TransferClosed(outcome=outcome.value), agents=(offer.by,))

    def withdraw_offer(self) -> None:
        """A change of status or assignee withdraws a live offer, if there is one."""
        offer = self._offer
        if offer is None:
            return
        self.end_offer(Outcome.WITHDRAWN)
        if offer.kind is OfferKind.TRANSFER:
            self.end_transfer(offer, Outcome.WITHDRAWN)

    def begin_assignment(self, agent: PersonId, *, cause: str, over_capacity: bool) -> None:
        by = None if self.actor.is_system else self.actor.person.id
        self._assignments.append(
            AssignmentBegun(
                agent=agent, at=self.now, cause=cause, by=by, over_capacity=over_capacity
            )
        )
        self.change_agent(AgentChanged(agent=agent, last_assigned_at=self.now))

    def end_assignment(self, agent: PersonId, *, cause: str) -> None:
        self._assignments.append(AssignmentEnded(agent=agent, at=self.now, cause=cause))

    def change_agent(self, change: AgentChanged) -> None:
        self._agents.append(change)

    def bind(self, attachments: Iterable[str], msg_id: str, stream: ev.Stream) -> None:
        self._bindings += [
            Binding(attachment_id=each, msg_id=msg_id, stream=stream) for each in attachments
        ]

    def withdraw(self, withdrawal: Withdrawal) -> None:
        self._withdrawals.append(withdrawal)

    def lose_sight(self, principal: Principal | None, why: str) -> None:
        """Whoever watches the conversation's streams is to be asked again, or all who do."""
        for stream in (ev.conv_stream(self.state.conv_id), ev.staff_stream(self.state.conv_id)):
            self._losses.append(SightLost(stream=stream, principal=principal, why=why))

    def settle(self, push: Settle) -> None:
        """A push has come to its end."""
        self._settles = push

    def make_room(self) -> None:
        """The dispatcher has something new to look at, though no event says so."""
        self._has_room = True

    def decision(self, result: Mapping[str, Any] | None = None) -> Decision:
        """All of it, with the timers and pushes that follow from it."""
        events = tuple(self._events)
        assert self._offer is None or not self._has_moved(), "a live offer was left behind"
        return Decision(
            events=events,
            state=self.state,
            result=result or {},
            loads={agent: by for agent, by in self._loads.items() if by},
            may_exceed=frozenset(self._may_exceed),
            timers=(
                *self._timers,
                *timers_after(self._before, self.state, events, self.facts.settings, self.now),
                *self._dispatches(),
            ),
            offers=tuple(self._offers),
            assignments=tuple(self._assignments),
            agents=tuple(self._agents),
            pushes=tuple(pushes_of(events, self.state)),
            bindings=tuple(self._bindings),
            withdrawals=tuple(self._withdrawals),
            losses=tuple(self._losses),
            settles=self._settles,
        )

    def _has_moved(self) -> bool:
        """Whether status, assignee or group are others than before the newest offer."""
        before = self._before
        if before is None or any(isinstance(each, OfferOpened) for each in self._offers):
            return False
        return (before.status, before.assignee, before.group.id) != (
            self.state.status,
            self.state.assignee,
            self.state.group.id,
        )

    def _dispatches(self) -> list[Timer]:
        """Whatever makes work or room lets the dispatcher look at once."""
        groups = set[str]()
        made_work = any(isinstance(event.data, _WORK) for event in self._events)
        if self._has_room or (made_work and self.state.status is Status.QUEUED):
            groups.add(self.state.group.id)
        for person in self._freed:
            agent = self.facts.agent(person)
            groups |= {self.state.group.id, *(agent.groups if agent else ())}
        return [Arm(kind=TimerKind.DISPATCH, key=group, due=self.now) for group in sorted(groups)]


_WORK = (
    ev.ConversationOpened,
    ev.ConversationReopened,
    ev.ConversationQueued,
    ev.ConversationMoved,
    ev.OfferClosed,
)


def _streams(
    state: Conversation, data: ev.Data, agents: tuple[PersonId, ...], person: Principal | None
) -> tuple[ev.Stream, ...]:
    """The streams of the event by its line, each once."""
    new_group = data.group.id if isinstance(data, ev.ConversationMoved) else state.group.id
    names: dict[ev.To, tuple[ev.Stream, ...]] = {
        ev.C: (ev.conv_stream(state.conv_id),),
        ev.S: (ev.staff_stream(state.conv_id),),
        ev.Q: (ev.queue_stream(state.group.id),),
        ev.Q2: (ev.queue_stream(new_group),),
        ev.A: tuple(ev.personal_stream(Principal(Realm.AGENT, agent)) for agent in agents),
        ev.E: (ev.personal_stream(Principal(Realm.EMPLOYEE, state.requester.id)),),
        ev.P: (ev.personal_stream(person),) if person else (),
        ev.D: (ev.DESK_STREAM,),
    }
    every = (stream for to in ev.TYPE_OF[type(data)].streams for stream in names[to])
    return tuple(dict.fromkeys(every))


def wrong_state(state: Conversation) -> Refusal:
    """What the transition table does not list for this status."""
    if state.status is Status.CLOSED:
        return Refusal(Code.CLOSED)
    return Refusal(Code.WRONG_STATE, {"status": state.status.value})


def too_early(due: int, now: int) -> Refusal:
    """A timer's time was made longer after it was armed: it is to come again at `due` (Unix ms)."""
    return Refusal(Code.TRY_LATER, {"retry_after_s": -((now - due) // 1000)})


def not_assignable(reason: str) -> Refusal:
    """The agent cannot be given it, by this clause."""
    return Refusal(Code.NOT_ASSIGNABLE, {"reason": reason})


def shown(person: PersonRef) -> dict[str, Any]:
    """A person inside a refusal's detail."""
    return {"id": person.id, "name": person.name, "avatar": person.avatar}
