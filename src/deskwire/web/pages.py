"""The two built pages and what they load."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, FastAPI, Request, Response
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from deskwire.web.security import Origins

STATIC = Path(__file__).parent / "static"

NOT_BUILT = """<!doctype html><meta charset="utf-8"><title>deskwire</title>
<h1>The pages are not built</h1>
<p>In the project's folder: <code>python3 dev.py run</code>,
or <code>cd frontend && npm ci && npm run build</code>.</p>
"""


def add_pages(app: FastAPI, origins: Origins, static: Path = STATIC) -> None:
    """Serve `/workbench`, `/h5` and `/static`. A build that is missing says how to make it."""
    router = APIRouter(include_in_schema=False)

    # Plain functions: they look at the disk, and so run on a thread.

    @router.get("/")
    async def root() -> Response:
        return RedirectResponse("/workbench", status_code=302)

    @router.get("/workbench")
    @router.get("/workbench/{_rest:path}")
    def workbench(request: Request) -> Response:
        return _page(request, origins, static / "workbench.html")

    @router.get("/h5")
    @router.get("/h5/{_rest:path}")
    def h5(request: Request) -> Response:
        return _page(request, origins, static / "h5.html")

    app.include_router(router)
    app.mount("/static", _Assets(directory=static, check_dir=False))


def _page(request: Request, origins: Origins, path: Path) -> Response:
    canonical = origins.public_url
    if request.headers.get("host") != canonical.partition("://")[2]:
        # One address for the page: logins, storage and WeCom's return are bound to it.
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(f"{canonical}{request.url.path}{query}", status_code=307)
    if not path.is_file():
        return HTMLResponse(NOT_BUILT, status_code=503)
    return FileResponse(path, headers={"Cache-Control": "no-cache"})


class _Assets(StaticFiles):
    """Built files: their names carry a hash, so they never change."""

    async def check_config(self) -> None:
        """Without a build there is no folder; then a file is not found, which is no fault."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        if path.startswith("assets/") and response.status_code == 200:
            response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response
