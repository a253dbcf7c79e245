"""The doctor's look at the rows: which invariants of the desk do not hold, and where.

Reads only, a bounded piece in each transaction, so it may run beside a desk at work: what one piece
says is of one moment. Must never give out a text. Invariant: no check mends anything.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Select,
    String,
    and_,
    cast,
    exists,
    func,
    literal,
    not_,
    or_,
    select,
    union_all,
)

from deskwire.desk import checkup
from deskwire.desk import events as ev
from deskwire.desk.administration import PARTS
from deskwire.desk.checkup import EXAMPLES_MAX, LAWS, Finding, Kept, Reason, Worthy
from deskwire.desk.conversation import Status
from deskwire.desk.deadlines import DAY_MS, SWEEP_MS, TimerKind
from deskwire.desk.messages import Withdrawn
from deskwire.desk.office_commands import SaveAgent
from deskwire.desk.people import Realm
from deskwire.storage import office, pushes
from deskwire.storage.due import Clock
from deskwire.storage.engine import Store, Transaction
from deskwire.storage.tables import (
    agent,
    assignment,
    attachment,
    conversation,
    event,
    mark,
    message,
    offer,
    push,
    searchable,
    stream,
    stream_event,
    timer,
    withdrawn_original,
)

__all__ = ["Finding", "examine"]  # for the console, which knows nothing of the rules

PAGE: Final = 50
STREAMS_PAGE: Final = 500
STREAMS_MAX: Final = 20_000
WITHDRAWN_MAX: Final = 5_000
TOLD_MAX: Final = 1_000  # conversations whose log is told once more: the unclosed, then the newest
LATE_MS: Final = 15_000
OVERDUE_MS: Final = 60_000
PUSHED_MS: Final = DAY_MS  # who was not pushed within a day is not pushed any more

_REASON: Final = ev.TYPE_OF[ev.ReasonRecorded].name
_SETTINGS: Final = ev.TYPE_OF[ev.SettingsChanged].name


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What the checks compare with. `is_sending`: this desk sends its pushes."""

    now: int
    grace_ms: int
    is_sending: bool


async def examine(store: Store, clock: Clock, *, is_sending: bool) -> list[Finding]:
    """Look for each invariant of `checkup.LAWS`, in its order. Raises StoreUnavailable."""
    async with store.reading() as conn:
        grace_ms = (await office.settings(conn)).presence_grace_s * 1000
        moment = Moment(now=await clock.now(conn), grace_ms=grace_ms, is_sending=is_sending)
    findings: dict[str, Finding] = {}
    for law, queries in QUERIES.items():
        async with store.reading() as conn:
            findings[law] = await _asked(conn, law, queries(moment))
    findings["I3"] = await _added(store, findings["I3"], _excesses)
    findings["I6"] = await _positions(store)
    findings["I13"] = await _tombstones(store, findings["I13"])
    logs = await _logs(store, moment)
    findings["I15"] = _joined(findings["I15"], checkup.found("I15", logs.unpushed))
    for law, broken in (("I18", logs.unexplained), ("I23", logs.different)):
        findings[law] = checkup.found(law, broken, is_whole=logs.is_whole)
    return [findings[law] for law in LAWS]


# Rows alone ---------------------------------------------------------------------------------------


def _named(kind: str, key: ColumnElement[Any]) -> ColumnElement[str]:
    return (literal(f"{kind}:") + cast(key, String)).label("example")


def _assignees(_: Moment) -> Select[Any]:
    has_one = conversation.c.assignee_id.is_not(None)
    is_active = conversation.c.status == Status.ACTIVE.value
    return select(_named("conversation", conversation.c.conv_id)).where(has_one != is_active)


def _loads(_: Moment) -> Select[Any]:
    active = (
        select(func.count())
        .where(
            conversation.c.assignee_id == agent.c.person_id,
            conversation.c.status == Status.ACTIVE.value,
        )
        .scalar_subquery()
    )
    return select(_named("agent", agent.c.person_id)).where(agent.c.load != active)


def _marks(_: Moment) -> Select[Any]:
    return (
        select(_named("mark", mark.c.stream_id + literal(" ") + mark.c.person))
        .select_from(mark.outerjoin(stream, stream.c.stream_id == mark.c.stream_id))
        .where(
            or_(
                mark.c.read > mark.c.delivered,
                mark.c.delivered > func.coalesce(stream.c.head, 0),
            )
        )
    )


