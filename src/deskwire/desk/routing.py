"""Who may be given a conversation now, and if not, why; whom the dispatcher asks; the honest wait.

Two axes, never one: availability is what an agent says, presence whether they have a connection.
One run of the dispatcher is a pure function of the queue and the agents; what it proposes is asked
again by `make_offer` in its own transaction, so two runs at once are harmless.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from fractions import Fraction
from itertools import pairwise
from statistics import median

from deskwire.desk.conversation import Conversation
from deskwire.desk.deadlines import HOUR_MS, MINUTE_MS, SWEEP_MS, is_open
from deskwire.desk.office import Group, Pick, Routing
from deskwire.desk.people import Agent, Availability, PersonId, Presence

COOLING_MS = 5 * MINUTE_MS
SAMPLES_MIN = 5
SAMPLE_WINDOW_MS = HOUR_MS
LOW, HIGH = Fraction(7, 10), Fraction(3, 2)
MISSED_MAX = 2  # offers that run out in a row before an agent is taken to be away

# The clauses in the order in which they are asked; availability and presence add their value.
CLAUSES = (
    "disabled",
    "availability:<value>",
    "presence:<value>",
    "not_in_group",
    "lacks_skill",
    "own_conversation",
    "at_capacity",
    "has_offer",
    "cooling_off",
)


class WaitingReason(StrEnum):
    """Why nobody is asked to take a queued conversation. `PULL`: agents help themselves."""

    CLOSED_HOURS = "closed_hours"
    NONE_ONLINE = "none_online"
    ALL_AT_CAPACITY = "all_at_capacity"
    WAITING_FOR_PREFERRED = "waiting_for_preferred"
    PULL = "pull"


UNFORESEEN = frozenset(
    {WaitingReason.CLOSED_HOURS, WaitingReason.NONE_ONLINE, WaitingReason.WAITING_FOR_PREFERRED}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a conversation asks of whoever is given it. `cooling` are those to leave alone now."""

    group_id: str
    requester: PersonId
    skill: str | None = None
    cooling: frozenset[PersonId] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnedAway:
    """An agent declined or missed this conversation's offer, or did not answer in time."""

    agent: PersonId
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A queued conversation as the dispatcher sees it. Times are Unix ms."""

    conv_id: str
    no: str
    priority: int
    waiting_since: int
    wanted: Wanted
    has_offer: bool = False
    preferred_agent: PersonId | None = None
    prefer_until: int | None = None

    @property
    def order(self) -> tuple[int, int, str]:
        """Strict: the most urgent first, then who has waited longest, then the number."""
        return (-self.priority, self.waiting_since, self.no)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """Ask this agent to take this conversation: it becomes `make_offer`."""

    conv_id: str
    agent: PersonId


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatch:
    """What one run found. `reasons` has a line for every conversation that stays unasked.

    `again_at` is when the net is cast next, none if nothing waits.
    """

    proposals: tuple[Proposal, ...] = ()
    reasons: Mapping[str, WaitingReason] = field(default_factory=dict)
    again_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePlace:
    """What a requester is told: the place, and the wait as a range or else the reason."""

    place: int
    low_s: int | None = None
    high_s: int | None = None
    reason: WaitingReason | None = None


def wanted_by(state: Conversation, cooling: frozenset[PersonId] = frozenset()) -> Wanted:
    """What this conversation asks. A category's skill counts only in the category's own group."""
    return Wanted(
        group_id=state.group.id,
        requester=state.requester.id,
        skill=state.category.skill if state.has_own_category else None,
        cooling=cooling,
    )


def waiting(
    state: Conversation, *, has_offer: bool = False, cooling: frozenset[PersonId] = frozenset()
) -> Waiting:
    """A queued conversation for the dispatcher."""
    return Waiting(
        conv_id=state.conv_id,
        no=state.no,
        priority=state.priority,
        waiting_since=state.waiting_since or state.opened_at,
        wanted=wanted_by(state, cooling),
        has_offer=has_offer,
        preferred_agent=state.preferred_agent,
        prefer_until=state.prefer_until,
    )


def cooling_off(turned: Iterable[TurnedAway], now: int) -> frozenset[PersonId]:
    """Who is not asked again yet: five minutes after they declined, missed or did not answer."""
    return frozenset(each.agent for each in turned if now - each.at < COOLING_MS)


def absence(agent: Agent) -> str | None:
    """Why the agent is not there, or none: the clauses that ask only about the agent."""
    if agent.is_disabled:
        return "disabled"
    if agent.availability is not Availability.ONLINE:
        return f"availability:{agent.availability.value}"
    if agent.presence is not Presence.CONNECTED:
        return f"presence:{agent.presence.value}"
    return None


def why_not(agent: Agent, wanted: Wanted) -> str | None:
    """None: the agent is assignable, 可接单. Else the first clause that fails, in their order."""
    if clause := absence(agent) or _unfit(agent, wanted):
        return clause
    if agent.is_full:
        return "at_capacity"
    if agent.has_offer:
        return "has_offer"
    return "cooling_off" if agent.id in wanted.cooling else None


def _unfit(agent: Agent, wanted: Wanted) -> str | None:
    """Why this is never for this agent, whatever the hour."""
    if not agent.serves(wanted.group_id):
        return "not_in_group"
    if wanted.skill is not None and wanted.skill not in agent.skills:
        return "lacks_skill"
    return "own_conversation" if agent.id == wanted.requester else None


def pick(agents: Sequence[Agent], how: Pick) -> Agent | None:
    """Whom to ask among the assignable; none of none. Never assigned goes first."""

    def idle(agent: Agent) -> tuple[int, str]:
        return (-1 if agent.last_assigned_at is None else agent.last_assigned_at, agent.id)

    def busy(agent: Agent) -> Fraction:
        return Fraction(agent.load, agent.capacity)

    match how:
        case Pick.LEAST_BUSY:
            return min(agents, key=lambda agent: (busy(agent), *idle(agent)), default=None)
        case Pick.ROUND_ROBIN:
            return min(agents, key=idle, default=None)


def dispatch(group: Group, queue: Iterable[Waiting], agents: Sequence[Agent], now: int) -> Dispatch:
    """One run over a group's queue: at most one offer for each agent and each conversation."""
    free = {agent.id: agent for agent in agents}
    proposals: list[Proposal] = []
    reasons: dict[str, WaitingReason] = {}
    ordered = sorted(queue, key=lambda each: each.order)
    for each in ordered:
        if each.has_offer:
            continue
        found = _ask(group, each, list(free.values()), now)
        if isinstance(found, Agent):
            proposals.append(Proposal(conv_id=each.conv_id, agent=found.id))
            free[found.id] = replace(found, has_offer=True)
        else:
            reasons[each.conv_id] = found
    return Dispatch(
        proposals=tuple(proposals),
        reasons=reasons,
        again_at=now + SWEEP_MS if ordered else None,
    )


