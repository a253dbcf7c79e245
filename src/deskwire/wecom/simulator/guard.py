"""The door that keeps the simulated WeCom on this machine (wecom.md §11.1).

Pure ASGI. In it anybody may be anyone, so a request must come from a loopback peer, name a loopback
host, and have passed no proxy; else it gets the 404 of a path that does not exist. A page of
another site may not post to it either.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final
from urllib.parse import urlsplit

from deskwire.wecom.oauth import is_loopback

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

PROXY_HEADERS: Final = frozenset({b"forwarded", b"via", b"x-real-ip"})
SAFE_METHODS: Final = frozenset({"GET", "HEAD"})


class LoopbackOnly:
    """Wraps an ASGI app that speaks HTTP."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or (scope["type"] == "http" and _is_local(scope)):
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await _not_found(send)
        else:
            await send({"type": "websocket.close", "code": 1000})


def _is_local(scope: Scope) -> bool:
    headers: list[tuple[bytes, bytes]] = list(scope["headers"])
    return (
        _is_loopback_peer(scope)
        and _is_loopback_host(headers)
        and not any(_is_of_a_proxy(name.lower()) for name, _ in headers)
        and (scope["method"] in SAFE_METHODS or _is_same_origin(headers))
    )


def _is_loopback_peer(scope: Scope) -> bool:
    # A Unix socket has no peer address, and a proxy at its other end: not for the simulator.
    client = scope.get("client")
    return client is not None and is_loopback(client[0])


def _is_loopback_host(headers: list[tuple[bytes, bytes]]) -> bool:
    # A foreign name that resolves to this machine (DNS rebinding) is not enough.
    hosts = _values(headers, b"host")
    return len(hosts) == 1 and is_loopback(_hostname(hosts[0]))


def _is_of_a_proxy(name: bytes) -> bool:
    return name in PROXY_HEADERS or name.startswith(b"x-forwarded")


def _is_same_origin(headers: list[tuple[bytes, bytes]]) -> bool:
    here = [f"http://{host}" for host in _values(headers, b"host")]
    return _values(headers, b"origin") in ([], here)


def _values(headers: list[tuple[bytes, bytes]], wanted: bytes) -> list[str]:
    return [value.decode("latin-1") for name, value in headers if name.lower() == wanted]


def _hostname(netloc: str) -> str:
    try:
        return urlsplit(f"//{netloc}").hostname or ""
    except ValueError:  # a bracket without its twin
        return ""


async def _not_found(send: Send) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": 404, "headers": headers})
    await send({"type": "http.response.body", "body": b"Not Found"})
