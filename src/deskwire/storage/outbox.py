"""Pushes that are due: claimed, looked at again, frozen, and written down as they end.

What a push does next is `desk/fallback`'s to say; here are its rows and what stands around them.
Whoever looks holds the row's lock, as does whoever withdraws a message: so either sees the other.
Must never know: how a message is sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import func, or_, select, update
from sqlalchemy.engine import Row

from deskwire.desk import events as ev
from deskwire.desk.access import Bounds, Sight, conversation_of, sees
from deskwire.desk.deadlines import DAY_MS, HOUR_MS
from deskwire.desk.fallback import (
    COVERED_MAX,
    ENDED,
    UNTOLD,
    Covered,
    Gap,
    Notice,
    Push,
    Settle,
    Stage,
    after_budget,
    covered,
    due_at,
    from_now,
    joined,
    midnight,
    recalls_card,
    standing,
)
from deskwire.desk.marks import Mark
from deskwire.desk.office import DeskSettings
from deskwire.desk.people import Actor, PersonId, Principal, Realm
from deskwire.storage import conversations, marks, offers, office, people, pushes
from deskwire.storage.due import Claim, Clock, DueRows
from deskwire.storage.engine import Transaction
from deskwire.storage.people import PersonRecord
from deskwire.storage.tables import event, message, push, stream, stream_event

LEASE_MS: Final = 60_000
CLAIMS_MAX: Final = 8  # WeCom is asked so many things at once by a node
PUSHES: Final = DueRows(push, waiting=push.c.settled_at.is_(None))

_SENT = tuple(
    stage.value for stage in (Stage.SENDING, Stage.NOTIFIED, Stage.RECALLING, Stage.RECALLED)
)
_BEFORE_MAX = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """A push that is due, and all that stands around it now.

    `said` is what it still has to say. `userid` is none where WeCom does not reach them. `due` is
    when it may go out, gap and limits regarded; `sent_today` counts what everybody was sent.
    """

    claim: Claim
    push_id: str
    stage: Stage
    who: Principal
    stream: ev.Stream
    push: Push
    said: Sequence[Covered]
    userid: str | None
    language: str | None
    due: int
    sent_today: int
    gap: Gap
    settings: DeskSettings
    conv_id: str | None
    body: bytes | None
    tries: int
    tried_at: int | None
    settled_msgid: str | None


async def is_any_due(conn: Transaction, now: int) -> bool:
    """Whether there is anything to claim, for a look that writes nothing."""
    found = select(push.c.push_id).where(
        push.c.settled_at.is_(None), push.c.due <= now, push.c.lease_until < now
    )
    return (await conn.scalar(found.limit(1))) is not None


async def claim(conn: Transaction, clock: Clock, *, limit: int = CLAIMS_MAX) -> list[Claim]:
    """What is due, for a minute. Commit before doing anything."""
    return await PUSHES.claim(conn, clock, lease_ms=LEASE_MS, limit=limit)


async def look(conn: Transaction, ours: Claim, now: int, *, seats: int) -> Looked | None:
    """Lock the row and read everything anew; none: it is not ours any more."""
    row = (await conn.execute(select(push).where(PUSHES.ours(ours)).with_for_update())).first()
    if row is None:
        return None
    who, name = Principal(Realm(row.realm), PersonId(row.person)), ev.Stream(row.stream_id)
    settings = await office.settings(conn)
    record = await people.by_id(conn, who.person)
    reader = await people.actor(conn, who)
    mark = (await marks.of_principal(conn, who, [name])).get(name)
    wrote_at = await pushes.wrote_at_of(conn, who, name)
    past = await _past(conn, who, name, row.push_id, mark=mark, wrote_at=wrote_at)
    waiting = _with_untold(pushes.covers(row), past)
    sent = await _sent_to(conn, who.person, now)
    due = due_at(waiting, gap=past.gap, sent=sent, wrote_at=wrote_at, settings=settings)
    due = from_now(due, waiting, wrote_at=wrote_at, settings=settings, now=now)
    sent_today = await _sent_today(conn, now)
    return Looked(
        claim=ours,
        push_id=row.push_id,
        stage=Stage(row.state),
        who=who,
        stream=name,
        push=waiting,
        said=await _said(conn, reader, name, waiting, mark) if reader else (),
        userid=await _userid(conn, record, who),
        language=record.language if record else None,
        due=after_budget(due, sent_today, seats),
        sent_today=sent_today,
        gap=past.gap,
        settings=settings,
        conv_id=row.conv_id,
        body=bytes(row.body) if row.body is not None else None,
        tries=row.tries,
        tried_at=row.tried_at,
        settled_msgid=row.msgid,
    )


# What stands around it ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Past:
    gap: Gap
    untold_from: int | None


async def _past(
    conn: Transaction,
    who: Principal,
    name: ev.Stream,
    push_id: str,
    *,
    mark: Mark | None,
    wrote_at: int | None,
) -> _Past:
    """How the pushes of this key went before: the newest that may have been seen, and those since
    of which nobody knows.
    """
    before = await conn.execute(
        select(push)
        .where(
            *pushes.of_key(who, name),
            push.c.push_id != push_id,
            push.c.tried_at.is_not(None),
        )
        .order_by(push.c.tried_at.desc())
        .limit(_BEFORE_MAX)
    )
    untold: list[int] = []
    for each in before:
        if each.state in _SENT:
            heard_at = max(mark.at if mark else 0, wrote_at or 0)
            met = Gap(unanswered=each.unanswered, sent_at=each.tried_at)
            return _Past(ENDED if heard_at > each.tried_at else met, min(untold, default=None))
        if each.state == Stage.FAILED.value and each.reason in UNTOLD:
            untold.append(each.first)
    return _Past(ENDED, min(untold, default=None))


def _with_untold(waiting: Push, past: _Past) -> Push:
    if past.untold_from is None or past.untold_from >= waiting.first:
        return waiting
    return joined(
        waiting,
        Push(
            first=past.untold_from,
            last=waiting.last,
            since=waiting.since,
            newest=waiting.newest,
            whys=waiting.whys,
        ),
    )


async def _sent_to(conn: Transaction, person_id: PersonId, now: int) -> list[int]:
    """When this person was sent something in the last hour, in either realm, ascending."""
    rows = await conn.scalars(
        select(push.c.tried_at)
        .where(push.c.person == person_id, push.c.tried_at > now - HOUR_MS)
        .order_by(push.c.tried_at)
    )
    return [int(at) for at in rows if at is not None]


async def _sent_today(conn: Transaction, now: int) -> int:
    counted = select(func.count()).select_from(push).where(push.c.tried_at >= midnight(now))
    return int(await conn.scalar(counted) or 0)


async def _userid(conn: Transaction, record: PersonRecord | None, who: Principal) -> str | None:
    if record is None or not await pushes.reachable(conn, [who]):
        return None
    return record.wecom_userid


async def _said(
    conn: Transaction, reader: Actor, name: ev.Stream, waiting: Push, mark: Mark | None
) -> tuple[Covered, ...]:
    """What stands of the events that it covers, at most the newest two hundred."""
    found = await _events(conn, name, waiting)
    convs = {each.conv for _, each in found if each.conv is not None}
    sights = await conversations.sights(conn, convs)
    live = await offers.live(conn, convs)
    told = (
        covered(
            each,
            position,
            push=waiting,
            reader=reader,
            stream=name,
            sight=sights.get(each.conv or ""),
            live_offers=frozenset(offer.offer_id for offer in live.values()),
        )
        for position, each in found
    )
    return tuple(
        standing(
            waiting,
            [each for each in told if each is not None],
            delivered=mark.delivered if mark else 0,
            read=mark.read if mark else 0,
            bounds=_bounds(reader, name, sights),
        )
    )


def _bounds(reader: Actor, name: ev.Stream, sights: dict[str, Sight]) -> Bounds | None:
    return sees(reader, name, sights.get(conversation_of(name) or ""))


async def _events(conn: Transaction, name: ev.Stream, waiting: Push) -> list[tuple[int, ev.Event]]:
    rows = await conn.execute(
        select(stream_event.c.position, event.c.body)
        .join(event, event.c.event_id == stream_event.c.event_id)
        .where(
            stream_event.c.stream_id == name,
            stream_event.c.position.between(waiting.first, waiting.last),
        )
        .order_by(stream_event.c.position.desc())
        .limit(COVERED_MAX)
    )
    found: list[tuple[int, ev.Event]] = []
    for row in rows:
        # What this version cannot read it announces as little as its pages show it.
        with suppress(ev.Unreadable):
            found.append((row.position, ev.decode(bytes(row.body), (name,))))
    return found


# What becomes of it -------------------------------------------------------------------------------


async def disarm(conn: Transaction, ours: Claim) -> None:
    """Nothing is left to be said."""
    await PUSHES.finish(conn, ours)


async def postpone(conn: Transaction, ours: Claim, due: int) -> None:
    """Give it back as it stands, to be looked at again from `due` on."""
    await PUSHES.postpone(conn, ours, due)


async def freeze(
    conn: Transaction, found: Looked, notice: Notice, body: bytes, conv_id: str, now: int
) -> None:
    """From here on it takes no more positions, and only these bytes may be sent."""
    await _change(
        conn,
        found.claim,
        **pushes.written(found.push),
        state=Stage.SENDING.value,
        body=body,
        conv_id=conv_id,
        announces=json.dumps(notice.announces),
        shows=notice.shows,
        unanswered=found.gap.sent(now).unanswered,
        tried_at=now,
    )


async def again(conn: Transaction, found: Looked, due: int, *, tries: int) -> None:
    """Its bytes may have left: the same ones once more, from `due` on."""
    await _change(conn, found.claim, due=due, tries=tries, lease_until=0)


async def rearm(conn: Transaction, found: Looked, due: int, *, tries: int) -> None:
    """Nothing has left: it waits again, together with what has been armed for its key since.

    The stream's lock keeps away whoever would arm another one meanwhile.
    """
    await conn.execute(
        select(stream.c.head).where(stream.c.stream_id == found.stream).with_for_update()
    )
    other = await pushes.waiting_of(conn, found.who, found.stream)
    waits: dict[str, Any] = {"due": due, "tries": tries, "lease_until": 0}
    if other is None:
        empty = {"body": None, "tried_at": None, "announces": "[]", "shows": None, "unanswered": 0}
        await _change(conn, found.claim, state=Stage.ARMED.value, **empty, **waits)
    elif await PUSHES.finish(conn, found.claim):
        push_id, theirs = other
        both = pushes.written(joined(theirs, found.push))
        await conn.execute(
            update(push)
            .where(push.c.push_id == push_id)
            .values(**both, **waits, lease_no=push.c.lease_no + 1)
        )


async def settle(conn: Transaction, end: Settle, now: int) -> bool:
    """Write its end, without the bytes. False: somebody else has claimed it since.

    A card whose messages were withdrawn while it went out is to be taken back at once.
    """
    ours = push.c.push_id == end.push_id, push.c.lease_no == end.lease_no
    row = (await conn.execute(select(push).where(*ours).with_for_update())).first()
    if row is None or row.settled_at is not None:
        return False
    values: dict[str, Any] = {
        "state": end.stage.value,
        "body": None,
        "reason": end.reason,
        "settled_at": now,
        "msgid": end.msgid or row.msgid,
    }
    if end.stage is Stage.NOTIFIED and end.msgid and await _is_taken_back(conn, row, now):
        values |= {"state": Stage.RECALLING.value, "settled_at": None, "due": now}
        values |= {"lease_until": 0}
    await conn.execute(update(push).where(*ours).values(**values))
    return True


async def keep(conn: Transaction, ours: Claim, now: int) -> None:
    """A card that cannot be taken back stays as what it is: notified."""
    await _change(conn, ours, state=Stage.NOTIFIED.value, settled_at=now)


async def withdraw(conn: Transaction, msg_id: str, streams: Iterable[ev.Stream], now: int) -> None:
    """A message is withdrawn: no push keeps its words, and cards that it asks back are recalled."""
    rows = await conn.execute(
        select(push)
        .where(
            push.c.stream_id.in_(list(streams)),
            or_(push.c.settled_at.is_(None), push.c.tried_at > now - DAY_MS),
        )
        .order_by(push.c.realm, push.c.person, push.c.stream_id, push.c.push_id)
        .with_for_update()
    )
    for row in rows.all():
        this = update(push).where(push.c.push_id == row.push_id)
        if row.state == Stage.SENDING.value and row.shows == msg_id:
            # Whoever is just sending it may still tell how that went.
            await conn.execute(this.values(body=None, due=now))
        elif (
            row.state == Stage.NOTIFIED.value
            and row.msgid
            and msg_id in json.loads(row.announces)
            and await _is_taken_back(conn, row, now)
        ):
            waits = {"due": now, "lease_until": 0, "lease_no": push.c.lease_no + 1, "tries": 0}
            recalling = Stage.RECALLING.value
            await conn.execute(this.values(state=recalling, settled_at=None, **waits))


async def _is_taken_back(conn: Transaction, row: Row[Any], now: int) -> bool:
    announced = tuple(json.loads(row.announces))
    found = await conn.scalars(
        select(message.c.msg_id).where(
            message.c.msg_id.in_({*announced, row.shows or ""}), message.c.withdrawn.is_not(None)
        )
    )
    return recalls_card(
        announced, row.shows, frozenset(found), sent_at=row.tried_at or now, now=now
    )


async def _change(conn: Transaction, ours: Claim, **values: Any) -> None:
    """Change the row if it is still ours."""
    await conn.execute(update(push).where(PUSHES.ours(ours)).values(**values))
