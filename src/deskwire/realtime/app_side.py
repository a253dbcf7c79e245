"""`receive` and `send` of one connection, for the ASGI app that runs on it.

Knows messages and the order they may come in. Never the wire's bytes, nor uvicorn.
Invariant: what the app has not received is bounded; after the end every `receive` says so.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import MutableMapping
from enum import Enum
from typing import Any, Final, Protocol, TypeAlias
from urllib.parse import unquote

from deskwire.realtime.rfc6455 import Headers, Opcode, Upgrade, frame

Message: TypeAlias = MutableMapping[str, Any]

UNREAD_BYTES_MAX: Final = 64 * 1024  # that an app has not received yet; then reading pauses
UNREAD_MESSAGES_MAX: Final = 32

_log = logging.getLogger("uvicorn.error")  # the server's: its operator looks there


class Phase(Enum):
    HEAD = "head"  # the request has not come
    CONNECTING = "connecting"  # the app has not answered
    OPEN = "open"
    CLOSING = "closing"  # a close frame was sent
    ENDING = "ending"  # nothing is read any more; what waits still leaves
    GONE = "gone"


_CONNECTING, _OPEN = Phase.CONNECTING, Phase.OPEN


class ClientDisconnected(OSError):
    """Sent to a peer that is gone: an OSError, as ASGI asks."""


class Wire(Protocol):
    """The connection below."""

    @property
    def phase(self) -> Phase: ...
    @property
    def client(self) -> str: ...
    @property
    def is_behind(self) -> bool: ...
    @property
    def is_listened_to(self) -> bool: ...
    def put(self, wire: bytes) -> None: ...
    def close(self, code: int, reason: str) -> None: ...
    def accept(self, upgrade: Upgrade, headers: Headers) -> None: ...
    def answer(self, status: int, headers: Headers, body: bytes) -> None: ...
    def over(self, code: int, status: int) -> None: ...
    def resume_reading(self) -> None: ...


class AppSide:
    """`receive` and `send` of one connection, for the app that runs on it."""

    __slots__ = (
        "_answer", "_app_state", "_ended", "_queue", "_reader", "_said_close", "_unread_bytes",
        "_upgrade", "_wire", "_writers",
    )  # fmt: skip

    def __init__(self, wire: Wire, app_state: dict[str, Any]) -> None:
        self._wire = wire
        self._app_state = app_state
        self._upgrade: Upgrade | None = None
        self._queue: deque[Message] = deque()
        self._unread_bytes = 0
        self._reader: asyncio.Future[None] | None = None
        self._writers: list[asyncio.Future[None]] = []
        self._ended: Message | None = None
        self._answer: tuple[int, Headers, list[bytes]] | None = None
        self._said_close = False

    async def run(self, app: Any, upgrade: Upgrade, scope: dict[str, Any]) -> None:
        """`scope` is what the server knows; the request's part is added."""
        wire = self._wire
        self._upgrade = upgrade
        self._queue.append({"type": "websocket.connect"})
        try:
            result = await app(scope | self._request(upgrade, scope), self.receive, self.send)
        except asyncio.CancelledError:
            if not wire.is_listened_to:
                wire.over(1012, 503)
            raise
        except ClientDisconnected:
            return
        except Exception:  # noqa: BLE001  the root of the app's work: its connection alone ends
            _log.exception("Exception in ASGI application\n")
            wire.over(1011, 500)
            return
        if wire.is_listened_to:
            return
        if wire.phase is _CONNECTING:
            _log.error("ASGI callable returned without completing handshake.")
        elif result is not None:
            _log.error("ASGI callable should return None, but returned '%s'.", result)
        wire.over(1000, 500)

    def _request(self, upgrade: Upgrade, scope: dict[str, Any]) -> dict[str, Any]:
        path, _, query = upgrade.target.partition("?")
        root: str = scope["root_path"]
        return {
            "type": "websocket",
            "http_version": "1.1",
            "path": root + unquote(path),
            "raw_path": (root + path).encode("ascii"),
            "query_string": query.encode("ascii"),
            "headers": upgrade.headers,
            "subprotocols": upgrade.subprotocols,
            "state": self._app_state.copy(),
        }

    # --- what the wire tells --------------------------------------------------------------------

    def take(self, data: str | bytes) -> bool:
        """A message for the app; whether that is enough for now."""
        kind = "text" if isinstance(data, str) else "bytes"
        self._queue.append({"type": "websocket.receive", kind: data})
        self._unread_bytes += len(data)
        self._wake_reader()
        return self._unread_bytes >= UNREAD_BYTES_MAX or len(self._queue) >= UNREAD_MESSAGES_MAX

    def unread(self) -> list[str | bytes]:
        """What the app has not received, for whoever listens from now on."""
        messages = [m for m in self._queue if m["type"] == "websocket.receive"]
        self._queue.clear()
        return [m["text"] if "text" in m else m["bytes"] for m in messages]

    def end(self, code: int, reason: str) -> None:
        if self._ended is None:
            self._ended = {"type": "websocket.disconnect", "code": code, "reason": reason}
            self._wake_reader()
        self.wake_writers()

    def wake_writers(self) -> None:
        writers, self._writers = self._writers, []
        for writer in writers:
            if not writer.done():
                writer.set_result(None)

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    # --- ASGI -----------------------------------------------------------------------------------

    async def receive(self) -> Message:
        while not self._queue:
            if self._ended is not None:
                return self._ended
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        message = self._queue.popleft()
        if not self._queue:
            self._unread_bytes = 0
            self._wire.resume_reading()
        return message

    async def send(self, message: Message) -> None:
        wire = self._wire
        if wire.is_behind and self._ended is None:
            writer = asyncio.get_running_loop().create_future()
            self._writers.append(writer)
            await writer
        kind = message["type"]
        if wire.phase is _OPEN:
            self._say(kind, message)
        elif wire.phase is _CONNECTING:
            self._reply(kind, message)
        elif self._said_close:
            raise RuntimeError(
                f"Unexpected ASGI message '{kind}', after sending 'websocket.close'."
            )
        elif kind != "websocket.close":
            raise ClientDisconnected

    def _say(self, kind: str, message: Message) -> None:
        if kind == "websocket.send":
            data = message.get("bytes")
            if data is not None:
                self._wire.put(frame(Opcode.BINARY, data))
            else:
                self._wire.put(frame(Opcode.TEXT, message["text"].encode()))
        elif kind == "websocket.close":
            self._said_close = True
            self._wire.close(message.get("code", 1000), message.get("reason") or "")
        else:
            raise RuntimeError(
                f"Expected ASGI message 'websocket.send' or 'websocket.close', but got '{kind}'."
            )

    def _reply(self, kind: str, message: Message) -> None:
        """The app's answer to the upgrade."""
        assert self._upgrade is not None
        if self._answer is not None:
            self._reply_on(kind, message)
        elif kind == "websocket.accept":
            headers = [(bytes(n).lower(), bytes(v)) for n, v in message.get("headers", ())]
            if subprotocol := message.get("subprotocol"):
                headers.append((b"sec-websocket-protocol", subprotocol.encode("latin-1")))
            self._wire.accept(self._upgrade, headers)
            self._tell("[accepted]")
            self._upgrade = None
        elif kind == "websocket.close":
            self._said_close = True
            self._tell("403")
            self._wire.answer(403, [], b"")
        elif kind == "websocket.http.response.start":
            status = message["status"]
            if not 200 <= status < 600:
                raise RuntimeError(f"Invalid HTTP status code '{status}' in response.")
            self._answer = (status, [(bytes(n), bytes(v)) for n, v in message["headers"]], [])
        else:
            raise RuntimeError(
                "Expected ASGI message 'websocket.accept', 'websocket.close' or "
                f"'websocket.http.response.start' but got '{kind}'."
            )

    def _reply_on(self, kind: str, message: Message) -> None:
        assert self._answer is not None
        if kind != "websocket.http.response.body":
            raise RuntimeError(
                f"Expected ASGI message 'websocket.http.response.body' but got '{kind}'."
            )
        status, headers, parts = self._answer
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            self._said_close = True
            self._tell(str(status))
            self._wire.answer(status, headers, b"".join(parts))

    def _tell(self, outcome: str) -> None:
        """As uvicorn's classes do, but without the query: it may hold what nobody should read."""
        if self._upgrade is not None and _log.isEnabledFor(logging.INFO):
            path = self._upgrade.target.partition("?")[0]
            _log.info('%s - "WebSocket %s" %s', self._wire.client, path, outcome)
