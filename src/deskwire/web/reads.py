"""What both realms read: boot, lists, a conversation, its pages, a stream's events."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from deskwire.desk.people import Realm
from deskwire.desk.refusals import Code, Refusal, invalid
from deskwire.flows.login import Identity
from deskwire.storage import views
from deskwire.storage.views import Views
from deskwire.web.errors import Refused

STREAM_CHARS_MAX = 96
POSITION_MAX = 2**53 - 1

Position = Annotated[int | None, Query(ge=0, le=POSITION_MAX)]


def reads_router(realm: Realm, identity: Any, reads: Views, now: Callable[[], int]) -> APIRouter:
    """The GET routes under `/api/<realm>`. What one may not see is `not_found`."""
    router = APIRouter(prefix=f"/api/{realm.value}")
    who_reads = Annotated[Identity, Depends(identity)]

    @router.get("/boot")
    async def boot(who: who_reads) -> dict[str, Any]:
        found = _found(await reads.boot(who.principal), Code.LOGIN_REQUIRED)
        return {**found, "now": now(), "until": who.until}

    @router.get("/conversations")
    async def conversations(
        who: who_reads,
        view: Annotated[str, Query(pattern="^(mine|queue|all|closed)$")] = "all",
        after: Annotated[str | None, Query(max_length=128)] = None,
        limit: Annotated[int, Query(ge=1, le=views.ROWS_MAX)] = 50,
    ) -> dict[str, Any]:
        try:
            return _found(await reads.rows(who.principal, view=view, after=after, limit=limit))
        except views.NoCursor:
            raise Refused(invalid("after")) from None

    @router.get("/conversations/{conv_id}")
    async def conversation(who: who_reads, conv_id: str) -> dict[str, Any]:
        return _found(await reads.snapshot(who.principal, conv_id))

    @router.get("/conversations/{conv_id}/messages")
    async def messages(
        who: who_reads,
        conv_id: str,
        before: Position = None,
        after: Position = None,
        limit: Annotated[int, Query(ge=1, le=views.ENTRIES_MAX)] = 50,
    ) -> dict[str, Any]:
        if before is not None and after is not None:
            raise Refused(invalid("before"))
        page = await reads.timeline(who.principal, conv_id, before=before, after=after, limit=limit)
        return _found(page)

    @router.get("/events")
    async def events(
        who: who_reads,
        stream: Annotated[str, Query(max_length=STREAM_CHARS_MAX)],
        after: Annotated[int, Query(ge=0, le=POSITION_MAX)] = 0,
        limit: Annotated[int, Query(ge=1, le=views.EVENTS_MAX)] = 100,
    ) -> dict[str, Any]:
        return _found(await reads.events(who.principal, stream, after=after, limit=limit))

    return router


def _found(answer: dict[str, Any] | None, code: Code = Code.NOT_FOUND) -> dict[str, Any]:
    if answer is None:
        raise Refused(Refusal(code))
    return answer
