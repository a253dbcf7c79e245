"""A desk in memory: carries out decisions as the store will, and asks the laws after every step.

Whatever a decision hands back is executed by the letter: offers by compare-and-set, loads against
capacity, timers by their keys. So what a path has forgotten shows as a law that breaks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from deskwire.desk import commands as ask
from deskwire.desk import events as ev
from deskwire.desk.conversation import Conversation, Status, evolve
from deskwire.desk.deadlines import Arm, Disarm, TimerKind, is_silent
from deskwire.desk.decide import NEEDS, decide, only_needed
from deskwire.desk.decision import (
    AssignmentBegun,
    AssignmentEnded,
    Decision,
    Facts,
    Moment,
    Offer,
    OfferEnded,
    OfferOpened,
    Opening,
    Outcome,
)
from deskwire.desk.messages import Posted, Reply, Withdrawn
from deskwire.desk.office import DEFAULTS, Category, Group, Pick, Routing
from deskwire.desk.opening import decide_opening
from deskwire.desk.people import (
    SYSTEM,
    Actor,
    Agent,
    AgentChanged,
    Availability,
    PersonId,
    PersonRef,
    Presence,
    Principal,
    Realm,
    Role,
)
from deskwire.desk.refusals import Refusal
from deskwire.desk.routing import TurnedAway, cooling_off, dispatch, waiting
from deskwire.desk.transitions import TRANSITIONS
from tests.desk.cast import START, employee, moment
from tests.desk.fold import fold, read

SUPPORT = Group(id="support", name="IT 支持", queue_max=3, routing=Routing.OFFER)
PULLED = Group(id="facilities", name="办公设备", pick=Pick.ROUND_ROBIN)
GROUPS = {group.id: group for group in (SUPPORT, PULLED)}
CATEGORIES = {
    each.id: each
    for each in (
        Category(id="network", name_zh="网络", name_en="Network", group=SUPPORT),
        Category(id="vpn", name_zh="VPN", name_en="VPN", group=SUPPORT, skill="vpn"),
        Category(id="printer", name_zh="打印机", name_en="Printer", group=PULLED),
    )
}
TAGS = frozenset({"vip", "slow"})
EMPLOYEES = {name: employee(name) for name in ("ann", "bo", "chen")}  # chen is in both realms


def _agent(name: str, *groups: str, **more: Any) -> Agent:
    usual: dict[str, Any] = {
        "capacity": 2,
        "availability": Availability.ONLINE,
        "presence": Presence.CONNECTED,
    }
    return Agent(
        person=PersonRef(id=PersonId(name), name=name.title()),
        groups=frozenset(groups),
        **(usual | more),
    )


AGENTS = {
    agent.id: agent
    for agent in (
        _agent("wang", "support", skills=frozenset({"vpn"})),
        _agent("chen", "support", "facilities"),
        _agent("qian", "facilities", capacity=1),
        _agent("lina", "support", "facilities", role=Role.SUPERVISOR),
        _agent("root", role=Role.ADMIN),
    )
}
DUE_COMMANDS: dict[TimerKind, type[Any]] = {
    TimerKind.FIRST_ANSWER: ask.MissFirstAnswer,
    TimerKind.PREFERENCE_OVER: ask.DropPreference,
    TimerKind.HOLD_RETURN: ask.ReturnFromHold,
    TimerKind.REMINDER: ask.RemindRequester,
    TimerKind.AUTO_RESOLVE: ask.AutoResolve,
    TimerKind.AUTO_CLOSE: ask.CloseResolved,
}
MAYBE_NOT_TOLD = ("moved_to", "category", "preferred_agent", "prefer_until", "waiting_reason")


@dataclass
class World:
    """Everything the store would hold."""

    now: int = START
    agents: dict[PersonId, Agent] = field(default_factory=lambda: dict(AGENTS))
    convs: dict[str, Conversation] = field(default_factory=dict)
    log: dict[str, list[ev.Event]] = field(default_factory=lambda: defaultdict(list))
    offers: dict[str, Offer] = field(default_factory=dict)
    ended: dict[str, Outcome] = field(default_factory=dict)
    turned: dict[str, list[TurnedAway]] = field(default_factory=lambda: defaultdict(list))
    timers: dict[tuple[TimerKind, str], int] = field(default_factory=dict)
    messages: dict[str, tuple[str, Posted, ev.Event]] = field(default_factory=dict)
    open_assignments: dict[tuple[str, PersonId], AssignmentBegun] = field(default_factory=dict)
    ratings: set[tuple[str, int]] = field(default_factory=set)
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._ids = count(1)
        self._end = self.now

    # --- asking ---

    def moment(self) -> Moment:
        return Moment(
            now=self.now,
            new_id=lambda: f"id-{next(self._ids)}",
            command_id=f"command-{next(self._ids)}",
        )

    def actor(self, realm: Realm, name: str) -> Actor:
        if realm is Realm.EMPLOYEE:
            return EMPLOYEES[name]
        agent = self.seen(PersonId(name))
        return Actor(
            principal=Principal(Realm.AGENT, agent.id),
            person=agent.person,
            role=agent.role,
            groups=agent.groups,
            capacity=agent.capacity,
            load=agent.load,
        )

    def seen(self, person: PersonId) -> Agent:
        """An agent with what is derived: whether an offer is out to them."""
        has_offer = any(offer.agent == person for offer in self.offers.values())
        return replace(self.agents[person], has_offer=has_offer)

    def facts(self, state: Conversation, command: ask.OfConversation) -> Facts:
        said = {name: getattr(command, name, None) for name in ("group", "category_id", "person")}
        group = GROUPS.get(str(said["group"]), state.group)
        msg_id = getattr(command, "msg_id", None) or getattr(command, "reply_to", None)
        in_conv, posted, _ = self.messages.get(str(msg_id), ("", None, None))
        seen = getattr(command, "seen", None) or 0
        return Facts(
            agents=tuple(self.seen(name) for name in sorted(self.agents)),
            cooling=cooling_off(self.turned[state.conv_id], self.now),
            offer=self.offer_of(state.conv_id),
            message=posted if in_conv == state.conv_id else None,
            replies=tuple(self.replies(state, seen)),
            group=GROUPS.get(str(said["group"])),
            category=CATEGORIES.get(str(said["category_id"])),
            tags=TAGS,
            unclosed=self.unclosed(state.requester.id, group.id, but=state.conv_id),
            person=self.named(str(said["person"]), getattr(command, "realm", "")),
            mentioned=frozenset(self.agents),
        )

    def named(self, person: str, realm: str) -> PersonRef | None:
        if realm == "agent":
            return self.agents[PersonId(person)].person if person in self.agents else None
        return EMPLOYEES[person].person if person in EMPLOYEES else None

    def replies(self, state: Conversation, seen: int) -> list[Reply]:
        return [
            Reply(
                msg_id=posted.msg_id,
                position=posted.position,
                author=event.by.person,
                kind="text",
                body="x",
                at=posted.at,
            )
            for conv, posted, event in self.messages.values()
            if conv == state.conv_id
            and not posted.is_note
            and posted.author.realm is Realm.AGENT
            and posted.position > seen
            and posted.withdrawn is None
            and event.by is not None
        ]

    def offer_of(self, conv: str) -> Offer | None:
        return next((offer for offer in self.offers.values() if offer.conv_id == conv), None)

    def unclosed(self, requester: PersonId, group: str, but: str = "") -> str | None:
        return next(
            (
                state.conv_id
                for state in self.convs.values()
                if state.requester.id == requester
                and state.group.id == group
                and state.status is not Status.CLOSED
                and state.conv_id != but
            ),
            None,
        )

    # --- doing ---

    def open(self, name: str, category_id: str) -> Decision | Refusal:
        category = CATEGORIES[category_id]
        asking = ask.OpenConversation(category_id=category_id, kind="text", body="VPN")
        conv = f"conv-{len(self.convs) + 1}"
        queue = [
            each
            for each in self.convs.values()
            if each.group.id == category.group.id and each.status is Status.QUEUED
        ]
        facts = Opening(
            conv_id=conv,
            no=f"IT-{len(self.convs) + 1:04d}",
            category=category,
            unclosed=self.unclosed(PersonId(name), category.group.id),
            queued=len(queue),
        )
        answer = decide_opening(EMPLOYEES[name], asking, facts, self.moment())
        if isinstance(answer, Decision):
            self.carry_out(None, answer, "open_conversation")
        return answer

    def do(self, actor: Actor, command: Any) -> Decision | Refusal:
        """One command in one transaction. A refusal changes nothing."""
        state = self.convs[command.conv]
        facts, ids = self.facts(state, command), self._ids
        answer = decide(actor, state, command, self.moment(), facts)
        self._ids = ids
        if isinstance(answer, Decision):
            self.carry_out(state, answer, ask.name_of(command))
        return answer

    def same_with_less(self, actor: Actor, command: Any) -> None:
        """A rule looks at no fact beyond those it names."""
        state = self.convs[command.conv]
        facts = self.facts(state, command)
        answers = [
            decide(actor, state, command, moment(self.now, count(1)), known)
            for known in (facts, only_needed(command, facts))
        ]
        assert answers[0] == answers[1], (ask.name_of(command), sorted(NEEDS[type(command)]))

    def tick(self, ms: int) -> None:
        """Time passes; every timer that is due runs, once, in the order of due times."""
        self._end = self.now + ms
        while due := [(at, *row) for row, at in self.timers.items() if at <= self._end]:
            at, kind, key = min(due)
            self.now = max(self.now, at)
            del self.timers[kind, key]
            self.run(kind, key)
        self.now = self._end

    def run(self, kind: TimerKind, key: str) -> None:
        """What the path of timers will do with a due row."""
        if kind is TimerKind.DISPATCH:
            self.dispatch(GROUPS[key])
        elif kind is TimerKind.OFFER_EXPIRY:
            offer = self.offers[key]
            self.sure(ask.ExpireOffer(conv=offer.conv_id, offer_id=key))
        else:
            # A conversation may have outlived the reason of the row; then it is refused.
            self.do(SYSTEM, DUE_COMMANDS[kind](conv=key))

    def sure(self, command: Any) -> None:
        answer = self.do(SYSTEM, command)
        assert isinstance(answer, Decision), (command, answer)

    def dispatch(self, group: Group) -> None:
        """What the dispatcher's path will do: propose, offer, write down why not, look again."""
        queue = [
            waiting(
                state,
                has_offer=self.offer_of(state.conv_id) is not None,
                cooling=cooling_off(self.turned[state.conv_id], self.now),
            )
            for state in self.convs.values()
            if state.group.id == group.id and state.status is Status.QUEUED
        ]
        found = dispatch(group, queue, [self.seen(name) for name in sorted(self.agents)], self.now)
        if found.again_at is not None:
            # A net that caught nothing catches nothing until something happens, or time is up.
            idle = self._end if not found.proposals else 0
            self.timers[TimerKind.DISPATCH, group.id] = max(found.again_at, idle)
        for conv, reason in found.reasons.items():
            self.convs[conv] = replace(self.convs[conv], waiting_reason=reason.value)
        for each in found.proposals:
            self.sure(ask.MakeOffer(conv=each.conv_id, agent=each.agent))

    def presence(self, name: PersonId, presence: Presence) -> None:
        """A connection comes or goes for good, and the paths of presence and timers follow."""
        self.agents[name] = replace(self.agents[name], presence=presence)
        command = ask.RegainAgent if presence is Presence.CONNECTED else ask.LoseAgent
        for state in list(self.convs.values()):
            if state.assignee is not None and state.assignee.id == name:
                self.do(SYSTEM, command(conv=state.conv_id, agent=name))
        for group in sorted(self.agents[name].groups):
            self.timers[TimerKind.DISPATCH, group] = self.now

    # --- carrying out ---

    def carry_out(self, before: Conversation | None, decision: Decision, name: str) -> None:
        for person, by in decision.loads.items():
            load = self.agents[person].load + by
            is_free = by < 0 or load <= self.agents[person].capacity
            assert load >= 0, "I3"
            assert is_free or person in decision.may_exceed, "I3"
            self.agents[person] = replace(self.agents[person], load=load)
        for each in decision.offers:
            self._offer(each)
        for timer in decision.timers:
            self._timer(timer)
        for change in decision.agents:
            self._agent(change)
        for line in decision.assignments:
            self._assignment(decision.state.conv_id, line)
        for event in decision.events:
            self._event(decision.state.conv_id, event)
        for gone in decision.withdrawals:
            conv, posted, event = self.messages[gone.msg_id]
            self.messages[gone.msg_id] = (conv, replace(posted, withdrawn=gone.how), event)
        self.convs[decision.state.conv_id] = decision.state
        self.said.append(name)
        self.hold(before, decision)

    def _offer(self, each: OfferOpened | OfferEnded) -> None:
        match each:
            case OfferOpened(offer=offer):
                for live in self.offers.values():
                    assert live.conv_id != offer.conv_id, "I4"
                    assert live.agent != offer.agent, "I4"
                self.offers[offer.offer_id] = offer
            case OfferEnded(offer_id=offer_id, outcome=outcome):
                offer = self.offers.pop(offer_id)
                assert offer_id not in self.ended, "I4"
                self.ended[offer_id] = outcome
                if outcome in {Outcome.DECLINED, Outcome.EXPIRED}:
                    self.turned[offer.conv_id].append(TurnedAway(agent=offer.agent, at=each.at))

    def _timer(self, timer: Arm | Disarm) -> None:
        match timer:
            case Arm(kind=kind, key=key, due=due):
                assert due >= self.now
                self.timers[kind, key] = due
            case Disarm(kind=kind, key=key):
                self.timers.pop((kind, key), None)

    def _agent(self, change: AgentChanged) -> None:
        agent = self.agents[change.agent]
        known = {
            name: getattr(change, name)
            for name in ("missed_offers", "last_assigned_at", "availability")
            if getattr(change, name) is not None
        }
        self.agents[change.agent] = replace(agent, **known)

    def _assignment(self, conv: str, line: AssignmentBegun | AssignmentEnded) -> None:
        match line:
            case AssignmentBegun():
                assert not any(key[0] == conv for key in self.open_assignments), "one at a time"
                self.open_assignments[conv, line.agent] = line
            case AssignmentEnded():
                del self.open_assignments[conv, line.agent]
                if line.cause == "no_answer":
                    self.turned[conv].append(TurnedAway(agent=line.agent, at=line.at))

    def _event(self, conv: str, event: ev.Event) -> None:
        for stream in event.streams:
            self.log[stream].append(event)
        match event.data:
            case ev.MessagePosted() | ev.NotePosted() as said:
                assert event.by is not None
                is_note = isinstance(said, ev.NotePosted)
                stream = ev.staff_stream(conv) if is_note else ev.conv_stream(conv)
                posted = Posted(
                    msg_id=said.msg_id,
                    is_note=is_note,
                    author=event.by.principal,
                    position=len(self.log[stream]),
                    at=event.at,
                )
                self.messages[said.msg_id] = (conv, posted, event)
            case ev.MessageRecalled(msg_id=msg_id) | ev.NoteRecalled(msg_id=msg_id):
                self._recalled(conv, msg_id, event)
            case ev.RatingGiven(resolution_no=no):
                assert (conv, no) not in self.ratings, "I19"
                assert event.by is not None
                assert event.by.principal.person == self.convs[conv].requester.id, "I19"
                self.ratings.add((conv, no))

    def _recalled(self, conv: str, msg_id: str, event: ev.Event) -> None:
        _, posted, _ = self.messages[msg_id]
        assert event.by is not None
        assert posted.author == event.by.principal, "I14"
        assert event.at - posted.at <= DEFAULTS.recall_window_s * 1000, "I14"
        assert self.convs[conv].status is not Status.CLOSED, "I14"
        assert posted.withdrawn is None, "I14"

    # --- the laws, by their numbers in desk.md §11 ---

    def hold(self, before: Conversation | None, decision: Decision) -> None:
        after = decision.state
        self._events_hold(before, decision)
        self._step_is_of_the_table(before, decision)
        self._evolution_agrees(before, decision)
        self._state_holds(after)
        self._world_holds()

    def _events_hold(self, before: Conversation | None, decision: Decision) -> None:
        conv = decision.state.conv_id
        for event in decision.events:
            is_staff = event.type.clearance is ev.Clearance.STAFF
            assert not (is_staff and any(map(ev.may_reach_employee, event.streams))), "I11"
            assert event.anchor == (before.head if before else 0)
            assert event.conv in (conv, None)
        ids = [event.id for event in decision.events]
        assert len(set(ids)) == len(ids)

    def _step_is_of_the_table(self, before: Conversation | None, decision: Decision) -> None:
        after = decision.state
        old = before.status if before else None
        rows = {(frm, to) for row in TRANSITIONS for frm in row.frm for to in row.to}
        has_moved = old is not after.status
        reasons = [e.data for e in decision.events if isinstance(e.data, ev.ReasonRecorded)]
        assert not has_moved or (old, after.status) in rows, "I18"
        assert len(reasons) <= 1, "I18"
        changed = before is None or (before.status, before.assignee, before.group.id) != (
            after.status,
            after.assignee,
            after.group.id,
        )
        assert reasons or not changed, "I18"
        first = before.version if before else 0
        versions = [v for event in decision.events if (v := _version(event.data)) is not None]
        assert versions == list(range(first + 1, after.version + 1)), "each change counts one"

    def _evolution_agrees(self, before: Conversation | None, decision: Decision) -> None:
        """Folding the events gives the state, but for what no event carries."""
        if before is None:
            return
        folded = before
        for event in decision.events:
            folded = evolve(folded, event)
        after = decision.state
        unknown = {name: getattr(after, name) for name in MAYBE_NOT_TOLD}
        assert replace(folded, **unknown) == after
        assert folded.group.id == after.group.id
        assert folded.category.id == after.category.id

    def _state_holds(self, state: Conversation) -> None:
        assert (state.assignee is not None) == (state.status is Status.ACTIVE), "I1"
        requester = Principal(Realm.AGENT, state.requester.id)
        assert state.sight.participation(requester) is None, "I22"
        assert state.assignee is None or state.assignee.id != state.requester.id, "I22"
        principals = [member.principal for member in state.participants]
        assert len(set(principals)) == len(principals)
        if state.assignee is not None:
            assert state.has_participant(Principal(Realm.AGENT, state.assignee.id))
        assert (state.held_until is not None) <= (state.status is Status.ON_HOLD)
        assert state.head == len(self.log[ev.conv_stream(state.conv_id)]), "I6"
        self._agrees_with_the_log(state)
        self._row_is_folded(state)

    def _agrees_with_the_log(self, state: Conversation) -> None:
        """I23: `turn`, `waiting_since` and `first_answered_at`, from the log alone."""
        turn, since, first = "agent", None, None
        for event in self.log[ev.conv_stream(state.conv_id)]:
            match event.data:
                case ev.ConversationOpened():
                    since = event.at
                case ev.ConversationReopened():
                    since = event.at
                case ev.MessagePosted() if event.by is not None:
                    by_agent = event.by.principal.realm is Realm.AGENT
                    turn = "employee" if by_agent else "agent"
                    first = first or (event.at if by_agent else None)
                    since = None if by_agent else (since or event.at)
                case ev.ConversationQueued(waiting_since=said):
                    assert said == (since or event.at), "a requeue moves nobody back"
                    since = said
                case ev.ConversationResolved() | ev.ConversationClosed():
                    since = None
        found = (state.turn.value, state.waiting_since, state.first_answered_at)
        assert found == (turn, since, first), "I23"

    def _row_is_folded(self, state: Conversation) -> None:
        """I7, on the conversation and on the board of its group."""
        public = self.log[ev.conv_stream(state.conv_id)]
        row = ev.as_json(state.row)
        folded = fold((read(event), n) for n, event in enumerate(public, 1))
        assert _nameless(folded) == _nameless(row), "I7"
        board = [
            event
            for event in self.log[ev.queue_stream(state.group.id)]
            if event.conv == state.conv_id
        ]
        since = max(n for n, e in enumerate(board) if hasattr(e.data, "row"))
        on_board = fold((read(event), 0) for event in board[since:])
        assert _placeless(on_board) == _placeless(row), "I7"

    def _world_holds(self) -> None:
        loads: dict[str, int] = defaultdict(int)
        for state in self.convs.values():
            if state.assignee is not None:
                loads[state.assignee.id] += 1
        for agent in self.agents.values():
            assert agent.load == loads[agent.id], "I3"
        self._offers_hold()
        self._queue_holds()
        self._rows_hold()

    def _offers_hold(self) -> None:
        for offer in self.offers.values():
            state = self.convs[offer.conv_id]
            kind = "queue" if state.status is Status.QUEUED else "transfer"
            assert offer.kind == kind, "I4: no offer outlives its reason"
            assert self.timers[TimerKind.OFFER_EXPIRY, offer.offer_id] == offer.expires_at
        expiries = {key for kind, key in self.timers if kind is TimerKind.OFFER_EXPIRY}
        assert expiries == set(self.offers)

    def _queue_holds(self) -> None:
        open_ones: set[tuple[str, str]] = set()
        for state in self.convs.values():
            if state.status is not Status.CLOSED:
                key = (state.requester.id, state.group.id)
                assert key not in open_ones, "I5"
                open_ones.add(key)
            if state.status is Status.QUEUED:
                has_offer = self.offer_of(state.conv_id) is not None
                has_row = (TimerKind.DISPATCH, state.group.id) in self.timers
                assert has_offer or has_row or state.waiting_reason is not None, "I16"
                assert state.waiting_since is not None, "I16"

    def _rows_hold(self) -> None:
        """No timer is forgotten, and none outlives its reason."""
        for conv, state in self.convs.items():
            rows = {kind for kind, key in self.timers if key == conv}
            assert (TimerKind.HOLD_RETURN in rows) == (state.held_until is not None)
            assert TimerKind.AUTO_CLOSE not in rows or state.status is Status.RESOLVED
            assert TimerKind.AUTO_RESOLVE not in rows or is_silent(state)
            assert TimerKind.FIRST_ANSWER not in rows or state.status is Status.ACTIVE
            assert TimerKind.PREFERENCE_OVER not in rows or state.preferred_agent is not None
            if is_silent(state):
                assert TimerKind.AUTO_RESOLVE in rows


def _version(data: Any) -> int | None:
    """The version of the conversation that an event names, itself or in its row."""
    found: int | None = getattr(data, "version", None)
    return data.row.version if found is None and hasattr(data, "row") else found


def _nameless(row: dict[str, Any] | None) -> dict[str, Any] | None:
    """A label names its category by id alone; the client has the names."""
    return None if row is None else {**row, "category": row["category"]["id"]}


def _placeless(row: dict[str, Any] | None) -> dict[str, Any] | None:
    """A board does not say where on `conv:<id>` its last message stands."""
    row = _nameless(row)
    if row is None or row["last_message"] is None:
        return row
    return {**row, "last_message": {**row["last_message"], "position": 0}}


def withdrawn_of(world: World) -> Sequence[Withdrawn]:
    """How the messages that were taken back were taken back."""
    return [posted.withdrawn for _, posted, _ in world.messages.values() if posted.withdrawn]
