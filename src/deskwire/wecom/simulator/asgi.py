"""The simulated WeCom's HTTP door: the API, both authorize pages, the phone page.

Knows HTTP and the world; every rule is the world's. All of it stands behind `LoopbackOnly`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlencode, urlsplit

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from deskwire.wecom.simulator.faults import FaultKind
from deskwire.wecom.simulator.guard import ASGIApp, LoopbackOnly, Receive, Scope, Send
from deskwire.wecom.simulator.mailbox import Card
from deskwire.wecom.simulator.pages import (
    Picker,
    initials,
    language_of,
    notes_on,
    picker_page,
    refused_page,
)
from deskwire.wecom.simulator.world import Ask, Call, Person, Reply, World

PERSON_COOKIE: Final = "deskwire-simulator-person"
SLOW_S: Final = 10
POST_BYTES_MAX: Final = 64 * 1024
ENTRY: Final = "/login/employee?to=/h5"
READ_PATHS: Final = ("gettoken", "auth/getuserinfo", "user/get", "department/get")
WRITE_PATHS: Final = ("message/send", "message/recall")
API_PATHS: Final = (*READ_PATHS, *WRITE_PATHS)

HTML_502: Final = b"<html><head><title>502 Bad Gateway</title></head><body>openresty</body></html>"

CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "frame-src 'self'; frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
)
PAGE_HEADERS: Final = {
    "Content-Security-Policy": CSP,
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_KINDS: Final = {
    "inbox.css": "text/css; charset=utf-8",
    "inbox.js": "text/javascript; charset=utf-8",
}
# Read on import: later it would block the loop.
_HERE: Final = Path(__file__).parent
_INBOX: Final = (_HERE / "inbox.html").read_text("utf-8")
_FILES: Final = {name: (_HERE / name).read_bytes() for name in _KINDS}

Pause = Callable[[float], Awaitable[None]]


class NobodyListens(ConnectionError):
    """A fault: this call finds no server. `network.py` makes of it what httpx would."""


class ConnectionCut(ConnectionError):
    """A fault: the call was accepted, its answer breaks off."""


def simulator_app(world: World, *, public_url: str, pause: Pause = asyncio.sleep) -> ASGIApp:
    """The simulated WeCom, to be mounted at `/_wecom` or served alone.

    `public_url` is the desk's: where the phone's app menu leads, and the origin at which the phone
    page must be opened for its frame to be of the same site. `pause` waits for the fault `slow`, in
    seconds.
    """
    door = _Door(world, public_url.rstrip("/"), pause)
    app = Starlette(
        routes=[
            *(Route(f"/cgi-bin/{path}", door.call) for path in READ_PATHS),
            *(Route(f"/cgi-bin/{path}", door.call, methods=["POST"]) for path in WRITE_PATHS),
            Route("/connect/oauth2/authorize", door.authorize),
            Route("/wwlogin/sso/login", door.scan),
            Route("/", door.phone),
            *(Route(f"/{name}", _file) for name in _FILES),
            Route("/_sim/state", door.state),
            Route("/_sim/calls", door.calls),
            Route("/_sim/inbox", door.inbox),
            Route("/_sim/person", door.pick, methods=["POST"]),
            Route("/_sim/faults", door.faults),
            Route("/_sim/faults", door.add_fault, methods=["POST"]),
            Route("/_sim/faults", door.clear_faults, methods=["DELETE"]),
        ]
    )
    return LoopbackOnly(app)


class _Door:
    def __init__(self, world: World, public_url: str, pause: Pause) -> None:
        self._world = world
        self._public_url = public_url
        self._pause = pause

    # --- the API ---------------------------------------------------------------------------------

    async def call(self, request: Request) -> Response:
        path = request.url.path.partition("/cgi-bin/")[2]
        body = await _body(request)
        ask = Ask(path=path, query=dict(request.query_params), ip=_peer(request), body=body)
        kind = self._world.strike(ask)
        if kind is FaultKind.SLOW:
            await self._pause(SLOW_S)
        reply = None
        if kind not in (FaultKind.REFUSED, FaultKind.HTML):
            reply = self._world.answer(ask, kind)
        self._world.note(request.method, ask, reply, kind)
        return self._sent(reply, kind)

    def _sent(self, reply: Reply | None, kind: FaultKind | None) -> Response:
        if reply is None and kind is FaultKind.HTML:
            return HTMLResponse(HTML_502, status_code=502)
        if reply is None:
            raise NobodyListens
        if kind is FaultKind.REPLY_LOST:
            raise ConnectionCut
        if reply["errcode"] == 0 and not self._world.rules.names_success:
            reply = {k: v for k, v in reply.items() if k not in ("errcode", "errmsg")}
        return (_CutResponse if kind is FaultKind.CUT else JSONResponse)(reply)

    # --- logging in ------------------------------------------------------------------------------

    async def authorize(self, request: Request) -> Response:
        """Opened on a phone, which is somebody's: who was picked once is not asked again."""
        answer = self._login(request, "pick", phone_of=request.cookies.get(PERSON_COOKIE, ""))
        person = self._world.person(request.query_params.get("person", ""))
        if person is not None and answer.status_code == 302:
            _remember(answer, request, person)
        return answer

    async def scan(self, request: Request) -> Response:
        """For a browser that is nobody's: whose phone scans the code is asked each time."""
        return self._login(request, "scan", phone_of="")

    def _login(self, request: Request, page: Picker, *, phone_of: str) -> Response:
        query = dict(request.query_params)
        picked = query.pop("person", None)
        language = language_of(query.get("lang") or request.headers.get("accept-language", ""))
        if (why := self._world.refusal(query)) is not None:
            return _page(refused_page(why, language, _root(request)), status=400)
        person = self._world.person(picked or phone_of)
        if person is not None:
            back = self._world.code_for(query, person.userid)
            return RedirectResponse(back, status_code=302, headers=PAGE_HEADERS)
        people = self._world.people
        links = {one.userid: "?" + urlencode(query | {"person": one.userid}) for one in people}
        return _page(picker_page(page, people, links, language, _root(request)))

    # --- the phone -------------------------------------------------------------------------------

    async def phone(self, request: Request) -> Response:
        if elsewhere := self._at_home(request):
            return RedirectResponse(elsewhere, status_code=307)
        page = _page(_INBOX)
        person = self._world.person(request.query_params.get("person", ""))
        if person is not None:
            _remember(page, request, person)
        return page

    def _at_home(self, request: Request) -> str | None:
        """The same page under the desk's own name, when this machine was called by another.

        `localhost` and `127.0.0.1` are two sites to a browser: in a frame the login's cookie would
        be kept back.
        """
        ours, theirs = urlsplit(self._public_url), request.url
        if ours.hostname == theirs.hostname or ours.port != theirs.port:
            return None
        return str(theirs.replace(scheme=ours.scheme, netloc=ours.netloc))

    async def state(self, request: Request) -> Response:
        person = self._world.person(request.cookies.get(PERSON_COOKIE, ""))
        return _json(
            {
                "app": self._world.app.name,
                "entry": self._public_url + ENTRY,
                "person": person.userid if person else None,
                "people": [_shown(one) for one in self._world.people],
            }
        )

    async def pick(self, request: Request) -> Response:
        body = await _posted(request)
        person = self._world.person(str(body.get("userid", "")))
        if person is None:
            return _json({"error": "no such person"}, status=422)
        answer = _json(_shown(person))
        _remember(answer, request, person)
        return answer

    async def inbox(self, request: Request) -> Response:
        cards = self._world.inbox(request.query_params.get("person", ""))
        return _json({"cards": [_card(card) for card in cards]})

    async def calls(self, request: Request) -> Response:
        after = request.query_params.get("after", "0")
        if not after.isdecimal():
            return _json({"error": "after is a number"}, status=422)
        newer = [call for call in self._world.calls if call.number > int(after)]
        return _json({"made": self._world.calls_made, "calls": [_logged(call) for call in newer]})

    async def faults(self, _request: Request) -> Response:
        return _json({"kinds": list(FaultKind), "waiting": self._world.faults.waiting()})

    async def add_fault(self, request: Request) -> Response:
        body = await _posted(request)
        path, kind, times = body.get("path"), body.get("kind"), body.get("times", 1)
        if path not in API_PATHS or not isinstance(times, int):
            return _json({"error": f"path is one of {', '.join(API_PATHS)}"}, status=422)
        try:
            self._world.faults.add(str(path), str(kind), times)
        except ValueError as error:
            return _json({"error": str(error)}, status=422)
        return await self.faults(request)

    async def clear_faults(self, request: Request) -> Response:
        self._world.faults.clear()
        return await self.faults(request)


