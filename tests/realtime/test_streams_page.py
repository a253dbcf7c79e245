"""The page about streams, run as it stands, and spoken to from its protocol alone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.realtime.serving import serving

PAGE = Path(__file__).parents[2] / "docs" / "streams.md"


def example() -> dict[str, Any]:
    block = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    names: dict[str, Any] = {"__name__": "app"}
    exec(compile(block[1], "app.py", "exec"), names)
    return names


async def events_until_live(socket: ClientConnection, watch: dict[str, Any]) -> list[int]:
    ids = {"device": "d-12345678", "tab": "t-12345678"}
    hello = {"op": "identify", "protocol": 1, "client": "page/1", "visible": True, **ids}
    await socket.send(json.dumps({**hello, "watch": watch}))
    seen: list[int] = []
    while True:
        for line in str(await socket.recv()).split("\n"):
            frame = json.loads(line)
            if frame["op"] == "event":
                seen.append(frame["event"]["n"])
            if frame["op"] == "live":
                return seen


async def test_the_example_of_the_page_resumes_where_a_client_left() -> None:
    names = example()
    await names["manager"].start()
    async with (
        serving(names["app"]) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http,
    ):
        for n in (1, 2):
            assert (await http.post("/say", json={"n": n})).json() == {"position": n}
        url, protocols = f"ws://127.0.0.1:{port}/ws/wang", [Subprotocol("desk.v1")]
        async with connect(url, subprotocols=protocols, proxy=None) as socket:
            first = await events_until_live(socket, {"room:1": [None, 0]})
        for n in (3, 4):
            await http.post("/say", json={"n": n})
        epoch = names["log"].head("room:1").epoch
        async with connect(url, subprotocols=protocols, proxy=None) as socket:
            then = await events_until_live(socket, {"room:1": [epoch, 2]})
    await names["manager"].stop()

    assert (first, then) == ([1, 2], [3, 4])
