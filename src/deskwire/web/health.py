"""Is the process up, and does it take work?"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import APIRouter
from fastapi.responses import JSONResponse


def health_router(is_ready: Callable[[], Awaitable[bool]]) -> APIRouter:
    """`/health/live` and `/health/ready`, for a supervisor and a proxy. They say nothing else."""
    router = APIRouter(prefix="/health", include_in_schema=False)

    @router.get("/live")
    async def live() -> dict[str, bool]:
        return {"live": True}

    @router.get("/ready")
    async def ready() -> JSONResponse:
        answer = await is_ready()
        return JSONResponse({"ready": answer}, status_code=200 if answer else 503)

    return router
