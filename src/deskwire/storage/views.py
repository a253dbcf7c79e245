"""Read models: what the pages load. Reads only, each inside one reading transaction.

State and positions come from the same moment, so a client can fold what follows from the positions
named here. Rights are asked by `desk/access` on the facts of that same moment: what a principal may
not see is not loaded for them.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import sqlalchemy as sql
from sqlalchemy import and_, func, select

from deskwire.desk import access
from deskwire.desk import events as ev
from deskwire.desk.conversation import Conversation, Status
from deskwire.desk.marks import Mark, as_employees_see
from deskwire.desk.people import Actor, Principal, Realm
from deskwire.storage import (
    conversations,
    directory,
    lists,
    log,
    marks,
    offers,
    office,
    office_views,
    people,
)
from deskwire.storage.due import Clock
from deskwire.storage.engine import Store, Transaction
from deskwire.storage.lists import NO_FILTERS, Filters
from deskwire.storage.paging import NEWEST, NoCursor, Order, order_of
from deskwire.storage.tables import (
    agent,
    conversation,
    event,
    mark,
    message,
    person,
    rating,
    stream_event,
)

__all__ = ["Filters", "NoCursor", "Views"]  # for the door, which knows no other file of this room

ROWS_MAX = 100
PEOPLE_MAX = directory.PAGE_MAX
MINE_MAX = 150
OWN_MAX = 20
BOARD_MAX = 500
ENTRIES_MAX = 100
STAFF_ENTRIES_MAX = 1_000
EVENTS_MAX = 500
PREVIEW_CHARS = 120

Json = dict[str, Any]


class Views:
    """The read models as one principal may see them, each from one moment of the database.

    None stands for "no such thing, or not for you"; a principal who no longer exists sees nothing.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def boot(self, who: Principal) -> Json | None:
        """What a page needs once, and the positions from which it watches."""
        async with self._seeing(who) as (conn, actor):
            return await boot(conn, actor, await self._clock.now(conn)) if actor else None

    async def snapshot(self, who: Principal, conv_id: str) -> Json | None:
        """A conversation with its newest entries."""
        async with self._seeing(who) as (conn, actor):
            return await snapshot(conn, actor, conv_id) if actor else None

    async def timeline(
        self, who: Principal, conv_id: str, *, before: int | None, after: int | None, limit: int
    ) -> Json | None:
        """The newest entries below `before`, or the oldest above `after`, by public position."""
        async with self._seeing(who) as (conn, actor):
            if actor is None:
                return None
            return await timeline(conn, actor, conv_id, before=before, after=after, limit=limit)

    async def events(self, who: Principal, stream: str, *, after: int, limit: int) -> Json | None:
        """Events as the socket sends them."""
        async with self._seeing(who) as (conn, actor):
            if actor is None:
                return None
            return await events(conn, actor, ev.Stream(stream), after=after, limit=limit)

    async def rows(
        self,
        who: Principal,
        *,
        view: str,
        filters: Filters = NO_FILTERS,
        after: str | None,
        limit: int,
    ) -> Json | None:
        """A page of list lines, in the order of the view. Raises NoCursor."""
        async with self._seeing(who) as (conn, actor):
            if actor is None:
                return None
            wanted = and_(lists.in_view(actor, view), lists.passes(conn, actor, filters))
            order = order_of(view) if actor.is_agent else NEWEST
            return await rows(conn, actor, wanted, order=order, after=after, limit=limit)

    async def rows_by_id(self, who: Principal, conv_ids: Sequence[str]) -> Json | None:
        """List lines of those among the ids that this principal may see."""
        async with self._seeing(who) as (conn, actor):
            return await rows_by_id(conn, actor, conv_ids) if actor else None

    async def people(
        self, who: Principal, *, q: str | None, after: str | None, limit: int
    ) -> Json | None:
        """A page of everybody the desk knows, for whoever administers it."""
        async with self._seeing(who) as (conn, actor):
            if actor is None or not access.has_duty(actor, access.Duty.ADMINISTER):
                return None
            return await directory.people(conn, q=q, after=after, limit=limit)

    async def me(self, who: Principal) -> Json | None:
        """The principal's own particulars."""
        async with self._seeing(who) as (conn, actor):
            if actor is None:
                return None
            return await _me(conn, actor)

    @asynccontextmanager
    async def _seeing(self, who: Principal) -> AsyncIterator[tuple[Transaction, Actor | None]]:
        async with self._store.reading() as conn:
            yield conn, await people.actor(conn, who)


