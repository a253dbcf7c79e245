"""A real uvicorn on the loopback, in the test's own loop, and raw peers that misbehave."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

App = Callable[..., Awaitable[None]]


@asynccontextmanager
async def serving(app: Any, *, ws: Any = "websockets-sansio", **options: Any) -> AsyncIterator[int]:
    """Serves `app` on a free port of 127.0.0.1 and yields the port."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="warning", lifespan="off", ws=ws, **options)
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    task = asyncio.get_running_loop().create_task(server.serve(sockets=[listener]))
    try:
        await until(lambda: server.started)
        yield listener.getsockname()[1]
    finally:
        server.should_exit = server.force_exit = True
        await task
        listener.close()


async def until(state: Callable[[], object], seconds: float = 10.0) -> None:
    """Lets the loop run until `state` is true; a failure, not a wait, after `seconds`."""
    async with asyncio.timeout(seconds):
        while not state():  # noqa: ASYNC110  any state, of any object
            await asyncio.sleep(0.005)


class RawPeer:
    """A WebSocket peer down to the bytes: it reads only when told to."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection

    @classmethod
    async def open(cls, port: int, path: str, **headers: str) -> RawPeer:
        loop = asyncio.get_running_loop()
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.setblocking(False)
        await loop.sock_connect(connection, ("127.0.0.1", port))
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: 127.0.0.1:{port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        await loop.sock_sendall(connection, ("\r\n".join(lines) + "\r\n\r\n").encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += await loop.sock_recv(connection, 1)
        assert b" 101 " in answer, answer
        return cls(connection)

    def vanish(self) -> None:
        """Gone with a reset, no close frame."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self._socket.close()

    def close(self) -> None:
        self._socket.close()
