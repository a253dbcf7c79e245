"""Transport over any ASGI server: bounded backlog, one writer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from deskwire.realtime.connection import Closed
from deskwire.realtime.gate import LoginId, Principal
from deskwire.realtime.manager import ConnectionManager

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


async def serve_websocket(
    manager: ConnectionManager,
    receive: Receive,
    send: Send,
    principal: Principal,
    login: LoginId,
    *,
    until_ms: int,
) -> Closed:
    """Accepts with subprotocol desk.v1 and serves to the end. All checks were made before."""
    raise NotImplementedError
