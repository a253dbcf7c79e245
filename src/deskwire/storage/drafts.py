"""Agents' drafts, by person, conversation and mode.

Invariant: a revision is written over by the next one alone, whoever else writes at the same moment.
"""

from __future__ import annotations

import json
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, delete, select
from sqlalchemy.engine import Row

from deskwire.desk.drafts import Draft
from deskwire.desk.people import PersonId
from deskwire.storage import dialects
from deskwire.storage.engine import StoreBusy, Transaction
from deskwire.storage.tables import draft

NEWEST_MAX: Final = 200  # of one agent, as a page loads them


async def find(conn: Transaction, person_id: PersonId, conv_id: str, mode: str) -> Draft | None:
    row = (await conn.execute(select(draft).where(_key(person_id, conv_id, mode)))).one_or_none()
    return _draft(row) if row else None


async def of_agent(conn: Transaction, person_id: PersonId) -> list[Draft]:
    """An agent's drafts, the newest first, at most `NEWEST_MAX`."""
    rows = await conn.execute(
        select(draft)
        .where(draft.c.person_id == person_id)
        .order_by(draft.c.at.desc(), draft.c.conv_id, draft.c.mode)
        .limit(NEWEST_MAX)
    )
    return [_draft(row) for row in rows]


async def save(conn: Transaction, kept: Draft, at: int) -> None:
    """Insert the draft or write it over the revision before it. Raises StoreBusy."""
    values = {
        "text": kept.text,
        "attachments": json.dumps(kept.attachments),
        "rev": kept.rev,
        "at": at,
    }
    key = {"person_id": kept.person, "conv_id": kept.conv, "mode": kept.mode}
    saved = await conn.execute(
        dialects.insert(conn, draft)
        .values(**key, **values)
        .on_conflict_do_update(
            index_elements=[draft.c[name] for name in key],
            set_=values,
            where=draft.c.rev == kept.rev - 1,
        )
        .returning(draft.c.rev)
    )
    if saved.first() is None:
        raise StoreBusy("another page has written the same draft")


async def drop(conn: Transaction, person_id: PersonId, conv_id: str, mode: str) -> None:
    await conn.execute(delete(draft).where(_key(person_id, conv_id, mode)))


def _key(person_id: PersonId, conv_id: str, mode: str) -> ColumnElement[bool]:
    return and_(draft.c.person_id == person_id, draft.c.conv_id == conv_id, draft.c.mode == mode)


def _draft(row: Row[Any]) -> Draft:
    return Draft(
        person=PersonId(row.person_id),
        conv=row.conv_id,
        mode=row.mode,
        text=row.text,
        rev=row.rev,
        attachments=tuple(json.loads(row.attachments)),
    )
