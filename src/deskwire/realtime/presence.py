"""Port: who has a live connection, as expiring leases; with its in-memory twin.

Knows leases. Never decides delivery and never touches availability.
Invariant: a person is connected while one lease lives, then in grace, then lost, once per absence.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from deskwire.realtime.gate import ConnectionId, PresenceChanged, PresenceState, Principal

LEASE_TTL_S: Final = 45.0
LEASE_RENEW_S: Final = 15.0
GRACE_S: Final = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """One connection, held by its node. A crashed node's leases run out by themselves."""

    connection: ConnectionId
    principal: Principal
    node: str
    node_start: int
    device: str = ""
    visible: bool = True
    heard_ms: int = 0  # when this connection was last heard from, Unix ms


class Presence(Protocol):
    async def hold(self, leases: Sequence[Lease], ttl_s: float = LEASE_TTL_S) -> None:
        """Takes or renews; one write per node every 15 s, and at once for a new connection."""
        ...

    async def drop(self, ids: Collection[ConnectionId]) -> None:
        """A clean end; unknown ids are fine."""
        ...

    async def of(self, principals: Collection[Principal]) -> Mapping[Principal, PresenceState]:
        """Every asked principal is answered; one never seen is `lost`."""
        ...

    def changes(self) -> AsyncIterator[PresenceChanged]:
        """Each change from now on, in order; ends when its reader is cancelled."""
        ...


def _loop_time() -> float:
    return asyncio.get_running_loop().time()


@dataclass(slots=True)
class _Held:
    lease: Lease
    until: float


class MemoryPresence:
    """The presence of one process. Changes are found when asked and by `changes`' own timer."""

    def __init__(
        self,
        *,
        grace_s: Callable[[Principal], float] = lambda _: GRACE_S,
        clock: Callable[[], float] = _loop_time,
    ) -> None:
        self._grace_s = grace_s
        self._clock = clock
        self._held: dict[ConnectionId, _Held] = {}
        # When something may end, earliest first; a lease renewed meanwhile is put in again then.
        self._ends: list[tuple[float, int, ConnectionId | Principal]] = []
        self._numbers = itertools.count()
        self._by_person: dict[Principal, set[ConnectionId]] = {}
        self._grace_until: dict[Principal, float] = {}
        self._readers: set[asyncio.Queue[PresenceChanged]] = set()
        self._woken = asyncio.Event()

    async def hold(self, leases: Sequence[Lease], ttl_s: float = LEASE_TTL_S) -> None:
        self._expire()
        until = self._clock() + ttl_s
        for lease in leases:
            self._take(lease, until)
        self._woken.set()

    async def drop(self, ids: Collection[ConnectionId]) -> None:
        self._expire()
        for connection in ids:
            self._release(connection)
        self._woken.set()

    async def of(self, principals: Collection[Principal]) -> Mapping[Principal, PresenceState]:
        self._expire()
        return {who: self._state(who) for who in principals}

    async def changes(self) -> AsyncIterator[PresenceChanged]:
        reader: asyncio.Queue[PresenceChanged] = asyncio.Queue()
        self._readers.add(reader)
        try:
            while True:
                while not reader.empty():
                    yield reader.get_nowait()
                await self._wait_for_a_change()
                self._expire()
        finally:
            self._readers.discard(reader)

    async def _wait_for_a_change(self) -> None:
        self._woken.clear()
        try:
            async with asyncio.timeout(self._ends_in()):
                await self._woken.wait()
        except TimeoutError:
            pass

    def _ends_in(self) -> float | None:
        return max(0.0, self._ends[0][0] - self._clock()) if self._ends else None

    def _ends_at(self, at: float, what: ConnectionId | Principal) -> None:
        heapq.heappush(self._ends, (at, next(self._numbers), what))

    def _take(self, lease: Lease, until: float) -> None:
        known = self._held.get(lease.connection)
        if known is not None:
            if until < known.until:
                self._ends_at(until, lease.connection)
            known.lease, known.until = lease, until
            return
        self._held[lease.connection] = _Held(lease, until)
        self._ends_at(until, lease.connection)
        ids = self._by_person.setdefault(lease.principal, set())
        ids.add(lease.connection)
        self._grace_until.pop(lease.principal, None)
        if len(ids) == 1:
            self._tell(lease.principal, "connected")

    def _release(self, connection: ConnectionId) -> None:
        held = self._held.pop(connection, None)
        if held is None:
            return
        who = held.lease.principal
        ids = self._by_person[who]
        ids.discard(connection)
        if not ids:
            del self._by_person[who]
            self._grace_until[who] = self._clock() + self._grace_s(who)
            self._ends_at(self._grace_until[who], who)
            self._tell(who, "grace")

    def _expire(self) -> None:
        now = self._clock()
        while self._ends and self._ends[0][0] <= now:
            _, _, what = heapq.heappop(self._ends)
            if isinstance(what, Principal):
                self._end_grace(what, now)
            else:
                self._end_lease(what, now)

    def _end_lease(self, connection: ConnectionId, now: float) -> None:
        held = self._held.get(connection)
        if held is None:
            return
        if held.until <= now:
            self._release(connection)
        else:  # it was renewed meanwhile
            self._ends_at(held.until, connection)

    def _end_grace(self, who: Principal, now: float) -> None:
        until = self._grace_until.get(who)
        if until is not None and until <= now:
            del self._grace_until[who]
            self._tell(who, "lost")

    def _state(self, who: Principal) -> PresenceState:
        if who in self._by_person:
            return "connected"
        return "grace" if who in self._grace_until else "lost"

    def _tell(self, who: Principal, state: PresenceState) -> None:
        for reader in self._readers:
            reader.put_nowait(PresenceChanged(who=who, state=state))
        self._woken.set()
