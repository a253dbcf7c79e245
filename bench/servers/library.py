"""The websockets library's own server and its `broadcast()`, which never waits."""

from __future__ import annotations

import asyncio
import json

from websockets.asyncio.server import ServerConnection, broadcast, serve

from bench.servers.driver import Event, Hooks, Start, obey, say


async def _main(start: Start) -> None:
    connections: set[ServerConnection] = set()

    async def stay(connection: ServerConnection) -> None:
        connections.add(connection)
        try:
            await connection.wait_closed()
        finally:
            connections.discard(connection)

    async def send(event: Event) -> None:
        broadcast(connections, json.dumps(event, ensure_ascii=False, separators=(",", ":")))

    compression = "deflate" if start.uvicorn["ws_per_message_deflate"] else None
    door = start.door()
    async with serve(stay, sock=door, compression=compression):
        say({"port": door.getsockname()[1]})
        await obey(Hooks(broadcast=send))


def run(start: Start) -> None:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_main(start))
