"""Our manager in the same app: only the line that makes it differs."""

from __future__ import annotations

import socket
from typing import Any

from bench.servers.driver import on_uvicorn
from bench.servers.serial import application
from deskwire import ConnectionManager


def run(door: socket.socket, settings: dict[str, Any]) -> None:
    manager = ConnectionManager()
    on_uvicorn(application(manager), manager.broadcast, door, **settings)
