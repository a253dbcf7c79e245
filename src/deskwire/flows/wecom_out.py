"""Due pushes → cards at WeCom: claimed, looked at again, frozen, COMMIT, and only then sent.

What a push says and when is `desk/fallback`'s to say. Invariant: bytes that may have left are never
followed by others for the same push, so nobody gets two cards for it; WeCom's duplicate check holds
the second of the same bytes back. The outcome is a command like any other.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from deskwire import telemetry
from deskwire.desk import fallback as rule
from deskwire.desk.access import conversation_of
from deskwire.desk.commands import RecordPush
from deskwire.desk.people import SYSTEM, Realm
from deskwire.desk.refusals import Refusal
from deskwire.flows.execute import Execute
from deskwire.storage import outbox, people
from deskwire.storage.due import Claim, Clock
from deskwire.storage.engine import Store, Transaction, surviving, uncut
from deskwire.wecom.client import WeComClient
from deskwire.wecom.errors import (
    Ambiguous,
    AuthConfig,
    Busy,
    Invisible,
    Limited,
    Recipient,
    WeComFault,
)
from deskwire.wecom.messages import TextCard, text_card, user_id

EVERY_S: Final = 1.0
LEASE_LEFT_S: Final = 20.0  # as long as a call may take: nobody else sends it meanwhile

_log = telemetry.logger("flows")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """The app that sends, and where its cards lead. `seats` bound how many it may send a day."""

    client: WeComClient
    agent_id: int
    public_url: str
    seats: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Card:
    """Bytes to be sent. `is_repeat`: they may have left before."""

    found: outbox.Looked
    body: bytes
    conv_id: str
    is_repeat: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recall:
    found: outbox.Looked
    conv_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failed:
    found: outbox.Looked
    conv_id: str
    reason: str


_Work = _Card | _Recall | _Failed
_Outcome = Literal["notified", "failed", "recalled"]


class Outbox:
    """Sends what is due. `monotonic` gives seconds on a clock that nobody sets."""

    def __init__(
        self,
        store: Store,
        *,
        execute: Execute,
        clock: Clock,
        sender: Sender,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._execute = execute
        self._clock = clock
        self._sender = sender
        self._monotonic = monotonic
        self._not_before = 0.0  # WeCom's penalty for all of us
        self._alarmed_on = 0  # the day, for one alarm a day

    async def run(self) -> None:
        """Until cancelled: a call that is under way is left then, and made again by who comes."""
        while True:
            with surviving(_log, waits="pushes_wait", failed="pushes_failed"):
                while await self.round() == outbox.CLAIMS_MAX:
                    pass
            await asyncio.sleep(EVERY_S)

    async def round(self) -> int:
        """Send what is due now, at most eight at once. Returns how many were due."""
        if self._is_held():
            return 0
        until = self._monotonic() + outbox.LEASE_MS / 1000 - LEASE_LEFT_S
        claims = await uncut(self._claims())
        work = await self._prepared(claims)
        async with asyncio.TaskGroup() as tasks:
            for each in work:
                tasks.create_task(self._carry_out(each, until))
        return len(claims)

    def _is_held(self) -> bool:
        return self._monotonic() < self._not_before or self._sender.client.pause_s > 0

    async def _claims(self) -> list[Claim]:
        """Nothing is written while nothing is due."""
        async with self._store.reading() as conn:
            if not await outbox.is_any_due(conn, await self._clock.now(conn)):
                return []
        probes = self._sender.client.trouble is not None
        async with self._store.writing() as conn:
            limit = 1 if probes else outbox.CLAIMS_MAX
            return await outbox.claim(conn, self._clock, limit=limit)

    # --- looking again, and freezing -------------------------------------------------------------

    async def _prepared(self, claims: Sequence[Claim]) -> list[_Work]:
        """One after the other, so that each is counted in the limits of the next."""
        found: list[_Work] = []
        for each in claims:
            with surviving(_log, waits="push_waits", failed="push_failed"):
                work = await uncut(self._prepare(each))
                if work is not None:
                    found.append(work)
        return found

    async def _prepare(self, claim: Claim) -> _Work | None:
        async with self._store.writing() as conn:
            now = await self._clock.now(conn)
            found = await outbox.look(conn, claim, now, seats=self._sender.seats)
            if found is None:
                return None
            self._watch_budget(found.sent_today, now)
            match found.stage:
                case rule.Stage.ARMED:
                    return await self._prepare_armed(conn, found, now)
                case rule.Stage.SENDING:
                    return await _prepare_frozen(conn, found, now)
                case _:
                    return await _prepare_recall(conn, found, now)

    def _watch_budget(self, sent_today: int, now: int) -> None:
        day, seats = rule.midnight(now), self._sender.seats
        if self._alarmed_on != day and rule.is_near_budget(sent_today, seats):
            self._alarmed_on = day
            _log.warning("push_budget_near", sent_today=sent_today, seats=seats)

    async def _prepare_armed(
        self, conn: Transaction, found: outbox.Looked, now: int
    ) -> _Card | None:
        step = rule.step_of_armed(
            stands=bool(found.said), is_reachable=found.userid is not None, due=found.due, now=now
        )
        match step:
            case rule.Send():
                return await self._freeze(conn, found, now)
            case rule.Later(due=due):
                await outbox.postpone(conn, found.claim, due)
            case _:
                await outbox.disarm(conn, found.claim)
        return None

    async def _freeze(self, conn: Transaction, found: outbox.Looked, now: int) -> _Card:
        assert found.userid is not None
        conv_id = max(found.said, key=lambda each: each.position).conv
        said = rule.notice(
            found.said,
            who=found.who,
            conv=conv_id,
            push_id=found.push_id,
            language=found.language,
            settings=found.settings,
        )
        card = TextCard(
            to=user_id(found.userid),
            agent_id=self._sender.agent_id,
            title=said.title,
            description=said.text,
            url=self._sender.public_url + said.path,
            button=said.button,
        )
        body = text_card(card)
        await outbox.freeze(conn, found, said, body, conv_id, now)
        return _Card(found=found, body=body, conv_id=conv_id, is_repeat=False)

    # --- sending, and what came of it ------------------------------------------------------------

    async def _carry_out(self, work: _Work, until: float) -> None:
        """`until`: when too little of the lease is left to begin a call."""
        with surviving(_log, waits="push_waits", failed="push_failed"):
            match work:
                case _Failed(reason=reason):
                    await self._record(work, "failed", reason=reason)
                case _Recall():
                    await self._recall(work)
                case _Card() if self._monotonic() > until:
                    await self._retry(work, 0, count=0)
                case _Card():
                    await self._send(work)

    async def _send(self, card: _Card) -> None:
        try:
            msgid = await self._sender.client.send(card.body)
        except WeComFault as fault:
            await self._not_sent(card, fault)
        else:
            await self._record(card, "notified", msgid=msgid)

    async def _not_sent(self, card: _Card, fault: WeComFault) -> None:
        match fault:
            case Ambiguous():
                await uncut(self._repeat(card))
            case Limited():
                self._not_before = self._monotonic() + fault.retry_after_s
                await self._retry(card, fault.retry_after_s * 1000, count=0)
            case AuthConfig():
                pause_ms = int(self._sender.client.pause_s * 1000)
                await self._retry(card, pause_ms, count=0)
            case Busy():
                tries = card.found.tries + 1
                await self._retry(card, rule.repeat_at(tries, 0), count=1)
            case _:
                await self._failed(card, fault)

    async def _repeat(self, card: _Card) -> None:
        tries = card.found.tries + 1
        async with self._store.writing() as conn:
            due = rule.repeat_at(tries, await self._clock.now(conn))
            await outbox.again(conn, card.found, due, tries=tries)

    async def _retry(self, card: _Card, after_ms: int, *, count: int) -> None:
        """This try has left no trace at WeCom."""
        await uncut(self._give_back(card, after_ms, count))

    async def _give_back(self, card: _Card, after_ms: int, count: int) -> None:
        tries = card.found.tries + count
        async with self._store.writing() as conn:
            due = await self._clock.now(conn) + after_ms
            if card.is_repeat:  # an earlier one may have
                await outbox.again(conn, card.found, due, tries=tries)
            else:
                await outbox.rearm(conn, card.found, due, tries=tries)

    async def _failed(self, card: _Card, fault: WeComFault) -> None:
        if isinstance(fault, Recipient | Invisible):
            await uncut(self._lose(card))
        else:
            _log.error("push_refused", push=card.found.push_id, fault=str(fault))
        await self._record(card, "failed", reason=_reason(fault))

    async def _lose(self, card: _Card) -> None:
        async with self._store.writing() as conn:
            await people.lose(conn, card.found.who.person, await self._clock.now(conn))

    async def _recall(self, work: _Recall) -> None:
        assert work.found.settled_msgid is not None
        try:
            await self._sender.client.recall(work.found.settled_msgid)
        except (Busy, Limited, AuthConfig) as fault:
            _log.warning("recall_waits", push=work.found.push_id, fault=str(fault))
            await uncut(self._recall_later(work))
        except WeComFault as fault:
            _log.warning("not_recalled", push=work.found.push_id, fault=str(fault))
            await uncut(self._keep(work))
        else:
            await self._record(work, "recalled")

    async def _recall_later(self, work: _Recall) -> None:
        tries = work.found.tries + 1
        async with self._store.writing() as conn:
            due = rule.repeat_at(tries, await self._clock.now(conn))
            await outbox.again(conn, work.found, due, tries=tries)

    async def _keep(self, work: _Recall) -> None:
        async with self._store.writing() as conn:
            await outbox.keep(conn, work.found.claim, await self._clock.now(conn))

    async def _record(
        self, work: _Work, outcome: _Outcome, *, reason: str | None = None, msgid: str | None = None
    ) -> None:
        """Write it down as a command. That it comes too late is no fault: another told it."""
        found = work.found
        command = RecordPush(
            conv=work.conv_id,
            push_id=found.push_id,
            lease_no=found.claim.lease_no,
            realm="agent" if found.who.realm is Realm.AGENT else "employee",
            person=found.who.person,
            outcome=outcome,
            # A position of an agent's own stream says nothing to those who read the conversation.
            up_to=found.push.last if conversation_of(found.stream) else 0,
            reason=reason,
            msgid=msgid,
        )
        command_id = f"push:{found.push_id}:{found.claim.lease_no}"
        answer = await self._execute.run(SYSTEM.principal, command_id, command)
        if isinstance(answer, Refusal):
            _log.info("push_not_recorded", push=found.push_id, code=answer.code.value)


async def _prepare_frozen(conn: Transaction, found: outbox.Looked, now: int) -> _Work | None:
    """Nobody knows what became of its bytes: a lost answer, or a process that ended."""
    assert found.tried_at is not None
    assert found.conv_id is not None
    step = rule.step_of_frozen(
        stands=bool(found.said),
        has_body=found.body is not None,
        tried_at=found.tried_at,
        now=now,
    )
    match step:
        case rule.Repeat():
            assert found.body is not None
            return _Card(found=found, body=found.body, conv_id=found.conv_id, is_repeat=True)
        case rule.Fail(reason=reason):
            return _Failed(found=found, conv_id=found.conv_id, reason=reason.value)
        case _:
            await outbox.disarm(conn, found.claim)
            return None


async def _prepare_recall(conn: Transaction, found: outbox.Looked, now: int) -> _Recall | None:
    assert found.conv_id is not None
    is_over = found.tried_at is None or now - found.tried_at > rule.RECALL_CARD_MS
    if is_over or found.settled_msgid is None:
        await outbox.keep(conn, found.claim, now)
        return None
    return _Recall(found=found, conv_id=found.conv_id)


def _reason(fault: WeComFault) -> str:
    """WeCom's word where it names one, else its number: never its sentence, which may change."""
    if fault.reason in set(rule.Failure):
        return fault.reason
    return "refused" if fault.code is None else f"wecom_{fault.code}"
