"""Everybody's socket, with every operation on every kind of stream; lists what is not as told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin, Subprotocol

from tests.proofs import policy
from tests.proofs.policy import IDENTITIES, STREAMS, THINGS, Identity
from tests.proofs.stages import Stage, secret_of
from tests.web.site import Site

IDENTIFY: Mapping[str, Any] = {
    "op": "identify", "protocol": 1, "client": "tests/1", "device": "device-0001", "visible": True,
}  # fmt: skip
HEARD_S_MAX = 20.0


class Sockets:
    """Watchers of both things, and everybody who then tries everything."""

    def __init__(self, site: Site, stage: Stage) -> None:
        self._site = site
        self._stage = stage
        self._tabs = 0
        self.wrong: list[str] = []

    def _stream(self, kind: str, which: str) -> str:
        thing = THINGS[which]
        return kind.format(
            conv=self._stage.facts[which]["conv"],
            group=thing.group,
            assignee=thing.assignee,
            requester=thing.requester,
        )

    def _connect(self, name: str, who: Identity) -> connect:
        cookie = f"deskwire-{who.realm}={secret_of(name, who.realm)}"
        return connect(
            f"{self._site.url.replace('http', 'ws')}/ws/{who.realm}",
            origin=Origin(self._site.url),
            subprotocols=[Subprotocol("desk.v1")],
            additional_headers={} if who.cookie == "none" else {"Cookie": cookie},
            proxy=None,
        )

    async def ask_everybody(self) -> None:
        """Those who may least come first, so that what is heard of them is heard in time."""
        watchers = {"one's own": "the assignee", "another's": "an agent of another group"}
        async with AsyncExitStack() as stack:
            ears = {}
            for which, name in watchers.items():
                socket = await stack.enter_async_context(self._connect(name, IDENTITIES[name]))
                ears[which] = socket
                await self._identified(socket, self._talk(which))
            for name, who in sorted(IDENTITIES.items(), key=_rights):
                if who.cookie == "good":
                    await self._everything(name, who)
                else:
                    await self._refused(name, who)
            for which, socket in ears.items():
                await self._heard(which, watchers[which], socket)
        await self._marked()

    def _talk(self, which: str) -> list[str]:
        return [self._stream(kind, which) for kind in ("conv:{conv}", "conv:{conv}:staff")]

    async def _refused(self, name: str, who: Identity) -> None:
        try:
            async with self._connect(name, who):
                self.wrong.append(f"{name} was let in")
        except InvalidStatus as refused:
            if refused.response.status_code != 401:
                self.wrong.append(f"{name}: {refused.response.status_code}")

    async def _everything(self, name: str, who: Identity) -> None:
        asked = {
            self._stream(kind, which): policy.watches(who, kind, thing)
            for which, thing in THINGS.items()
            for kind in STREAMS
        }
        async with self._connect(name, who) as socket:
            frames = await self._identified(socket, list(asked))
            self._compare(f"identify, {name}", frames, asked)
            for operation in ("mark", "typing", "viewing"):
                frames = await self._signs(socket, operation, frames)
                self._look(f"{operation}, {name}", frames, asked)
            await socket.send(json.dumps({"op": "visibility", "visible": False}))
            await socket.send(json.dumps({"op": "pong"}))
            mine = [stream for stream, may in asked.items() if may]
            await socket.send(json.dumps({"op": "unwatch", "streams": mine}))
            frames = await _watched(socket, {"op": "watch"}, list(asked))
            self._compare(f"watch, {name}", frames, asked)

    def _talks(self, operation: str) -> list[tuple[str, str]]:
        """Where an operation is tried: marks on what employees see, viewing on what they do not."""
        kinds = {"mark": ("conv:{conv}",), "viewing": ("conv:{conv}:staff",)}
        both = ("conv:{conv}", "conv:{conv}:staff")
        return [(kind, which) for which in THINGS for kind in kinds.get(operation, both)]

    async def _signs(
        self, socket: ClientConnection, operation: str, watched: list[dict[str, Any]]
    ) -> list[dict[str, Any]]:
        heads = {frame["stream"]: frame["head"] for frame in watched if frame["op"] == "watched"}
        for kind, which in self._talks(operation):
            stream = self._stream(kind, which)
            more = {"read": heads.get(stream, 1)} if operation == "mark" else {"on": True}
            await socket.send(json.dumps({"op": operation, "stream": stream, **more}))
        return [*await _until_alive(socket), *watched]

    def _look(self, where: str, frames: list[dict[str, Any]], asked: Mapping[str, bool]) -> None:
        """What one does not watch is answered `not_watching`, and nothing else is."""
        operation = where.partition(",")[0]
        errors = {
            (frame["stream"], frame["code"])
            for frame in frames
            if frame["op"] == "error" and frame["about"] == operation
        }
        streams = [self._stream(kind, which) for kind, which in self._talks(operation)]
        due = {(stream, "not_watching") for stream in streams if not asked[stream]}
        if errors != due:
            self.wrong.append(f"{where}: errors {sorted(errors)}, not {sorted(due)}")

    def _compare(self, where: str, frames: list[dict[str, Any]], asked: Mapping[str, bool]) -> None:
        said = {"watched": True, "unwatched": False}
        found = {f["stream"]: said[f["op"]] for f in frames if f["op"] in said}
        for stream, may in asked.items():
            if found.get(stream) is not may:
                self.wrong.append(f"{where}: {stream} {found.get(stream)}, not {may}")
        events = {frame["stream"] for frame in frames if frame["op"] == "event"}
        if not events <= {stream for stream, may in asked.items() if may}:
            self.wrong.append(f"{where}: events of {sorted(events)}")

    async def _identified(
        self, socket: ClientConnection, streams: list[str]
    ) -> list[dict[str, Any]]:
        self._tabs += 1
        return await _watched(socket, {**IDENTIFY, "tab": f"tab-{self._tabs:08d}"}, streams)

    async def _heard(self, which: str, name: str, socket: ClientConnection) -> None:
        """Who the watcher sees typing and viewing; their own signs go to others only."""
        expected = {
            (self._stream(kind, which), f"{operation}:{who.realm}:{who.person}")
            for operation in ("typing", "viewing")
            for kind, of in self._talks(operation)
            if of == which
            for who in IDENTITIES.values()
            if who.cookie == "good" and self._shows(who, kind, which)
        }
        seen: set[tuple[str, str]] = set()
        async with asyncio.timeout(HEARD_S_MAX):
            while not expected <= seen:
                for frame in _read(await socket.recv()):
                    signs = [frame] if frame["op"] == "ephemeral" else frame.get("signs", ())
                    seen |= {
                        (frame["stream"], sign["key"])
                        for sign in signs
                        if sign["type"] in {"typing", "viewing"}
                    }
        if seen != expected:
            self.wrong.append(f"{name} of {which} saw {sorted(seen - expected)} besides")

    def _shows(self, who: Identity, kind: str, which: str) -> bool:
        """Among staff all are seen; before employees only those who take part."""
        if kind.endswith(":staff"):
            return policy.sees(who, THINGS[which], policy.STAFF)
        return bool(set(policy.standings(who, THINGS[which])) & {"R", "I", "P"})

    async def _marked(self) -> None:
        """Marks stand for those who take part: whoever only looks moves nothing."""
        await self._site.desk._marks.flush()
        found = {
            tuple(row)
            for row in self._site.office.sql(
                "SELECT stream_id, realm, person FROM mark WHERE read > 0"
                " AND stream_id LIKE 'conv:%'"
            )
        }
        expected = {
            (self._stream("conv:{conv}", which), who.realm, who.person)
            for which in THINGS
            for who in IDENTITIES.values()
            if who.cookie == "good" and self._shows(who, "conv:{conv}", which)
        }
        if found != expected:
            self.wrong.append(f"marks: {sorted(found ^ expected)} are only told or only found")


def _rights(line: tuple[str, Identity]) -> int:
    return sum(len(policy.standings(line[1], thing)) for thing in THINGS.values())


def _read(message: str | bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in str(message).split("\n")]


async def _watched(
    socket: ClientConnection, asking: Mapping[str, Any], streams: list[str]
) -> list[dict[str, Any]]:
    """Ask for the streams; what was said until each had its answer, and a little longer."""
    await socket.send(json.dumps({**asking, "watch": dict.fromkeys(streams)}))
    frames: list[dict[str, Any]] = []
    async with asyncio.timeout(HEARD_S_MAX):
        while sum(frame["op"] in {"watched", "unwatched"} for frame in frames) < len(streams):
            frames += _read(await socket.recv())
    return [*frames, *await _until_alive(socket)]


async def _until_alive(socket: ClientConnection) -> list[dict[str, Any]]:
    """All that was said before the answer to a probe, which comes after it."""
    await socket.send(json.dumps({"op": "probe", "n": 7}))
    frames: list[dict[str, Any]] = []
    async with asyncio.timeout(HEARD_S_MAX):
        while not any(frame["op"] == "alive" for frame in frames):
            frames += _read(await socket.recv())
    return frames
