"""Our manager with streams: `desk.v1`, every event appended to a log in memory and acknowledged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from bench.servers.driver import Event, Hooks, Start, on_uvicorn
from deskwire import ConnectionManager
from deskwire.realtime.asgi import serve_websocket
from deskwire.realtime.codes import Code
from deskwire.realtime.frames import encode_payload
from deskwire.realtime.gate import LoginId, MemoryGate, Principal
from deskwire.realtime.limits import Limits
from deskwire.realtime.log import MemoryLog
from deskwire.realtime.milestones import Milestones

STREAM: Final = "desk:all"
FOREVER_MS: Final = 2**52


class Desk:
    def __init__(self, people: int = 0) -> None:
        self._log = MemoryLog(epoch="benchmrk")
        self._gate = MemoryGate()
        # The bound of a node is there to refuse, not to be weighed.
        limits = Limits(connections=max(Limits().connections, people + 1))
        self.manager = ConnectionManager(log=self._log, gate=self._gate, limits=limits)
        self.manager.on(Milestones().heard)  # as docs/deploying.md advises for thousands

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


def standing(manager: ConnectionManager) -> Mapping[str, Any]:
    """How many are connected, and how many were closed with which code."""
    stats = manager.stats()
    closed = dict(stats.closed)
    if slow_plain := stats.slow_closed - closed.get(Code.SLOW, 0):
        closed[Code.SLOW] = closed.get(Code.SLOW, 0) + slow_plain
    return {"connections": stats.connections, "closed": {str(k): v for k, v in closed.items()}}


def run(start: Start) -> None:
    desk = Desk(start.people)
    hooks = Hooks(broadcast=desk.broadcast, stats=lambda: standing(desk.manager))
    settings = {**start.uvicorn, "interface": "asgi3", "lifespan": "off"}
    on_uvicorn(desk.app, hooks, start.door(), start=desk.manager.start, **settings)
