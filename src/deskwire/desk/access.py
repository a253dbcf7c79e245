"""Who may do what, and who may watch which stream from where to where. Default: no.

Rights are asked again at each read and in each deciding transaction. Invariant: an action without a
line in `ALLOWED` is allowed to nobody; a stream of an unknown kind is seen by nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from deskwire.desk.events import DESK_STREAM, Stream
from deskwire.desk.people import Actor, PersonId, Principal, Realm


class Standing(StrEnum):
    """How a principal stands to a conversation. One may have several at once."""

    REQUESTER = "requester"
    INVITED = "invited"
    PARTICIPANT = "participant"
    COLLEAGUE = "colleague"
    SUPERVISOR = "supervisor"
    ASSIGNEE = "assignee"
    LAST_AGENT = "last_agent"


class Action(StrEnum):
    """What may be done to a conversation."""

    SEE_PUBLIC = "see_public"
    SEE_STAFF = "see_staff"
    POST_NOTE = "post_note"
    POST_PUBLIC = "post_public"
    CLAIM = "claim"
    JOIN = "join"
    RESOLVE = "resolve"
    CANCEL = "cancel"
    CONFIRM = "confirm"
    RATE = "rate"


_R, _I, _P = Standing.REQUESTER, Standing.INVITED, Standing.PARTICIPANT
_G, _S = Standing.COLLEAGUE, Standing.SUPERVISOR

ALLOWED: Mapping[Action, frozenset[Standing]] = {
    Action.SEE_PUBLIC: frozenset({_R, _I, _P, _G, _S}),
    Action.SEE_STAFF: frozenset({_P, _G, _S}),
    Action.POST_NOTE: frozenset({_P, _G, _S}),
    # A colleague and a supervisor post after joining: the refusal then is `join_first`, not
    # `not_allowed`.
    Action.POST_PUBLIC: frozenset({_R, _I, _P, _G, _S}),
    Action.CLAIM: frozenset({_P, _G, _S}),
    Action.JOIN: frozenset({_P, _G, _S}),
    Action.RESOLVE: frozenset({Standing.ASSIGNEE, Standing.LAST_AGENT, _S}),
    Action.CANCEL: frozenset({_R}),
    Action.CONFIRM: frozenset({_R}),
    Action.RATE: frozenset({_R}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """Who takes part, and the piece of `conv:<id>` they see.

    From `visible_from` to `left_at`, both included.
    """

    principal: Principal
    role: str
    visible_from: int = 1
    left_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What of a conversation decides who sees it."""

    requester: PersonId
    group_id: str
    assignee: PersonId | None = None
    last_agent: PersonId | None = None
    participants: tuple[Participant, ...] = ()

    def participation(self, principal: Principal) -> Participant | None:
        return next((p for p in self.participants if p.principal == principal), None)

    def has(self, principal: Principal) -> bool:
        """Whether this principal takes part now."""
        taking_part = self.participation(principal)
        return taking_part is not None and taking_part.left_at is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The positions of a stream that may be seen: above `after`, up to `until` (none: no end)."""

    after: int = 0
    until: int | None = None


def standings(actor: Actor, sight: Sight) -> frozenset[Standing]:
    """Every way in which this principal stands to the conversation; empty for a stranger."""
    if actor.is_agent:
        return frozenset(_staff_standings(actor, sight))
    taking_part = sight.participation(actor.principal)
    if sight.requester == actor.principal.person:
        return frozenset({Standing.REQUESTER})
    return frozenset({Standing.INVITED}) if taking_part else frozenset()


def _staff_standings(actor: Actor, sight: Sight) -> list[Standing]:
    found = []
    if sight.has(actor.principal):
        found.append(Standing.PARTICIPANT)
    if actor.serves(sight.group_id):
        found.append(Standing.COLLEAGUE)
    if actor.supervises(sight.group_id):
        found.append(Standing.SUPERVISOR)
    if sight.assignee == actor.principal.person:
        found.append(Standing.ASSIGNEE)
    if sight.last_agent == actor.principal.person:
        found.append(Standing.LAST_AGENT)
    return found


def may(actor: Actor, action: Action, sight: Sight) -> bool:
    """Whether this principal may do this to the conversation, its status aside."""
    return bool(ALLOWED[action] & standings(actor, sight))


def conversation_of(stream: Stream) -> str | None:
    """The conversation that a stream belongs to, or none."""
    kind, _, rest = stream.partition(":")
    return rest.removesuffix(":staff") if kind == "conv" and rest else None


def sees(actor: Actor, stream: Stream, sight: Sight | None) -> Bounds | None:
    """The piece of the stream that this principal may watch, or none.

    `sight` is that of the stream's conversation, none where the stream has no conversation or it
    does not exist.
    """
    kind, _, rest = stream.partition(":")
    match kind:
        case "conv":
            return _sees_conversation(actor, stream, sight) if sight else None
        case "queue":
            return Bounds() if rest and actor.serves(rest) else None
        case "desk":
            return Bounds() if actor.is_agent and stream == DESK_STREAM else None
        case Realm.AGENT.value | Realm.EMPLOYEE.value:
            own = actor.principal == (kind, rest)
            return Bounds() if own else None
        case _:
            return None


def _sees_conversation(actor: Actor, stream: Stream, sight: Sight) -> Bounds | None:
    if stream.endswith(":staff"):
        return Bounds() if may(actor, Action.SEE_STAFF, sight) else None
    if not may(actor, Action.SEE_PUBLIC, sight):
        return None
    if Standing.INVITED in standings(actor, sight):
        taking_part = sight.participation(actor.principal)
        assert taking_part is not None
        return Bounds(after=taking_part.visible_from - 1, until=taking_part.left_at)
    return Bounds()
