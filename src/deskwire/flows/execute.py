"""Command → decide → append → COMMIT → ring: the one way in, and the only writer of events.

Whoever gets an `Accepted` may rely on it: the transaction has been committed. The same command id
with the same content is answered again without another effect. Invariant: a ring follows its
COMMIT, never goes before it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from deskwire import telemetry
from deskwire.desk import access
from deskwire.desk.commands import COMMANDS, Command, OpenConversation, name_of
from deskwire.desk.conversation import Decision, Moment, decide, decide_opening
from deskwire.desk.events import Stream
from deskwire.desk.people import Actor, Principal
from deskwire.desk.refusals import Code, Refusal
from deskwire.storage import conversations, log, people
from deskwire.storage.engine import Store, StoreUnavailable, Transaction

TRIES = 3
RETRY_AFTER_S = 1
CHINA_AHEAD_S = 8 * 3600  # conversation numbers count the days of China Standard Time

_log = telemetry.logger("flows")

Places = Mapping[str, list[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The command took effect, now or before.

    `positions` names streams that the sender may watch.
    """

    command_id: str
    replayed: bool
    result: Mapping[str, Any] = field(default_factory=dict)
    positions: Places = field(default_factory=dict)


class Execute:
    """Runs commands. `ring(stream, position)` is called once per stream after each COMMIT."""

    def __init__(
        self,
        store: Store,
        *,
        ring: Callable[[str, int], None],
        now: Callable[[], int],
        new_id: Callable[[], str],
    ) -> None:
        self._store = store
        self._ring = ring
        self._now = now
        self._new_id = new_id

    async def run(self, who: Principal, command_id: str, command: Command) -> Accepted | Refusal:
        """Carry out the command as this principal. Cancelling the caller does not undo a COMMIT."""
        # A cancelled request must not leave the one writer's connection in the middle of a
        # statement.
        return await asyncio.shield(self._run(who, command_id, command))

    async def _run(self, who: Principal, command_id: str, command: Command) -> Accepted | Refusal:
        content_hash = _hash(command)
        for _ in range(TRIES):
            try:
                return await self._once(who, command_id, content_hash, command)
            except conversations.CapacityExceeded:
                return Refusal(Code.AT_CAPACITY)
            except StoreUnavailable as fault:
                # Also when COMMIT's outcome is unknown: the same id is asked for again, so nothing
                # happens twice.
                _log.warning("store_unavailable", command=name_of(command), fault=str(fault))
        return Refusal(Code.TRY_LATER, {"retry_after_s": RETRY_AFTER_S})

    async def _once(
        self, who: Principal, command_id: str, content_hash: bytes, command: Command
    ) -> Accepted | Refusal:
        try:
            async with self._store.writing() as conn:
                answer, heads = await self._within(conn, who, command_id, content_hash, command)
        except _Refused as refused:
            return refused.refusal
        for stream, head in heads.items():
            self._ring(stream, head.position)
        return answer

    async def _within(
        self,
        conn: Transaction,
        who: Principal,
        command_id: str,
        content_hash: bytes,
        command: Command,
    ) -> tuple[Accepted, Mapping[Stream, log.Head]]:
        before = await log.remembered(conn, who, command_id)
        if before is not None:
            return _again(command_id, before, content_hash), {}
        actor = await people.actor(conn, who)
        if actor is None or who.realm not in COMMANDS[name_of(command)].realms:
            raise _Refused(Refusal(Code.NOT_ALLOWED))
        now = self._now()
        moment = Moment(now=now, new_id=self._new_id, command_id=command_id)
        decision = await self._decide(conn, actor, command, moment)
        if isinstance(decision, Refusal):
            raise _Refused(decision)
        heads = await conversations.save(conn, decision)
        positions = _visible(actor, decision, heads)
        stored = {"result": dict(decision.result), "positions": positions}
        await log.remember(conn, who, command_id, content_hash, stored, now)
        answer = Accepted(
            command_id=command_id, replayed=False, result=decision.result, positions=positions
        )
        return answer, heads

    async def _decide(
        self, conn: Transaction, actor: Actor, command: Command, moment: Moment
    ) -> Decision | Refusal:
        if isinstance(command, OpenConversation):
            facts = await conversations.opening(
                conn,
                requester=actor.principal.person,
                category_id=command.category_id,
                previous_id=command.previous_id,
                conv_id=moment.new_id(),
                day=_day(moment.now),
            )
            return decide_opening(actor, command, facts, moment)
        state = await conversations.load(conn, command.conv)
        if state is None:
            return Refusal(Code.NOT_FOUND)
        return decide(actor, state, command, moment)


class _Refused(Exception):
    """Carries a refusal out of the transaction, which is thereby rolled back and leaves the id
    free.
    """

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


def _again(command_id: str, before: log.Remembered, content_hash: bytes) -> Accepted:
    if before.content_hash != content_hash:
        raise _Refused(Refusal(Code.COMMAND_ID_REUSED))
    return Accepted(command_id=command_id, replayed=True, **before.result)


def _visible(actor: Actor, decision: Decision, heads: Mapping[Stream, log.Head]) -> Places:
    """Where the change stands, for the streams that the sender may watch."""
    sight = decision.state.sight
    return {
        stream: [head.epoch, head.position]
        for stream, head in heads.items()
        if access.sees(actor, stream, sight) is not None
    }


def _hash(command: Command) -> bytes:
    content = json.dumps([name_of(command), asdict(command)], sort_keys=True)
    return hashlib.sha256(content.encode()).digest()


def _day(now_ms: int) -> str:
    return time.strftime("%Y%m%d", time.gmtime(now_ms // 1000 + CHINA_AHEAD_S))
