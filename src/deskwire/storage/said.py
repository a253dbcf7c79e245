"""Public messages as far as marks are concerned: who wrote them, where they stand."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.engine import Row

from deskwire.desk.events import FLAT_MESSAGES_MAX, conv_stream
from deskwire.desk.messages import Said
from deskwire.desk.people import PersonId, Principal, Realm
from deskwire.storage.engine import Transaction
from deskwire.storage.lists import by_others
from deskwire.storage.tables import message


async def named(conn: Transaction, conv_id: str, msg_ids: Collection[str]) -> list[Said]:
    """Those of these messages that are public ones of this conversation."""
    rows = await conn.execute(_of(conv_id).where(message.c.msg_id.in_(msg_ids)))
    return [_said(row) for row in rows]


async def between(
    conn: Transaction, conv_id: str, who: Principal, *, above: int, up_to: int
) -> list[Said]:
    """The newest 200 standing messages there that `who` has not written, in their order."""
    rows = await conn.execute(
        _of(conv_id)
        .where(message.c.position > above, message.c.position <= up_to)
        .where(by_others(who), message.c.withdrawn.is_(None))
        .order_by(message.c.position.desc())
        .limit(FLAT_MESSAGES_MAX)
    )
    return [_said(row) for row in reversed(rows.all())]


def _of(conv_id: str) -> Select[Any]:
    return select(
        message.c.msg_id,
        message.c.position,
        message.c.realm,
        message.c.person_id,
        message.c.withdrawn,
    ).where(message.c.conv_id == conv_id, message.c.stream_id == conv_stream(conv_id))


def _said(row: Row[Any]) -> Said:
    return Said(
        msg_id=row.msg_id,
        position=row.position,
        author=Principal(Realm(row.realm), PersonId(row.person_id)),
        is_withdrawn=row.withdrawn is not None,
    )
