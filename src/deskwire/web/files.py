"""Attachments over HTTP: a raw body up, bytes down, one range at a time if asked for.

What is served is no page of ours: it is sandboxed, never sniffed, and saved rather than shown
unless it is a raster image.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse

from deskwire.desk.messages import Attachment, AttachmentKind
from deskwire.desk.people import Realm
from deskwire.desk.refusals import Code, Refusal
from deskwire.flows.files import Download, Files
from deskwire.flows.login import Identity
from deskwire.web.errors import Refused, reply

NAME_CHARS_MAX = 1_024  # as given; what is kept of it is shorter
IDLE_S_MAX = 30.0
UPLOAD_S_MAX = 600.0
DISCARD_S_MAX = 10.0

RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")
CONTENT_POLICY = "sandbox; default-src 'none'"
BYTES: dict[str, Any] = {
    "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
}
UPLOAD_DOCS = {"requestBody": {"required": True, "content": BYTES}}
DOWNLOAD_DOCS: dict[int | str, dict[str, Any]] = {
    200: {"description": "All of it", "content": BYTES},
    206: {"description": "The range that was asked for", "content": BYTES},
    416: {"description": "No byte of the range exists"},
}


def files_router(realm: Realm, identity: Any, files: Files) -> APIRouter:
    """`POST /attachments?name=`, `GET /attachments/{id}`. What one may not see is `not_found`."""
    router = APIRouter(prefix=f"/api/{realm.value}")
    who_asks = Annotated[Identity, Depends(identity)]

    @router.post("/attachments", openapi_extra=UPLOAD_DOCS)
    async def upload(
        request: Request,
        who: who_asks,
        name: Annotated[str, Query(min_length=1, max_length=NAME_CHARS_MAX)],
    ) -> dict[str, Any]:
        body = _body(request)
        try:
            async with asyncio.timeout(UPLOAD_S_MAX):
                answer = await files.upload(who.principal, name, body)
        except (_TooSlow, TimeoutError):
            raise Refused(Refusal(Code.BAD_REQUEST, {"why": "the body came too slowly"})) from None
        except ClientDisconnect:  # gone, or told by the door that this is too much
            raise Refused(Refusal(Code.BAD_REQUEST, {"why": "the body broke off"})) from None
        if isinstance(answer, Refusal):
            await _discard(body)
            raise Refused(answer)
        return _shown(answer)

    @router.get(
        "/attachments/{attachment_id}",
        response_class=StreamingResponse,
        responses=DOWNLOAD_DOCS,
    )
    async def download(request: Request, who: who_asks, attachment_id: str) -> Response:
        found = await files.open(who.principal, attachment_id)
        if isinstance(found, Refusal):
            raise Refused(found)
        return _served(found, request)

    return router


class _TooSlow(Exception):
    """The client has sent nothing for too long."""


async def _body(request: Request) -> AsyncIterator[bytes]:
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(IDLE_S_MAX):
                chunk = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise _TooSlow from None
        yield chunk


async def _discard(body: AsyncIterator[bytes]) -> None:
    """Read what is still being sent, so that the client sees the refusal and not a reset.

    The door bounds it in bytes.
    """
    try:
        async with asyncio.timeout(DISCARD_S_MAX):
            async for _ in body:
                pass
    except (ClientDisconnect, _TooSlow, TimeoutError):
        return


def _shown(upload: Attachment) -> dict[str, Any]:
    return {
        "id": upload.id,
        "kind": upload.kind.value,
        "name": upload.name,
        "bytes": upload.bytes,
        "type": upload.type,
        "width": upload.width,
        "height": upload.height,
    }


def _served(found: Download, request: Request) -> Response:
    attachment = found.attachment
    etag = f'"{attachment.sha256}"'
    size = attachment.bytes
    asked = _asked(request, etag, size)
    if asked is None:
        unsatisfiable = reply(Refusal(Code.BAD_REQUEST, {"why": "no such range"}))
        unsatisfiable.status_code = 416
        unsatisfiable.headers["Content-Range"] = f"bytes */{size}"
        return unsatisfiable
    start, stop = asked
    is_whole = (start, stop) == (0, size)
    headers = {
        "Accept-Ranges": "bytes",
        "Content-Disposition": _disposition(attachment),
        "Content-Length": str(stop - start),
        "Content-Security-Policy": CONTENT_POLICY,
        "ETag": etag,
    }
    if not is_whole:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    return StreamingResponse(
        found.chunks(start, stop),
        status_code=200 if is_whole else 206,
        headers=headers,
        media_type=attachment.type,
    )


def _asked(request: Request, etag: str, size: int) -> tuple[int, int] | None:
    """From where to before where; none where no byte of the range exists.

    Several ranges, and what is no range, are answered with all of it, as HTTP allows.
    """
    given = request.headers.getlist("range")
    found = RANGE.fullmatch(given[0]) if len(given) == 1 else None
    if found is None or request.headers.get("if-range", etag) != etag:
        return 0, size
    first, last = found.groups()
    if first:
        start, stop = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < int(first):
            return 0, size
    elif last:
        start, stop = max(size - int(last), 0), size
    else:
        return 0, size
    return (start, stop) if start < stop else None


def _disposition(attachment: Attachment) -> str:
    how = "inline" if attachment.kind is AttachmentKind.IMAGE else "attachment"
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", attachment.name)
    return f"{how}; filename=\"{plain}\"; filename*=UTF-8''{quote(attachment.name, safe='')}"
