"""Port: may this principal watch this stream, and what its clients confirmed; with its twin.

Knows principals, logins and permits. Never knows why somebody may see something.
Invariant: a permit is a contiguous piece of positions, so density survives it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, NewType, Protocol, TypeAlias

from deskwire.realtime.frames import Ephemeral
from deskwire.realtime.log import Stream

LoginId = NewType("LoginId", str)
ConnectionId = NewType("ConnectionId", str)
PresenceState: TypeAlias = Literal["connected", "grace", "lost"]


class Principal(NamedTuple):
    """Whom a connection speaks for. A tuple, so it equals any other room's (realm, person)."""

    realm: str  # "agent" or "employee"
    person: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """The positions one may see: after + 1 … until. `until=None` follows the head."""

    after: int = 0
    until: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Permits:
    """One answer per asked stream; None, or a stream left out, is a no."""

    permits: Mapping[Stream, Permit | None]
    access: int  # the number these were read under


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Somebody lost sight of something. None stands for all."""

    principal: Principal | None = None
    login: LoginId | None = None
    stream: Stream | None = None
    why: str = "revoked"  # denied, left, revoked or gone: the `why` of `unwatched`


@dataclass(frozen=True, slots=True, kw_only=True)
class Narrowed:
    """Every loss above the number that was asked from, up to `access`."""

    access: int
    losses: tuple[Loss, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginState:
    """`until_ms` (Unix ms) counts while `ended` is None: logged_out, disabled or expired."""

    until_ms: int
    ended: str | None = None


class Acked(NamedTuple):
    """That client applied and saved everything up to these positions. They only rise.

    A tuple, as there is one for every few events: a frozen dataclass takes three times as long.
    """

    who: Principal
    login: LoginId
    connection: ConnectionId
    positions: Mapping[Stream, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkedRead:
    """That person saw everything up to `position`; implies delivered."""

    who: Principal
    login: LoginId
    connection: ConnectionId
    stream: Stream
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TypingSign:
    who: Principal
    login: LoginId
    connection: ConnectionId
    stream: Stream
    on: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewingSign:
    who: Principal
    login: LoginId
    connection: ConnectionId
    stream: Stream
    on: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PresenceChanged:
    """A person came, is in grace, or is lost: once per absence, over all the person's devices."""

    who: Principal
    state: PresenceState


Report: TypeAlias = Acked | MarkedRead | TypingSign | ViewingSign | PresenceChanged


class Gate(Protocol):
    """What the manager asks of whoever knows rights. Every call may raise; it is tried again."""

    async def permits(self, who: Principal, login: LoginId, streams: Collection[Stream]) -> Permits:
        """What `who` may see now, and the `access` number read in the same snapshot."""
        ...

    async def narrowed(self, since: int) -> Narrowed:
        """Who lost sight of what above `since`. `since=-1` asks for the present number alone."""
        ...

    async def logins(self, ids: Collection[LoginId]) -> Mapping[LoginId, LoginState]:
        """How these logins stand. One left out is taken as logged out."""
        ...

    async def signs(self, stream: Stream) -> Sequence[Ephemeral]:
        """The stream's passing signs as they stand: marks, presence."""
        ...

    async def report(self, reports: Sequence[Report]) -> None:
        """What clients confirmed, in order, batched. Handed over again if this raises."""
        ...


def personal_stream(who: Principal) -> Stream:
    """The stream whose one audience is `who`: `agent:li`."""
    return f"{who.realm}:{who.person}"


@dataclass(slots=True)
class MemoryGate:
    """The gate of a manager used alone: one's own personal stream, and what `allow` names.

    Its logins never end by themselves; tests and small apps set `logins_ended` and `lose`.
    """

    access: int = 0
    allowed: dict[tuple[Principal, Stream], Permit] = field(default_factory=dict)
    reports: list[Report] = field(default_factory=list)
    login_states: dict[LoginId, LoginState] = field(default_factory=dict)
    stream_signs: dict[Stream, tuple[Ephemeral, ...]] = field(default_factory=dict)
    losses: list[tuple[int, Loss]] = field(default_factory=list)
    reports_max: int = 1_000  # older ones are forgotten: nobody may be reading them

    def allow(self, who: Principal, stream: Stream, permit: Permit = Permit()) -> None:
        self.allowed[who, stream] = permit

    def lose(self, loss: Loss) -> int:
        """Takes sight away and raises `access`; returns the new number."""
        self.access += 1
        self.losses.append((self.access, loss))
        for who, stream in list(self.allowed):
            if loss.principal in (None, who) and loss.stream in (None, stream):
                del self.allowed[who, stream]
        return self.access

    async def permits(self, who: Principal, login: LoginId, streams: Collection[Stream]) -> Permits:
        del login  # every login of a person sees the same here
        answers = {stream: self.allowed.get((who, stream)) for stream in streams}
        own = personal_stream(who)
        if own in answers and answers[own] is None:
            answers[own] = Permit()
        return Permits(permits=answers, access=self.access)

    async def narrowed(self, since: int) -> Narrowed:
        losses = tuple(loss for number, loss in self.losses if 0 <= since < number)
        return Narrowed(access=self.access, losses=losses)

    async def logins(self, ids: Collection[LoginId]) -> Mapping[LoginId, LoginState]:
        forever = LoginState(until_ms=2**53 - 1)
        return {login: self.login_states.get(login, forever) for login in ids}

    async def signs(self, stream: Stream) -> Sequence[Ephemeral]:
        return self.stream_signs.get(stream, ())

    async def report(self, reports: Sequence[Report]) -> None:
        self.reports.extend(reports)
        del self.reports[: -self.reports_max]
