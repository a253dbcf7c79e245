"""Who of the agents has a connection → the rows by which they would be lost.

The rules read presence from these rows, so no node asks another. While a connection lives its node
moves the row; what moves it no more lets it fall due. Availability is never touched here.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence

from deskwire import telemetry
from deskwire.desk.commands import RegainAgent
from deskwire.desk.deadlines import BEAT_MS, TimerKind, agent_lost_due
from deskwire.desk.people import SYSTEM, Realm
from deskwire.desk.refusals import Code, Refusal
from deskwire.flows.execute import Execute
from deskwire.realtime.connection import Closed, Hook, Opened
from deskwire.realtime.presence import LEASE_TTL_S
from deskwire.storage import agents, due, office, queues
from deskwire.storage.due import Clock
from deskwire.storage.engine import Store, StoreUnavailable, Transaction, surviving, uncut

LEASE_MS = int(LEASE_TTL_S * 1000)
AGAIN_S = 1.0
PAUSE_S = 0.1  # between two writes: a storm of arrivals is few of them

_KIND = TimerKind.AGENT_LOST.value
_log = telemetry.logger("flows")


class Attendance:
    """Keeps one row for each agent who is connected here. Give `heard` to the manager's hooks.

    `due()` is called when the dispatcher has somebody new to look at, `changed()` after a COMMIT by
    which somebody is there or gone.
    """

    def __init__(
        self,
        store: Store,
        *,
        execute: Execute,
        clock: Clock,
        new_id: Callable[[], str],
        due: Callable[[], None],
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._execute = execute
        self._clock = clock
        self._new_id = new_id
        self._due = due
        self._changed = changed
        self._here: Counter[str] = Counter()
        self._came: set[str] = set()
        self._left: set[str] = set()
        self._some = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Attendance here={len(self._here)}>"

    def heard(self, hook: Hook) -> None:
        """Take note of a connection that opened or closed. Returns at once."""
        if not isinstance(hook, Opened | Closed) or hook.who.realm != Realm.AGENT.value:
            return
        person = hook.who.person
        if isinstance(hook, Opened):
            self._here[person] += 1
            if self._here[person] == 1:
                self._came.add(person)
                self._left.discard(person)
        elif self._here[person] > 1:
            self._here[person] -= 1
        else:
            del self._here[person]
            self._left.add(person)
            self._came.discard(person)
        self._some.set()

    async def start(self) -> None:
        """Nobody is lost for the time in which no node ran: they have the grace to come back."""
        async with self._store.writing() as conn:
            now = await self._clock.now(conn)
            await due.not_before(conn, _KIND, now + await _grace_ms(conn))

    async def run(self) -> None:
        """Until cancelled: write what changes at once, and move every row in time."""
        is_started = False
        while True:
            is_well = False
            with surviving(_log, waits="attendance_waits", failed="attendance_failed"):
                if not is_started:
                    await uncut(self.start())
                    is_started = True
                await uncut(self.flush())
                await uncut(self.beat())
                await self._changes_until_the_next()
                is_well = True
            if not is_well:
                await asyncio.sleep(AGAIN_S)

    async def stop(self) -> None:
        """Whoever was here is not: else the rules would count on them for the rest of a lease."""
        try:
            await self.flush()
        except StoreUnavailable as fault:
            _log.warning("attendance_lost", fault=str(fault))

    async def _changes_until_the_next(self) -> None:
        until = asyncio.get_running_loop().time() + BEAT_MS / 1000
        while await self._is_something_before(until):
            await uncut(self.flush())
            await asyncio.sleep(PAUSE_S)

    async def _is_something_before(self, until: float) -> bool:
        try:
            async with asyncio.timeout_at(until):
                await self._some.wait()
        except TimeoutError:
            return False
        return True

    async def flush(self) -> None:
        """Write who came and who left. What the store does not take stays for the next time."""
        self._some.clear()
        came, left = sorted(self._came), sorted(self._left)
        if not came and not left:
            return
        async with self._store.writing() as conn:
            now, grace_ms = await self._clock.now(conn), await _grace_ms(conn)
            dues = dict.fromkeys(left, now + grace_ms)
            dues |= dict.fromkeys(came, agent_lost_due(now + LEASE_MS, grace_ms // 1000))
            await due.arm_all(conn, _KIND, dues)
            # Whoever is connected now may be what a queue waited for.
            groups = await agents.groups_of(conn, came)
            await due.arm_all(conn, TimerKind.DISPATCH.value, dict.fromkeys(groups, now))
        self._left -= set(left)
        self._changed()
        if came:
            self._due()
            self._came -= set(came) - await self._regain(came)

    async def beat(self) -> None:
        """Move the rows of all who are here."""
        if not self._here:
            return
        async with self._store.writing() as conn:
            grace_s = await _grace_ms(conn) // 1000
            at = agent_lost_due(await self._clock.now(conn) + LEASE_MS, grace_s)
            await due.arm_all(conn, _KIND, dict.fromkeys(self._here, at))

    async def _regain(self, came: Sequence[str]) -> set[str]:
        """They are absent no longer. Returns for whom the store could not answer, to ask again."""
        async with self._store.reading() as conn:
            absent = await queues.absent_from(conn, came)
        unanswered: set[str] = set()
        for conv, person in absent:
            back = RegainAgent(conv=conv, agent=person)
            answer = await self._execute.run(SYSTEM.principal, self._new_id(), back)
            if isinstance(answer, Refusal) and answer.code is Code.TRY_LATER:
                unanswered.add(person)
        return unanswered


async def _grace_ms(conn: Transaction) -> int:
    return (await office.settings(conn)).presence_grace_s * 1000
