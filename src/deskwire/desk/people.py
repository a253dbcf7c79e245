"""Who there is: principals, persons, agents, and what the rules need to know of whoever acts.

Must never know: logins, passwords, cookies, sockets. Invariant: ids are opaque and already in their
stored spelling.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, NewType

PersonId = NewType("PersonId", str)


class Realm(StrEnum):
    """One of the two login systems. A login of one is unknown in the other."""

    AGENT = "agent"
    EMPLOYEE = "employee"


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
    def is_admin(self) -> bool:
        return self.role is Role.ADMIN

    def supervises(self, group_id: str) -> bool:
        """An admin may what a supervisor may, in every group."""
        return self.is_admin or (self.role is Role.SUPERVISOR and group_id in self.groups)

    def serves(self, group_id: str) -> bool:
        return self.is_agent and (self.is_admin or group_id in self.groups)
