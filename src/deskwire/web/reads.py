"""What both realms read: boot, lists, a conversation, its pages, a stream's events."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from deskwire.desk.access import conversation_of
from deskwire.desk.events import Stream
from deskwire.desk.people import Realm
from deskwire.desk.refusals import Code, Refusal, invalid
from deskwire.flows.history import History
from deskwire.flows.login import Identity
from deskwire.storage import views
from deskwire.storage.views import Views
from deskwire.web.boot import boot_docs
from deskwire.web.errors import Refused

STREAM_CHARS_MAX = 96
POSITION_MAX = 2**53 - 1

ID_CHARS_MAX = 64
WORDS_CHARS_MAX = 100

Position = Annotated[int | None, Query(ge=0, le=POSITION_MAX)]
View = Annotated[
    str | None, Query(pattern="^(mine|queue|unread|all|any|mentioned|on_hold|closed)$")
]
Id = Annotated[str | None, Query(min_length=1, max_length=ID_CHARS_MAX)]
Words = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=WORDS_CHARS_MAX,
        description="Part of a number or of the requester's name, or words of one public message.",
    ),
]


def reads_router(
    realm: Realm, identity: Any, reads: Views, history: History, now: Callable[[], int]
) -> APIRouter:
    """The GET routes under `/api/<realm>`. What one may not see is `not_found`."""
    router = APIRouter(prefix=f"/api/{realm.value}")
    who_reads = Annotated[Identity, Depends(identity)]

    @router.get("/boot", response_model=None, responses=boot_docs(realm))
    async def boot(who: who_reads) -> dict[str, Any]:
        found = _found(await reads.boot(who.principal), Code.LOGIN_REQUIRED)
        return {**found, "now": now(), "until": who.until}

    _add_lists(router, who_reads, reads)
    _add_conversations(router, who_reads, reads, history)
    return router


def _add_lists(router: APIRouter, who_reads: Any, reads: Views) -> None:
    @router.get("/conversations")
    async def conversations(
        who: who_reads,
        filters: Annotated[views.Filters, Depends(_filters)],
        view: View = None,
        after: Annotated[str | None, Query(max_length=128)] = None,
        limit: Annotated[int, Query(ge=1, le=views.ROWS_MAX)] = 50,
    ) -> dict[str, Any]:
        # Who looks for words looks in what is closed as well.
        seen = view or ("any" if filters.q else "all")
        try:
            page = await reads.rows(
                who.principal, view=seen, filters=filters, after=after, limit=limit
            )
            return _found(page)
        except views.NoCursor:
            raise Refused(invalid("after")) from None


def _add_conversations(router: APIRouter, who_reads: Any, reads: Views, history: History) -> None:
    @router.get("/conversations/{conv_id}")
    async def conversation(who: who_reads, conv_id: str) -> dict[str, Any]:
        _unless(await history.opened(who.principal, conv_id))
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
        _unless(await history.opened(who.principal, conv_id))
        page = await reads.timeline(who.principal, conv_id, before=before, after=after, limit=limit)
        return _found(page)

    @router.get("/events")
    async def events(
        who: who_reads,
        stream: Annotated[str, Query(max_length=STREAM_CHARS_MAX)],
        after: Annotated[int, Query(ge=0, le=POSITION_MAX)] = 0,
        limit: Annotated[int, Query(ge=1, le=views.EVENTS_MAX)] = 100,
    ) -> dict[str, Any]:
        conv_id = conversation_of(Stream(stream))
        if conv_id is not None:
            _unless(await history.opened(who.principal, conv_id))
        return _found(await reads.events(who.principal, stream, after=after, limit=limit))


def _filters(
    group: Id = None, category: Id = None, tag: Id = None, agent: Id = None, q: Words = None
) -> views.Filters:
    return views.Filters(group=group, category=category, tag=tag, agent=agent, q=q)


def _unless(refusal: Refusal | None) -> None:
    if refusal is not None:
        raise Refused(refusal)


def _found(answer: dict[str, Any] | None, code: Code = Code.NOT_FOUND) -> dict[str, Any]:
    if answer is None:
        raise Refused(Refusal(code))
    return answer