def _bodies(_: Moment) -> Select[Any]:
    return select(_named("message", message.c.msg_id)).where(
        message.c.withdrawn.is_not(None), message.c.body != ""
    )


def _found_by_search(_: Moment) -> Select[Any]:
    return (
        select(_named("message", message.c.msg_id))
        .join(searchable, searchable.c.msg_id == message.c.msg_id)
        .where(message.c.withdrawn.is_not(None))
    )


def _attached(_: Moment) -> Select[Any]:
    return (
        select(_named("attachment", attachment.c.attachment_id))
        .join(message, message.c.msg_id == attachment.c.msg_id)
        .where(message.c.withdrawn.is_not(None), attachment.c.withdrawn_at.is_(None))
    )


def _originals(_: Moment) -> Select[Any]:
    return (
        select(_named("message", message.c.msg_id))
        .join(withdrawn_original, withdrawn_original.c.msg_id == message.c.msg_id)
        .where(message.c.withdrawn == Withdrawn.REDACTED.value)
    )


def _overdue(moment: Moment) -> Select[Any]:
    """Limits, waits and quiet hours move the due time; without WeCom nothing is sent at all."""
    return select(_named("push", push.c.push_id)).where(
        push.c.state == "armed",
        push.c.due < moment.now - OVERDUE_MS,
        push.c.lease_until < moment.now,
        literal(moment.is_sending),
    )


def _unasked(moment: Moment) -> Select[Any]:
    is_asked = exists().where(offer.c.conv_id == conversation.c.conv_id, offer.c.outcome.is_(None))
    is_due = exists().where(
        timer.c.kind == TimerKind.DISPATCH.value,
        timer.c.key == conversation.c.group_id,
        timer.c.due <= moment.now + SWEEP_MS,
    )
    return select(_named("conversation", conversation.c.conv_id)).where(
        conversation.c.status == Status.QUEUED.value,
        conversation.c.waiting_reason.is_(None),
        not_(is_asked),
        not_(is_due),
    )


def _deserted(moment: Moment) -> Select[Any]:
    """Their row is overdue; or they have none, and the answer has been owed for long."""
    lost = and_(
        timer.c.kind == TimerKind.AGENT_LOST.value, timer.c.key == conversation.c.assignee_id
    )
    long_ago = moment.now - moment.grace_ms - LATE_MS
    owed_long = and_(conversation.c.assigned_at < long_ago, conversation.c.waiting_since < long_ago)
    return (
        select(_named("conversation", conversation.c.conv_id))
        .select_from(conversation.outerjoin(timer, lost))
        .where(
            conversation.c.status == Status.ACTIVE.value,
            conversation.c.turn == Realm.AGENT.value,
            or_(timer.c.due < moment.now - LATE_MS, and_(timer.c.due.is_(None), owed_long)),
        )
    )


_Query = Callable[[Moment], Select[Any]]


def _all_of(*queries: _Query) -> Callable[[Moment], list[Select[Any]]]:
    return lambda moment: [query(moment) for query in queries]


QUERIES: Mapping[str, Callable[[Moment], list[Select[Any]]]] = {
    "I1": _all_of(_assignees),
    "I3": _all_of(_loads),
    "I9": _all_of(_marks),
    "I13": _all_of(_bodies, _found_by_search, _attached, _originals),
    "I15": _all_of(_overdue),
    "I16": _all_of(_unasked),
    "I17": _all_of(_deserted),
}


async def _asked(conn: Transaction, law: str, queries: Sequence[Select[Any]]) -> Finding:
    broken = union_all(*queries).subquery()
    count = int(await conn.scalar(select(func.count()).select_from(broken)) or 0)
    if not count:
        return Finding(law=law)
    first = select(broken.c.example).order_by(broken.c.example).limit(EXAMPLES_MAX)
    return Finding(law=law, count=count, examples=tuple(await conn.scalars(first)))


def _joined(one: Finding, other: Finding) -> Finding:
    return Finding(
        law=one.law,
        count=one.count + other.count,
        examples=(*one.examples, *other.examples)[:EXAMPLES_MAX],
        is_whole=one.is_whole and other.is_whole,
    )


# Rows that need a second thought ------------------------------------------------------------------


async def _added(store: Store, finding: Finding, more: Callable[[Transaction], Any]) -> Finding:
    async with store.reading() as conn:
        return _joined(finding, checkup.found(finding.law, await more(conn)))


