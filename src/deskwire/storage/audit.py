"""What is looked up afterwards: what became of a conversation and why, and what was recalled.

Reads only. Must never give out a message's text, but that of a recalled one to whoever asks for it;
who may is asked by the caller.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import select

from deskwire.desk import events as ev
from deskwire.desk.people import PersonId, Principal, Realm
from deskwire.storage.engine import Transaction
from deskwire.storage.tables import attachment, event, message, stream_event, withdrawn_original

Json = dict[str, Any]

_REASON: Final = ev.TYPE_OF[ev.ReasonRecorded].name
_INSPECTED: Final = ev.TYPE_OF[ev.ConversationInspected].name
_TEXTS: Final = frozenset(ev.TYPE_OF[each].name for each in (ev.MessagePosted, ev.NotePosted))


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """What stood in a recalled message or note. Times are Unix ms."""

    msg_id: str
    conv_id: str
    author: Principal
    is_note: bool
    posted_at: int
    recalled_at: int
    body: str
    attachments: tuple[str, ...]


async def conversation_of(conn: Transaction, msg_id: str) -> str | None:
    """The conversation that a message or note belongs to."""
    found = await conn.scalar(select(message.c.conv_id).where(message.c.msg_id == msg_id))
    return str(found) if found is not None else None


async def original(conn: Transaction, msg_id: str) -> Original | None:
    """The recalled text, as long as it is kept; of what was redacted nothing is left."""
    row = (
        await conn.execute(
            select(
                message,
                withdrawn_original.c.body.label("original"),
                withdrawn_original.c.at.label("recalled_at"),
            )
            .join(withdrawn_original, withdrawn_original.c.msg_id == message.c.msg_id)
            .where(message.c.msg_id == msg_id)
        )
    ).one_or_none()
    if row is None:
        return None
    names = await conn.execute(
        select(attachment.c.name)
        .where(attachment.c.msg_id == msg_id)
        .order_by(attachment.c.attachment_id)
    )
    return Original(
        msg_id=msg_id,
        conv_id=row.conv_id,
        author=Principal(Realm(row.realm), PersonId(row.person_id)),
        is_note=row.stream_id == ev.staff_stream(row.conv_id),
        posted_at=row.at,
        recalled_at=row.recalled_at,
        body=row.original,
        attachments=tuple(each.name for each in names),
    )


async def steps(conn: Transaction, conv_id: str, *, after: int, limit: int) -> Json:
    """What became of the conversation, each step with its reason, by position on the staff stream.

    The steps above `after`; `next` goes into `after` for the following page.
    """
    name = ev.staff_stream(conv_id)
    rows = (
        await conn.execute(
            select(stream_event.c.position, event.c.body)
            .join(event, event.c.event_id == stream_event.c.event_id)
            .where(stream_event.c.stream_id == name, stream_event.c.position > after)
            .where(event.c.type.in_([_REASON, _INSPECTED]))
            .order_by(stream_event.c.position)
            .limit(limit + 1)
        )
    ).all()
    page = [(row.position, json.loads(row.body)) for row in rows[:limit]]
    about = await _events(
        conn, [body["data"]["about"] for _, body in page if body["type"] == _REASON]
    )
    return {
        "conv": conv_id,
        "steps": [_step(position, body, about) for position, body in page],
        "next": page[-1][0] if len(rows) > limit else None,
    }


async def _events(conn: Transaction, ids: Sequence[str]) -> dict[str, Json]:
    rows = await conn.execute(
        select(event.c.event_id, event.c.body).where(event.c.event_id.in_(ids))
    )
    return {row.event_id: json.loads(row.body) for row in rows}


def _step(position: int, body: Json, about: dict[str, Json]) -> Json:
    """One line: what happened, who did it, and why."""
    if body["type"] == _INSPECTED:
        what, reason = body, {"command": "record_inspection", "cause": "inspected"}
    else:
        reason = body["data"]
        what = about.get(reason["about"], body)
    return {
        "position": position,
        "at": body["at"],
        "by": body["by"],
        "type": what["type"],
        "data": None if what["type"] in {*_TEXTS, _REASON} else what["data"],
        "command": reason["command"],
        "cause": reason["cause"],
        "note": reason.get("note"),
        "over_capacity": reason.get("over_capacity", False),
    }
