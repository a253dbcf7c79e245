"""picows (Cython): a set of transports, encoded once, `send` to each."""

from __future__ import annotations

import asyncio
import importlib
import json
from typing import Any, Final

from bench.servers.driver import Event, Hooks, Start, obey, say

picows: Final[Any] = importlib.import_module("picows")  # typed nowhere, and here only as a peer


class Listener(picows.WSListener):  # type: ignore[misc]
    def __init__(self, people: dict[str, Any], name: str) -> None:
        super().__init__()
        self._people = people
        self._name = name

    def on_ws_connected(self, transport: Any) -> None:
        self._people[self._name] = transport

    def on_ws_disconnected(self, transport: Any) -> None:
        if self._people.get(self._name) is transport:
            del self._people[self._name]


async def _main(start: Start) -> None:
    people: dict[str, Any] = {}

    def listener(request: Any) -> Listener:
        return Listener(people, request.path.decode().rpartition("/")[2])

    async def send(event: Event) -> None:
        text = _encoded(event)
        for transport in list(people.values()):
            transport.send(picows.WSMsgType.TEXT, text)

    async def push(name: str, event: Event) -> None:
        people[name].send(picows.WSMsgType.TEXT, _encoded(event))

    door = start.door()
    server = await picows.ws_create_server(listener, sock=door, backlog=4096)
    say({"port": door.getsockname()[1]})
    async with server:
        await obey(Hooks(broadcast=send, push=push))


def _encoded(event: Event) -> bytes:
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()


def run(start: Start) -> None:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_main(start))