async def boot(conn: Transaction, who: Actor, now: int) -> Json:
    """What a page needs once, and the positions from which it watches."""
    mine = await _mine(conn, who)
    shared: Json = {
        "me": await _me(conn, who),
        "rows": await row_views(conn, who, mine),
        "marks": await _own_marks(conn, who, mine),
    }
    unclosed = [state for state in mine if state.status is not Status.CLOSED]
    streams = [ev.personal_stream(who.principal), *_conv_streams(unclosed)]
    if not who.is_agent:
        desk = await office_views.for_employees(conn)
        return {**shared, **desk, "positions": await places(conn, streams)}
    groups = [group for group in await office.groups(conn) if who.serves(group.id)]
    streams += [ev.DESK_STREAM, *(ev.queue_stream(group.id) for group in groups)]
    return {
        **shared,
        **await office_views.for_agents(conn, who, now),
        "boards": {group.id: await _board(conn, who, group.id) for group in groups},
        "positions": await places(conn, streams),
    }


async def snapshot(conn: Transaction, who: Actor, conv_id: str) -> Json | None:
    """A conversation with its newest entries, or none where this principal may not see it."""
    state = await _visible(conn, who, conv_id)
    if state is None:
        return None
    streams = _timeline_streams(who, state)
    page = await _entries(conn, who, state, before=None, after=None, limit=50)
    return {
        "conversation": await _conversation(conn, who, state),
        "participants": await _participants(conn, state),
        "marks": [_mark(found) for found in await _marks_for(conn, who, state)],
        **page,
        "positions": await places(conn, streams),
    }


async def timeline(
    conn: Transaction,
    who: Actor,
    conv_id: str,
    *,
    before: int | None,
    after: int | None,
    limit: int,
) -> Json | None:
    """A page of entries by positions of `conv:<id>`.

    The newest below `before`, or the oldest above `after`.
    """
    state = await _visible(conn, who, conv_id)
    if state is None:
        return None
    return await _entries(conn, who, state, before=before, after=after, limit=limit)


async def events(
    conn: Transaction, who: Actor, stream: ev.Stream, *, after: int, limit: int
) -> Json | None:
    """Events as the socket sends them, or none where this principal may not watch the stream."""
    bounds = await bounds_of(conn, who, stream)
    if bounds is None:
        return None
    rows = await conn.execute(
        _stream_events(stream)
        .where(stream_event.c.position > max(after, bounds.after))
        .where(_up_to(bounds))
        .order_by(stream_event.c.position)
        .limit(limit)
    )
    head = (await log.heads(conn, [stream]))[stream]
    last = head.position if bounds.until is None else min(head.position, bounds.until)
    return {
        "events": [_entry(row) for row in rows],
        "head": last,
        "floor": head.floor,
        "epoch": head.epoch,
    }


async def bounds_of(conn: Transaction, who: Actor, stream: ev.Stream) -> access.Bounds | None:
    """The piece of a stream that this principal may see now."""
    conv_id = access.conversation_of(stream)
    sight = (await conversations.sights(conn, [conv_id])).get(conv_id) if conv_id else None
    return access.sees(who, stream, sight)


async def rows_by_id(conn: Transaction, who: Actor, conv_ids: Sequence[str]) -> Json:
    """List lines with previews of those among the ids that this principal may see."""
    states = [
        state
        for state in await conversations.load_many(conn, conv_ids)
        if access.may(who, access.Action.SEE_PUBLIC, state.sight)
    ]
    return {
        "rows": await row_views(conn, who, states),
        "positions": await places(conn, _conv_streams(states)),
    }


async def rows(
    conn: Transaction,
    who: Actor,
    wanted: sql.ColumnElement[bool],
    *,
    order: Order,
    after: str | None,
    limit: int,
) -> Json:
    """A page of list lines. `next` goes into `after` for the following page."""
    statement = select(conversation.c.conv_id, *order.columns).where(wanted)
    if after is not None:
        statement = statement.where(order.follows(order.read(after)))
    found = (await conn.execute(statement.order_by(*order.by).limit(limit + 1))).all()
    page = found[:limit]
    states = await conversations.load_many(conn, [row[0] for row in page])
    return {
        "rows": await row_views(conn, who, states),
        "next": order.written(page[-1][1:]) if len(found) > limit else None,
    }


