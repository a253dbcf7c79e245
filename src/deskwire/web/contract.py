"""What the schema says of each route beside its parameters: refusals by status, and examples.

One table. The schema is made from the routes and then completed from here; what the framework says
of its own validation is taken out, for a request never ends in that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from deskwire.desk.refusals import MEANINGS, Code, Refusal
from deskwire.web.errors import STATUS, RefusalBody, body_of

Json = dict[str, Any]

API: Final = "/api/"
_VALIDATION: Final = ("HTTPValidationError", "ValidationError")


@dataclass(frozen=True, slots=True)
class Line:
    """A route's answer, as an example, and what it refuses beside what every route does."""

    example: Any
    codes: frozenset[Code] = frozenset()


def _line(example: Any, *codes: Code) -> Line:
    return Line(example, frozenset(codes))


AT: Final = 1_763_800_000_000
CONV: Final = "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"
MSG: Final = "0193a1b2-9d10-7a6b-9c8d-0e1f2a3b4c5d"
PLACES: Final = {f"conv:{CONV}": ["e7k2m0qd", 43]}
ME: Final = {"id": "li", "name": "李工", "avatar": None, "realm": "agent", "language": None}
BY: Final = {"realm": "agent", "id": "li", "name": "李工", "avatar": None}
ROW: Final = {
    "conv_id": CONV,
    "no": "IT-20261122-0007",
    "requester": {"id": "wang", "name": "王芳", "avatar": None, "department": "市场部"},
    "group": {"id": "it", "name": "IT 支持"},
    "category": {"id": "network", "name_zh": "网络", "name_en": "Network"},
    "status": "active",
    "assignee": {"id": "li", "name": "李工", "avatar": None},
    "turn": "agent",
    "waiting_since": AT,
    "opened_at": AT,
    "version": 2,
    "last_message": {"msg_id": MSG, "position": 2, "kind": "text", "realm": "employee", "at": AT},
    "preview": "VPN 连不上",
    "unread": 1,
}
ENTRY: Final = {
    "stream": f"conv:{CONV}",
    "position": 2,
    "event": {
        "id": "0193a1b2-9d0f-7c11-8d22-3e4f5a6b7c8d",
        "type": "message.posted",
        "v": 1,
        "at": AT,
        "conv": CONV,
        "by": {"realm": "employee", "id": "wang", "name": "王芳", "avatar": None},
        "data": {"msg_id": MSG, "kind": "text", "body": "VPN 连不上", "turn": "agent"},
    },
}
ATTACHMENT: Final = {
    "id": "0193a1b2-a001-7def-8123-456789abcdef",
    "kind": "image",
    "name": "screen.png",
    "bytes": 48_213,
    "type": "image/png",
    "width": 1280,
    "height": 720,
}
LOGIN: Final = {
    "id": "0193a1b2-b002-7def-8123-456789abcdef",
    "realm": "agent",
    "browser": "Mozilla/5.0 (X11; Linux x86_64) Firefox/145.0",
    "created": AT,
    "seen": AT,
    "until": AT + 1_800_000,
    "is_this": True,
}
STEP: Final = {
    "position": 4,
    "at": AT,
    "by": BY,
    "type": "conversation.held",
    "data": {"until": AT + 86_400_000, "version": 3},
    "command": "hold_conversation",
    "cause": "hold_conversation",
    "note": "等备件",
    "over_capacity": False,
}
ORIGINAL: Final = {
    "msg_id": MSG,
    "conv_id": CONV,
    "author": {"realm": "employee", "id": "wang"},
    "is_note": False,
    "posted_at": AT,
    "recalled_at": AT + 30_000,
    "body": "我的密码是 …",
    "attachments": ["screen.png"],
}
TRACED: Final = {
    "msg_id": MSG,
    "conv_id": CONV,
    "stream": f"conv:{CONV}",
    "position": 4,
    "at": AT,
    "withdrawn": None,
    "readers": [
        {
            "principal": {"realm": "employee", "id": "wang"},
            "name": "王芳",
            "role": "requester",
            "socket": "lost",
            "partial": False,
            "position": 4,
            "status": "sent",
            "delivered": 3,
            "read": 3,
            "marked_at": AT - 60_000,
            "pushes": [
                {
                    "push_id": "5f0c5d0e-6f55-4a3e-9d7e-0a0c2c1f7b11",
                    "state": "armed",
                    "since": AT,
                    "newest": AT,
                    "due": AT + 10_000,
                }
            ],
            "outcomes": [],
        }
    ],
}
FINDING: Final = {
    "law": "I3",
    "says": "load is the number of an agent's active conversations, and every excess is recorded",
    "count": 1,
    "examples": ["agent:li"],
    "is_whole": True,
}
ROWS: Final = {"rows": [ROW], "next": None}
UNTIL: Final = {"until": AT + 1_800_000}

