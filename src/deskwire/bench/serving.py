"""The server: a manager with one stream on a log in memory, told by a pipe what to send.

How it is served is the caller's: an ASGI application and a listening socket go in. There is no
login here and no database: what is weighed is the connection manager.
"""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import asdict
from multiprocessing.connection import Connection
from typing import Any, Final, TypeAlias

from deskwire.bench import machine
from deskwire.bench.crowd import STREAM
from deskwire.realtime.asgi import serve_websocket
from deskwire.realtime.frames import encode_payload
from deskwire.realtime.gate import LoginId, MemoryGate, Principal
from deskwire.realtime.limits import Limits
from deskwire.realtime.log import MemoryLog
from deskwire.realtime.manager import ConnectionManager
from deskwire.realtime.milestones import Milestones

App: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]
Work: TypeAlias = Callable[[], Awaitable[None]]
# Serves the application on the socket until the work is done.
Serve: TypeAlias = Callable[[App, socket.socket, Work], None]

FOREVER_MS: Final = 2**52
BACKLOG: Final = 4096
SENTENCES: Final = (
    "VPN 证书已重新下发，请重启客户端再试。如果仍然连不上，请把错误提示的截图发过来，我们再看。",
    "Your mailbox was over its quota. It has 20 GB now; please sign in again in ten minutes.",
    "会议室的投影仪已经换了新的接口，转接头在前台领取，用完请还回来，谢谢！",
)


class Events:
    """Events of an exact size in bytes, numbered from 0, with texts as people write them."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._bodies = [(text * (1 + size // 60)).encode() for text in SENTENCES]
        self._number = 0

    def next(self) -> dict[str, Any]:
        event: dict[str, Any] = {"n": self._number, "at": time.monotonic_ns(), "body": ""}
        room = max(0, self._size - len(json.dumps(event, separators=(",", ":"))))
        body = self._bodies[self._number % len(self._bodies)][:room].decode(errors="ignore")
        event["body"] = body + "." * (room - len(body.encode()))
        self._number += 1
        return event


class Board:
    """One stream that everybody watches."""

    def __init__(self) -> None:
        self._log = MemoryLog(epoch="benchmrk")
        self._gate = MemoryGate()
        limits = Limits(connections=1_000_000)  # a node's bound is there to refuse, not to be met
        self.manager = ConnectionManager(log=self._log, gate=self._gate, limits=limits)
        self.manager.on(Milestones().heard)  # as the docs advise for thousands

    async def app(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "websocket":
            return
        who = Principal("agent", scope["path"].rpartition("/")[2])
        self._gate.allow(who, STREAM)
        login = LoginId(f"login-{who.person}")
        await serve_websocket(
            self.manager, receive, send, who, login, until_ms=FOREVER_MS, scope=scope
        )

    def post(self, event: Mapping[str, Any]) -> None:
        position = self._log.append(STREAM, encode_payload(event))
        self.manager.ring(STREAM, position, self._log.page(STREAM, position - 1))


def run(serve: Serve, pipe: Connection, core: int | None) -> None:
    """The process: listens on a free port, says which, obeys until the pipe is closed."""
    machine.stay_on(core)
    machine.raise_files()
    board = Board()
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        door.listen(BACKLOG)

        async def work() -> None:
            await board.manager.start()
            pipe.send({"port": door.getsockname()[1]})
            await _obey(pipe, board)

        serve(board.app, door, work)


async def _obey(pipe: Connection, board: Board) -> None:
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(pipe.fileno(), asked.set)
    try:
        while True:
            await asked.wait()
            asked.clear()
            pipe.send(await _answer(pipe.recv(), board))
    except (EOFError, OSError):
        return
    finally:
        loop.remove_reader(pipe.fileno())


async def _answer(message: Mapping[str, Any], board: Board) -> dict[str, Any]:
    match message["do"]:
        case "stand":
            return asdict(machine.standing())
        case "send":
            return await _send(board, **{k: v for k, v in message.items() if k != "do"})
        case unknown:
            raise ValueError(unknown)


async def _send(board: Board, *, seconds: float, per_s: float, size: int) -> dict[str, Any]:
    """Events for so long: so many a second, or with `per_s` 0 as fast as it goes."""
    events = Events(size)
    began = next_at = time.monotonic()
    sent = 0
    while (now := time.monotonic()) < began + seconds:
        board.post(events.next())
        sent += 1
        next_at += 1 / per_s if per_s else 0
        if per_s and next_at >= began + seconds:
            break
        await asyncio.sleep(max(0.0, next_at - now) if per_s else 0)
    return {"events": sent, "seconds": time.monotonic() - began}
