"""What an administrator asks when something seems wrong: the desk's invariants."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from deskwire.desk.refusals import Refusal
from deskwire.flows.doctor import Doctor
from deskwire.flows.login import Identity
from deskwire.web.errors import Refused


def doctor_router(identity: Any, doctor: Doctor) -> APIRouter:
    """`GET /api/agent/doctor`, for administrators."""
    router = APIRouter(prefix="/api/agent")

    @router.get("/doctor")
    async def examined(who: Annotated[Identity, Depends(identity)]) -> dict[str, Any]:
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

    return router
