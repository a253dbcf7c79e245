"""Due rows → commands, under leases: looked for every second, and at once after a commit.

A timer does nothing by itself. It becomes a command whose guard is asked again, so one that comes
late, twice, or after its reason is gone changes nothing. Invariant: a row is removed after what it
led to has been committed, and only if nobody has armed it anew meanwhile.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence

from deskwire import telemetry
from deskwire.desk import commands as ask
from deskwire.desk.deadlines import TimerKind
from deskwire.desk.people import SYSTEM
from deskwire.desk.refusals import Code, Refusal
from deskwire.flows.execute import Execute
from deskwire.storage import offers, queues
from deskwire.storage.due import CLAIMS_MAX, LEASE_MS, TIMERS, Claim, Clock
from deskwire.storage.engine import Store, StoreUnavailable, surviving, uncut

EVERY_S = 1.0

# What a timer of another path leads to, by its key: when it is to come again, none: it is done.
Handler = Callable[[str], Awaitable[int | None]]

OF_CONVERSATION: Mapping[TimerKind, Callable[[str], ask.OfConversation]] = {
    TimerKind.FIRST_ANSWER: lambda conv: ask.MissFirstAnswer(conv=conv),
    TimerKind.PREFERENCE_OVER: lambda conv: ask.DropPreference(conv=conv),
    TimerKind.HOLD_RETURN: lambda conv: ask.ReturnFromHold(conv=conv),
    TimerKind.REMINDER: lambda conv: ask.RemindRequester(conv=conv),
    TimerKind.AUTO_RESOLVE: lambda conv: ask.AutoResolve(conv=conv),
    TimerKind.AUTO_CLOSE: lambda conv: ask.CloseResolved(conv=conv),
}

_log = telemetry.logger("flows")


class Timers:
    """Carries out what is due. `others` are the kinds that lead to more than one command."""

    def __init__(
        self,
        store: Store,
        *,
        execute: Execute,
        clock: Clock,
        others: Mapping[TimerKind, Handler],
    ) -> None:
        self._store = store
        self._execute = execute
        self._clock = clock
        self._others = others
        self._some = asyncio.Event()

    def wake(self) -> None:
        """Look at once: something is due."""
        self._some.set()

    async def run(self) -> None:
        """Until cancelled. A store that does not answer is asked again in a second."""
        while True:
            self._some.clear()
            with surviving(_log, waits="timers_wait", failed="timers_failed"):
                while await uncut(self.round()) == CLAIMS_MAX:
                    pass
            try:
                async with asyncio.timeout(EVERY_S):
                    await self._some.wait()
            except TimeoutError:
                continue

    async def round(self) -> int:
        """Carry out what is due now, at most sixteen rows. Returns how many there were."""
        async with self._store.writing() as conn:
            claims = await TIMERS.claim(conn, self._clock)
        for claim in claims:
            try:
                again_at = await self._carry_out(claim)
            except StoreUnavailable:
                raise
            except Exception:  # noqa: BLE001
                # Its lease ends, and it is tried again then; the others go on.
                _log.exception("timer_failed", kind=claim.key[0], key=claim.key[1])
                continue
            await self._give_back(claim, again_at)
        return len(claims)

    async def _give_back(self, claim: Claim, again_at: int | None) -> None:
        async with self._store.writing() as conn:
            if again_at is None:
                await TIMERS.finish(conn, claim)
            else:
                await TIMERS.postpone(conn, claim, again_at)

    async def _carry_out(self, claim: Claim) -> int | None:
        kind, key = TimerKind(claim.key[0]), claim.key[1]
        match kind:
            case TimerKind.OFFER_EXPIRY:
                commands = await self._expiry(key)
            case TimerKind.AGENT_LOST:
                commands = await self._losses(key)
            case _ if kind in self._others:
                return await self._others[kind](key)
            case _:
                commands = [OF_CONVERSATION[kind](key)]
        return await self._send(claim, commands)

    async def _expiry(self, offer_id: str) -> list[ask.OfConversation]:
        async with self._store.reading() as conn:
            conv = await offers.conversation_of(conn, offer_id)
        return [ask.ExpireOffer(conv=conv, offer_id=offer_id)] if conv else []

    async def _losses(self, agent: str) -> list[ask.OfConversation]:
        """One command for each conversation that the agent has in hand."""
        async with self._store.reading() as conn:
            convs = await queues.in_hand(conn, agent)
        return [ask.LoseAgent(conv=conv, agent=agent) for conv in convs]

    async def _send(self, claim: Claim, commands: Sequence[ask.OfConversation]) -> int | None:
        """A guard that says no has the last word; a store that could not answer has not, nor one
        that says when: a time that was made longer is waited for.
        """
        answers = [
            await self._execute.run(SYSTEM.principal, _id(claim, command), command)
            for command in commands
        ]
        waits_s = [
            int(each.detail["retry_after_s"])
            for each in answers
            if isinstance(each, Refusal) and each.code is Code.TRY_LATER
        ]
        return claim.lease_until - LEASE_MS + min(waits_s) * 1000 if waits_s else None


def _id(claim: Claim, command: ask.OfConversation) -> str:
    """The same for one claim, whoever runs it; another for the next one."""
    what = ":".join((*claim.key, str(claim.lease_no), command.conv))
    return "timer:" + hashlib.sha256(what.encode()).hexdigest()[:40]
