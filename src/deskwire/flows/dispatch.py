"""A group's queue → offers: what the rule proposes becomes `make_offer`, one command each.

Two looks at once are harmless: every offer is decided again in its own transaction, and indexes
keep one for each conversation and each agent. While anything waits it is looked at every 15 s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from deskwire import telemetry
from deskwire.desk.commands import MakeOffer
from deskwire.desk.conversation import Conversation
from deskwire.desk.deadlines import SWEEP_MS, TimerKind, next_edge
from deskwire.desk.people import SYSTEM
from deskwire.desk.refusals import Refusal
from deskwire.desk.routing import Dispatch, Proposal, dispatch
from deskwire.flows.execute import Execute
from deskwire.storage import agents, office, queues
from deskwire.storage.due import Clock, arm
from deskwire.storage.engine import Store, surviving, uncut

AGAIN_MS = 1_000  # where a proposal met something that had changed

_log = telemetry.logger("flows")


class Dispatcher:
    """Looks at queues. Whether an offer stands is never its own to say.

    `due()` is called when a timer has become due, `explained(group)` when its queue waits for
    another reason than before.
    """

    def __init__(
        self,
        store: Store,
        *,
        execute: Execute,
        clock: Clock,
        new_id: Callable[[], str],
        due: Callable[[], None],
        explained: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._execute = execute
        self._clock = clock
        self._new_id = new_id
        self._due = due
        self._explained = explained

    async def run(self) -> None:
        """Until cancelled: the net under the rows, for a queue that has none."""
        while True:
            with surviving(_log, waits="sweep_waits", failed="sweep_failed"):
                await uncut(self.sweep())
            await asyncio.sleep(SWEEP_MS / 1000)

    async def sweep(self) -> None:
        """Let every queue in which something waits be looked at, if nothing else says when."""
        async with self._store.writing() as conn:
            now = await self._clock.now(conn)
            left = await queues.without_a_look(conn)
            for group_id in left:
                await arm(conn, TimerKind.DISPATCH.value, group_id, now)
        if left:
            self._due()

    async def look(self, group_id: str) -> int | None:
        """One look at a queue. Returns when the next is due (Unix ms), none: nothing waits."""
        async with self._store.reading() as conn:
            now = await self._clock.now(conn)
            group = await office.group(conn, group_id)
            if group is None:
                return None
            grace_s = (await office.settings(conn)).presence_grace_s
            queue = await queues.of_group(conn, group_id)
            waiting = await queues.for_dispatch(conn, queue, now)
            staff = await agents.of_group(conn, group_id, grace_s=grace_s, now=now)
        found = dispatch(group, waiting, staff, now)
        if await self._explain(queue, found):
            self._explained(group_id)
        refused = [each for each in found.proposals if not await self._offer(each)]
        return now + AGAIN_MS if refused else found.again_at

    async def edge(self, group_id: str) -> int | None:
        """The group opens or closes: look at its queue now, and at the next edge again."""
        async with self._store.writing() as conn:
            now = await self._clock.now(conn)
            group = await office.group(conn, group_id)
            await arm(conn, TimerKind.DISPATCH.value, group_id, now)
        return next_edge(group.hours, now) if group else None

    async def _offer(self, proposal: Proposal) -> bool:
        command = MakeOffer(conv=proposal.conv_id, agent=proposal.agent)
        answer = await self._execute.run(SYSTEM.principal, self._new_id(), command)
        if isinstance(answer, Refusal):
            _log.info("not_offered", conv=proposal.conv_id, code=answer.code.value)
            return False
        return True

    async def _explain(self, queue: list[Conversation], found: Dispatch) -> bool:
        """Write the reasons that are others than those that stand. Returns whether any is."""
        stood = {state.conv_id: state.waiting_reason for state in queue}
        reasons: dict[str, str | None] = {each.conv_id: None for each in found.proposals}
        reasons |= {conv_id: reason.value for conv_id, reason in found.reasons.items()}
        changed = {conv: reason for conv, reason in reasons.items() if stood[conv] != reason}
        if changed:
            async with self._store.writing() as conn:
                await queues.explain(conn, changed)
        return bool(changed)