async def row_views(conn: Transaction, who: Actor, states: Sequence[Conversation]) -> list[Json]:
    """List lines as this principal sees them: with the last text and what is unread."""
    previews = await _previews(conn, who, states)
    unread = await _unread(conn, who, states)
    return [
        {
            **_row(state),
            **({} if _sees_last(who, state) else {"last_message": None}),
            "preview": previews.get(state.conv_id),
            "unread": unread.get(state.conv_id, 0),
            **_labels(who, state),
        }
        for state in states
    ]


def _sees_last(who: Actor, state: Conversation) -> bool:
    """Whether the newest message lies in the piece that this principal sees."""
    bounds = access.sees(who, ev.conv_stream(state.conv_id), state.sight)
    last = state.last_message
    return last is None or (bounds is not None and bounds.hold(last.position))


def _labels(who: Actor, state: Conversation) -> Json:
    """What employees never learn of; the version is what a change of labels has to name."""
    if not access.may(who, access.Action.SEE_STAFF, state.sight):
        return {}
    return {
        "priority": state.priority,
        "tags": list(state.tags),
        "label_version": state.label_version,
    }


async def unread_of(conn: Transaction, who: Principal, conv_id: str, read: int) -> int:
    """Public messages above `read` that somebody else wrote and this participant may see."""
    return int(
        await conn.scalar(
            select(func.count())
            .select_from(message)
            .where(
                message.c.conv_id == conv_id,
                message.c.stream_id == ev.conv_stream(conv_id),
                message.c.position > read,
                message.c.withdrawn.is_(None),
                lists.by_others(who),
                lists.visible_to(who),
            )
        )
        or 0
    )


async def places(conn: Transaction, streams: Iterable[ev.Stream]) -> Json:
    """Positions as clients take them: stream → [epoch, head]."""
    found = await log.heads(conn, list(streams))
    return {name: [head.epoch, head.position] for name, head in found.items()}


async def _mine(conn: Transaction, who: Actor) -> list[Conversation]:
    """An agent's unclosed conversations, an employee's newest ones."""
    view, limit = ("mine", MINE_MAX) if who.is_agent else ("all", OWN_MAX)
    found = await conn.execute(
        select(conversation.c.conv_id)
        .where(lists.in_view(who, view))
        .order_by(conversation.c.opened_at.desc(), conversation.c.conv_id.desc())
        .limit(limit)
    )
    return await conversations.load_many(conn, [row.conv_id for row in found])


async def _board(conn: Transaction, who: Actor, group_id: str) -> list[Json]:
    """The unclosed conversations of a group, in the order in which they are dispatched."""
    found = await conn.execute(
        select(conversation.c.conv_id)
        .where(conversation.c.group_id == group_id, conversation.c.status != Status.CLOSED.value)
        .order_by(conversation.c.waiting_since.is_(None), conversation.c.waiting_since)
        .order_by(conversation.c.no)
        .limit(BOARD_MAX)
    )
    states = await conversations.load_many(conn, [row.conv_id for row in found])
    return await row_views(conn, who, states)


async def _visible(conn: Transaction, who: Actor, conv_id: str) -> Conversation | None:
    found = await conversations.load_many(conn, [conv_id])
    if not found or not access.may(who, access.Action.SEE_PUBLIC, found[0].sight):
        return None
    return found[0]


def _timeline_streams(who: Actor, state: Conversation) -> list[ev.Stream]:
    public = ev.conv_stream(state.conv_id)
    if not access.may(who, access.Action.SEE_STAFF, state.sight):
        return [public]
    return [public, ev.staff_stream(state.conv_id)]


