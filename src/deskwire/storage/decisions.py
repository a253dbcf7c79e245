"""Decisions, written down: everything that was decided, in the one transaction.

Rows are written in the order in which locks are taken everywhere: the conversation, agents, timers,
then the log, whose streams are locked late, pushes, and who lost sight last.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import delete, func, insert, select, update

from deskwire.desk import events as ev
from deskwire.desk.administration import DeskDecision, SavedPerson
from deskwire.desk.conversation import Conversation
from deskwire.desk.deadlines import DAY_MS, Arm, Timer
from deskwire.desk.decision import (
    AssignmentBegun,
    AssignmentEnded,
    Decision,
    OfferEnded,
    OfferOpened,
    SightLost,
)
from deskwire.desk.fallback import Settle
from deskwire.desk.messages import Withdrawal
from deskwire.desk.people import PersonId, Principal, Realm
from deskwire.storage import (
    agents,
    attachments,
    conversations,
    due,
    log,
    logins,
    offers,
    office,
    outbox,
    pushes,
    records,
    search,
)
from deskwire.storage.engine import Transaction
from deskwire.storage.tables import (
    access,
    assignment,
    conversation,
    conversation_tag,
    message,
    participant,
    rating,
    withdrawn_original,
)

_Withdrawing = ev.MessageRecalled | ev.MessageRedacted | ev.NoteRecalled | ev.NoteRedacted


class Overtaken(Exception):
    """Somebody else was quicker with what was decided on: roll back, read again, decide anew."""


class CapacityExceeded(Overtaken):
    """An agent's load would have risen over their capacity."""


class PushSettledBefore(Exception):
    """The push was claimed anew or settled meanwhile: this outcome comes too late."""


class OfferEndedBefore(Overtaken):
    """The offer has had another end."""


async def save(conn: Transaction, decision: Decision, *, now: int) -> dict[ev.Stream, log.Head]:
    """Write the state, then the events. Returns the new heads. Raises Overtaken and StoreBusy,
    and PushSettledBefore for the outcome of a push.

    The conversation is locked by then. Streams are locked by the last statements, so what else a
    transaction writes comes before this call.
    """
    state = decision.state
    await _save_row(conn, state)
    await _save_participants(conn, state)
    await _save_tags(conn, state)
    await _save_agents(conn, decision)
    await _save_offers(conn, decision.offers, now)
    await _save_assignments(conn, state, decision.assignments)
    await save_timers(conn, decision.timers)
    await attachments.bind(conn, decision.bindings)
    buried = await _bury(conn, decision.withdrawals, now)
    events = [_told_to_all(event, buried) for event in decision.events]
    heads, placed = await log.append(conn, events, _voids(events, buried))
    for event, where in zip(events, placed, strict=True):
        await _save_data(conn, event, where)
    await pushes.arm(
        conn, decision.pushes, {e.id: where for e, where in zip(events, placed, strict=True)}
    )
    await _save_pushes_end(conn, events, decision.settles, buried, now)
    await _save_losses(conn, decision.losses, now)
    at = heads.get(ev.conv_stream(state.conv_id))
    assert at is None or at.position == state.head, "a position was taken outside the row's lock"
    return heads


async def save_desk(
    conn: Transaction, decision: DeskDecision, *, now: int
) -> dict[ev.Stream, log.Head]:
    """Write what belongs to no conversation: an agent's availability, a record of the office.

    Returns the new heads. Whoever is disabled by it has no login any more.
    """
    record = decision.record
    if record is not None:
        await records.save(conn, record, now)
    await agents.change(conn, decision.agents)
    await save_timers(conn, decision.timers)
    heads, _ = await log.append(conn, decision.events)
    if isinstance(record, SavedPerson) and record.is_disabled:
        await logins.revoke_everywhere(conn, record.id, "disabled", now)
    for who in decision.rights_of:
        await _lose(conn, Principal(Realm.AGENT, who), None, "rights", now)
    return heads


async def save_timers(conn: Transaction, timers: Iterable[Timer]) -> None:
    """Arm and disarm, of each the last word, in one order of locks."""
    last = {(each.kind.value, each.key): each for each in timers}
    for (kind, key), each in sorted(last.items(), key=lambda item: item[0]):
        if isinstance(each, Arm):
            await due.arm(conn, kind, key, each.due)
        else:
            await due.disarm(conn, [(kind, key)])


# The conversation ---------------------------------------------------------------------------------


async def _save_row(conn: Transaction, state: Conversation) -> None:
    values = _values(state)
    changed = await conn.execute(
        update(conversation).where(conversation.c.conv_id == state.conv_id).values(**values)
    )
    if not changed.rowcount:
        await conn.execute(
            insert(conversation).values(
                conv_id=state.conv_id,
                no=state.no,
                requester_id=state.requester.id,
                opened_at=state.opened_at,
                previous_id=state.previous_id,
                **values,
            )
        )


