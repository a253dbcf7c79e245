"""Offers: the live one of a conversation, how each ended, who is to be left alone for a while.

Invariant: unique indexes keep one live offer for each conversation and each agent.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.engine import Row

from deskwire.desk.decision import Offer, OfferKind, Outcome
from deskwire.desk.people import PersonId
from deskwire.desk.routing import COOLING_MS, TurnedAway
from deskwire.storage import dialects
from deskwire.storage.engine import Transaction
from deskwire.storage.tables import assignment, offer

_TURNED = (Outcome.DECLINED.value, Outcome.EXPIRED.value)
NO_ANSWER = "no_answer"


async def live(conn: Transaction, conv_ids: Collection[str]) -> dict[str, Offer]:
    """The live offers of these conversations."""
    rows = await conn.execute(
        select(offer).where(offer.c.conv_id.in_(conv_ids), offer.c.outcome.is_(None))
    )
    return {row.conv_id: _offer(row) for row in rows}


async def conversation_of(conn: Transaction, offer_id: str) -> str | None:
    """The conversation that an offer proposes, whether or not it is live."""
    found = await conn.scalar(select(offer.c.conv_id).where(offer.c.offer_id == offer_id))
    return str(found) if found is not None else None


async def begin(conn: Transaction, opened: Offer, now: int) -> bool:
    """Insert it. False: the conversation or the agent has a live one already."""
    made = await conn.execute(
        dialects.insert(conn, offer)
        .values(
            offer_id=opened.offer_id,
            conv_id=opened.conv_id,
            agent_id=opened.agent,
            kind=opened.kind.value,
            made_at=now,
            expires_at=opened.expires_at,
            by_id=opened.by,
            stay=opened.stay,
        )
        .on_conflict_do_nothing()
        .returning(offer.c.offer_id)
    )
    return made.first() is not None


async def end(conn: Transaction, offer_id: str, outcome: Outcome, at: int) -> bool:
    """End it. False: it has ended before."""
    ended = await conn.execute(
        update(offer)
        .where(offer.c.offer_id == offer_id, offer.c.outcome.is_(None))
        .values(outcome=outcome.value, ended_at=at)
    )
    return bool(ended.rowcount)


async def turned_away(
    conn: Transaction, conv_ids: Collection[str], now: int
) -> dict[str, list[TurnedAway]]:
    """Who lately declined or missed an offer of these conversations, or did not answer in time."""
    since = now - COOLING_MS
    missed = select(offer.c.conv_id, offer.c.agent_id, offer.c.ended_at).where(
        offer.c.conv_id.in_(conv_ids), offer.c.outcome.in_(_TURNED), offer.c.ended_at > since
    )
    silent = select(assignment.c.conv_id, assignment.c.agent_id, assignment.c.ended_at).where(
        assignment.c.conv_id.in_(conv_ids),
        assignment.c.ended_cause == NO_ANSWER,
        assignment.c.ended_at > since,
    )
    found: dict[str, list[TurnedAway]] = {}
    for row in await conn.execute(missed.union_all(silent)):
        away = TurnedAway(agent=PersonId(row.agent_id), at=row.ended_at)
        found.setdefault(row.conv_id, []).append(away)
    return found


def _offer(row: Row[Any]) -> Offer:
    return Offer(
        offer_id=row.offer_id,
        conv_id=row.conv_id,
        agent=PersonId(row.agent_id),
        kind=OfferKind(row.kind),
        expires_at=row.expires_at,
        by=PersonId(row.by_id) if row.by_id is not None else None,
        stay=row.stay,
    )
