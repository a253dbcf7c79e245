"""The pages about streams and groups, run as they stand, and spoken to from the protocol alone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.realtime.serving import serving

PAGES = Path(__file__).parents[2] / "docs"


def example(page: str) -> dict[str, Any]:
    text = (PAGES / page).read_text(encoding="utf-8")
    block = re.search(r"```python\n(.*?)```", text, re.DOTALL)
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
    names = example("streams.md")
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


async def frame_of(socket: ClientConnection, op: str) -> dict[str, Any]:
    while True:
        for line in str(await socket.recv()).split("\n"):
            frame: dict[str, Any] = json.loads(line)
            if frame["op"] == op:
                return frame


async def test_the_example_of_groups_shows_who_is_here_and_puts_people_out() -> None:
    names = example("groups.md")
    await names["manager"].start()
    async with (
        serving(names["app"]) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http,
    ):
        for person in ("wang", "zhao"):
            await http.put(f"/room/{person}")
        url, protocols = f"ws://127.0.0.1:{port}/ws/", [Subprotocol("desk.v1")]
        async with connect(url + "wang", subprotocols=protocols, proxy=None) as wang:
            assert await events_until_live(wang, {"room:network": None}) == []
            async with connect(url + "zhao", subprotocols=protocols, proxy=None) as zhao:
                await events_until_live(zhao, {"room:network": None})
                came = await frame_of(wang, "ephemeral")
                while came["data"]["by"] != "zhao":
                    came = await frame_of(wang, "ephemeral")
                here = (await http.get("/here")).json()
                await http.post("/room", json={"n": 1})
                both = [(await frame_of(each, "event"))["event"]["n"] for each in (wang, zhao)]
                await http.delete("/room/zhao")
                out = await frame_of(zhao, "unwatched")
                await http.post("/room", json={"n": 2})
                second = (await frame_of(wang, "event"))["event"]["n"]
    await names["manager"].stop()

    assert came["data"] == {"by": "zhao", "state": "connected"}
    assert here == {"wang": True, "zhao": True}
    assert (both, second) == ([1, 1], 2)
    assert out["why"] == "left"