async def _excesses(conn: Transaction) -> list[str]:
    """Agents over their capacity without a record of it, and without a change of it since."""
    recorded = func.count().filter(assignment.c.over_capacity.is_(True))
    in_hand = and_(assignment.c.agent_id == agent.c.person_id, assignment.c.ended_at.is_(None))
    rows = await conn.execute(
        select(agent.c.person_id, func.max(assignment.c.began_at).label("newest"))
        .select_from(agent.outerjoin(assignment, in_hand))
        .where(agent.c.load > agent.c.capacity)
        .group_by(agent.c.person_id, agent.c.load, agent.c.capacity)
        .having(agent.c.load - agent.c.capacity > recorded)
    )
    over = rows.all()
    changed_at = await _capacities_changed(conn) if over else 0
    return [f"agent:{row.person_id}" for row in over if (row.newest or 0) > changed_at]


async def _capacities_changed(conn: Transaction) -> int:
    """When an administrator last saved an agent: a capacity may be set below a load."""
    rows = await conn.execute(
        select(event.c.at, event.c.body)
        .join(stream_event, stream_event.c.event_id == event.c.event_id)
        .where(stream_event.c.stream_id == ev.DESK_STREAM, event.c.type == _SETTINGS)
        .order_by(stream_event.c.position.desc())
        .limit(STREAMS_PAGE)
    )
    part = PARTS[SaveAgent]
    times = (row.at for row in rows if json.loads(row.body)["data"]["part"] == part)
    return next(times, 0)


async def _positions(store: Store) -> Finding:
    """I6, stream by stream."""
    broken: list[str] = []
    after, seen = "", 0
    while seen < STREAMS_MAX:
        async with store.reading() as conn:
            names = list(
                await conn.scalars(
                    select(stream.c.stream_id)
                    .where(stream.c.stream_id > after)
                    .order_by(stream.c.stream_id)
                    .limit(STREAMS_PAGE)
                )
            )
            if not names:
                return checkup.found("I6", broken)
            broken += await _with_holes(conn, names[0], names[-1])
        after, seen = names[-1], seen + len(names)
    return checkup.found("I6", broken, is_whole=False)


async def _with_holes(conn: Transaction, first: str, last: str) -> list[str]:
    position, head, floor = stream_event.c.position, stream.c.head, stream.c.floor
    found = await conn.scalars(
        select(_named("stream", stream.c.stream_id))
        .select_from(stream.outerjoin(stream_event, stream_event.c.stream_id == stream.c.stream_id))
        .where(stream.c.stream_id.between(first, last))
        .group_by(stream.c.stream_id, head, floor)
        .having(
            or_(
                func.count(position) != head - floor + 1,
                func.min(position) != floor,
                func.max(position) != head,
            )
        )
    )
    return list(found)


async def _tombstones(store: Store, finding: Finding) -> Finding:
    """I13 in the log: the newest withdrawn ones, whose stored event must have no words."""
    async with store.reading() as conn:
        rows = await conn.execute(
            select(message.c.msg_id, event.c.body)
            .join(
                stream_event,
                and_(
                    stream_event.c.stream_id == message.c.stream_id,
                    stream_event.c.position == message.c.position,
                ),
            )
            .join(event, event.c.event_id == stream_event.c.event_id)
            .where(message.c.withdrawn.is_not(None))
            .order_by(message.c.at.desc())
            .limit(WITHDRAWN_MAX + 1)
        )
        read = rows.all()
    standing = [f"event of message:{row.msg_id}" for row in read if _has_words(row.body)]
    is_whole = len(read) <= WITHDRAWN_MAX
    return _joined(finding, checkup.found("I13", standing, is_whole=is_whole))


def _has_words(body: bytes) -> bool:
    data = json.loads(body)["data"]
    return bool(data["body"] or data["attachments"]) or "withdrawn" not in data


# The log told once more ---------------------------------------------------------------------------


@dataclass(slots=True)
class _Logs:
    """What breaks I15, I18 and I23 in the conversations that were looked at."""

    unpushed: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    is_whole: bool = True


async def _logs(store: Store, moment: Moment) -> _Logs:
    logs = _Logs()
    async for ids in _pages(store, logs):
        async with store.reading() as conn:
            await _tell(conn, ids, moment, logs)
    return logs


