"""Attachments' rows: staged, bound by a message, withdrawn, destroyed. Their bytes are in `files`.

Invariant: a row is bound once, by the transaction whose message names it, and only while it is
staged and standing; a withdrawn one is served to nobody from that COMMIT on.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import and_, delete, func, insert, or_, select, update
from sqlalchemy.engine import Row

from deskwire.desk.access import conversation_of
from deskwire.desk.decision import Binding
from deskwire.desk.events import Stream
from deskwire.desk.messages import ATTACHMENTS_MAX, Attachment, AttachmentKind
from deskwire.desk.people import PersonId, Principal, Realm
from deskwire.storage.engine import StoreBusy, Transaction
from deskwire.storage.tables import attachment, message

DUE_MAX: Final = 100
STANDING: Final = and_(attachment.c.conv_id.is_not(None), attachment.c.withdrawn_at.is_(None))


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """An upload with the stream and position of its message: none while it is staged."""

    attachment: Attachment
    place: tuple[Stream, int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploads:
    """What somebody has uploaded lately (Unix ms, ascending), and how much no message has named."""

    times: tuple[int, ...]
    staged_bytes: int


async def stage(conn: Transaction, upload: Attachment, at: int) -> None:
    """An upload that no message has named yet. Its file must be on the disk."""
    await conn.execute(
        insert(attachment).values(
            attachment_id=upload.id,
            realm=upload.owner.realm.value,
            person=upload.owner.person,
            kind=upload.kind.value,
            name=upload.name,
            bytes=upload.bytes,
            type=upload.type,
            width=upload.width,
            height=upload.height,
            sha256=upload.sha256,
            at=at,
        )
    )


async def uploads_of(conn: Transaction, who: Principal, most: int) -> Uploads:
    """The last `most` uploads of this principal."""
    own = (attachment.c.realm == who.realm.value, attachment.c.person == who.person)
    times = await conn.scalars(
        select(attachment.c.at).where(*own).order_by(attachment.c.at.desc()).limit(most)
    )
    staged = await conn.scalar(
        select(func.coalesce(func.sum(attachment.c.bytes), 0)).where(
            *own, attachment.c.conv_id.is_(None), attachment.c.withdrawn_at.is_(None)
        )
    )
    return Uploads(times=tuple(sorted(times)), staged_bytes=int(staged or 0))


async def load(conn: Transaction, ids: Collection[str]) -> tuple[Attachment, ...]:
    """Those among the ids that exist and stand, for the rules to decide on."""
    rows = await conn.execute(
        select(attachment)
        .where(attachment.c.attachment_id.in_(ids), attachment.c.withdrawn_at.is_(None))
        .order_by(attachment.c.attachment_id)
    )
    return tuple(_attachment(row) for row in rows)


async def named(conn: Transaction, ids: Sequence[str]) -> tuple[Attachment, ...]:
    """The same for what a command names; more than a message may have are not looked for."""
    return await load(conn, ids[:ATTACHMENTS_MAX]) if ids else ()


async def of_message(conn: Transaction, msg_id: str) -> tuple[str, ...]:
    """The ids of what a message has, withdrawn or not."""
    found = await conn.scalars(
        select(attachment.c.attachment_id)
        .where(attachment.c.msg_id == msg_id)
        .order_by(attachment.c.attachment_id)
    )
    return tuple(found)


async def find(conn: Transaction, attachment_id: str) -> Held | None:
    """An upload and where its message stands, whatever has become of it."""
    row = (
        await conn.execute(
            select(attachment, message.c.position)
            .outerjoin(message, message.c.msg_id == attachment.c.msg_id)
            .where(attachment.c.attachment_id == attachment_id)
        )
    ).one_or_none()
    if row is None:
        return None
    is_bound = row.msg_id is not None
    place = (Stream(row.stream_id), int(row.position)) if is_bound else None
    return Held(attachment=_attachment(row), place=place)


async def bind(conn: Transaction, bindings: Sequence[Binding]) -> None:
    """Make staged uploads part of the messages that name them. Raises StoreBusy.

    That is where one of them was bound or went meanwhile: the rules then decide anew.
    """
    for each in bindings:
        bound = await conn.execute(
            update(attachment)
            .where(
                attachment.c.attachment_id == each.attachment_id,
                attachment.c.conv_id.is_(None),
                attachment.c.withdrawn_at.is_(None),
            )
            .values(conv_id=conversation_of(each.stream), stream_id=each.stream, msg_id=each.msg_id)
        )
        if not bound.rowcount:
            raise StoreBusy("an upload went while a message named it")


async def withdraw(
    conn: Transaction, ids: Collection[str], *, at: int, destroy_at: int | None
) -> None:
    """Their message is taken back: served no more from now on.

    Row and file go at `destroy_at`: at once (`at`) for a redacted one, with the kept original for
    a recalled one; none: never. A second time only hastens the end.
    """
    named = attachment.c.attachment_id.in_(ids)
    await conn.execute(
        update(attachment).where(named, attachment.c.withdrawn_at.is_(None)).values(withdrawn_at=at)
    )
    if destroy_at is not None:
        later = or_(attachment.c.destroy_at.is_(None), attachment.c.destroy_at > destroy_at)
        await conn.execute(update(attachment).where(named, later).values(destroy_at=destroy_at))


async def expire(conn: Transaction, *, staged_before: int, now: int) -> None:
    """Take back what was uploaded before a time and that no message has named."""
    await conn.execute(
        update(attachment)
        .where(
            attachment.c.conv_id.is_(None),
            attachment.c.at < staged_before,
            attachment.c.withdrawn_at.is_(None),
        )
        .values(withdrawn_at=now, destroy_at=now)
    )


async def to_destroy(conn: Transaction, now: int) -> list[str]:
    """At most 100 whose end has come."""
    found = await conn.scalars(
        select(attachment.c.attachment_id)
        .where(attachment.c.destroy_at <= now)
        .order_by(attachment.c.destroy_at)
        .limit(DUE_MAX)
    )
    return list(found)


async def remove(conn: Transaction, ids: Collection[str]) -> None:
    """Their files are destroyed."""
    await conn.execute(delete(attachment).where(attachment.c.attachment_id.in_(ids)))


async def standing(conn: Transaction) -> list[str]:
    """Every upload that is bound and stands: what an export holds."""
    found = await conn.scalars(
        select(attachment.c.attachment_id).where(STANDING).order_by(attachment.c.attachment_id)
    )
    return list(found)


def _attachment(row: Row[Any]) -> Attachment:
    return Attachment(
        id=row.attachment_id,
        owner=Principal(Realm(row.realm), PersonId(row.person)),
        kind=AttachmentKind(row.kind),
        name=row.name,
        bytes=row.bytes,
        type=row.type,
        width=row.width,
        height=row.height,
        sha256=row.sha256,
        conv=row.conv_id,
        withdrawn_at=row.withdrawn_at,
    )
