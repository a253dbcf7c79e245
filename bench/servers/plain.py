"""Our manager in the same app: only the line that makes it differs."""

from __future__ import annotations

from bench.servers.driver import Hooks, Start, on_uvicorn
from bench.servers.serial import application
from bench.servers.stream import standing
from deskwire import ConnectionManager


def run(start: Start) -> None:
    manager = ConnectionManager()
    hooks = Hooks(
        broadcast=manager.broadcast,
        push=manager.send_to_agent,
        stats=lambda: standing(manager),
    )
    on_uvicorn(application(manager), hooks, start.door(), **start.uvicorn)
