"""WebSocket objects as apps and their tests make them."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.websockets import WebSocket


class LookAlike:
    """A test double: `accept`, `send_json`, `close`, and what it was told."""

    def __init__(self) -> None:
        self.accepted = 0
        self.sent: list[Any] = []
        self.closed: list[tuple[int, str | None]] = []
        self.breaks: Exception | None = None
        self.stalls = False
        self.close_hangs = False
        self._never = asyncio.Event()

    async def accept(self) -> None:
        self.accepted += 1

    async def send_json(self, data: Any) -> None:
        if self.breaks is not None:
            raise self.breaks
        if self.stalls:
            await self._never.wait()
        self.sent.append(data)

    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        if self.close_hangs:
            await self._never.wait()
        self.closed.append((code, reason))


class Server:
    """The server's side of one real Starlette WebSocket, in memory."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.breaks: Exception | None = None
        self.stalls = False
        self._go = asyncio.Event()
        self.websocket = WebSocket({"type": "websocket"}, self._receive, self._send)

    @property
    def texts(self) -> list[str]:
        return [m["text"] for m in self.messages if m["type"] == "websocket.send"]

    @property
    def close_codes(self) -> list[int]:
        return [m["code"] for m in self.messages if m["type"] == "websocket.close"]

    def reads_on(self) -> None:
        self.stalls = False
        self._go.set()

    async def _receive(self) -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def _send(self, message: Any) -> None:
        if self.breaks is not None:
            raise self.breaks
        if self.stalls:
            await self._go.wait()
        self.messages.append(dict(message))
