"""Our manager with streams: `desk.v1`, every event appended to a log in memory and acknowledged."""

from __future__ import annotations

import socket
from typing import Any, Final

from bench.servers.driver import Event, on_uvicorn
from deskwire import ConnectionManager
from deskwire.realtime.asgi import serve_websocket
from deskwire.realtime.frames import encode_payload
from deskwire.realtime.gate import LoginId, MemoryGate, Principal
from deskwire.realtime.log import MemoryLog

STREAM: Final = "desk:all"
FOREVER_MS: Final = 2**52


class Desk:
    def __init__(self) -> None:
        self._log = MemoryLog(epoch="benchmrk")
        self._gate = MemoryGate()
        self.manager = ConnectionManager(log=self._log, gate=self._gate)

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "websocket":
            return
        who = Principal("agent", scope["path"].rpartition("/")[2])
        self._gate.allow(who, STREAM)
        login = LoginId(f"login-{who.person}")
        await serve_websocket(
            self.manager, receive, send, who, login, until_ms=FOREVER_MS, scope=scope
        )

    async def broadcast(self, event: Event) -> None:
        position = self._log.append(STREAM, encode_payload(event))
        self.manager.ring(STREAM, position, self._log.page(STREAM, position - 1))


def run(door: socket.socket, settings: dict[str, Any]) -> None:
    desk = Desk()
    settings |= {"interface": "asgi3", "lifespan": "off"}
    on_uvicorn(desk.app, desk.broadcast, door, start=desk.manager.start, **settings)
