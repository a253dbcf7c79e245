"""POST a command: one route per realm, one way in."""

import re
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header

from deskwire.desk.people import Realm
from deskwire.desk.refusals import Code, Refusal
from deskwire.flows.execute import Execute
from deskwire.flows.login import Identity
from deskwire.web.errors import Refused
from deskwire.web.schemas import CommandBody, parse_command

# No colon: ids with one are made by the desk itself for commands that come from WeCom.
COMMAND_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")


def commands_router(realm: Realm, identity: Any, execute: Execute) -> APIRouter:
    """`POST /api/<realm>/commands`. The answer leaves after COMMIT."""
    router = APIRouter(prefix=f"/api/{realm.value}")

    @router.post("/commands")
    async def post(
        body: CommandBody,
        who: Annotated[Identity, Depends(identity)],
        command_id: Annotated[str, Header()] = "",
    ) -> dict[str, Any]:
        if not COMMAND_ID.fullmatch(command_id):
            raise Refused(Refusal(Code.BAD_REQUEST, {"header": "Command-Id"}))
        command = parse_command(body, realm)
        if isinstance(command, Refusal):
            raise Refused(command)
        answer = await execute.run(who.principal, command_id, command, is_rated=True)
        if isinstance(answer, Refusal):
            raise Refused(answer)
        return {
            "command_id": answer.command_id,
            "replayed": answer.replayed,
            "result": answer.result,
            "positions": answer.positions,
        }

    return router
