"""What each layer above the socket costs in user space: `python -m bench.layers`.

No kernel, no load: uvicorn's own protocol objects stand on a transport that throws bytes away, so
the figures are steadier than the scales' and say where the time goes. The layers take turns.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import uvicorn
from uvicorn.server import ServerState

from bench import report
from bench.measure import EVENT_BYTES
from bench.servers.driver import Event, Events
from bench.servers.serial import SerialManager, application
from bench.servers.stream import Desk
from bench.subjects import IDENTIFY, STREAM, own_class
from deskwire import ConnectionManager

Layer: TypeAlias = Callable[[Event], Awaitable[object]]

UPGRADE: Final = (
    "GET /ws/a{n} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
)
STREAM_HEADER: Final = "Sec-WebSocket-Protocol: desk.v1\r\n"
# Before each turn: longer than a burst presses the next event, and no peer speaks too often.
PAUSE_S: Final = 0.06


class Nowhere(asyncio.Transport):
    """Takes everything and keeps nothing."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.writes = 0

    def write(self, data: Any) -> None:
        del data
        self.writes += 1

    def writelines(self, list_of_data: Any) -> None:
        self.write(list_of_data)

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def get_protocol(self) -> asyncio.BaseProtocol:
        return asyncio.Protocol()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...
    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Peer:
    """One finished handshake: the server's protocol object and where its bytes go."""

    protocol: Any
    transport: Nowhere


async def _connect(app: Any, count: int, ws: str, **settings: Any) -> list[Peer]:
    config = uvicorn.Config(
        app, ws=ws, ws_per_message_deflate=False, log_level="critical", lifespan="off", **settings
    )
    config.load()
    assert config.ws_protocol_class is not None, "a class was named"
    make: Any = config.ws_protocol_class
    state, found = ServerState(), []
    more = STREAM_HEADER if settings else ""
    for n in range(count):
        peer = Peer(make(config, state, {}, asyncio.get_running_loop()), Nowhere())
        peer.protocol.connection_made(peer.transport)
        peer.protocol.data_received(UPGRADE.format(n=n, more=more).encode())
        found.append(peer)
    await _quiet(found)
    return found


async def _quiet(peers: Sequence[Peer]) -> None:
    """Returns once everybody was written to and nothing more is."""
    before, written = -1, [0]
    async with asyncio.timeout(10):
        while sum(written) != before or not all(written):
            before = sum(written)
            await asyncio.sleep(0.1)
            written = [peer.transport.writes for peer in peers]


def _frame_up(value: object) -> bytes:
    body = json.dumps(value, separators=(",", ":")).encode()
    short = len(body) < 126
    head = bytes((0x81, 0x80 | (len(body) if short else 126)))
    return head + (b"" if short else len(body).to_bytes(2, "big")) + bytes(4) + body


async def _streams(count: int, ws: str) -> tuple[Layer, Layer]:
    """Broadcast on a stream, and the acknowledgement of it by everybody."""
    desk = Desk()
    await desk.manager.start()
    peers = await _connect(desk.app, count, ws, interface="asgi3")
    for n, peer in enumerate(peers):
        peer.protocol.data_received(_frame_up({**IDENTIFY, "tab": f"t-bench-{n}"}))
    await _quiet(peers)
    position = 0

    async def send(event: Event) -> None:
        nonlocal position
        position += 1
        await desk.broadcast(event)

    async def acknowledge(event: Event) -> None:
        del event
        ack = _frame_up({"op": "ack", "positions": {STREAM: position}})
        for peer in peers:
            peer.protocol.data_received(ack)
        for _ in range(4):  # the tasks that read get their turns
            await asyncio.sleep(0)

    return send, acknowledge


async def _managers(count: int, ws: str, words: str) -> dict[str, Layer]:
    serial, plain = SerialManager(), ConnectionManager()
    await _connect(application(serial), count, ws)
    await _connect(application(plain), count, ws)
    stream, acknowledged = await _streams(count, ws)
    return {
        f"{words}: `send_json` in turn": serial.broadcast,
        f"{words}: `ConnectionManager`, plain": plain.broadcast,
        f"{words}: `ConnectionManager`, `desk.v1`": stream,
        f"{words}: an ack received (per ack)": acknowledged,
    }


async def _floor(count: int) -> dict[str, Layer]:
    """What is left when the manager costs nothing."""
    manager = SerialManager()
    peers = await _connect(application(manager), count, "websockets-sansio")

    async def written(event: Event) -> None:
        frame = _encoded(event).encode()
        for peer in peers:
            peer.transport.write(frame)

    async def sent(event: Event) -> None:
        text = _encoded(event)
        for peer in peers:
            await peer.protocol.send({"type": "websocket.send", "text": text})

    async def sent_text(event: Event) -> None:
        text = _encoded(event)
        for socket in manager.sockets:
            await socket.send_text(text)

    return {
        "encoded once, `transport.write` alone": written,
        "uvicorn: encoded once, the server's `send`": sent,
        "uvicorn: encoded once, Starlette's `send_text`": sent_text,
    }


def _encoded(event: Event) -> str:
    return json.dumps(event, ensure_ascii=False, separators=(",", ":"))


async def _measure(count: int, rounds: int) -> dict[str, list[float]]:
    layers = await _floor(count)
    layers |= await _managers(count, "websockets-sansio", "uvicorn")
    if ours := own_class():
        layers |= await _managers(count, ours, "our class")
    found: dict[str, list[float]] = {name: [] for name in layers}
    events = Events(EVENT_BYTES)
    gc.collect()
    for _ in range(rounds):
        for name, layer in layers.items():
            event = events.next()
            await asyncio.sleep(PAUSE_S)
            began = time.process_time_ns()
            await layer(event)
            found[name].append((time.process_time_ns() - began) / count / 1_000)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--connections", type=int, default=300)
    options.add_argument("--rounds", type=int, default=60)
    asked = options.parse_args(arguments)
    logging.disable(logging.CRITICAL)  # the objects are dropped, not closed
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(_measure(asked.connections, asked.rounds))
    rows = [
        (name, f"{statistics.median(values):.2f}", f"{min(values):.2f}")
        for name, values in found.items()
    ]
    print(report.table(("layer", "µs in user space per delivery, median", "least"), rows))


if __name__ == "__main__":
    main()
