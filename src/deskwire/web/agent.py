"""What only agents read: rows by id, a person's conversations, steps and reasons, originals."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from deskwire.desk.refusals import Code, Refusal, invalid
from deskwire.flows.history import History
from deskwire.flows.login import Identity
from deskwire.storage.views import ROWS_MAX, Filters, NoCursor, Views
from deskwire.web.errors import Refused

ID_CHARS = 36
NEXT_CHARS_MAX = 128
POSITION_MAX = 2**53 - 1
STEPS_MAX = 200


def agent_router(identity: Any, reads: Views, history: History) -> APIRouter:
    """`GET /api/agent/rows`, `/people/{id}/conversations`, `/audit`, `/withdrawn/{msg_id}`."""
    router = APIRouter(prefix="/api/agent")
    who_reads = Annotated[Identity, Depends(identity)]

    @router.get("/rows")
    async def rows(
        who: who_reads, ids: Annotated[str, Query(max_length=ROWS_MAX * (ID_CHARS + 1))]
    ) -> dict[str, Any]:
        wanted = [conv_id for conv_id in ids.split(",") if conv_id]
        if not wanted or len(wanted) > ROWS_MAX:
            raise Refused(invalid("ids"))
        return _logged_in(await reads.rows_by_id(who.principal, wanted))

    @router.get("/people/{person_id}/conversations")
    async def conversations(
        who: who_reads,
        person_id: str,
        after: Annotated[str | None, Query(max_length=NEXT_CHARS_MAX)] = None,
        limit: Annotated[int, Query(ge=1, le=ROWS_MAX)] = 20,
    ) -> dict[str, Any]:
        try:
            page = await reads.rows(
                who.principal,
                view="any",
                filters=Filters(requester=person_id),
                after=after,
                limit=limit,
            )
        except NoCursor:
            raise Refused(invalid("after")) from None
        return _logged_in(page)

    @router.get("/audit")
    async def audit(
        who: who_reads,
        conv: Annotated[str, Query(min_length=1, max_length=ID_CHARS)],
        after: Annotated[int, Query(ge=0, le=POSITION_MAX)] = 0,
        limit: Annotated[int, Query(ge=1, le=STEPS_MAX)] = 100,
    ) -> dict[str, Any]:
        found = await history.steps(who.principal, conv, after=after, limit=limit)
        if isinstance(found, Refusal):
            raise Refused(found)
        return found

    @router.get("/withdrawn/{msg_id}")
    async def withdrawn(who: who_reads, msg_id: str) -> Mapping[str, Any]:
        found = await history.original(who.principal, msg_id)
        if isinstance(found, Refusal):
            raise Refused(found)
        author = {"realm": found.author.realm.value, "id": found.author.person}
        return {**asdict(found), "author": author}

    return router


def _logged_in(answer: dict[str, Any] | None) -> dict[str, Any]:
    if answer is None:
        raise Refused(Refusal(Code.LOGIN_REQUIRED))
    return answer
