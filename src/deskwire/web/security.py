"""Headers, Host, Origin and body limits as pure ASGI: WebSockets pass here too.

Compares with a configured list, never with what the request says of itself. Invariant: nothing
behind this door has seen a request from a foreign Host, or an unsafe one from a foreign page.
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deskwire.desk.messages import FILE_BYTES_MAX
from deskwire.desk.refusals import Code, Refusal
from deskwire.web.errors import STATUS, body_of

BODY_BYTES_MAX = 64 * 1024
DISCARD_BYTES_MAX = 64 * 1024 * 1024
DISCARD_S_MAX = 10.0
ORIGIN = re.compile(r"https?://[a-z0-9.\-]+(:[0-9]+)?|https?://\[[0-9a-f:]+\](:[0-9]+)?")
UPLOAD = re.compile(r"/api/(agent|employee)/attachments")  # raw bytes, of whatever type
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Origins:
    """The origins that our own pages have, the canonical one first. Compared exactly."""

    allowed: tuple[str, ...]
    framed_by_self: bool = False
    hosts: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        if not self.allowed:
            raise ValueError("an empty list of origins would let nobody in")
        for origin in self.allowed:
            # "null" is what every sandboxed frame says; a path would never match.
            if not ORIGIN.fullmatch(origin):
                raise ValueError(f"{origin!r} is no origin: http or https, a host, perhaps a port")
        object.__setattr__(self, "hosts", frozenset(urlsplit(o).netloc for o in self.allowed))

    @property
    def public_url(self) -> str:
        return self.allowed[0]

    @property
    def is_https(self) -> bool:
        return self.public_url.startswith("https:")

    def accepts(self, headers: Headers) -> bool:
        """Exactly one Origin header, and one of ours."""
        given = headers.getlist("origin")
        return len(given) == 1 and given[0] in self.allowed

    def serves(self, headers: Headers) -> bool:
        given = headers.getlist("host")
        return len(given) == 1 and given[0].lower() in self.hosts

    def content_policy(self) -> str:
        """The one policy of both pages."""
        sockets = " ".join(o.replace("http", "ws", 1) for o in self.allowed)
        framing = "'self'" if self.framed_by_self else "'none'"
        return (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
            f"font-src 'self'; connect-src 'self' {sockets}; frame-ancestors {framing}; "
            "base-uri 'none'; form-action 'self'; "
            "require-trusted-types-for 'script'; trusted-types vue"
        )


class Door:
    """Wraps the application: refuses early, limits bodies, adds the headers."""

    def __init__(self, app: ASGIApp, origins: Origins) -> None:
        self._app = app
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sending = _WithHeaders(send, self._headers(scope["path"]))
        refusal = self._refused(scope)
        if refusal is None:
            body = _Limited(receive, body_bytes_max(scope["path"]))
            await self._app(scope, body, _unless_too_large(body, sending))
            refusal = body.refusal
        if refusal is not None and not sending.started:
            await discard(receive)
            await respond(sending, refusal)

    def _refused(self, scope: Scope) -> Refusal | None:
        headers = Headers(scope=scope)
        if not scope["path"].startswith("/health/") and not self._origins.serves(headers):
            return Refusal(Code.BAD_REQUEST, {"why": "unknown Host"})
        if scope["method"] in SAFE_METHODS:
            return None
        return self._unsafe_refused(headers, scope["method"], scope["path"])

    def _unsafe_refused(self, headers: Headers, method: str, path: str) -> Refusal | None:
        if not self._origins.accepts(headers):
            return Refusal(Code.NOT_ALLOWED, {"why": "foreign or missing Origin"})
        if not _is_typed(headers, method) and not UPLOAD.fullmatch(path):
            return Refusal(Code.TYPE_NOT_ALLOWED, {"allowed": "application/json"})
        if "command-id" not in headers and "deskwire-client" not in headers:
            return Refusal(Code.BAD_REQUEST, {"why": "neither Command-Id nor Deskwire-Client"})
        most = body_bytes_max(path)
        return too_large(most) if _announces_too_much(headers, most) else None

    def _headers(self, path: str) -> dict[str, str]:
        headers = dict(ALWAYS)
        if path.startswith("/api/"):
            headers["Cache-Control"] = "no-store"
        else:
            headers["Content-Security-Policy"] = self._origins.content_policy()
        if self._origins.is_https:
            headers["Strict-Transport-Security"] = "max-age=31536000"
        return headers


def body_bytes_max(path: str) -> int:
    """How large a body may be there: a file, or what any command can need."""
    return FILE_BYTES_MAX if UPLOAD.fullmatch(path) else BODY_BYTES_MAX


def _is_typed(headers: Headers, method: str) -> bool:
    """Whether it says that it is JSON; a DELETE, which no form can send, need not say anything."""
    said = headers.get("content-type")
    if said is None:
        return method == "DELETE"
    return said.partition(";")[0].strip().lower() == "application/json"


def _announces_too_much(headers: Headers, most: int) -> bool:
    """By what the request says of itself; what it then sends is counted anyway."""
    length = headers.get("content-length", "0")
    is_number = length.isascii() and length.isdigit()
    return is_number and (len(length) > 18 or int(length) > most)


def too_large(most: int) -> Refusal:
    """A body over its bound."""
    return Refusal(Code.TOO_LARGE, {"max": most})


async def respond(send: Send, refusal: Refusal) -> None:
    """Answer a refusal where no framework is at hand."""
    body = json.dumps(body_of(refusal)).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    status = STATUS[refusal.code]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def discard(receive: Receive) -> None:
    """Read what the client is still sending, keep nothing.

    Answering over an unread body makes the server reset the connection, and the client would see
    that instead of the answer. Bounded in bytes and time.
    """
    left = DISCARD_BYTES_MAX
    try:
        async with asyncio.timeout(DISCARD_S_MAX):
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return
    except TimeoutError:
        return


class _Limited:
    """`receive` that gives at most so many bytes and then says the client is gone."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive = receive
        self._most = most
        self._left = most
        self.refusal: Refusal | None = None

    async def __call__(self) -> Message:
        if self.refusal is not None:
            return {"type": "http.disconnect"}
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            self.refusal = too_large(self._most)
            return {"type": "http.disconnect"}
        return message


def _unless_too_large(body: _Limited, send: Send) -> Send:
    async def sending(message: Message) -> None:
        if body.refusal is None:
            await send(message)

    return sending


class _WithHeaders:
    """`send` that adds headers to the response's start, unless the application has set its own."""

    def __init__(self, send: Send, headers: dict[str, str]) -> None:
        self._send = send
        self._headers = headers
        self.started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            headers = MutableHeaders(scope=message)
            for name, value in self._headers.items():
                headers.setdefault(name, value)
        await self._send(message)