def _values(state: Conversation) -> dict[str, Any]:
    return {
        "category_id": state.category.id,
        "group_id": state.group.id,
        "status": state.status.value,
        "assignee_id": state.assignee.id if state.assignee else None,
        "last_agent_id": state.last_agent,
        "turn": state.turn.value,
        "version": state.version,
        "waiting_since": state.waiting_since,
        "first_answered_at": state.first_answered_at,
        "resolution_no": state.resolution_no,
        "closed_at": state.closed_at,
        "closed_how": state.closed_how,
        "rated": state.rated,
        "last_msg_id": state.last_message.msg_id if state.last_message else None,
        "priority": state.priority,
        "label_version": state.label_version,
        "preferred_agent_id": state.preferred_agent,
        "prefer_until": state.prefer_until,
        "waiting_reason": state.waiting_reason,
        "held_until": state.held_until,
        "reopen_count": state.reopen_count,
        "assignee_absent": state.assignee_absent,
        "assignee_answered": state.assignee_answered,
        "assigned_at": state.assigned_at,
        "resolved_at": state.resolved_at,
        "is_reminded": state.is_reminded,
    }


async def _save_participants(conn: Transaction, state: Conversation) -> None:
    stored = (await conversations.participants(conn, [state.conv_id])).get(state.conv_id, ())
    known = {member.principal: member for member in stored}
    for member in state.participants:
        if known.get(member.principal) == member:
            continue
        realm, person_id = member.principal
        values = {
            "role": member.role,
            "visible_from": member.visible_from,
            "left_at": member.left_at,
        }
        key = {"conv_id": state.conv_id, "realm": realm.value, "person_id": person_id}
        if member.principal not in known:
            await conn.execute(insert(participant).values(**key, **values))
            continue
        here = (participant.c[name] == value for name, value in key.items())
        await conn.execute(update(participant).where(*here).values(**values))


async def _save_tags(conn: Transaction, state: Conversation) -> None:
    of_this = conversation_tag.c.conv_id == state.conv_id
    rows = await conn.execute(
        select(conversation_tag.c.tag_id).where(of_this).order_by(conversation_tag.c.sort)
    )
    if tuple(row.tag_id for row in rows) == state.tags:
        return
    await conn.execute(delete(conversation_tag).where(of_this))
    for sort, tag_id in enumerate(state.tags):
        await conn.execute(
            insert(conversation_tag).values(conv_id=state.conv_id, tag_id=tag_id, sort=sort)
        )


# Agents -------------------------------------------------------------------------------------------


async def _save_agents(conn: Transaction, decision: Decision) -> None:
    """Loads and the rest agent by agent, so that two decisions never wait for each other."""
    changed: set[PersonId] = {*decision.loads, *(each.agent for each in decision.agents)}
    for agent_id in sorted(changed):
        by = decision.loads.get(agent_id, 0)
        may_exceed = agent_id in decision.may_exceed
        if by and not await agents.change_load(conn, agent_id, by, may_exceed=may_exceed):
            raise CapacityExceeded(agent_id)
        await agents.change(conn, [each for each in decision.agents if each.agent == agent_id])


async def _save_offers(
    conn: Transaction, changes: Sequence[OfferOpened | OfferEnded], now: int
) -> None:
    for each in changes:
        if isinstance(each, OfferEnded):
            if not await offers.end(conn, each.offer_id, each.outcome, each.at):
                raise OfferEndedBefore(each.offer_id)
        elif not await offers.begin(conn, each.offer, now):
            raise Overtaken("somebody else was asked, or the agent something else")


async def _save_assignments(
    conn: Transaction, state: Conversation, changes: Sequence[AssignmentBegun | AssignmentEnded]
) -> None:
    for each in changes:
        if isinstance(each, AssignmentEnded):
            await conn.execute(
                update(assignment)
                .where(
                    assignment.c.conv_id == state.conv_id,
                    assignment.c.agent_id == each.agent,
                    assignment.c.ended_at.is_(None),
                )
                .values(ended_at=each.at, ended_cause=each.cause)
            )
            continue
        await conn.execute(
            insert(assignment).values(
                conv_id=state.conv_id,
                agent_id=each.agent,
                group_id=state.group.id,
                began_at=each.at,
                cause=each.cause,
                by_id=each.by,
                over_capacity=each.over_capacity,
            )
        )


# What was said, and what was taken back -----------------------------------------------------------


async def _save_data(conn: Transaction, event: ev.Event, where: Mapping[ev.Stream, int]) -> None:
    if event.conv is None:
        return
    match event.data:
        case ev.MessagePosted() as posted:
            name = ev.conv_stream(event.conv)
            more = {"kind": posted.kind, "reply_to": posted.reply_to}
            await _save_message(conn, event, name, where[name], posted, more)
            await search.remember(conn, msg_id=posted.msg_id, conv_id=event.conv, body=posted.body)
        case ev.NotePosted() as note:
            name = ev.staff_stream(event.conv)
            more = {"kind": "note", "mentions": json.dumps(note.mentions)}
            await _save_message(conn, event, name, where[name], note, more)
        case ev.RatingGiven() as given:
            await conn.execute(
                insert(rating).values(
                    conv_id=event.conv,
                    resolution_no=given.resolution_no,
                    score=given.score,
                    reasons=json.dumps(given.reasons, ensure_ascii=False),
                    comment=given.comment,
                    at=event.at,
                )
            )
        case _:
            return


