"""`deskwire serve` itself, on SQLite: Origin and login at the door, events committed and rung.

The console command runs as it is, with one hook beside it: events are appended to the stream that
all agents may watch, as a command would append them, and its bell is rung after the commit.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from bench.servers.driver import Event, Events, Hooks, Start, free_port, obey, say
from bench.servers.stream import standing
from deskwire.app import Desk, new_id, now_ms
from deskwire.cli.server import Server
from deskwire.desk import events as ev
from deskwire.storage import log

FANNED_OUT_EVERY_S: Final = 0.002
SEED: Final = "bench.servers.seed"


class Appender:
    """Appends as `flows/execute` does: one transaction, then the bell."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._texts = Events(0)

    async def one(self, event: Event) -> None:
        await self.several([event])

    async def several(self, events: Sequence[Event]) -> None:
        """One transaction; back once every watcher was written to, so none are joined unasked."""
        feed = self._desk.manager._node.feed  # noqa: SLF001  stats() walks over all: it would weigh
        before = feed.counts.events
        written = [self._written(event) for event in events]
        async with self._desk.store.writing() as conn:
            heads, _ = await log.append(conn, written)
        self._desk.manager.ring(ev.DESK_STREAM, heads[ev.DESK_STREAM].position)
        while self._is_watched() and feed.counts.events < before + len(events):  # noqa: ASYNC110
            await asyncio.sleep(FANNED_OUT_EVERY_S)

    def _is_watched(self) -> bool:
        return ev.DESK_STREAM in self._desk.manager._hub.channels  # noqa: SLF001  the same

    def _written(self, event: Event) -> ev.Event:
        """The same size, number and time in the desk's own form."""
        size = len(json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode())
        head = f"n={event['n']} at={event['at']} "
        make = partial(_reason, now_ms(), new_id())
        room = size - len(ev.encode(make(head)))
        return make(head + self._texts.text(event["n"], room) if room > 0 else head)


def _reason(at: int, event_id: str, cause: str) -> ev.Event:
    return ev.Event(
        id=event_id,
        at=at,
        conv="",
        by=None,
        data=ev.ReasonRecorded(about="", command="", cause=cause),
        streams=(ev.DESK_STREAM,),
        anchor=0,
    )


class Weighed(Server):
    """The command's server, which also obeys stdin and ends with it."""

    def __init__(self, desk: Desk, *arguments: Any, **more: Any) -> None:
        super().__init__(desk, *arguments, **more)
        append = Appender(desk)
        self._hooks = Hooks(
            broadcast=append.one, burst=append.several, stats=lambda: standing(desk.manager)
        )

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._obey())
            await super().serve(sockets)

    async def _obey(self) -> None:
        while not self.started:  # noqa: ASYNC110  uvicorn has no event for it
            await asyncio.sleep(0.01)
        say({"port": self.config.port})
        await obey(self._hooks)
        self.should_exit = self.force_exit = True


def _settings(port: int) -> dict[str, str]:
    """What an operator sets, and nothing that this machine happens to have set."""
    others = {name: value for name, value in os.environ.items() if "DESKWIRE_" not in name}
    return others | {"DESKWIRE_PUBLIC_URL": f"http://127.0.0.1:{port}"}


def run(start: Start) -> None:
    port, folder = free_port(), Path(start.folder)
    subprocess.run((sys.executable, "-m", SEED, str(folder), str(start.people)), check=True)
    settings = _settings(port)
    os.environ.clear()
    os.environ.update(settings)
    # By its module's name: in the package the name `serve` is the command.
    command = importlib.import_module("deskwire.cli.serve")
    command.Server = Weighed  # type: ignore[attr-defined]
    command.serve(port=port, data_dir=folder)