def _ask(group: Group, each: Waiting, agents: Sequence[Agent], now: int) -> Agent | WaitingReason:
    if not is_open(group.hours, now):
        return WaitingReason.CLOSED_HOURS
    assignable = [agent for agent in agents if why_not(agent, each.wanted) is None]
    if group.routing is Routing.PULL:
        return WaitingReason.PULL if assignable else _why_nobody(each, agents)
    preferred = next((a for a in assignable if a.id == each.preferred_agent), None)
    if preferred is not None:
        return preferred
    if each.prefer_until is not None and now < each.prefer_until:
        return WaitingReason.WAITING_FOR_PREFERRED
    return pick(assignable, group.pick) or _why_nobody(each, agents)


def _why_nobody(each: Waiting, agents: Sequence[Agent]) -> WaitingReason:
    """Nobody who could serve it is there, or all who are there have their hands full."""
    is_there = any(absence(a) is None and _unfit(a, each.wanted) is None for a in agents)
    return WaitingReason.ALL_AT_CAPACITY if is_there else WaitingReason.NONE_ONLINE


def queue_place(
    ahead: int,
    *,
    assigned_at: Sequence[int],
    is_anyone_online: bool,
    reason: WaitingReason | None,
    now: int,
) -> QueuePlace:
    """The honest place and wait of a requester with `ahead` conversations before theirs.

    `assigned_at` are the group's assignments. The wait is the place times the median time between
    those of the last hour, from 0.7 to 1.5 of it in whole minutes. There is no number, only the
    reason, without five such times and an agent online, and where others than those who answer
    decide how long it takes.
    """
    place = ahead + 1
    recent = sorted(at for at in assigned_at if now - SAMPLE_WINDOW_MS <= at <= now)
    gaps = [later - earlier for earlier, later in pairwise(recent)]
    if len(gaps) < SAMPLES_MIN or not is_anyone_online or reason in UNFORESEEN:
        return QueuePlace(place=place, reason=reason)
    wait = Fraction(median(gaps)) * place
    low = max(1, int(wait * LOW // MINUTE_MS))
    high = max(low, -int(-wait * HIGH // MINUTE_MS))
    return QueuePlace(place=place, low_s=low * 60, high_s=high * 60, reason=reason)


def ahead_of(conv_id: str, queue: Iterable[Waiting]) -> int | None:
    """How many are taken before this one, by dispatch order; none: it does not wait."""
    ordered = [each.conv_id for each in sorted(queue, key=lambda each: each.order)]
    return ordered.index(conv_id) if conv_id in ordered else None
