"""Queues: what waits in a group, why, how fast it moves; and what an agent has in hand."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import select, update

from deskwire.desk.conversation import Conversation, Status
from deskwire.desk.deadlines import TimerKind
from deskwire.desk.people import PersonId
from deskwire.desk.routing import SAMPLE_WINDOW_MS, Waiting, cooling_off, waiting
from deskwire.storage import conversations, offers
from deskwire.storage.engine import Transaction
from deskwire.storage.tables import assignment, conversation, timer

QUEUE_MAX = 1_000  # looked at in one run, the first by dispatch order
SAMPLES_MAX = 1_000


async def of_group(conn: Transaction, group_id: str) -> list[Conversation]:
    """The queued conversations of a group, in the order in which they are dispatched."""
    rows = await conn.execute(
        select(conversation.c.conv_id)
        .where(conversation.c.group_id == group_id, conversation.c.status == Status.QUEUED.value)
        .order_by(conversation.c.priority.desc(), conversation.c.waiting_since, conversation.c.no)
        .limit(QUEUE_MAX)
    )
    return await conversations.load_many(conn, [row.conv_id for row in rows])


async def groups_of_requesters(conn: Transaction, people: Collection[PersonId]) -> list[str]:
    """The groups in whose queues one of these employees waits."""
    rows = await conn.execute(
        select(conversation.c.group_id)
        .where(
            conversation.c.requester_id.in_(people),
            conversation.c.status == Status.QUEUED.value,
        )
        .distinct()
        .order_by(conversation.c.group_id)
    )
    return [row.group_id for row in rows]


async def for_dispatch(conn: Transaction, queue: Sequence[Conversation], now: int) -> list[Waiting]:
    """The queue as the dispatcher sees it: with live offers, and who is to be left alone."""
    ids = [state.conv_id for state in queue]
    live = await offers.live(conn, ids)
    turned = await offers.turned_away(conn, ids, now)
    return [
        waiting(
            state,
            has_offer=state.conv_id in live,
            cooling=cooling_off(turned.get(state.conv_id, ()), now),
        )
        for state in queue
    ]


async def explain(conn: Transaction, reasons: Mapping[str, str | None]) -> None:
    """Write why nobody is asked to take these; none: somebody is. What has moved on is left."""
    for conv_id, reason in sorted(reasons.items()):
        await conn.execute(
            update(conversation)
            .where(conversation.c.conv_id == conv_id, conversation.c.status == Status.QUEUED.value)
            .values(waiting_reason=reason)
        )


async def without_a_look(conn: Transaction) -> list[str]:
    """Groups in which something waits while no timer will look at it."""
    looks = select(timer.c.key).where(timer.c.kind == TimerKind.DISPATCH.value)
    rows = await conn.execute(
        select(conversation.c.group_id)
        .where(
            conversation.c.status == Status.QUEUED.value,
            conversation.c.group_id.not_in(looks),
        )
        .distinct()
        .order_by(conversation.c.group_id)
    )
    return [row.group_id for row in rows]


async def assigned_lately(conn: Transaction, group_id: str, now: int) -> list[int]:
    """When the group's conversations were given to somebody, in the last hour."""
    rows = await conn.execute(
        select(assignment.c.began_at)
        .where(assignment.c.group_id == group_id, assignment.c.began_at >= now - SAMPLE_WINDOW_MS)
        .order_by(assignment.c.began_at.desc())
        .limit(SAMPLES_MAX)
    )
    return [row.began_at for row in rows]


async def in_hand(conn: Transaction, agent: str) -> list[str]:
    """The active conversations of an agent."""
    rows = await conn.execute(
        select(conversation.c.conv_id)
        .where(conversation.c.assignee_id == agent)
        .order_by(conversation.c.conv_id)
    )
    return [row.conv_id for row in rows]


async def absent_from(conn: Transaction, agents: Sequence[str]) -> list[tuple[str, PersonId]]:
    """The conversations in which one of these is marked absent, with who it is."""
    rows = await conn.execute(
        select(conversation.c.conv_id, conversation.c.assignee_id)
        .where(conversation.c.assignee_id.in_(agents), conversation.c.assignee_absent.is_(True))
        .order_by(conversation.c.conv_id)
    )
    return [(row.conv_id, PersonId(row.assignee_id)) for row in rows]