async def _entries(
    conn: Transaction,
    who: Actor,
    state: Conversation,
    *,
    before: int | None,
    after: int | None,
    limit: int,
) -> Json:
    public = ev.conv_stream(state.conv_id)
    bounds = access.sees(who, public, state.sight)
    assert bounds is not None
    statement = _stream_events(public).where(stream_event.c.position > bounds.after)
    statement = statement.where(_up_to(bounds))
    if before is not None:
        statement = statement.where(stream_event.c.position < before)
    if after is not None:
        statement = statement.where(stream_event.c.position > after)
    position = stream_event.c.position
    forwards = after is not None
    statement = statement.order_by(position if forwards else position.desc()).limit(limit + 1)
    found = (await conn.execute(statement)).all()
    more, shown = len(found) > limit, found[:limit]
    entries = [_entry(row) for row in (shown if forwards else reversed(shown))]
    if len(_timeline_streams(who, state)) > 1:
        low, high = _anchors(entries, before=before, after=after, more=more)
        entries += await _staff_entries(conn, state.conv_id, low, high)
    return {"entries": sorted(entries, key=_timeline_order), "more": more}


def _anchors(
    entries: Sequence[Json], *, before: int | None, after: int | None, more: bool
) -> tuple[int, int | None]:
    """The first and last anchor of the staff entries on a page; none: up to the end.

    Following pages meet without a hole: what is anchored at a public entry stands on its page, what
    was said before the first one on the page of the first, what follows the last on the last page.
    """
    if after is not None:
        low = after + 1 if after else 0
        return low, entries[-1]["position"] if more else None
    low = entries[0]["position"] if more else 0
    return low, before - 1 if before is not None else None


async def _staff_entries(conn: Transaction, conv_id: str, low: int, high: int | None) -> list[Json]:
    """The staff entries anchored from `low` to `high`, both included.

    The newest where there are too many.
    """
    statement = _stream_events(ev.staff_stream(conv_id)).where(stream_event.c.anchor >= low)
    if high is not None:
        statement = statement.where(stream_event.c.anchor <= high)
    found = await conn.execute(
        statement.order_by(stream_event.c.position.desc()).limit(STAFF_ENTRIES_MAX)
    )
    return [_entry(row) for row in found]


def _timeline_order(entry: Json) -> tuple[int, int, int]:
    """By position, a staff entry at its anchor behind the public entry there, staff among
    themselves by position.
    """
    if entry["stream"].endswith(":staff"):
        return (entry["event"]["anchor"], 1, entry["position"])
    return (entry["position"], 0, 0)


def _stream_events(name: ev.Stream) -> sql.Select[Any]:
    return (
        select(stream_event.c.stream_id, stream_event.c.position, event.c.body)
        .join(event, event.c.event_id == stream_event.c.event_id)
        .where(stream_event.c.stream_id == name)
    )


def _up_to(bounds: access.Bounds) -> sql.ColumnElement[bool]:
    return sql.true() if bounds.until is None else stream_event.c.position <= bounds.until


def _entry(row: sql.Row[Any]) -> Json:
    return {"stream": row.stream_id, "position": row.position, "event": json.loads(row.body)}


async def _conversation(conn: Transaction, who: Actor, state: Conversation) -> Json:
    view = (await row_views(conn, who, [state]))[0]
    return {
        **view,
        "resolution_no": state.resolution_no,
        "closed_how": state.closed_how,
        "previous_id": state.previous_id,
        "held_until": state.held_until,
        "reopen_count": state.reopen_count,
        **await _staff_side(conn, who, state),
        "rating": await _rating(conn, who, state),
    }


async def _staff_side(conn: Transaction, who: Actor, state: Conversation) -> Json:
    """Why it waits, who is being asked, whether its assignee is there."""
    if not access.may(who, access.Action.SEE_STAFF, state.sight):
        return {}
    live = (await offers.live(conn, [state.conv_id])).get(state.conv_id)
    return {
        "waiting_reason": state.waiting_reason,
        "assignee_absent": state.assignee_absent,
        "offer": {
            "offer_id": live.offer_id,
            "agent_id": live.agent,
            "kind": live.kind.value,
            "expires_at": live.expires_at,
        }
        if live
        else None,
    }


async def _rating(conn: Transaction, who: Actor, state: Conversation) -> Json | None:
    """The rating of the newest resolution; invited colleagues are not told."""
    standing = access.standings(who, state.sight)
    if standing == {access.Standing.INVITED}:
        return None
    row = (
        await conn.execute(
            select(rating).where(
                rating.c.conv_id == state.conv_id, rating.c.resolution_no == state.resolution_no
            )
        )
    ).one_or_none()
    if row is None:
        return None
    return {"score": row.score, "reasons": json.loads(row.reasons), "comment": row.comment}


