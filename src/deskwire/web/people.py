"""Everybody the desk knows, for an administrator to change."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from deskwire.desk.refusals import Code, Refusal
from deskwire.flows.login import Identity
from deskwire.storage.views import PEOPLE_MAX, Views
from deskwire.web.boot import Answer, Person
from deskwire.web.errors import Refused, refused_with

ID_CHARS_MAX = 64
WORDS_CHARS_MAX = 100


class AgentRecord(Answer):
    """What makes a person an agent, as `save_agent` takes it."""

    login_name: str
    role: str
    capacity: int
    skills: list[str]
    pushes: bool
    groups: list[str]
    has_password: bool
    version: int


class PersonRecord(Person):
    """A person, as `save_person` takes them; `agent` is null for who is none."""

    wecom_userid: str | None
    department: str
    language: str | None
    is_disabled: bool
    version: int
    agent: AgentRecord | None


class PeoplePage(Answer):
    """`next` goes into `after` for the following page; null: this is the last."""

    people: list[PersonRecord]
    next: str | None


# No null: the schema's writer would leave the field out.
EXAMPLE: dict[str, Any] = {
    "people": [
        {
            "id": "019ab0c0-6a10-7000-8000-000000000003",
            "name": "王强",
            "avatar": "https://wework.example/wang.png",
            "wecom_userid": "wangqiang",
            "department": "信息技术部",
            "language": "zh-CN",
            "is_disabled": False,
            "version": 2,
            "agent": {
                "login_name": "wangqiang",
                "role": "agent",
                "capacity": 5,
                "skills": ["vpn"],
                "pushes": True,
                "groups": ["support"],
                "has_password": True,
                "version": 1,
            },
        }
    ],
    "next": "019ab0c0-6a10-7000-8000-000000000003",
}
DOCS: dict[int | str, dict[str, Any]] = {
    200: {
        "model": PeoplePage,
        "description": "A page of people, by id",
        "content": {"application/json": {"example": EXAMPLE}},
    },
    **refused_with(
        Refusal(Code.LOGIN_REQUIRED),
        Refusal(Code.NOT_ALLOWED),
        Refusal(Code.INVALID, {"field": "limit"}),
        Refusal(Code.TRY_LATER, {"retry_after_s": 1}),
    ),
}


def people_router(identity: Any, reads: Views) -> APIRouter:
    """`GET /api/agent/people?q=`, for administrators."""
    router = APIRouter(prefix="/api/agent")

    @router.get("/people", response_model=None, responses=DOCS)
    async def people(
        who: Annotated[Identity, Depends(identity)],
        q: Annotated[str | None, Query(min_length=1, max_length=WORDS_CHARS_MAX)] = None,
        after: Annotated[str | None, Query(max_length=ID_CHARS_MAX)] = None,
        limit: Annotated[int, Query(ge=1, le=PEOPLE_MAX)] = 50,
    ) -> dict[str, Any]:
        found = await reads.people(who.principal, q=q, after=after, limit=limit)
        if found is None:
            raise Refused(Refusal(Code.NOT_ALLOWED))
        return found

    return router
