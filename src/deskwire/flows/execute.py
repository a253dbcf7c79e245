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
from random import Random
from typing import Any

from deskwire import telemetry
from deskwire.desk import access
from deskwire.desk import events as ev
from deskwire.desk.commands import COMMANDS, Command, OfConversation, OpenConversation, name_of
from deskwire.desk.decide import decide
from deskwire.desk.decision import Decision, Moment, wrong_state
from deskwire.desk.events import Stream
from deskwire.desk.opening import decide_opening
from deskwire.desk.people import Actor, Principal
from deskwire.desk.refusals import Code, Refusal, invalid
from deskwire.storage import conversations, log, people
from deskwire.storage.engine import Store, StoreBusy, StoreLost, StoreUnavailable, Transaction

RUNS_AGAIN = 3  # after the first: what lost against another transaction, or lost its answer
PAUSE_S = (0.01, 0.05)  # times the number of the try: those who met must not meet again
RETRY_AFTER_S = 1
CHINA_AHEAD_S = 8 * 3600  # conversation numbers count the days of China Standard Time

# The events whose outcome the store keeps whole.
KEPT = (
    ev.ConversationOpened,
    ev.ConversationAssigned,
    ev.ConversationResolved,
    ev.ConversationClosed,
    ev.ParticipantJoined,
    ev.MessagePosted,
    ev.RatingGiven,
    ev.NotePosted,
    ev.ReasonRecorded,
)

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
        dice: Random = Random(),  # noqa: B008, S311  jitter only
    ) -> None:
        self._store = store
        self._ring = ring
        self._now = now
        self._new_id = new_id
        self._dice = dice

    async def run(self, who: Principal, command_id: str, command: Command) -> Accepted | Refusal:
        """Carry out the command as this principal. Cancelling the caller does not undo a COMMIT."""
        # A cancelled request must not leave a writer's connection in the middle of a statement.
        return await asyncio.shield(self._run(who, command_id, command))

    async def _run(self, who: Principal, command_id: str, command: Command) -> Accepted | Refusal:
        if who.realm not in COMMANDS[name_of(command)].realms:
            return Refusal(Code.NOT_ALLOWED)
        content_hash = _hash(command)
        for attempt in range(1 + RUNS_AGAIN):
            if attempt:
                await asyncio.sleep(attempt * self._dice.uniform(*PAUSE_S))
            try:
                return await self._once(who, command_id, content_hash, command)
            except conversations.CapacityExceeded:
                return Refusal(Code.AT_CAPACITY)
            except (StoreBusy, StoreLost) as fault:
                # Also when COMMIT's outcome is unknown: the same id is asked for again, so nothing
                # happens twice, and "failed" might be a lie.
                _log.warning("run_again", command=name_of(command), fault=str(fault))
            except StoreUnavailable as fault:
                _log.warning("store_unavailable", command=name_of(command), fault=str(fault))
                break
        return Refusal(Code.TRY_LATER, {"retry_after_s": RETRY_AFTER_S})

    async def _once(
        self, who: Principal, command_id: str, content_hash: bytes, command: Command
    ) -> Accepted | Refusal:
        moment = Moment(now=self._now(), new_id=self._new_id, command_id=command_id)
        try:
            async with self._store.writing() as conn:
                before = await log.take_command(conn, who, command_id, content_hash, moment.now)
                if before is not None:
                    return _again(command_id, before, content_hash)
                answer, heads = await self._within(conn, who, command, moment)
        except _Refused as refused:
            return refused.refusal
        for stream, head in heads.items():
            self._ring(stream, head.position)
        return answer

    async def _within(
        self, conn: Transaction, who: Principal, command: Command, moment: Moment
    ) -> tuple[Accepted, Mapping[Stream, log.Head]]:
        decision, actor = await self._decide(conn, who, command, moment)
        heads = await conversations.save(conn, decision)
        positions = _visible(actor, decision, heads)
        stored = {"result": dict(decision.result), "positions": positions}
        await log.answer_command(conn, who, moment.command_id, stored)
        answer = Accepted(
            command_id=moment.command_id,
            replayed=False,
            result=decision.result,
            positions=positions,
        )
        return answer, heads

    async def _decide(
        self, conn: Transaction, who: Principal, command: Command, moment: Moment
    ) -> tuple[Decision, Actor]:
        """Lock, read the rights, decide: in this order, so that what was read still stands."""
        if isinstance(command, OpenConversation):
            facts = await conversations.opening(
                conn,
                requester=who.person,
                category_id=command.category_id,
                previous_id=command.previous_id,
                conv_id=moment.new_id(),
                day=_day(moment.now),
            )
            actor = await _actor(conn, who)
            return _decided(decide_opening(actor, command, facts, moment)), actor
        if not isinstance(command, OfConversation):
            raise _Refused(invalid("name"))
        state = await conversations.load(conn, command.conv)
        actor = await _actor(conn, who)
        if state is None:
            raise _Refused(Refusal(Code.NOT_FOUND))
        decision = _decided(decide(actor, state, command, moment))
        if not _is_kept(decision):
            raise _Refused(wrong_state(state))
        return decision, actor


def _is_kept(decision: Decision) -> bool:
    """Whether the store keeps all that was decided.

    Today it knows no hold, no requeue, no reopening: what leads there is refused as out of place.
    """
    return all(isinstance(event.data, KEPT) for event in decision.events)


class _Refused(Exception):
    """Carries a refusal out of the transaction, which is thereby rolled back and leaves the id
    free.
    """

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


async def _actor(conn: Transaction, who: Principal) -> Actor:
    actor = await people.actor(conn, who)
    if actor is None:
        raise _Refused(Refusal(Code.NOT_ALLOWED))
    return actor


def _decided(decision: Decision | Refusal) -> Decision:
    if isinstance(decision, Refusal):
        raise _Refused(decision)
    return decision


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
