"""The search's index: the terms of public messages, cut by our own rule, on both databases.

Written in the transaction that posts, cleared in the one that withdraws. Invariant: a note is never
in it, and what is withdrawn is found no more from the withdrawal's COMMIT on.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, delete, false, insert, select

from deskwire.storage import cut, dialects
from deskwire.storage.engine import Transaction
from deskwire.storage.tables import searchable


async def remember(conn: Transaction, *, msg_id: str, conv_id: str, body: str) -> None:
    """Let a public message be found by its words."""
    terms = cut.terms(body)
    if not terms:
        return
    await conn.execute(
        insert(searchable).values(
            msg_id=msg_id, conv_id=conv_id, terms=dialects.written_terms(conn, terms)
        )
    )


async def forget(conn: Transaction, msg_id: str) -> None:
    """The message is withdrawn: nobody finds it any more."""
    await conn.execute(delete(searchable).where(searchable.c.msg_id == msg_id))


def conversations_with(conn: Transaction, asked: str) -> Select[Any]:
    """The ids of the conversations with one public message that has all the words asked for.

    Who may see them is not asked here. Words that are none (punctuation, emoji) find nothing.
    """
    return select(searchable.c.conv_id).where(_has(conn, cut.phrases(asked)))


def _has(conn: Transaction, phrases: tuple[cut.Phrase, ...]) -> ColumnElement[bool]:
    return dialects.has_phrases(conn, searchable, phrases) if phrases else false()