async def _participants(conn: Transaction, state: Conversation) -> list[Json]:
    ids = {member.principal.person for member in state.participants}
    names = {
        row.person_id: row
        for row in await conn.execute(select(person).where(person.c.person_id.in_(ids)))
    }
    return [
        {
            "realm": member.principal.realm.value,
            "person": {
                "id": member.principal.person,
                "name": names[member.principal.person].name,
                "avatar": names[member.principal.person].avatar,
            },
            "role": member.role,
            "visible_from": member.visible_from,
            "left_at": member.left_at,
        }
        for member in state.participants
    ]


async def _marks_for(conn: Transaction, who: Actor, state: Conversation) -> Sequence[Mark]:
    stream = ev.conv_stream(state.conv_id)
    found = (await marks.of_streams(conn, [stream])).get(stream, ())
    return found if who.is_agent else as_employees_see(found)


async def _own_marks(conn: Transaction, who: Actor, states: Sequence[Conversation]) -> Json:
    found = await marks.of_principal(conn, who.principal, _conv_streams(states))
    return {
        str(access.conversation_of(stream)): {"delivered": own.delivered, "read": own.read}
        for stream, own in found.items()
    }


async def _previews(
    conn: Transaction, who: Actor, states: Sequence[Conversation]
) -> dict[str, str]:
    """The last text, where it lies within what this principal may see."""
    seen = [state.last_message for state in states if _sees_last(who, state)]
    ids = [last.msg_id for last in seen if last is not None]
    found = await conn.execute(
        select(message.c.conv_id, message.c.body).where(message.c.msg_id.in_(ids))
    )
    return {row.conv_id: row.body[:PREVIEW_CHARS] for row in found}


async def _unread(conn: Transaction, who: Actor, states: Sequence[Conversation]) -> dict[str, int]:
    """Only for those in which this principal takes part: a board's rows are nobody's reading."""
    mine = [state for state in states if state.has_participant(who.principal)]
    own = and_(
        mark.c.stream_id == message.c.stream_id,
        mark.c.realm == who.principal.realm.value,
        mark.c.person == who.principal.person,
    )
    found = await conn.execute(
        select(message.c.conv_id, func.count())
        .select_from(message.outerjoin(mark, own))
        .where(message.c.stream_id.in_(_conv_streams(mine)))
        .where(message.c.position > func.coalesce(mark.c.read, 0))
        .where(lists.by_others(who.principal), message.c.withdrawn.is_(None))
        .where(lists.visible_to(who.principal))
        .group_by(message.c.conv_id)
    )
    return {row[0]: row[1] for row in found}


async def _me(conn: Transaction, who: Actor) -> Json:
    return await (_agent(conn, who) if who.is_agent else _employee(conn, who))


async def _agent(conn: Transaction, who: Actor) -> Json:
    row = (await conn.execute(select(agent).where(agent.c.person_id == who.principal.person))).one()
    record = await people.by_id(conn, who.principal.person)
    return {
        **_ref(who),
        "realm": Realm.AGENT.value,
        "role": row.role,
        "login_name": row.login_name,
        "language": record.language if record else None,
        "availability": row.availability,
        "availability_reason": row.availability_reason,
        "availability_since": row.availability_since,
        "capacity": row.capacity,
        "load": row.load,
        "skills": json.loads(row.skills),
        "pushes": row.pushes,
        "groups": [group.id for group in await office.groups(conn) if who.serves(group.id)],
    }


async def _employee(conn: Transaction, who: Actor) -> Json:
    record = await people.by_id(conn, who.principal.person)
    return {
        **_ref(who),
        "realm": Realm.EMPLOYEE.value,
        "department": who.department,
        "language": record.language if record else None,
    }


def _ref(who: Actor) -> Json:
    return {"id": who.person.id, "name": who.person.name, "avatar": who.person.avatar}


def _conv_streams(states: Sequence[Conversation]) -> list[ev.Stream]:
    return [ev.conv_stream(state.conv_id) for state in states]


def _row(state: Conversation) -> Json:
    return ev.as_json(state.row)


def _mark(found: Mark) -> Json:
    return {
        "person": found.person,
        "realm": found.realm.value,
        "delivered": found.delivered,
        "read": found.read,
        "at": found.at,
    }
