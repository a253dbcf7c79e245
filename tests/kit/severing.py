"""A wire to PostgreSQL that is cut at a chosen moment: around a COMMIT, where it hurts most."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum

from sqlalchemy.engine import make_url

COMMIT = b"COMMIT;"


class Cut(Enum):
    BEFORE_COMMIT = "the server never hears of it"
    AFTER_COMMIT = "it takes effect, and the answer is lost"


class Wire:
    """Passes bytes on both ways. `cuts` are used up one for each COMMIT."""

    def __init__(self, url: str) -> None:
        self._behind = make_url(url)
        self.url = ""
        self.cuts: list[Cut] = []
        self.connections = 0

    @asynccontextmanager
    async def laid(self) -> AsyncIterator[Wire]:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            address = self._behind.set(host="127.0.0.1", port=port)
            self.url = address.render_as_string(hide_password=False)
            yield self

    async def _connected(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        self.connections += 1
        assert self._behind.host is not None
        far, out = await asyncio.open_connection(self._behind.host, self._behind.port)
        answering = asyncio.ensure_future(self._pass_on(far, back))  # noqa: TID251  ended below
        try:
            while data := await near.read(65536):
                cut = self.cuts.pop(0) if COMMIT in data and self.cuts else None
                if cut is Cut.BEFORE_COMMIT:
                    return
                if cut is Cut.AFTER_COMMIT:
                    answering.cancel()
                    await asyncio.gather(answering, return_exceptions=True)
                    out.write(data)
                    await far.read(1)  # it has answered, so it has committed
                    return
                out.write(data)
        finally:
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)
            for writer in (out, back):
                writer.close()

    async def _pass_on(self, far: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        while data := await far.read(65536):
            back.write(data)
        back.close()
