"""A WebSocket client down to the bytes: it sends what no library would, reads frame by frame."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
from dataclasses import dataclass
from typing import Self

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
GONE = (-1, b"")

_dialled: list[WirePeer] = []


def frame(opcode: int, payload: bytes = b"", *, final: bool = True, rsv: int = 0) -> bytes:
    """One masked frame."""
    mask = os.urandom(4)
    first = (0x80 if final else 0) | rsv << 4 | opcode
    if len(payload) < 126:
        head = bytes((first, 0x80 | len(payload)))
    elif len(payload) < 65_536:
        head = bytes((first, 0x80 | 126)) + len(payload).to_bytes(2, "big")
    else:
        head = bytes((first, 0x80 | 127)) + len(payload).to_bytes(8, "big")
    return head + mask + bytes(each ^ mask[n % 4] for n, each in enumerate(payload))


def close(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, code.to_bytes(2, "big") + reason)


def request(port: int, path: str, *lines: str, key: str | None = None) -> bytes:
    key = key or base64.b64encode(os.urandom(16)).decode()
    usual = [
        f"GET {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
        *lines,
    ]
    return ("\r\n".join(usual) + "\r\n\r\n").encode()


@dataclass
class WirePeer:
    """Every read is bounded in time; `GONE` is the end of the connection, however it came."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    head: bytes = b""

    @classmethod
    async def dial(cls, port: int, head: bytes, *, small: bool = False) -> Self:
        """`small`: a receive buffer that fills at once."""
        connection = socket.socket()
        if small:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
        reader, writer = await asyncio.open_connection(sock=connection, limit=2**12)
        peer = cls(reader, writer)
        _dialled.append(peer)
        writer.write(head)
        async with asyncio.timeout(10):
            try:
                peer.head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError as fault:
                peer.head = fault.partial
        return peer

    @classmethod
    async def open(cls, port: int, path: str, *lines: str, small: bool = False) -> Self:
        peer = await cls.dial(port, request(port, path, *lines), small=small)
        assert peer.status == 101, peer.head
        return peer

    @property
    def status(self) -> int:
        return int(self.head.split(b" ", 2)[1])

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def next(self) -> tuple[int, bytes]:
        try:
            async with asyncio.timeout(10):
                first, length = await self.reader.readexactly(2)
                assert first & 0x70 == 0, "a reserved bit from the server"
                if length >= 126:
                    more = await self.reader.readexactly(2 if length == 126 else 8)
                    length = int.from_bytes(more, "big")
                return first & 0x0F, await self.reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            return GONE

    async def close_code(self) -> int:
        """Reads on to the end; -1 if no close frame came before it."""
        while (found := await self.next()) != GONE:
            opcode, payload = found
            if opcode == CLOSE:
                self.send(frame(CLOSE, payload[:2]))  # as it should be answered
                assert await self.next() == GONE
                return int.from_bytes(payload[:2], "big") if payload else 1005
        return -1

    async def leave(self) -> None:
        self.writer.transport.abort()


async def everybody_leaves() -> None:
    """At the end of a test: no socket of it stays open."""
    for peer in _dialled:
        await peer.leave()
    _dialled.clear()
    await asyncio.sleep(0.01)
