"""What makes a server under test broadcast: lines on stdin, one JSON line each on stdout.

    flood SECONDS BURST SIZE [JOIN]         as fast as it goes, one turn of the loop between bursts
    pace SECONDS PER_S BURST SIZE [JOIN]    so many bursts a second; says when each event was sent

`{"port": n}` comes first, once it listens. SIZE is an event's JSON in bytes. A broadcast that does
not come back is cancelled GRACE_S after the time is over and said to be `stuck`. JOIN is limit.c's.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import resource
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

import uvicorn

Event: TypeAlias = dict[str, Any]
Broadcast: TypeAlias = Callable[[Event], Awaitable[object]]

GRACE_S: Final = 3.0
SENTENCES: Final = (
    "VPN 证书已重新下发，请重启客户端再试。如果仍然连不上，请把错误提示的截图发过来，我们再看。",
    "打印机在三楼东侧，驱动装好以后请先打一张测试页；如果卡纸，先关电源，再从后盖取出。",
    "Your mailbox was over its quota. It has 20 GB now; please sign in again in ten minutes.",
    "会议室的投影仪已经换了新的接口，转接头在前台领取，用完请还回来，谢谢！",
    "The build agent was out of disk space. Old workspaces are gone now, the queue moves again.",
    "新同事的账号已开通：邮箱、考勤、代码仓库。初始密码请当面交给本人，首次登录必须修改。",
)


class Events:
    """Events of an exact size in bytes, numbered from 0, with texts as people write them."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._bodies = [
            (" ".join(SENTENCES[k:] + SENTENCES[:k]) * (1 + size // 400)).encode()
            for k in range(len(SENTENCES))
        ]
        self._numbers = itertools.count()

    def next(self) -> Event:
        n = next(self._numbers)
        event: Event = {"type": "new_message", "n": n, "at": time.monotonic_ns(), "body": ""}
        room = max(0, self._size - len(json.dumps(event, separators=(",", ":"))))
        body = self._bodies[n % len(self._bodies)][:room].decode(errors="ignore")
        event["body"] = body + "." * (room - len(body.encode()))
        return event


async def obey(broadcast: Broadcast) -> None:
    """Runs what stdin asks for until it ends."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        verb, *words = line.decode().split()
        if verb == "flood":
            seconds, burst, size = float(words[0]), int(words[1]), int(words[2])
            reply = await _run(broadcast, seconds, None, burst, size)
        else:
            seconds, per_s, burst, size = float(words[0]), float(words[1]), *map(int, words[2:4])
            reply = await _run(broadcast, seconds, per_s, burst, size)
        say(reply)


async def _run(
    broadcast: Broadcast, seconds: float, per_s: float | None, burst: int, size: int
) -> dict[str, Any]:
    events, at = Events(size), []
    began = next_at = time.monotonic()
    sent, stuck = 0, False
    try:
        async with asyncio.timeout(seconds + GRACE_S):
            while time.monotonic() < began + seconds:
                for _ in range(burst):
                    event = events.next()
                    at.append(event["at"])
                    await broadcast(event)
                    sent += 1
                next_at += 1 / per_s if per_s else 0
                if per_s and next_at >= began + seconds:
                    break
                await asyncio.sleep(max(0, next_at - time.monotonic()) if per_s else 0)
    except TimeoutError:
        stuck = True
    return {
        "events": sent,
        "seconds": time.monotonic() - began,
        "stuck": stuck,
        "at": at[:sent] if per_s else [],
    }


def say(reply: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(reply) + "\n")
    sys.stdout.flush()


def listening(port: int, sndbuf: int) -> socket.socket:
    """The door, with a kernel buffer of our choice: accepted sockets inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    door = socket.socket()
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if sndbuf:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, sndbuf)
    door.bind(("127.0.0.1", port))
    door.listen(4096)
    return door


def on_uvicorn(
    app: Any,
    broadcast: Broadcast,
    door: socket.socket,
    start: Callable[[], Awaitable[None]] | None = None,
    **settings: Any,
) -> None:
    """Serves on uvicorn until stdin ends. `settings` are uvicorn's; the rest is its default."""
    config = uvicorn.Config(app, log_level="warning", **settings)
    server = uvicorn.Server(config)

    async def main() -> None:
        if start is not None:
            await start()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(server.serve(sockets=[door]))
            while not server.started:  # noqa: ASYNC110  uvicorn has no event for it
                await asyncio.sleep(0.01)
            say({"port": door.getsockname()[1]})
            await obey(broadcast)
            server.should_exit = server.force_exit = True

    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(main())
