"""Somebody's socket on a served site, spoken to frame by frame."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin, Subprotocol

from deskwire.desk.people import Principal
from tests.web.site import Site

_tabs = count(1)


async def logged_in(site: Site, who: Principal) -> str:
    """The secret of a new login. A served desk writes by itself, so this waits beside its loop."""
    return await asyncio.to_thread(site.login, who)


def login_of(site: Site, secret: str) -> str:
    """The id of the login behind a secret."""
    hashed = hashlib.sha256(secret.encode()).digest()
    return str(site.office.one("SELECT login_id FROM login WHERE secret_hash = ?", hashed))


@asynccontextmanager
async def connected(
    site: Site,
    who: Principal,
    *streams: str,
    secret: str | None = None,
    wants: tuple[str, ...] = (),
    after: Mapping[str, Any] | None = None,
) -> AsyncIterator[ClientConnection]:
    """A socket that has said hello and watches these streams, from now on or from `after`."""
    realm = who.realm.value
    cookie = f"deskwire-{realm}={secret or await logged_in(site, who)}"
    opening = connect(
        f"{site.url.replace('http', 'ws')}/ws/{realm}",
        origin=Origin(site.url),
        subprotocols=[Subprotocol("desk.v1")],
        additional_headers={"Cookie": cookie},
        proxy=None,
    )
    async with opening as socket:
        said = {
            "op": "identify",
            "protocol": 1,
            "client": "tests/1",
            "device": "device-0001",
            "tab": f"tab-{next(_tabs):08d}",
            "visible": True,
            "wants": list(wants),
            "watch": {**dict.fromkeys(streams), **(after or {})},
        }
        await socket.send(json.dumps(said))
        assert json.loads(await socket.recv())["op"] == "hello"
        yield socket


async def frames(socket: ClientConnection) -> AsyncIterator[dict[str, Any]]:
    """What comes down, frame by frame, until the close."""
    try:
        while True:
            for line in str(await socket.recv()).split("\n"):
                yield json.loads(line)
    except ConnectionClosed:
        return


async def closed_with(socket: ClientConnection) -> int | None:
    """The code of the close that comes."""
    async for _ in frames(socket):
        pass
    return socket.close_code


async def is_alive(socket: ClientConnection) -> bool:
    """Whether the other side still answers."""
    await socket.send(json.dumps({"op": "probe", "n": 7}))
    async for frame in frames(socket):
        if frame["op"] == "alive":
            return True
    return False
