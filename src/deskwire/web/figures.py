"""`/export.csv`: a line for a conversation, for a spreadsheet; nothing that anybody has written.

A spreadsheet runs what looks like a formula, so no cell may: names of groups, tags and people are
other people's words.
"""

import csv
import io
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from starlette.responses import StreamingResponse

from deskwire.desk.refusals import Refusal, invalid
from deskwire.flows.history import Figures, History
from deskwire.flows.login import Identity
from deskwire.web.errors import Refused

DAY_MS = 24 * 3600 * 1000
RANGE_MS_MAX = 366 * DAY_MS
TIME_MS_MAX = 253_402_300_799_000  # the year 9999
BOM = "\ufeff"  # without it Excel takes Chinese for something else
FORMULAS = frozenset("=+-@＝＋－＠\t\r\n")

CSV: dict[str, Any] = {"text/csv": {"schema": {"type": "string"}}}


def figures_router(identity: Any, history: History) -> APIRouter:
    """`GET /api/agent/export.csv?from=&to=`, for supervisors."""
    router = APIRouter(prefix="/api/agent")

    @router.get(
        "/export.csv",
        response_class=StreamingResponse,
        responses={200: {"description": "A line for a conversation", "content": CSV}},
    )
    async def export(
        who: Annotated[Identity, Depends(identity)],
        start: Annotated[int, Query(alias="from", ge=0, le=TIME_MS_MAX, description="Unix ms")],
        end: Annotated[int, Query(alias="to", ge=0, le=TIME_MS_MAX, description="Unix ms")],
    ) -> Response:
        if not start < end <= start + RANGE_MS_MAX:
            raise Refused(invalid("to"))
        pages = await history.figures(who.principal, start, end)
        if isinstance(pages, Refusal):
            raise Refused(pages)
        name = f"deskwire-{_day(start)}-{_day(end)}.csv"
        return StreamingResponse(
            _written(pages),
            media_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )

    return router


async def _written(pages: AsyncIterator[Sequence[Figures]]) -> AsyncIterator[str]:
    yield BOM + _lines([list(COLUMNS)])
    async for page in pages:
        yield _lines([[cell(value(each)) for value in COLUMNS.values()] for each in page])


def _lines(rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def cell(value: str | int | None) -> str:
    """A value as a spreadsheet shows it and never runs it; nothing for none."""
    text = "" if value is None else str(value)
    is_formula = isinstance(value, str) and text.lstrip(" ")[:1] in FORMULAS
    return f"'{text}" if is_formula else text


def _at(ms: int | None) -> str | None:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ms // 1000)) if ms is not None else None


def _day(ms: int) -> str:
    return time.strftime("%Y%m%d", time.gmtime(ms // 1000))


def _between(start: int, end: int | None) -> int | None:
    """Whole seconds."""
    return None if end is None else max(end - start, 0) // 1000


COLUMNS: Mapping[str, Callable[[Figures], str | int | None]] = {
    "no": lambda each: each.no,
    "conv_id": lambda each: each.conv_id,
    "group": lambda each: each.group,
    "category": lambda each: each.category,
    "status": lambda each: each.status,
    "priority": lambda each: each.priority,
    "tags": lambda each: " ".join(each.tags),
    "last_agent": lambda each: each.last_agent,
    "opened_at": lambda each: _at(each.opened_at),
    "first_assigned_at": lambda each: _at(each.first_assigned_at),
    "first_answered_at": lambda each: _at(each.first_answered_at),
    "resolved_at": lambda each: _at(each.resolved_at),
    "closed_at": lambda each: _at(each.closed_at),
    "closed_how": lambda each: each.closed_how,
    "wait_s": lambda each: _between(each.opened_at, each.first_assigned_at),
    "first_answer_s": lambda each: _between(each.opened_at, each.first_answered_at),
    "assignments": lambda each: len(each.assigned_by),
    "assigned_by": lambda each: " ".join(each.assigned_by),
    "ended_by": lambda each: " ".join(each.ended_by),
    "reopened": lambda each: each.reopened,
    "messages_employee": lambda each: each.messages_employee,
    "messages_agent": lambda each: each.messages_agent,
    "notes": lambda each: each.notes,
    "rating": lambda each: each.rating,
}