async def _pages(store: Store, logs: _Logs) -> AsyncIterator[Sequence[str]]:
    is_closed = conversation.c.status == Status.CLOSED.value
    async with store.reading() as conn:
        ids = list(
            await conn.scalars(
                select(conversation.c.conv_id)
                .order_by(is_closed, conversation.c.opened_at.desc(), conversation.c.conv_id)
                .limit(TOLD_MAX + 1)
            )
        )
    logs.is_whole = len(ids) <= TOLD_MAX
    for start in range(0, min(len(ids), TOLD_MAX), PAGE):
        yield ids[start : min(start + PAGE, TOLD_MAX)]


async def _tell(conn: Transaction, ids: Sequence[str], moment: Moment, logs: _Logs) -> None:
    kept = await _rows(conn, ids)
    bodies = await _bodies_of(conn, [ev.conv_stream(conv) for conv in ids])
    reasons = await _reasons(conn, [ev.staff_stream(conv) for conv in ids])
    due: list[Worthy] = []
    for conv in ids:
        name = ev.conv_stream(conv)
        try:
            events = [ev.decode(body, (name,)) for body in bodies.get(name, ())]
            states = checkup.told(events)
        except ev.Unreadable:
            logs.different.append(f"conversation:{conv}")
            continue
        if checkup.differs(kept[conv], states):
            logs.different.append(f"conversation:{conv}")
        if checkup.is_unexplained(events, states, reasons.get(ev.staff_stream(conv), ())):
            logs.unexplained.append(f"conversation:{conv}")
        due += checkup.worthy(events, states, moment.now - PUSHED_MS)
    logs.unpushed += await _unpushed(conn, due)


async def _rows(conn: Transaction, ids: Sequence[str]) -> Mapping[str, Kept]:
    columns = ("status", "turn", "waiting_since", "first_answered_at")
    rows = await conn.execute(
        select(conversation.c.conv_id, *(conversation.c[name] for name in columns)).where(
            conversation.c.conv_id.in_(ids)
        )
    )
    return {
        row.conv_id: Kept(
            status=row.status,
            turn=row.turn,
            waiting_since=row.waiting_since,
            first_answered_at=row.first_answered_at,
        )
        for row in rows
    }


async def _bodies_of(conn: Transaction, names: Sequence[str]) -> Mapping[str, list[bytes]]:
    rows = await conn.execute(
        select(stream_event.c.stream_id, event.c.body)
        .join(event, event.c.event_id == stream_event.c.event_id)
        .where(stream_event.c.stream_id.in_(names))
        .order_by(stream_event.c.stream_id, stream_event.c.position)
    )
    found: dict[str, list[bytes]] = {}
    for row in rows:
        found.setdefault(row.stream_id, []).append(row.body)
    return found


async def _reasons(conn: Transaction, names: Sequence[str]) -> Mapping[str, list[Reason]]:
    rows = await conn.execute(
        select(stream_event.c.stream_id, stream_event.c.anchor, event.c.body)
        .join(event, event.c.event_id == stream_event.c.event_id)
        .where(stream_event.c.stream_id.in_(names), event.c.type == _REASON)
        .order_by(stream_event.c.stream_id, stream_event.c.position)
    )
    found: dict[str, list[Reason]] = {}
    for row in rows:
        data = json.loads(row.body)["data"]
        reason = Reason(anchor=row.anchor, command=data["command"], about=data["about"])
        found.setdefault(row.stream_id, []).append(reason)
    return found


async def _unpushed(conn: Transaction, due: Sequence[Worthy]) -> list[str]:
    """Those without a row whom a WeCom message could reach, and who have not acknowledged it."""
    names = {each.push.stream for each in due}
    delivered = await _highest(conn, mark, mark.c.delivered, names)
    covered = await _highest(conn, push, push.c.last, names)
    reachable = await pushes.reachable(conn, {each.push.who for each in due})
    return [
        f"{each.push.stream} {each.push.who.realm.value}:{each.push.who.person}"
        for each in due
        if each.push.who in reachable
        and each.position > max(delivered.get(_key(each), 0), covered.get(_key(each), 0))
    ]


_Key = tuple[str, str, str]


def _key(each: Worthy) -> _Key:
    realm, person_id = each.push.who
    return each.push.stream, realm.value, person_id


async def _highest(
    conn: Transaction, of: Any, column: ColumnElement[int], names: set[ev.Stream]
) -> Mapping[_Key, int]:
    key = (of.c.stream_id, of.c.realm, of.c.person)
    rows = await conn.execute(
        select(*key, func.max(column)).where(of.c.stream_id.in_(names)).group_by(*key)
    )
    return {(row[0], row[1], row[2]): row[3] for row in rows}
