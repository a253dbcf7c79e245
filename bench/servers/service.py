"""The desk itself, on SQLite: Origin and login at the door, `desk.v1`, events committed and rung.

What `deskwire serve` runs, with one hook beside it: events are appended to the stream that all
agents may watch, as a command would append them, and its bell is rung after the commit.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
from collections.abc import Sequence
from functools import partial
from typing import Final

from sqlalchemy import insert

from bench.servers.driver import Event, Events, Hooks, Start, on_uvicorn
from bench.servers.stream import standing
from deskwire import telemetry
from deskwire.app import Configuration, Desk, WeComSettings, loopback_origins, new_id, now_ms
from deskwire.desk import events as ev
from deskwire.storage import log, migrate
from deskwire.storage.engine import Store, sqlite_at
from deskwire.storage.tables import agent, login, person

FANNED_OUT_EVERY_S: Final = 0.002
HOUR_MS: Final = 3600 * 1000
SNDBUF: Final = 32 * 1024


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


async def _seed(store: Store, people: int) -> None:
    """So many agents, each signed in; the secrets are what load.c puts into its cookies."""
    now = now_ms()
    names = [f"a{n}" for n in range(people)]
    async with store.writing() as conn:
        await conn.execute(
            insert(person), [{"person_id": n, "name": n, "department": ""} for n in names]
        )
        works = {"role": "agent", "availability": "online", "capacity": 5, "load": 0}
        await conn.execute(
            insert(agent), [{"person_id": n, "login_name": n, **works} for n in names]
        )
        await conn.execute(
            insert(login),
            [
                {
                    "secret_hash": hashlib.sha256(f"bench-secret-{n}".encode()).digest(),
                    "login_id": f"login-{n}",
                    "realm": "agent",
                    "person": name,
                    "created": now,
                    "seen": now,
                    "expires": now + 12 * HOUR_MS,
                }
                for n, name in enumerate(names)
            ],
        )


def _door(start: Start) -> socket.socket:
    """Bounded kernel buffers, as every server of ours has them."""
    door = start.door()
    door.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SNDBUF)
    door.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, 16 * 1024)
    door.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 20_000)
    return door


def run(start: Start) -> None:
    telemetry.configure(as_json=False, others=["uvicorn"])
    door = _door(start)
    url = sqlite_at(start.folder / "desk.db")
    migrate.upgrade(url)
    nowhere = "http://127.0.0.1:9"
    wecom = WeComSettings(corp_id="ww", agent_id=1, secret="", api_url=nowhere, open_url=nowhere)
    origins = loopback_origins(door.getsockname()[1])
    desk = Desk(Configuration(database_url=url, origins=origins, wecom=wecom))
    append = Appender(desk)
    hooks = Hooks(broadcast=append.one, burst=append.several, stats=lambda: standing(desk.manager))
    settings = {
        **start.uvicorn,
        "lifespan": "on",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,
        "ws_max_size": 64 * 1024,
        "ws_ping_interval": 30,
        "ws_ping_timeout": 30,
    }
    seed = partial(_seed, desk.store, start.people)
    on_uvicorn(desk.asgi, hooks, door, start=seed, **settings)