async def _save_message(
    conn: Transaction,
    event: ev.Event,
    name: ev.Stream,
    position: int,
    written: ev.MessagePosted | ev.NotePosted,
    more: Mapping[str, Any],
) -> None:
    assert event.by is not None
    author = event.by.principal
    await conn.execute(
        insert(message).values(
            msg_id=written.msg_id,
            conv_id=event.conv,
            stream_id=name,
            position=position,
            realm=author.realm.value,
            person_id=author.person,
            command_id=written.command_id,
            body=written.body,
            at=event.at,
            **more,
        )
    )


async def _bury(
    conn: Transaction, withdrawals: Sequence[Withdrawal], now: int
) -> dict[str, log.Stored]:
    """Empty the rows and write the tombstones. Returns where each message lies, by its id."""
    buried = {}
    for each in withdrawals:
        row = (await conn.execute(select(message).where(message.c.msg_id == each.msg_id))).one()
        await _keep_original(conn, each, row.body, now)
        await conn.execute(
            update(message)
            .where(message.c.msg_id == each.msg_id)
            .values(body="", withdrawn=func.coalesce(message.c.withdrawn, each.how.value))
        )
        await search.forget(conn, each.msg_id)
        await _withdraw_attachments(conn, each, now)
        stored = await log.at(conn, ev.Stream(row.stream_id), row.position)
        await log.bury(conn, stored, each.how)
        buried[each.msg_id] = stored
    return buried


async def _withdraw_attachments(conn: Transaction, each: Withdrawal, now: int) -> None:
    """They are destroyed with the original: a recalled one's is kept for a time."""
    if not each.attachments:
        return
    days = (await office.settings(conn)).originals_days if each.keeps_original else 0
    until = now + days * DAY_MS
    await attachments.withdraw(conn, each.attachments, at=now, destroy_at=until)


async def _keep_original(conn: Transaction, each: Withdrawal, body: str, now: int) -> None:
    """A recalled text for administrators to read; of a redacted one nothing is left."""
    if not each.keeps_original:
        kept = withdrawn_original.c.msg_id == each.msg_id
        await conn.execute(delete(withdrawn_original).where(kept))
    elif (await office.settings(conn)).originals_days:
        await conn.execute(insert(withdrawn_original).values(msg_id=each.msg_id, body=body, at=now))


def _told_to_all(event: ev.Event, buried: Mapping[str, log.Stored]) -> ev.Event:
    """Wherever a text was told its withdrawal is told, also on the board it has left meanwhile.

    What a node keeps of a stream is voided by an event of that stream, and by nothing else.
    """
    stored = _taken_by(event, buried)
    if stored is None:
        return event
    return replace(event, streams=tuple(dict.fromkeys((*event.streams, *stored.places))))


def _voids(
    events: Sequence[ev.Event], buried: Mapping[str, log.Stored]
) -> dict[str, Mapping[ev.Stream, int]]:
    found = ((event.id, _taken_by(event, buried)) for event in events)
    return {event_id: stored.places for event_id, stored in found if stored is not None}


def _taken_by(event: ev.Event, buried: Mapping[str, log.Stored]) -> log.Stored | None:
    return buried.get(event.data.msg_id) if isinstance(event.data, _Withdrawing) else None


async def _save_pushes_end(
    conn: Transaction,
    events: Sequence[ev.Event],
    settles: Settle | None,
    buried: Mapping[str, log.Stored],
    now: int,
) -> None:
    """Who writes waits no longer; what was withdrawn is in no push; an outcome ends one."""
    for event in events:
        if isinstance(event.data, ev.MessagePosted) and event.conv and event.by:
            await pushes.wrote(conn, event.by.principal, ev.conv_stream(event.conv))
    for msg_id, stored in buried.items():
        await outbox.withdraw(conn, msg_id, list(stored.places), now)
    if settles is not None and not await outbox.settle(conn, settles, now):
        raise PushSettledBefore(settles.push_id)


# Sight --------------------------------------------------------------------------------------------


async def _save_losses(conn: Transaction, losses: Sequence[SightLost], now: int) -> None:
    for each in losses:
        await _lose(conn, each.principal, each.stream, each.why, now)


async def _lose(
    conn: Transaction, who: Principal | None, stream: ev.Stream | None, why: str, now: int
) -> None:
    n = await log.next_access(conn)
    await conn.execute(
        insert(access).values(
            n=n,
            realm=who.realm.value if who else None,
            person=who.person if who else None,
            stream_id=stream,
            why=why,
            at=now,
        )
    )