class _CutResponse(JSONResponse):
    """Promises its whole length and breaks off in the middle."""

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        half = bytes(self.body)[: len(self.body) // 2]
        await send(start)
        await send({"type": "http.response.body", "body": half, "more_body": True})
        raise ConnectionCut


async def _file(request: Request) -> Response:
    name = request.url.path.rpartition("/")[2]
    headers = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
    return Response(_FILES[name], media_type=_KINDS[name], headers=headers)


async def _posted(request: Request) -> dict[str, object]:
    """A posted JSON object; nothing when it is something else, or said to be."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        return {}
    try:
        posted = json.loads(await _body(request))
    except ValueError:
        return {}
    return posted if isinstance(posted, dict) else {}


async def _body(request: Request) -> bytes:
    """What was posted; nothing where it is longer than any call of ours."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > POST_BYTES_MAX:
            return b""
    return body


def _page(html: str, *, status: int = 200) -> Response:
    return HTMLResponse(html, status_code=status, headers=PAGE_HEADERS)


def _json(content: dict[str, object], *, status: int = 200) -> Response:
    return JSONResponse(content, status_code=status, headers={"Cache-Control": "no-store"})


def _remember(answer: Response, request: Request, person: Person) -> None:
    answer.set_cookie(
        PERSON_COOKIE, person.userid, path=_root(request) or "/", httponly=True, samesite="lax"
    )


def _root(request: Request) -> str:
    return str(request.scope.get("root_path", ""))


def _peer(request: Request) -> str:
    return request.client.host if request.client else ""


def _shown(person: Person) -> dict[str, object]:
    return {
        "userid": person.userid,
        "name": person.name,
        "initials": initials(person.name),
        "department": person.department,
        "position": person.position,
        "notes": notes_on(person),
    }


def _card(card: Card) -> dict[str, object]:
    return {
        "msgid": card.msgid,
        "at": card.at_ms,
        "title": card.title,
        "description": card.description,
        "url": card.url,
        "button": card.button,
    }


def _logged(call: Call) -> dict[str, object]:
    return {
        "number": call.number,
        "at": call.at_ms,
        "method": call.method,
        "path": f"/cgi-bin/{call.path}",
        "query": call.query,
        "errcode": call.errcode,
        "errmsg": call.errmsg,
        "fault": call.fault,
    }
