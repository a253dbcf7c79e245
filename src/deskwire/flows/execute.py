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
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from random import Random
from typing import Any

from deskwire import telemetry
from deskwire.desk import access
from deskwire.desk.administration import DeskDecision, decide_availability, decide_office
from deskwire.desk.commands import (
    COMMANDS,
    Command,
    OfConversation,
    OfDraft,
    OpenConversation,
    SaveDraft,
    SetAvailability,
    name_of,
)
from deskwire.desk.deadlines import Arm, Timer
from deskwire.desk.decide import NEEDS, decide
from deskwire.desk.decision import Decision, Moment
from deskwire.desk.drafts import decide_draft
from deskwire.desk.events import Event, Stream, personal_stream
from deskwire.desk.office_commands import OfOffice
from deskwire.desk.opening import decide_opening
from deskwire.desk.people import SYSTEM, Actor, Principal
from deskwire.desk.rates import one_more, rates_of
from deskwire.desk.refusals import Code, Refusal
from deskwire.realtime.frames import Ephemeral
from deskwire.storage import (
    agents,
    attachments,
    conversations,
    decisions,
    drafts,
    facts,
    log,
    office,
    people,
    rates,
    records,
)
from deskwire.storage.due import Clock
from deskwire.storage.engine import (
    Store,
    StoreBusy,
    StoreLost,
    StoreUnavailable,
    Transaction,
    uncut,
)

RUNS_AGAIN = 3  # after the first: what lost against another transaction, or lost its answer
PAUSE_S = (0.01, 0.05)  # times the number of the try: those who met must not meet again
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
    """Runs commands. `ring(stream, position)` is called once per stream after each COMMIT, and
    `sign` with what a command leaves that is no event.

    `due()` is called after a COMMIT that armed a timer which is due already, `happened(events)`
    after each one, before anybody is rung. The time of a decision
    is `clock`'s, the one that due times are compared with.
    """

    def __init__(
        self,
        store: Store,
        *,
        ring: Callable[[str, int], None],
        clock: Clock,
        new_id: Callable[[], str],
        due: Callable[[], None] = lambda: None,
        sign: Callable[[Ephemeral], None] = lambda _: None,
        happened: Callable[[Sequence[Event]], None] = lambda _: None,
        dice: Random = Random(),  # noqa: B008, S311  jitter only
    ) -> None:
        self._store = store
        self._ring = ring
        self._clock = clock
        self._due = due
        self._sign = sign
        self._happened = happened
        self._new_id = new_id
        self._dice = dice

    async def run(
        self, who: Principal, command_id: str, command: Command, *, is_rated: bool = False
    ) -> Accepted | Refusal:
        """Carry out the command as this principal.

        Whoever is cancelled meanwhile waits for its end: what is begun is carried out whole.

        `is_rated`: it comes from outside, where a person may send so many in a time.
        """
        asked = _Asked(who, command_id, command, _hash(command), is_rated)
        return await uncut(self._run(asked))

    async def _run(self, asked: _Asked) -> Accepted | Refusal:
        command = asked.command
        if asked.who.realm not in COMMANDS[name_of(command)].realms:
            return Refusal(Code.NOT_ALLOWED)
        last = Refusal(Code.TRY_LATER, {"retry_after_s": RETRY_AFTER_S})
        for attempt in range(1 + RUNS_AGAIN):
            if attempt:
                await asyncio.sleep(attempt * self._dice.uniform(*PAUSE_S))
            try:
                return await self._once(asked)
            except decisions.Overtaken as fault:
                last = _overtaken(fault)
            except (StoreBusy, StoreLost) as fault:
                # Also when COMMIT's outcome is unknown: the same id is asked for again, so nothing
                # happens twice, and "failed" might be a lie.
                _log.warning("run_again", command=name_of(command), fault=str(fault))
            except StoreUnavailable as fault:
                _log.warning("store_unavailable", command=name_of(command), fault=str(fault))
                break
        return last

    async def _once(self, asked: _Asked) -> Accepted | Refusal:
        who, command_id = asked.who, asked.command_id
        try:
            async with self._store.writing() as conn:
                now = await self._clock.now(conn)
                before = await log.take_command(conn, who, command_id, asked.content_hash, now)
                if before is not None:
                    return _again(command_id, before, asked.content_hash)
                if asked.is_rated:
                    await _counted(conn, who, asked.command, now)
                moment = Moment(now=now, new_id=self._new_id, command_id=command_id)
                written = await _written(conn, who, asked.command, moment)
                stored = {"result": dict(written.result), "positions": written.positions}
                await log.answer_command(conn, who, command_id, stored)
        except _Refused as refused:
            return refused.refusal
        except decisions.PushSettledBefore:
            return Refusal(Code.VERSION_CHANGED, {"version": None})
        self._happened(written.events)
        for stream, head in written.heads.items():
            self._ring(stream, head.position)
        for sign in written.signs:
            self._sign(sign)
        if written.is_due:
            self._due()
        return Accepted(
            command_id=command_id,
            replayed=False,
            result=written.result,
            positions=written.positions,
        )


@dataclass(frozen=True, slots=True)
class _Asked:
    who: Principal
    command_id: str
    command: Command
    content_hash: bytes
    is_rated: bool


@dataclass(frozen=True, slots=True)
class _Written:
    """What stands in the transaction, to be said after its COMMIT."""

    result: Mapping[str, Any]
    positions: Places = field(default_factory=dict)
    heads: Mapping[Stream, log.Head] = field(default_factory=dict)
    events: Sequence[Event] = ()
    is_due: bool = False
    signs: tuple[Ephemeral, ...] = ()


