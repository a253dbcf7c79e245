"""Who is weighed: how each server is started, how its clients speak, whether it is here at all."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import build

OUR_CLASS: Final = "deskwire.realtime.uvicorn_protocol:UvicornProtocol"
STREAM: Final = "desk:all"
IDENTIFY: Final = {
    "op": "identify", "protocol": 1, "client": "bench/1", "device": "d-bench-000", "visible": True,
    "watch": {STREAM: None},
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One server under test. `missing` says why it cannot run here, or nothing."""

    name: str
    words: str  # for the table
    command: Callable[[int], Sequence[str]]  # SO_SNDBUF → what to start
    load: Sequence[str] = ()  # the load generator's options
    missing: Callable[[], str] = lambda: ""


def _python(name: str, *options: str) -> Callable[[int], Sequence[str]]:
    return lambda sndbuf: (
        sys.executable, "-m", "bench.servers", name, "--sndbuf", str(sndbuf), *options
    )  # fmt: skip


def _limit(sndbuf: int) -> Sequence[str]:
    return (str(build.program("limit")), "0", str(sndbuf))


def _needs(module: str) -> Callable[[], str]:
    def missing() -> str:
        return "" if importlib.util.find_spec(module) else f"the Python package {module} is missing"

    return missing


def own_class() -> str:
    """Our WebSocket class for uvicorn as `module:Class`, or nothing while there is none."""
    module, _, name = OUR_CLASS.partition(":")
    try:
        found = hasattr(importlib.import_module(module), name)
    except ImportError:
        return ""
    return OUR_CLASS if found else ""


def _no_own_class() -> str:
    return "" if own_class() else "our uvicorn class is not there yet"


def _no_node_ws() -> str:
    node = shutil.which("node")
    if node is None:
        return "node is missing"
    found = subprocess.run(
        [node, "-e", "require.resolve('ws')"], cwd=build.HERE, capture_output=True, check=False
    )
    return "" if found.returncode == 0 else "node's package ws is missing (NODE_PATH is looked at)"


def _node_ws(sndbuf: int) -> Sequence[str]:
    del sndbuf  # node has no way to set it on a listening socket
    return (shutil.which("node") or "node", str(Path(build.HERE) / "servers" / "node_ws.js"))


_PLAIN: Final = ("--path", "/ws/a%d")
_STREAM: Final = (
    *_PLAIN, "--protocol", "desk.v1", "--ready", '"op":"live"', "--ack", STREAM,
    "--first", json.dumps({**IDENTIFY, "tab": "t-bench-%d"}, separators=(",", ":")),
)  # fmt: skip
_OWN: Final = ("--no-deflate", "--ws", OUR_CLASS)

SUBJECTS: Final = (
    Subject(name="limit", words="the limit: C, one `write()` per socket", command=_limit),
    Subject(
        name="serial",
        words="a dict and an awaited `send_json` each, uvicorn as it comes (deflate on)",
        command=_python("serial"),
        load=(*_PLAIN, "--deflate"),
    ),
    Subject(
        name="serial-fast",
        words="the same, deflate off",
        command=_python("serial", "--no-deflate"),
        load=_PLAIN,
    ),
    Subject(
        name="serial-wsproto",
        words="the same on uvicorn's wsproto class",
        command=_python("serial", "--no-deflate", "--ws", "wsproto"),
        load=_PLAIN,
        missing=_needs("wsproto"),
    ),
    Subject(
        name="plain",
        words="`ConnectionManager`, plain, any ASGI server (uvicorn, deflate off)",
        command=_python("plain", "--no-deflate"),
        load=_PLAIN,
    ),
    Subject(
        name="stream",
        words="`ConnectionManager`, `desk.v1` with positions and acks, any ASGI server",
        command=_python("stream", "--no-deflate"),
        load=_STREAM,
    ),
    Subject(
        name="plain-own",
        words="`ConnectionManager`, plain, our uvicorn class",
        command=_python("plain", *_OWN),
        load=_PLAIN,
        missing=_no_own_class,
    ),
    Subject(
        name="stream-own",
        words="`ConnectionManager`, `desk.v1`, our uvicorn class",
        command=_python("stream", *_OWN),
        load=_STREAM,
        missing=_no_own_class,
    ),
    Subject(
        name="library",
        words="websockets library, `broadcast()`",
        command=_python("library", "--no-deflate"),
        missing=_needs("websockets"),
    ),
    Subject(name="node-ws", words="node `ws`", command=_node_ws, missing=_no_node_ws),
)


def chosen(names: Sequence[str]) -> tuple[list[Subject], dict[str, str]]:
    """Those named, or all; and why some of them cannot run here."""
    wanted = [s for s in SUBJECTS if not names or s.name in names]
    left_out = {s.name: why for s in wanted if (why := s.missing())}
    return [s for s in wanted if s.name not in left_out], left_out


def versions() -> dict[str, str]:
    """Of every library that is being weighed."""
    found = {}
    for name in ("deskwire", "uvicorn", "websockets", "fastapi", "starlette", "uvloop", "wsproto"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    if commit := _commit():
        found["deskwire"] = f"{found.get('deskwire', '')} at {commit}".strip()
    return found


def _commit() -> str:
    """The commit that is being weighed, `+` behind it if files differ from it."""
    git = shutil.which("git")
    if git is None:
        return ""
    command = (git, "describe", "--always", "--dirty=+", "--exclude", "*")
    said = subprocess.run(command, cwd=build.HERE, capture_output=True, text=True, check=False)
    return said.stdout.strip() if said.returncode == 0 else ""
