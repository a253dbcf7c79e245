"""Upload → checked → staged; download → allowed → served; what nobody named is cleared away.

An upload is a file before it is a row, so whatever has a row has its bytes. Rights are asked at
each download, of the stream that the message stands in. Invariant: what an upload is called or says
of itself decides nothing; its bytes do.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from deskwire import telemetry
from deskwire.desk import access
from deskwire.desk.messages import STAGED_MS, Attachment, check_upload
from deskwire.desk.people import Actor, Principal
from deskwire.desk.rates import UPLOADS, too_many
from deskwire.desk.refusals import Code, Refusal
from deskwire.desk.uploads import HEAD_BYTES, STAGED_BYTES_MAX, clean_name, look
from deskwire.storage import attachments, conversations, people
from deskwire.storage.engine import Store, StoreLost, Transaction
from deskwire.storage.files import FileStore, Incoming

AT_ONCE_MAX: Final = 64  # uploads under way in this process, each with half a MiB of its own
READ_BYTES: Final = 256 * 1024
TRY_AGAIN: Final = Refusal(Code.TRY_LATER, {"retry_after_s": 5})

_log = telemetry.logger("flows")


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """An attachment that may be served, and its bytes from `start` to before `stop`."""

    attachment: Attachment
    chunks: Callable[[int, int], AsyncIterator[bytes]]


class Files:
    """Takes uploads in, serves them, and clears away what has no use any more."""

    def __init__(
        self,
        store: Store,
        files: FileStore,
        *,
        now: Callable[[], int],
        new_id: Callable[[], str],
    ) -> None:
        self._store = store
        self._files = files
        self._now = now
        self._new_id = new_id
        self._under_way: Counter[Principal] = Counter()

    async def upload(
        self, who: Principal, name: str, chunks: AsyncIterator[bytes]
    ) -> Attachment | Refusal:
        """Take an upload in, staged for a day. Of what is refused or breaks off nothing is left.

        May refuse before `chunks` has come to its end. What `chunks` raises is raised here.
        """
        async with self._store.reading() as conn:
            refusal = await self._refused(conn, who, under_way=self._under_way[who])
        if refusal is not None:
            return refusal
        if self._under_way.total() >= AT_ONCE_MAX:
            return TRY_AGAIN
        self._under_way[who] += 1
        try:
            return await self._take_in(who, clean_name(name), chunks)
        finally:
            self._under_way[who] -= 1
            self._under_way += Counter()  # forgets whoever is at none

    async def open(self, who: Principal, attachment_id: str) -> Download | Refusal:
        """An attachment, if this principal may see it now."""
        async with self._store.reading() as conn:
            held = await attachments.find(conn, attachment_id)
            actor = await people.actor(conn, who)
            if held is None or actor is None or not await _may_load(conn, actor, held):
                return Refusal(Code.NOT_FOUND)
        if not await self._files.has(attachment_id):
            _log.error("file_missing", attachment=attachment_id)
            return Refusal(Code.NOT_FOUND)
        return Download(
            attachment=held.attachment,
            chunks=lambda start, stop: self._chunks(attachment_id, start, stop),
        )

    async def clean(self) -> bool:
        """Destroy what nobody named within a day, and what was withdrawn and has had its time.

        At most a hundred of each; returns whether there may be more. Several nodes may do so at
        once. In this order a crash leaves no file without a row.
        """
        now = self._now()
        async with self._store.writing() as conn:
            await attachments.expire(conn, staged_before=now - STAGED_MS, now=now)
        ids = await self._to_destroy(now)
        for attachment_id in ids:
            await self._files.remove(attachment_id)
        if ids:
            async with self._store.writing() as conn:
                await attachments.remove(conn, ids)
        left_over = (await self._files.left_over(now - STAGED_MS))[: attachments.DUE_MAX]
        for file_id in left_over:
            await self._settle(file_id)
        return attachments.DUE_MAX in (len(ids), len(left_over))

    async def _refused(
        self, conn: Transaction, who: Principal, *, under_way: int = 0
    ) -> Refusal | None:
        """Whether this principal may upload now; those under way count as if they had come in."""
        if await people.actor(conn, who) is None:
            return Refusal(Code.NOT_ALLOWED)
        now = self._now()
        uploads = await attachments.uploads_of(conn, who, UPLOADS.most)
        if refusal := too_many(UPLOADS, [*uploads.times, *([now] * under_way)], now):
            return refusal
        if uploads.staged_bytes >= STAGED_BYTES_MAX:
            return Refusal(Code.TOO_LARGE, {"max": STAGED_BYTES_MAX, "of": "staged"})
        return None

    async def _take_in(
        self, who: Principal, name: str, chunks: AsyncIterator[bytes]
    ) -> Attachment | Refusal:
        upload_id = self._new_id()
        try:
            async with self._files.receiving(upload_id) as incoming:
                refusal = await _fill(incoming, name, chunks)
                if refusal is not None:
                    return refusal
                sha256 = await incoming.finish()
                kind, type_, measures = look(incoming.head(HEAD_BYTES))
                width, height = measures or (None, None)
                upload = Attachment(
                    id=upload_id,
                    owner=who,
                    kind=kind,
                    name=name,
                    bytes=incoming.size,
                    type=type_,
                    width=width,
                    height=height,
                    sha256=sha256,
                )
                # A cancelled request must not leave a writer's connection in mid-statement.
                return await asyncio.shield(self._stage(incoming, upload))
        except OSError as fault:
            _log.error("upload_not_stored", fault=str(fault))
            return TRY_AGAIN

    async def _stage(self, incoming: Incoming, upload: Attachment) -> Attachment | Refusal:
        incoming.leave()
        try:
            async with self._store.writing() as conn:
                await people.lock(conn, upload.owner.person)
                refusal = await self._refused(conn, upload.owner)
                if refusal is None:
                    await attachments.stage(conn, upload, self._now())
        except StoreLost:
            raise  # nobody knows whether there is a row: a day later somebody looks
        except BaseException:
            await incoming.remove()
            raise
        if refusal is not None:
            await incoming.remove()
            return refusal
        await incoming.keep()
        return upload

    async def _chunks(self, attachment_id: str, start: int, stop: int) -> AsyncIterator[bytes]:
        for at in range(start, stop, READ_BYTES):
            chunk = await self._files.read(attachment_id, at, min(at + READ_BYTES, stop))
            yield chunk

    async def _to_destroy(self, now: int) -> list[str]:
        async with self._store.reading() as conn:
            return await attachments.to_destroy(conn, now)

    async def _settle(self, file_id: str) -> None:
        """What was left over belongs to a row that was committed after all, or to none."""
        async with self._store.reading() as conn:
            held = await attachments.find(conn, file_id)
        with suppress(FileNotFoundError):  # another node was faster
            await (self._files.keep(file_id) if held else self._files.remove(file_id))


async def _fill(incoming: Incoming, name: str, chunks: AsyncIterator[bytes]) -> Refusal | None:
    async for chunk in chunks:
        await incoming.write(chunk)
        if refusal := _content_refused(incoming, name):
            return refusal
    return _content_refused(incoming, name)


def _content_refused(incoming: Incoming, name: str) -> Refusal | None:
    found = check_upload(name, incoming.size, incoming.head(16))
    return found if isinstance(found, Refusal) else None


async def _may_load(conn: Transaction, who: Actor, held: attachments.Held) -> bool:
    conv_id = held.attachment.conv
    sights = await conversations.sights(conn, [conv_id] if conv_id else [])
    return access.may_load(who, held.attachment, held.place, sights.get(conv_id or ""))
