"""Who there is: principals, persons, agents, and what the rules need to know of whoever acts.

Must never know: logins, passwords, cookies, sockets. Invariant: ids are opaque and already in their
stored spelling.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, NewType

PersonId = NewType("PersonId", str)


CAPACITY = 5


class Realm(StrEnum):
    """Whom a principal belongs to: one of the two login systems, or the desk itself.

    A login of one is unknown in the other. Nobody logs in to `SYSTEM`: it stands for timers, pushes
    and presence, whose commands never come from outside.
    """

    AGENT = "agent"
    EMPLOYEE = "employee"
    SYSTEM = "system"


LOGIN_REALMS = (Realm.AGENT, Realm.EMPLOYEE)
BOTH = frozenset(LOGIN_REALMS)
AGENTS_ONLY = frozenset({Realm.AGENT})
EMPLOYEES_ONLY = frozenset({Realm.EMPLOYEE})
SYSTEM_ONLY = frozenset({Realm.SYSTEM})


class Principal(NamedTuple):
    """Who is spoken for.

    A person in one realm. The same person in the other realm is another principal.
    """

    realm: Realm
    person: PersonId


class Role(StrEnum):
    """What an agent may do beyond answering."""

    AGENT = "agent"
    SUPERVISOR = "supervisor"
    ADMIN = "admin"


class Availability(StrEnum):
    """What an agent says of themselves. Connecting and disconnecting never change it."""

    ONLINE = "online"
    BUSY = "busy"
    BREAK = "break"
    OFFLINE = "offline"


class Presence(StrEnum):
    """Whether an agent has a live connection; `GRACE` is none, for a short while only."""

    CONNECTED = "connected"
    GRACE = "grace"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonRef:
    """A person as others see them."""

    id: PersonId
    name: str
    avatar: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Requester(PersonRef):
    """The employee who asked, with the department that the agents' lists show."""

    department: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Whoever sends a command, with the rights read in the transaction that decides."""

    principal: Principal
    person: PersonRef
    department: str = ""
    role: Role | None = None
    groups: frozenset[str] = field(default_factory=frozenset)
    capacity: int = 0
    load: int = 0

    @property
    def is_agent(self) -> bool:
        return self.principal.realm is Realm.AGENT

    @property
    def is_system(self) -> bool:
        """Whether the desk itself speaks: a timer, a push's outcome, presence."""
        return self.principal.realm is Realm.SYSTEM

    @property
    def is_admin(self) -> bool:
        return self.role is Role.ADMIN

    def supervises(self, group_id: str) -> bool:
        """An admin may what a supervisor may, in every group."""
        return self.is_admin or (self.role is Role.SUPERVISOR and group_id in self.groups)

    def serves(self, group_id: str) -> bool:
        return self.is_agent and (self.is_admin or group_id in self.groups)


_SYSTEM = PersonId("system")
SYSTEM = Actor(
    principal=Principal(Realm.SYSTEM, _SYSTEM), person=PersonRef(id=_SYSTEM, name="system")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """What an agent has chosen. `pushes` off: no WeCom message ever goes to this agent."""

    pushes: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """An agent as routing sees them: everything is read in the deciding transaction.

    `load` counts the active conversations of which they are the assignee; `capacity` is 1 to 50;
    `missed_offers` counts offers that ran out in a row; times are Unix ms.
    """

    person: PersonRef
    role: Role = Role.AGENT
    groups: frozenset[str] = frozenset()
    skills: frozenset[str] = frozenset()
    capacity: int = CAPACITY
    load: int = 0
    availability: Availability = Availability.OFFLINE
    availability_reason: str | None = None
    availability_since: int = 0
    presence: Presence = Presence.LOST
    is_disabled: bool = False
    has_offer: bool = False
    missed_offers: int = 0
    last_assigned_at: int | None = None
    preferences: Preferences = Preferences()

    @property
    def id(self) -> PersonId:
        return self.person.id

    @property
    def is_full(self) -> bool:
        return self.load >= self.capacity

    def serves(self, group_id: str) -> bool:
        """Whether they are a member of the group: an admin outside it is not offered its work."""
        return group_id in self.groups


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentChanged:
    """What a decision changes in an agent's row; none leaves a field as it is.

    `availability_reason` is written with `availability` only, and then also when it is none.
    """

    agent: PersonId
    missed_offers: int | None = None
    last_assigned_at: int | None = None
    availability: Availability | None = None
    availability_reason: str | None = None
    availability_since: int | None = None