# By method and what follows `/api/<realm>`.
LINES: Final[Mapping[tuple[str, str], Line]] = {
    ("POST", "/commands"): _line(
        {"command_id": MSG, "replayed": False, "result": {"msg_id": MSG}, "positions": PLACES},
        *set(Code) - {Code.LOGIN_REQUIRED},
    ),
    ("GET", "/boot"): _line(None),
    ("PUT", "/agents/{person}/password"): _line(None),
    ("GET", "/conversations"): _line(ROWS),
    ("GET", "/conversations/{conv_id}"): _line(
        {
            "conversation": ROW,
            "participants": [],
            "marks": [],
            "entries": [ENTRY],
            "more": False,
            "positions": PLACES,
        },
        Code.NOT_FOUND,
    ),
    ("GET", "/conversations/{conv_id}/messages"): _line(
        {"entries": [ENTRY], "more": True}, Code.NOT_FOUND
    ),
    ("GET", "/events"): _line(
        {"events": [ENTRY], "head": 43, "floor": 1, "epoch": "e7k2m0qd"}, Code.NOT_FOUND
    ),
    ("POST", "/attachments"): _line(ATTACHMENT, Code.TOO_MANY),
    ("GET", "/attachments/{attachment_id}"): _line(None, Code.NOT_FOUND),
    ("GET", "/rows"): _line({"rows": [ROW], "positions": PLACES}),
    ("GET", "/people"): _line(None),
    ("GET", "/people/{person_id}/conversations"): _line(ROWS),
    ("GET", "/audit"): _line(
        {"conv": CONV, "steps": [STEP], "next": None}, Code.NOT_ALLOWED, Code.NOT_FOUND
    ),
    ("GET", "/withdrawn/{msg_id}"): _line(ORIGINAL, Code.NOT_ALLOWED, Code.NOT_FOUND),
    ("GET", "/export.csv"): _line(None, Code.NOT_ALLOWED),
    ("GET", "/login"): _line({"wecom": True}),
    ("GET", "/doctor"): _line({"is_well": False, "findings": [FINDING]}, Code.NOT_ALLOWED),
    ("GET", "/trace/{msg_id}"): _line(TRACED, Code.NOT_ALLOWED, Code.NOT_FOUND),
    ("POST", "/login"): _line({"me": ME, **UNTIL}),
    ("POST", "/me"): _line({"me": ME, **UNTIL}),
    ("POST", "/logout"): _line({}),
    ("POST", "/renew"): _line(UNTIL),
    ("GET", "/logins"): _line({"logins": [LOGIN]}, Code.NOT_ALLOWED, Code.NOT_FOUND),
    ("DELETE", "/logins/{login_id}"): _line({}, Code.NOT_FOUND),
}

EVERYWHERE: Final = frozenset({Code.BAD_REQUEST, Code.LOGIN_REQUIRED, Code.TRY_LATER})
# Origin, size and kind of body are looked at before the route is.
UNSAFE: Final = frozenset({Code.NOT_ALLOWED, Code.TOO_LARGE, Code.TYPE_NOT_ALLOWED})

