"""A node under test: a manager over the twins, and peers whose frames are decoded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec

from deskwire.realtime import frames
from deskwire.realtime.gate import LoginId, MemoryGate, Permit, Principal
from deskwire.realtime.log import MemoryLog
from deskwire.realtime.manager import ConnectionManager
from deskwire.realtime.transport import MemoryTransport

LI = Principal("agent", "li")
WANG = Principal("employee", "wang")
EPOCH = "epoch-01"
FOREVER_MS = 2**53 - 1


@dataclass
class Node:
    manager: ConnectionManager
    log: MemoryLog
    gate: MemoryGate

    async def peer(
        self, who: Principal = LI, watch: Mapping[str, Any] | None = None, *, login: str = "L1",
        tab: str = "tab-00001", transport: MemoryTransport | None = None,
        wants: tuple[str, ...] = (),
    ) -> Peer:  # fmt: skip
        """A client that has identified; its `watch` is permitted."""
        for stream in watch or {}:
            self.gate.allow(who, stream, self.gate.allowed.get((who, stream), Permit()))
        peer = Peer(transport or MemoryTransport())
        await self.manager.serve(peer.transport, who, LoginId(login), until_ms=FOREVER_MS)
        peer.says(op="identify", protocol=1, client="test/1", device="device-1", tab=tab,
                  visible=True, wants=list(wants), watch=dict(watch or {}))  # fmt: skip
        await settle()
        return peer

    def commit(self, stream: str, n: int = 1, *, ring: bool = True) -> int:
        """Appends `n` events and rings once, as a committing caller does."""
        position = 0
        for _ in range(n):
            number = self.log.head(stream).position + 1
            position = self.log.append(stream, b'{"n":%d}' % number)
        if ring:
            self.manager.ring(stream, position)
        return position


class Peer:
    """What one client saw. It never acknowledges by itself."""

    def __init__(self, transport: MemoryTransport) -> None:
        self.transport = transport

    def says(self, **frame: Any) -> None:
        self.transport.peer_sends(msgspec.json.encode(frame).decode())

    @property
    def frames(self) -> list[dict[str, Any]]:
        return [msgspec.json.decode(framed.json) for framed in self.transport.received]

    def all(self, op: str) -> list[dict[str, Any]]:
        return [frame for frame in self.frames if frame["op"] == op]

    def positions(self, stream: str) -> list[int]:
        return [f["position"] for f in self.all("event") if f["stream"] == stream]

    def ack(self, stream: str) -> None:
        self.says(op="ack", positions={stream: self.positions(stream)[-1]})

    @property
    def bye(self) -> int | None:
        byes = self.all("bye")
        return byes[0]["code"] if byes else None


@asynccontextmanager
async def node(**options: Any) -> AsyncIterator[Node]:
    log = options.setdefault("log", MemoryLog(epoch=EPOCH))
    gate = options.setdefault("gate", MemoryGate())
    manager = ConnectionManager(**options)
    await manager.start()
    try:
        yield Node(manager, log, gate)
    finally:
        await manager.stop()


async def settle(turns: int = 40) -> None:
    """Lets everything run that is ready; no time passes."""
    for _ in range(turns):
        await asyncio.sleep(0)


async def stay(seconds: int, *peers: Peer) -> None:
    """Time passes, and these peers answer the heartbeat."""
    for _ in range(seconds):
        await asyncio.sleep(1)
        for peer in peers:
            peer.says(op="pong")


def sign(stream: str, key: str = "k", type_: str = "marks", **data: Any) -> frames.Ephemeral:
    return frames.Ephemeral(stream=stream, type=type_, key=key, data=data)
