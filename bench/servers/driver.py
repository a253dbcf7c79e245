"""What makes a server under test send: lines on stdin, one JSON line each on stdout.

    flood SECONDS BURST SIZE [JOIN]         as fast as it goes, one turn of the loop between bursts
    pace SECONDS PER_S BURST SIZE [JOIN]    so many bursts a second; says when each event was sent
    push SECONDS SIZE PEOPLE                as fast as it goes, each event to one of these people
    send COUNT SIZE                         so many events, one after the other
    lag 1|0                                 begins and ends a look at the loop: how late it comes
    stats                                   what the server knows of its connections

`{"port": n}` comes first, once it listens; `pids` beside it are the processes that serve, where it
is not this one. SIZE is an event's JSON in bytes. A broadcast that does not come back is cancelled
GRACE_S after the time is over and said to be `stuck`. JOIN is limit.c's.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import resource
import socket
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final, TypeAlias

import uvicorn

Event: TypeAlias = dict[str, Any]
Broadcast: TypeAlias = Callable[[Event], Awaitable[object]]

GRACE_S: Final = 10.0
LOOK_S: Final = 0.005
PUSHES_PER_TURN: Final = 20
SENTENCES: Final = (
    "VPN 证书已重新下发，请重启客户端再试。如果仍然连不上，请把错误提示的截图发过来，我们再看。",
    "打印机在三楼东侧，驱动装好以后请先打一张测试页；如果卡纸，先关电源，再从后盖取出。",
    "Your mailbox was over its quota. It has 20 GB now; please sign in again in ten minutes.",
    "会议室的投影仪已经换了新的接口，转接头在前台领取，用完请还回来，谢谢！",
    "The build agent was out of disk space. Old workspaces are gone now, the queue moves again.",
    "新同事的账号已开通：邮箱、考勤、代码仓库。初始密码请当面交给本人，首次登录必须修改。",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """What a server can be told. `burst` takes several events at once where it has a way to."""

    broadcast: Broadcast
    burst: Callable[[Sequence[Event]], Awaitable[object]] | None = None
    push: Callable[[str, Event], Awaitable[object]] | None = None  # to one person, by name
    stats: Callable[[], Mapping[str, Any]] | None = None


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
        room = self._size - len(json.dumps(event, separators=(",", ":")))
        event["body"] = self.text(n, room)
        return event

    def text(self, n: int, size: int) -> str:
        """So many bytes of what people write."""
        body = self._bodies[n % len(self._bodies)][: max(0, size)].decode(errors="ignore")
        return body + "." * (size - len(body.encode()))


async def obey(hooks: Hooks) -> None:
    """Runs what stdin asks for until it ends."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    look = Look(loop)
    while line := await reader.readline():
        verb, *words = line.decode().split()
        match verb, [float(word) for word in words]:
            case "flood", [seconds, burst, size, *_]:
                say(await _run(hooks, seconds, None, int(burst), int(size)))
            case "pace", [seconds, per_s, burst, size, *_]:
                say(await _run(hooks, seconds, per_s, int(burst), int(size)))
            case "push", [seconds, size, people] if hooks.push is not None:
                say(await _push(hooks.push, seconds, int(size), int(people)))
            case "send", [count, size]:
                say(await _send(hooks.broadcast, int(count), int(size)))
            case "lag", [1.0]:
                look.begin()
                say({"looking": True})
            case "lag", [0.0]:
                say(look.end())
            case "stats", [] if hooks.stats is not None:
                say(hooks.stats())
            case _:
                say({"unknown": line.decode().strip()})


async def _run(
    hooks: Hooks, seconds: float, per_s: float | None, burst: int, size: int
) -> dict[str, Any]:
    events, at = Events(size), []
    began = next_at = time.monotonic()
    sent, stuck = 0, False
    try:
        async with asyncio.timeout(seconds + GRACE_S):
            while time.monotonic() < began + seconds:
                if hooks.burst is not None and burst > 1:
                    some = [events.next() for _ in range(burst)]
                    at += [event["at"] for event in some]
                    await hooks.burst(some)
                    sent += burst
                else:
                    for _ in range(burst):
                        event = events.next()
                        at.append(event["at"])
                        await hooks.broadcast(event)
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


async def _push(
    push: Callable[[str, Event], Awaitable[object]], seconds: float, size: int, people: int
) -> dict[str, Any]:
    events, dice = Events(size), Random(1)  # noqa: S311  the same people in every run
    began = time.monotonic()
    sent = 0
    while time.monotonic() < began + seconds:
        for _ in range(PUSHES_PER_TURN):
            await push(f"a{dice.randrange(people)}", events.next())
            sent += 1
        await asyncio.sleep(0)
    return {"events": sent, "seconds": time.monotonic() - began, "stuck": False, "at": []}


async def _send(broadcast: Broadcast, count: int, size: int) -> dict[str, Any]:
    events = Events(size)
    for _ in range(count):
        await broadcast(events.next())
        await asyncio.sleep(0)
    return {"events": count}


class Look:
    """A callback every 5 ms; how late it comes is how long something kept the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._late_ms: list[float] = []
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        self._late_ms = []
        self._again()

    def end(self) -> dict[str, Any]:
        if self._timer is not None:
            self._timer.cancel()
        late = sorted(self._late_ms) or [0.0]
        return {
            "looks": len(self._late_ms),
            "loop_max_ms": late[-1],
            "loop_p99_ms": statistics.quantiles([*late, late[-1]], n=100, method="inclusive")[98],
            "over_100_ms": sum(each > 100 for each in late),
        }

    def _look(self) -> None:
        self._late_ms.append(max(0.0, (time.monotonic() - self._due) * 1_000))
        self._again()

    def _again(self) -> None:
        # The clock itself and not the loop's time, which uvloop reads once a turn.
        self._due = time.monotonic() + LOOK_S
        self._timer = self._loop.call_later(LOOK_S, self._look)


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What a server is started with."""

    uvicorn: Mapping[str, Any]  # its settings
    sndbuf: int
    people: int  # how many will come
    folder: Path  # its own; removed by whoever started it

    def door(self) -> socket.socket:
        """The door, with a kernel buffer of our choice: accepted sockets inherit it."""
        raise_files()
        door = socket.socket()
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self.sndbuf:
            door.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self.sndbuf)
        door.bind(("127.0.0.1", 0))
        door.listen(4096)
        return door


def free_port() -> int:
    """For a server that opens its door itself."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def raise_files() -> None:
    """As many descriptors as this process may have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def say(reply: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(reply) + "\n")
    sys.stdout.flush()


def on_uvicorn(
    app: Any,
    hooks: Hooks,
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
            await obey(hooks)
            server.should_exit = server.force_exit = True

    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(main())