ASKED: Final = (
    "Who asks stands in the realm's cookie, `deskwire-agent` or `deskwire-employee` (over https "
    "with the prefix `__Host-`). Every request that is not a GET needs an `Origin` that the desk "
    "lists, `Content-Type: application/json` (an upload any, a DELETE none), and `Command-Id` or "
    "`Deskwire-Client: <name>/<version>`. A command needs `Command-Id`: 8–64 of `[A-Za-z0-9_-]`."
)

UNASKED: Final = frozenset({("GET", "/login")})  # no login is asked for
UPLOADS: Final = frozenset({"/attachments"})  # raw bytes, of whatever content type
UNTYPED: Final = frozenset({Code.TYPE_NOT_ALLOWED})

DETAILS: Final[Mapping[str, Any]] = {
    "by": {"id": "chen", "name": "陈工"},
    "conv_id": CONV,
    "status": "resolved",
    "reason": "at_capacity",
    "messages": [{"msg_id": MSG, "position": 42, "body": "已重新下发证书"}],
    "version": 3,
    "max": 65_536,
    "field": "limit",
    "retry_after_s": 1,
}


def completed(schema: Json) -> Json:
    """The schema with every route's refusals and examples. Changes it, and may be called again."""
    schema["info"]["description"] = ASKED
    for path, methods in schema["paths"].items():
        if path.startswith(API):
            below = path.removeprefix(API).partition("/")[2]
            for method, operation in methods.items():
                _complete(operation, method.upper(), f"/{below}")
    schemas = schema.setdefault("components", {}).setdefault("schemas", {})
    for name in _VALIDATION:
        schemas.pop(name, None)
    assert RefusalBody.__name__ in schemas, "some route tells of its refusals itself"
    return schema


def completing(plain: Callable[[], Json]) -> Callable[[], Json]:
    """A function that gives the completed schema, from the one that gives the framework's."""
    return lambda: completed(plain())


def codes_of(operation: Json, method: str, below: str) -> frozenset[Code]:
    """Every refusal that the route may end in."""
    line = LINES.get((method, below))
    codes = EVERYWHERE | (line.codes if line else frozenset())
    if (method, below) in UNASKED:
        codes -= {Code.LOGIN_REQUIRED}
    if method != "GET":
        codes |= UNSAFE - (UNTYPED if below in UPLOADS else set())
    is_parsed = "requestBody" in operation or any(
        each["in"] != "path" for each in operation.get("parameters", ())
    )
    return codes | ({Code.INVALID} if is_parsed else set())


def _complete(operation: Json, method: str, below: str) -> None:
    responses: Json = operation["responses"]
    if "HTTPValidationError" in str(responses.get("422")):
        del responses["422"]
    line = LINES.get((method, below))
    if line is not None and line.example is not None:
        responses["200"] = {
            "description": "Done" if method != "GET" else "Found",
            "content": {
                "application/json": {"schema": {"type": "object"}, "example": line.example}
            },
        }
    told = _told(responses)
    by_status: dict[int, dict[str, Json]] = {}
    for code in sorted({*codes_of(operation, method, below), *told}):
        example = told.get(code, {"value": _example(code)})
        by_status.setdefault(STATUS[code], {})[code.value] = example
    for status, examples in sorted(by_status.items()):
        responses[str(status)] = _refused(examples)


def _told(responses: Json) -> dict[Code, Json]:
    """The refusals that a route tells of itself, with their examples."""
    contents = [
        response.get("content", {}).get("application/json", {})
        for status, response in responses.items()
        if int(status) >= 400
    ]
    return {
        Code(name): example
        for content in contents
        for name, example in content.get("examples", {}).items()
    }


def _refused(examples: dict[str, Json]) -> Json:
    return {
        "description": ", ".join(f"`{name}`" for name in examples),
        "content": {
            "application/json": {
                "schema": {"$ref": f"#/components/schemas/{RefusalBody.__name__}"},
                "examples": examples,
            }
        },
    }


def _example(code: Code) -> Json:
    detail = {name: DETAILS[name] for name in MEANINGS[code].detail}
    return body_of(Refusal(code, detail))
