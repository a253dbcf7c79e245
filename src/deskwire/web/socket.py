"""One WebSocket route per realm: subprotocol, Origin, login, then over to the manager.

Nothing is accepted before all of it has been checked; a refusal is an HTTP answer to the upgrade.
"""

from __future__ import annotations

import json

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.types import Receive, Scope, Send

from deskwire import telemetry
from deskwire.desk.people import Realm
from deskwire.desk.refusals import Code, Refusal
from deskwire.flows.login import Identity, Logins
from deskwire.realtime.asgi import serve_websocket
from deskwire.realtime.gate import LoginId, Principal
from deskwire.realtime.manager import ConnectionManager
from deskwire.web.auth import Cookies
from deskwire.web.errors import STATUS, body_of
from deskwire.web.security import Origins

PROTOCOL = "desk.v1"
RETRY_AFTER_S = 2

_log = telemetry.logger("web")


class Socket:
    """The ASGI endpoint `/ws/<realm>`."""

    def __init__(
        self,
        realm: Realm,
        *,
        manager: ConnectionManager,
        logins: Logins,
        cookies: Cookies,
        origins: Origins,
        unavailable: type[Exception],
    ) -> None:
        self._realm = realm
        self._manager = manager
        self._logins = logins
        self._cookies = cookies
        self._origins = origins
        self._unavailable = unavailable

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect, which comes before any answer
        answer = await self._admit(scope)
        if isinstance(answer, Refusal):
            _log.info("socket_refused", realm=self._realm.value, code=answer.code.value)
            await _refuse(scope, send, answer)
            return
        await serve_websocket(
            self._manager,
            receive,
            send,
            Principal(self._realm.value, answer.principal.person),
            LoginId(answer.login_id),
            until_ms=answer.until,
            scope=scope,
        )

    async def _admit(self, scope: Scope) -> Identity | Refusal:
        headers = Headers(scope=scope)
        if not self._origins.serves(headers):
            return Refusal(Code.BAD_REQUEST, {"why": "unknown Host"})
        if PROTOCOL not in scope["subprotocols"]:
            return Refusal(Code.BAD_REQUEST, {"subprotocol": PROTOCOL})
        if not self._origins.accepts(headers):
            return Refusal(Code.NOT_ALLOWED, {"why": "foreign or missing Origin"})
        if not self._manager.accepting:
            return Refusal(Code.TRY_LATER, {"retry_after_s": RETRY_AFTER_S})
        try:
            return await self._logins.identify(self._realm, self._secret(headers))
        except self._unavailable:
            return Refusal(Code.TRY_LATER, {"retry_after_s": RETRY_AFTER_S})

    def _secret(self, headers: Headers) -> str | None:
        # As lenient as the HTTP routes: a neighbour's odd cookie must not hide ours.
        return cookie_parser(headers.get("cookie", "")).get(self._cookies.name(self._realm))


async def _refuse(scope: Scope, send: Send, refusal: Refusal) -> None:
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008})
        return
    body = json.dumps(body_of(refusal)).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    if "retry_after_s" in refusal.detail:
        headers.append((b"retry-after", str(refusal.detail["retry_after_s"]).encode()))
    start = {"type": "websocket.http.response.start", "status": STATUS[refusal.code]}
    await send({**start, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})
