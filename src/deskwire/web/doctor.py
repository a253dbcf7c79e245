"""What an administrator asks when something seems wrong: invariants, a message's way."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends

from deskwire.desk.refusals import Refusal
from deskwire.flows.doctor import Doctor
from deskwire.flows.login import Identity
from deskwire.flows.trace import Traces
from deskwire.web.errors import Refused


def doctor_router(identity: Any, doctor: Doctor, traces: Traces) -> APIRouter:
    """`GET /api/agent/doctor` and `/trace/{msg_id}`, for administrators."""
    router = APIRouter(prefix="/api/agent")
    who_reads = Annotated[Identity, Depends(identity)]

    @router.get("/doctor")
    async def examined(who: who_reads) -> dict[str, Any]:
        findings = await doctor.examine(who.principal)
        if isinstance(findings, Refusal):
            raise Refused(findings)
        return {
            "is_well": not any(each.is_broken for each in findings),
            "findings": [
                {
                    "law": each.law,
                    "says": each.says,
                    "count": each.count,
                    "examples": list(each.examples),
                    "is_whole": each.is_whole,
                }
                for each in findings
            ],
        }

    @router.get("/trace/{msg_id}")
    async def trace(who: who_reads, msg_id: str) -> Mapping[str, Any]:
        found = await traces.of(who.principal, msg_id)
        if isinstance(found, Refusal):
            raise Refused(found)
        return found

    return router