async def _counted(conn: Transaction, who: Principal, command: Command, now: int) -> None:
    for rate in rates_of(command):
        oldest = await rates.oldest_that_counts(conn, who, rate)
        refusal = one_more(rate, oldest, now) if oldest is not None else None
        if refusal is not None:
            raise _Refused(refusal)


async def _written(conn: Transaction, who: Principal, command: Command, moment: Moment) -> _Written:
    """Lock, read the rights, decide, write: in this order, so that what was read still stands."""
    match command:
        case SetAvailability():
            return await _available(conn, who, command, moment)
        case _ if isinstance(command, OfOffice):
            return await _administered(conn, who, command, moment)
        case _ if isinstance(command, OfDraft):
            return await _drafted(conn, who, command, moment)
        case OpenConversation():
            actor, decision = await _opened(conn, who, command, moment)
        case _:
            actor, decision = await _changed(conn, who, command, moment)
    heads = await decisions.save(conn, decision, now=moment.now)
    return _Written(
        result=decision.result,
        positions=_visible(actor, decision.state.sight, heads),
        heads=heads,
        events=decision.events,
        is_due=_is_due(decision.timers, moment.now),
    )


async def _opened(
    conn: Transaction, who: Principal, command: OpenConversation, moment: Moment
) -> tuple[Actor, Decision]:
    known = await conversations.opening(
        conn,
        requester=who.person,
        category_id=command.category_id,
        previous_id=command.previous_id,
        attached=command.attachments,
        conv_id=moment.new_id(),
        day=_day(moment.now),
    )
    actor = await _actor(conn, who)
    return actor, _decided(decide_opening(actor, command, known, moment))


async def _changed(
    conn: Transaction, who: Principal, command: OfConversation, moment: Moment
) -> tuple[Actor, Decision]:
    if "unclosed" in NEEDS[type(command)]:
        # Such a command may make a second unclosed one, as an opening may: they take turns.
        requester = await conversations.requester_of(conn, command.conv)
        if requester is not None:
            await people.lock(conn, requester)
    state = await conversations.load(conn, command.conv)
    actor = await _actor(conn, who)
    if state is None:
        raise _Refused(Refusal(Code.NOT_FOUND))
    known = await facts.read(conn, actor, state, command, moment.now)
    return actor, _decided(decide(actor, state, command, moment, known))


async def _available(
    conn: Transaction, who: Principal, command: SetAvailability, moment: Moment
) -> _Written:
    actor = await _actor(conn, who)
    named = command.agent or who.person
    grace_s = (await office.settings(conn)).presence_grace_s
    found = await agents.read(conn, [named], grace_s=grace_s, now=moment.now)
    decided = decide_availability(actor, command, found[0] if found else None, moment)
    return await _of_the_desk(conn, actor, decided, moment)


async def _administered(
    conn: Transaction, who: Principal, command: OfOffice, moment: Moment
) -> _Written:
    await records.take_turns(conn)
    actor = await _actor(conn, who)
    known = await records.facts(conn, actor, command)
    return await _of_the_desk(conn, actor, decide_office(actor, command, known, moment), moment)


async def _of_the_desk(
    conn: Transaction, actor: Actor, decided: DeskDecision | Refusal, moment: Moment
) -> _Written:
    if isinstance(decided, Refusal):
        raise _Refused(decided)
    heads = await decisions.save_desk(conn, decided, now=moment.now)
    return _Written(
        result=decided.result,
        positions=_visible(actor, None, heads),
        heads=heads,
        events=decided.events,
        is_due=_is_due(decided.timers, moment.now),
    )


async def _drafted(conn: Transaction, who: Principal, command: OfDraft, moment: Moment) -> _Written:
    """No event: the agent's other pages are told by a sign that there is something to load."""
    conv, mode = command.conv, command.mode
    sight = (await conversations.sights(conn, [conv])).get(conv)
    actor = await _actor(conn, who)
    if sight is None:
        raise _Refused(Refusal(Code.NOT_FOUND))
    kept = await drafts.find(conn, who.person, conv, mode)
    named = command.attachments if isinstance(command, SaveDraft) else ()
    decided = decide_draft(actor, command, sight, kept, await attachments.named(conn, named))
    if isinstance(decided, Refusal):
        raise _Refused(decided)
    if decided.draft is not None:
        await drafts.save(conn, decided.draft, moment.now)
    else:
        await drafts.drop(conn, who.person, conv, mode)
    said = Ephemeral(
        stream=personal_stream(who),
        type="draft",
        key=f"draft:{conv}:{mode}",
        data={"conv": conv, "mode": mode, "rev": decided.rev},
    )
    return _Written(result={"rev": decided.rev}, signs=(said,))


def _is_due(timers: Iterable[Timer], now: int) -> bool:
    return any(isinstance(each, Arm) and each.due <= now for each in timers)


def _overtaken(fault: decisions.Overtaken) -> Refusal:
    """What is said where reading again has not helped."""
    match fault:
        case decisions.CapacityExceeded():
            return Refusal(Code.AT_CAPACITY)
        case decisions.OfferEndedBefore():
            return Refusal(Code.OFFER_OVER)
        case _:
            return Refusal(Code.TRY_LATER, {"retry_after_s": RETRY_AFTER_S})


class _Refused(Exception):
    """Carries a refusal out of the transaction, which is thereby rolled back and leaves the id
    free.
    """

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


async def _actor(conn: Transaction, who: Principal) -> Actor:
    if who == SYSTEM.principal:
        return SYSTEM
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


def _visible(actor: Actor, sight: access.Sight | None, heads: Mapping[Stream, log.Head]) -> Places:
    """Where the change stands, for the streams that the sender may watch."""
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
