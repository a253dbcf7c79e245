"""The one table refusal → HTTP status, and every way in which a request can end in a refusal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from deskwire import telemetry
from deskwire.desk.refusals import Code, Refusal, Retry

STATUS: Mapping[Code, int] = {
    Code.BAD_REQUEST: 400,
    Code.LOGIN_REQUIRED: 401,
    Code.NOT_ALLOWED: 403,
    Code.NOT_FOUND: 404,
    Code.ALREADY_TAKEN: 409,
    Code.ALREADY_OPEN: 409,
    Code.WRONG_STATE: 409,
    Code.CLOSED: 409,
    Code.CLAIM_FIRST: 409,
    Code.JOIN_FIRST: 409,
    Code.OWN_CONVERSATION: 409,
    Code.AT_CAPACITY: 409,
    Code.OFFER_OVER: 409,
    Code.NOT_ASSIGNABLE: 409,
    Code.STALE_VIEW: 409,
    Code.VERSION_CHANGED: 409,
    Code.RECALL_WINDOW_OVER: 409,
    Code.ALREADY_RATED: 409,
    Code.COMMAND_ID_REUSED: 409,
    Code.TOO_LARGE: 413,
    Code.TYPE_NOT_ALLOWED: 415,
    Code.INVALID: 422,
    Code.NOTE_REQUIRED: 422,
    Code.CATEGORY_REQUIRED: 422,
    Code.TOO_MANY: 429,
    Code.QUEUE_FULL: 429,
    Code.TRY_LATER: 503,
}

_log = telemetry.logger("web")


class Refused(Exception):
    """Ends a request with this refusal. For the door only: flows return refusals as values."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


def body_of(refusal: Refusal) -> dict[str, Any]:
    """The reply body of a refusal."""
    return {
        "refusal": {
            "code": refusal.code.value,
            "message": refusal.message,
            "detail": dict(refusal.detail),
            "retry": refusal.retry.value,
        }
    }


class RefusalShown(BaseModel):
    """Why a request was refused: `code` for programs, `message` for whoever writes one."""

    code: Code
    message: str
    detail: dict[str, Any]
    retry: Retry


class RefusalBody(BaseModel):
    """The body of every refusal."""

    refusal: RefusalShown


def refused_with(*refusals: Refusal) -> dict[int | str, dict[str, Any]]:
    """A route's refusals for the schema of the API, by status, each an example."""
    found: dict[int | str, dict[str, Any]] = {}
    for refusal in refusals:
        none: dict[str, Any] = {
            "model": RefusalBody,
            "description": "Refused",
            "content": {"application/json": {"examples": {}}},
        }
        line = found.setdefault(STATUS[refusal.code], none)
        examples = line["content"]["application/json"]["examples"]
        examples[refusal.code.value] = {"value": body_of(refusal)}
    return found


def reply(refusal: Refusal) -> JSONResponse:
    """The whole HTTP reply of a refusal."""
    headers = {}
    if "retry_after_s" in refusal.detail:
        headers["Retry-After"] = str(refusal.detail["retry_after_s"])
    return _Ascii(body_of(refusal), status_code=STATUS[refusal.code], headers=headers)


class _Ascii(JSONResponse):
    """A refusal may name a field that a client made up; half a character has no UTF-8."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content).encode("ascii")


def handle_all(app: FastAPI, store_unavailable: type[Exception]) -> None:
    """Give every failure of a route its refusal. `store_unavailable` is the store's "not now"."""

    @app.exception_handler(Refused)
    async def refused(_request: Request, fault: Refused) -> JSONResponse:
        return reply(fault.refusal)

    @app.exception_handler(RequestValidationError)
    async def unreadable(_request: Request, fault: RequestValidationError) -> JSONResponse:
        return reply(_of_validation(fault))

    @app.exception_handler(HTTPException)
    async def http(_request: Request, fault: HTTPException) -> JSONResponse:
        answer = reply(Refusal(_CODES.get(fault.status_code, Code.BAD_REQUEST)))
        answer.status_code = fault.status_code
        return answer

    @app.exception_handler(store_unavailable)
    async def later(_request: Request, fault: Exception) -> JSONResponse:
        _log.warning("store_unavailable", fault=str(fault))
        return reply(Refusal(Code.TRY_LATER, {"retry_after_s": 1}))


_CODES = {403: Code.NOT_ALLOWED, 404: Code.NOT_FOUND, 413: Code.TOO_LARGE}


def _of_validation(fault: RequestValidationError) -> Refusal:
    first = fault.errors()[0]
    if first["type"] == "json_invalid":
        return Refusal(Code.BAD_REQUEST, {"why": "not JSON"})
    names = [str(part) for part in first["loc"] if part not in {"body", "query", "path", "header"}]
    return Refusal(Code.INVALID, {"field": ".".join(names) or "body"})
