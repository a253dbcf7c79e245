"""Who is there → agents' pages, as a passing sign; an employee's only to staff of what they are in.

An agent's presence is read from the rows of `attendance`, so every node says the same; that of an
employee is the connections' own. Shown and no more: it decides neither delivery nor availability.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from deskwire import telemetry
from deskwire.desk import access
from deskwire.desk import events as ev
from deskwire.desk.people import PersonId, Presence, Principal, Realm
from deskwire.realtime import gate as port
from deskwire.realtime import presence as leases
from deskwire.realtime.frames import Ephemeral
from deskwire.storage import agents, conversations, office
from deskwire.storage.agents import Present
from deskwire.storage.due import Clock
from deskwire.storage.engine import Store, StoreUnavailable, Transaction, surviving, uncut

EVERY_S = 1.0
NET_S = 5.0  # a grace that ran out, and what another node wrote, is found by this look
BATCH_MAX = 100
AGENTS_MAX = 500  # of a larger desk only /boot says who is there: each would hear of each
CHANGED_MAX = 10_000  # employees who wait to be told of; the oldest go first

_log = telemetry.logger("flows")


class Presences:
    """Tells agents of each other's presence and load, and staff of their employees' presence.

    `is_partial`: another node may have connections that `registry` does not know of.
    """

    def __init__(
        self,
        store: Store,
        *,
        sign: Callable[[Ephemeral], None],
        clock: Clock,
        registry: leases.Presence,
        is_partial: bool,
    ) -> None:
        self._store = store
        self._sign = sign
        self._clock = clock
        self._registry = registry
        self._is_partial = is_partial
        self._some = asyncio.Event()
        self._told: dict[PersonId, Present] = {}
        self._changed: dict[Principal, Presence] = {}

    def moved(self) -> None:
        """An agent came or went, or has another load. Returns at once."""
        self._some.set()

    def rung(self, stream: str) -> None:
        """A stream has a new event: on a board it may have changed a load. Returns at once."""
        if stream.startswith("queue:"):
            self.moved()

    async def reported(self, reports: Sequence[port.Report]) -> None:
        """Take employees' comings and goings; other reports are somebody else's."""
        for report in reports:
            if isinstance(report, port.PresenceChanged) and report.who.realm == Realm.EMPLOYEE:
                who = Principal(Realm.EMPLOYEE, PersonId(report.who.person))
                self._changed.pop(who, None)
                self._changed[who] = Presence(report.state)
                self._some.set()
        for who in list(self._changed)[: max(0, len(self._changed) - CHANGED_MAX)]:
            del self._changed[who]

    async def run(self) -> None:
        """Until cancelled. The first change of a quiet time is told at once."""
        while True:
            # A sign that is lost is told with the next look at its stream.
            with surviving(_log, waits="presence_waits", failed="presence_failed"):
                await uncut(self.tell())
            await asyncio.sleep(EVERY_S)
            try:
                async with asyncio.timeout(NET_S):
                    await self._some.wait()
            except TimeoutError:
                continue

    async def tell(self) -> None:
        """Tell of every agent of whom something else was told last, and of employees who moved."""
        self._some.clear()
        async with self._store.reading() as conn:
            found = await self._agents(conn)
        self._tell_of_agents(found)
        while self._changed:
            await self._tell_of_employees(dict(list(self._changed.items())[:BATCH_MAX]))

    async def signs(self, stream: ev.Stream) -> Sequence[Ephemeral]:
        """The agents as told last, or the employees of one conversation for its staff."""
        conv_id = access.conversation_of(stream)
        if stream == ev.DESK_STREAM:
            # A page is given the newest of many signs: those who are there must be among them.
            return [_of_agent(each) for each in sorted(self._told.values(), key=_who_counts_last)]
        if conv_id is not None and stream == ev.staff_stream(conv_id):
            return await self._of_staff(conv_id)
        return ()

    async def _agents(self, conn: Transaction) -> list[Present]:
        grace_s = (await office.settings(conn)).presence_grace_s
        now = await self._clock.now(conn)
        return await agents.present(conn, grace_s=grace_s, now=now, limit=AGENTS_MAX + 1)

    def _tell_of_agents(self, found: Sequence[Present]) -> None:
        if len(found) > AGENTS_MAX:
            self._told.clear()
            return
        now = {each.agent: each for each in found}
        gone = [Present(who, Presence.LOST, 0) for who in self._told.keys() - now.keys()]
        changed = [each for who, each in now.items() if self._told.get(who) != each]
        self._told = now
        for each in (*gone, *changed):
            self._sign(_of_agent(each))

    async def _of_staff(self, conv_id: str) -> Sequence[Ephemeral]:
        async with self._store.reading() as conn:
            sight = (await conversations.sights(conn, [conv_id])).get(conv_id)
        members = sight.participants if sight else ()
        there = [each.principal for each in members if each.left_at is None]
        employees = [who for who in there if who.realm is Realm.EMPLOYEE]
        states = await self._registry.of([port.Principal(*who) for who in employees])
        return [
            self._of_employee(who, conv_id, Presence(states[port.Principal(*who)]))
            for who in employees
        ]

    async def _tell_of_employees(self, changed: Mapping[Principal, Presence]) -> None:
        """What cannot be read stays to be told."""
        for who in changed:
            del self._changed[who]
        try:
            async with self._store.reading() as conn:
                people = [who.person for who in changed]
                found = await conversations.of_employees(conn, people)
        except StoreUnavailable:
            self._changed = {**changed, **self._changed}
            raise
        for who, state in changed.items():
            for conv_id in found.get(who.person, ()):
                self._sign(self._of_employee(who, conv_id, state))

    def _of_employee(self, who: Principal, conv_id: str, state: Presence) -> Ephemeral:
        more = {"load": None, "partial": self._is_partial}
        return _presence(ev.staff_stream(conv_id), who, state, more)


def _who_counts_last(each: Present) -> int:
    return (Presence.LOST, Presence.GRACE, Presence.CONNECTED).index(each.presence)


def _of_agent(each: Present) -> Ephemeral:
    who = Principal(Realm.AGENT, each.agent)
    return _presence(ev.DESK_STREAM, who, each.presence, {"load": each.load})


def _presence(
    stream: ev.Stream, who: Principal, state: Presence, more: Mapping[str, Any]
) -> Ephemeral:
    realm, person = who
    return Ephemeral(
        stream=stream,
        type="presence",
        key=f"presence:{realm.value}:{person}",
        ttl_ms=None,
        data={"principal": {"realm": realm.value, "id": person}, "state": state.value, **more},
    )
