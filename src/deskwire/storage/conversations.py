"""Conversations as the rules want them, and the facts behind an opening.

What was decided is saved in `decisions`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.engine import Row

from deskwire.desk import events as ev
from deskwire.desk.access import Participant, Sight
from deskwire.desk.conversation import Conversation, Status
from deskwire.desk.decision import Opening
from deskwire.desk.office import Category, Group
from deskwire.desk.people import PersonId, PersonRef, Principal, Realm, Requester
from deskwire.storage import attachments, dialects, log, office, people
from deskwire.storage.engine import Transaction
from deskwire.storage.tables import (
    conversation,
    conversation_tag,
    day_number,
    message,
    participant,
    person,
)

NEWEST_MAX = 50  # of an employee's, whose staff is told whether they are there


async def load(conn: Transaction, conv_id: str) -> Conversation | None:
    """The conversation, locked until the transaction ends where the database locks rows."""
    row = (
        await conn.execute(
            select(conversation).where(conversation.c.conv_id == conv_id).with_for_update()
        )
    ).one_or_none()
    if row is None:
        return None
    return (await _states(conn, [row]))[0]


async def requester_of(conn: Transaction, conv_id: str) -> PersonId | None:
    """Whose it is: that never changes, so it may be asked before anything is locked."""
    return _person_id(
        await conn.scalar(
            select(conversation.c.requester_id).where(conversation.c.conv_id == conv_id)
        )
    )


async def load_many(conn: Transaction, conv_ids: Sequence[str]) -> list[Conversation]:
    """Several, in the order asked for; unknown ids are left out. For reads: nothing is locked."""
    rows = await conn.execute(select(conversation).where(conversation.c.conv_id.in_(conv_ids)))
    states = {state.conv_id: state for state in await _states(conn, rows.all())}
    return [states[conv_id] for conv_id in conv_ids if conv_id in states]


async def sights(conn: Transaction, conv_ids: Collection[str]) -> dict[str, Sight]:
    """What decides who sees these conversations; a storm of arrivals names many at once."""
    found: dict[str, Sight] = {}
    for some in log.chunks(sorted(conv_ids)):
        found |= await _sights(conn, some)
    return found


async def _sights(conn: Transaction, conv_ids: Sequence[str]) -> dict[str, Sight]:
    rows = (
        await conn.execute(select(conversation).where(conversation.c.conv_id.in_(conv_ids)))
    ).all()
    members = await participants(conn, [row.conv_id for row in rows])
    return {
        row.conv_id: Sight(
            requester=PersonId(row.requester_id),
            group_id=row.group_id,
            assignee=_person_id(row.assignee_id),
            last_agent=_person_id(row.last_agent_id),
            participants=members.get(row.conv_id, ()),
            assignee_absent=row.assignee_absent,
        )
        for row in rows
    }


async def of_employees(
    conn: Transaction, people_ids: Collection[PersonId]
) -> dict[PersonId, list[str]]:
    """What each of these employees takes part in: the newest fifty, whatever their status."""
    place = func.row_number().over(
        partition_by=participant.c.person_id,
        order_by=(conversation.c.opened_at.desc(), conversation.c.conv_id),
    )
    places = (
        select(participant.c.person_id, participant.c.conv_id, place.label("place"))
        .join(conversation, conversation.c.conv_id == participant.c.conv_id)
        .where(
            participant.c.realm == Realm.EMPLOYEE.value,
            participant.c.person_id.in_(people_ids),
            participant.c.left_at.is_(None),
        )
        .subquery()
    )
    rows = await conn.execute(
        select(places).where(places.c.place <= NEWEST_MAX).order_by(places.c.place)
    )
    found: dict[PersonId, list[str]] = {}
    for row in rows:
        found.setdefault(PersonId(row.person_id), []).append(row.conv_id)
    return found


async def opening(
    conn: Transaction,
    *,
    requester: PersonId,
    category_id: str,
    previous_id: str | None,
    attached: Sequence[str],
    conv_id: str,
    day: str,
) -> Opening:
    """The facts behind an opening. Takes the next number of the day; an abort gives it back.

    Openings of one person take turns, as do those of one day: what is counted here stays so.
    """
    await people.lock(conn, requester)
    number = await _next_number(conn, day)
    found = next((c for c in await office.categories(conn) if c.id == category_id), None)
    group_id = found.group.id if found else ""
    of_group = (conversation.c.group_id == group_id, conversation.c.status != Status.CLOSED.value)
    unclosed = await conn.scalar(
        select(conversation.c.conv_id).where(conversation.c.requester_id == requester, *of_group)
    )
    queued = await conn.scalar(
        select(func.count())
        .select_from(conversation)
        .where(conversation.c.group_id == group_id, conversation.c.status == Status.QUEUED.value)
    )
    return Opening(
        conv_id=conv_id,
        no=f"IT-{day}-{number:04d}",
        category=found,
        unclosed=unclosed,
        queued=int(queued or 0),
        previous_is_own=await _is_own(conn, requester, previous_id),
        attachments=await attachments.named(conn, attached),
        settings=await office.settings(conn),
    )


async def _is_own(conn: Transaction, requester: PersonId, previous_id: str | None) -> bool:
    if previous_id is None:
        return True
    owner = await conn.scalar(
        select(conversation.c.requester_id).where(conversation.c.conv_id == previous_id)
    )
    return bool(owner == requester)


async def _next_number(conn: Transaction, day: str) -> int:
    taking = dialects.insert(conn, day_number).values(day=day, n=1)
    raised = taking.on_conflict_do_update(
        index_elements=[day_number.c.day], set_={"n": day_number.c.n + 1}
    )
    return int((await conn.execute(raised.returning(day_number.c.n))).scalar_one())


async def _states(conn: Transaction, rows: Sequence[Row[Any]]) -> list[Conversation]:
    conv_ids = [row.conv_id for row in rows]
    members = await participants(conn, conv_ids)
    lasts = await _last_messages(conn, [row.last_msg_id for row in rows if row.last_msg_id])
    refs = await _refs(conn, {row.requester_id for row in rows} | {r.assignee_id for r in rows})
    categories = {found.id: found for found in await office.categories(conn)}
    groups = {found.id: found for found in await office.groups(conn)}
    tags = await _tags(conn, conv_ids)
    heads = await log.heads(conn, [ev.conv_stream(conv_id) for conv_id in conv_ids])
    return [
        _state(
            row,
            refs,
            categories[row.category_id],
            groups[row.group_id],
            tags.get(row.conv_id, ()),
            members.get(row.conv_id, ()),
            lasts.get(row.last_msg_id),
            heads[ev.conv_stream(row.conv_id)].position,
        )
        for row in rows
    ]


def _state(
    row: Row[Any],
    refs: Mapping[str, Requester],
    category: Category,
    group: Group,
    tags: tuple[str, ...],
    members: tuple[Participant, ...],
    last: ev.LastMessage | None,
    head: int,
) -> Conversation:
    assignee = refs.get(row.assignee_id)
    return Conversation(
        conv_id=row.conv_id,
        no=row.no,
        requester=refs[row.requester_id],
        category=category,
        status=Status(row.status),
        assignee=PersonRef(id=assignee.id, name=assignee.name, avatar=assignee.avatar)
        if assignee
        else None,
        last_agent=_person_id(row.last_agent_id),
        turn=Realm(row.turn),
        version=row.version,
        waiting_since=row.waiting_since,
        opened_at=row.opened_at,
        first_answered_at=row.first_answered_at,
        resolution_no=row.resolution_no,
        closed_at=row.closed_at,
        closed_how=row.closed_how,
        previous_id=row.previous_id,
        rated=row.rated,
        participants=members,
        last_message=last,
        head=head,
        moved_to=group if group.id != category.group.id else None,
        priority=row.priority,
        tags=tags,
        label_version=row.label_version,
        preferred_agent=_person_id(row.preferred_agent_id),
        prefer_until=row.prefer_until,
        waiting_reason=row.waiting_reason,
        held_until=row.held_until,
        reopen_count=row.reopen_count,
        assignee_absent=row.assignee_absent,
        assignee_answered=row.assignee_answered,
        assigned_at=row.assigned_at,
        resolved_at=row.resolved_at,
        is_reminded=row.is_reminded,
    )


async def _tags(conn: Transaction, conv_ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    rows = await conn.execute(
        select(conversation_tag)
        .where(conversation_tag.c.conv_id.in_(conv_ids))
        .order_by(conversation_tag.c.conv_id, conversation_tag.c.sort)
    )
    found: dict[str, tuple[str, ...]] = {}
    for row in rows:
        found[row.conv_id] = (*found.get(row.conv_id, ()), row.tag_id)
    return found


async def _refs(conn: Transaction, ids: Collection[Any]) -> dict[str, Requester]:
    rows = await conn.execute(select(person).where(person.c.person_id.in_(ids)))
    return {
        row.person_id: Requester(
            id=PersonId(row.person_id),
            name=row.name,
            avatar=row.avatar,
            department=row.department,
        )
        for row in rows
    }


async def participants(
    conn: Transaction, conv_ids: Sequence[str]
) -> dict[str, tuple[Participant, ...]]:
    """Who takes part or has taken part in these conversations."""
    rows = await conn.execute(
        select(participant)
        .where(participant.c.conv_id.in_(conv_ids))
        .order_by(participant.c.conv_id, participant.c.realm, participant.c.person_id)
    )
    found: dict[str, tuple[Participant, ...]] = {}
    for row in rows:
        member = Participant(
            principal=Principal(Realm(row.realm), PersonId(row.person_id)),
            role=row.role,
            visible_from=row.visible_from,
            left_at=row.left_at,
        )
        found[row.conv_id] = (*found.get(row.conv_id, ()), member)
    return found


async def _last_messages(conn: Transaction, msg_ids: Sequence[str]) -> dict[str, ev.LastMessage]:
    rows = await conn.execute(select(message).where(message.c.msg_id.in_(msg_ids)))
    return {
        row.msg_id: ev.LastMessage(
            msg_id=row.msg_id,
            position=row.position,
            kind=row.kind,
            realm=row.realm,
            at=row.at,
        )
        for row in rows
    }


def _person_id(value: str | None) -> PersonId | None:
    return PersonId(value) if value is not None else None
