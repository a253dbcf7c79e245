"""What only agents read."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from deskwire.desk.refusals import Code, Refusal, invalid
from deskwire.flows.login import Identity
from deskwire.storage.views import ROWS_MAX, Views
from deskwire.web.errors import Refused

ID_CHARS = 36


def agent_router(identity: Any, reads: Views) -> APIRouter:
    """`GET /api/agent/rows?ids=`: list lines for boards that lack them."""
    router = APIRouter(prefix="/api/agent")

    @router.get("/rows")
    async def rows(
        who: Annotated[Identity, Depends(identity)],
        ids: Annotated[str, Query(max_length=ROWS_MAX * (ID_CHARS + 1))],
    ) -> dict[str, Any]:
        wanted = [conv_id for conv_id in ids.split(",") if conv_id]
        if not wanted or len(wanted) > ROWS_MAX:
            raise Refused(invalid("ids"))
        found = await reads.rows_by_id(who.principal, wanted)
        if found is None:
            raise Refused(Refusal(Code.LOGIN_REQUIRED))
        return found

    return router
