"""Who is weighed: how each server is started, how its clients speak, whether it is here at all."""

from __future__ import annotations

import functools
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
DESK_STREAM: Final = "desk"
NCHAN: Final = (
    Path("/usr/lib/nginx/modules/ngx_nchan_module.so"),
    Path("/usr/lib64/nginx/modules/ngx_nchan_module.so"),
)
IDENTIFY: Final = {
    "op": "identify", "protocol": 1, "client": "bench/1", "device": "d-bench-000", "visible": True,
    "watch": {STREAM: None},
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a server is started for. `folder` is its own and removed afterwards."""

    people: int  # how many may come
    folder: Path
    sndbuf: int = 0  # SO_SNDBUF of the listening socket; 0 leaves the kernel's


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One server under test. `missing` says why it cannot run here, or nothing."""

    name: str
    words: str  # for the table
    command: Callable[[Order], Sequence[str]]
    load: Sequence[str] = ()  # the load generator's options
    missing: Callable[[], str] = lambda: ""
    pushes: bool = False  # can send to one person by name
    resumes: bool = False  # its clients come back to their places
    joins: bool = False  # joins a burst only when told to: the limit program


def _python(name: str, *options: str) -> Callable[[Order], Sequence[str]]:
    return lambda order: (
        sys.executable, "-m", "bench.servers", name, "--sndbuf", str(order.sndbuf),
        "--people", str(order.people), "--folder", str(order.folder), *options,
    )  # fmt: skip


def _limit(order: Order) -> Sequence[str]:
    return (str(build.program("limit")), "0", str(order.sndbuf))


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


def _no_npm(package: str) -> Callable[[], str]:
    return lambda: _node_package(package)[1]


@functools.cache
def _node_package(package: str) -> tuple[str, str]:
    """Its version, or why there is none."""
    node = shutil.which("node")
    if node is None:
        return "", "node is missing"
    script = f"process.stdout.write(require('{package}/package.json').version)"
    found = subprocess.run(
        [node, "-e", script], cwd=build.HERE, capture_output=True, text=True, check=False
    )
    if found.returncode != 0:
        return "", f"node's package {package} is missing (NODE_PATH is looked at)"
    return found.stdout, ""


def _node(script: str) -> Callable[[Order], Sequence[str]]:
    # node has no way to set SO_SNDBUF on a listening socket
    path = str(build.HERE / "servers" / script)
    return lambda _: (shutil.which("node") or "node", path)


def nginx_path() -> str:
    """nginx is often outside an ordinary user's PATH."""
    return shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin") or ""


def _no_nchan() -> str:
    if not nginx_path():
        return "nginx is missing"
    return "" if any(p.exists() for p in NCHAN) else "nginx's module Nchan is missing"


def _identify(stream: str) -> str:
    """`%w` is where the load generator puts its place, `%d` its number."""
    frame = {**IDENTIFY, "tab": "t-bench-%d", "watch": {stream: "%w"}}
    return json.dumps(frame, separators=(",", ":")).replace('"%w"', "%w")


def _desk_v1(stream: str) -> Sequence[str]:
    return (
        "--protocol", "desk.v1", "--ready", '"op":"live"', "--ack", stream,
        "--first", _identify(stream),
    )  # fmt: skip


_PLAIN: Final = ("--path", "/ws/a%d")
_STREAM: Final = (*_PLAIN, *_desk_v1(STREAM))
_SERVICE: Final = (
    "--path", "/ws/agent", "--origin", "http://127.0.0.1:%p",
    "--cookie", "deskwire-agent=bench-secret-%d", "--mark", "n=", *_desk_v1(DESK_STREAM),
)  # fmt: skip
_OWN: Final = ("--no-deflate", "--ws", OUR_CLASS)

SUBJECTS: Final = (
    Subject(
        name="limit",
        words="the limit: C, one `write()` per socket",
        command=_limit,
        pushes=True,
        joins=True,
    ),
    Subject(
        name="service",
        words="`deskwire serve`: the desk itself, with login and SQLite, `desk.v1`",
        command=_python("service"),
        load=_SERVICE,
        missing=_no_own_class,
        resumes=True,
    ),
    Subject(
        name="stream-own",
        words="`ConnectionManager`, `desk.v1`, our uvicorn class",
        command=_python("stream", *_OWN),
        load=_STREAM,
        missing=_no_own_class,
        resumes=True,
    ),
    Subject(
        name="plain-own",
        words="`ConnectionManager`, plain, our uvicorn class",
        command=_python("plain", *_OWN),
        load=_PLAIN,
        missing=_no_own_class,
        pushes=True,
    ),
    Subject(
        name="serial",
        words="a dict and an awaited `send_json` each, uvicorn as it comes (deflate on)",
        command=_python("serial"),
        load=(*_PLAIN, "--deflate"),
        pushes=True,
    ),
    Subject(
        name="serial-fast",
        words="the same, deflate off",
        command=_python("serial", "--no-deflate"),
        load=_PLAIN,
        pushes=True,
    ),
    Subject(
        name="serial-wsproto",
        words="the same on uvicorn's wsproto class",
        command=_python("serial", "--no-deflate", "--ws", "wsproto"),
        load=_PLAIN,
        missing=_needs("wsproto"),
        pushes=True,
    ),
    Subject(
        name="plain",
        words="`ConnectionManager`, plain, any ASGI server (uvicorn, deflate off)",
        command=_python("plain", "--no-deflate"),
        load=_PLAIN,
        pushes=True,
    ),
    Subject(
        name="stream",
        words="`ConnectionManager`, `desk.v1` with positions and acks, any ASGI server",
        command=_python("stream", "--no-deflate"),
        load=_STREAM,
        resumes=True,
    ),
    Subject(
        name="library",
        words="websockets library, `broadcast()`",
        command=_python("library", "--no-deflate"),
        missing=_needs("websockets"),
    ),
    Subject(
        name="picows",
        words="picows (Cython), `send` to each",
        command=_python("picows"),
        missing=_needs("picows"),
        pushes=True,
    ),
    Subject(
        name="nchan",
        words="Nchan (C, inside nginx), one POST per event",
        command=_python("nchan"),
        missing=_no_nchan,
    ),
    Subject(
        name="node-ws",
        words="node `ws`",
        command=_node("node_ws.js"),
        missing=_no_npm("ws"),
        pushes=True,
    ),
    Subject(
        name="socket-io",
        words="Socket.IO (node), WebSocket transport only",
        command=_node("socket_io.js"),
        load=("--path", "/socket.io/?EIO=4&transport=websocket", "--engine-io",
              "--first", "40", "--ready", '40{"sid"'),
        missing=_no_npm("socket.io"),
    ),
)  # fmt: skip


def chosen(names: Sequence[str]) -> tuple[list[Subject], dict[str, str]]:
    """Those named, or all; and why some of them cannot run here."""
    wanted = [s for s in SUBJECTS if not names or s.name in names]
    left_out = {s.name: why for s in wanted if (why := s.missing())}
    return [s for s in wanted if s.name not in left_out], left_out


def versions() -> dict[str, str]:
    """Of everything that is being weighed and is here."""
    found = {}
    for name in (
        "deskwire", "uvicorn", "websockets", "fastapi", "starlette", "uvloop", "msgspec",
        "sqlalchemy", "wsproto", "picows",
    ):  # fmt: skip
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    if commit := _commit():
        found["deskwire"] = f"{found.get('deskwire', '')} at {commit}".strip()
    if node := _said(shutil.which("node") or "", "--version"):
        found["node"] = node.removeprefix("v")
    found |= {name: v for name in ("ws", "socket.io") if (v := _node_package(name)[0])}
    if nginx := _said(nginx_path(), "-v"):
        found["nginx"] = nginx.rpartition("/")[2]
    if nchan := _said(shutil.which("dpkg-query") or "", "-W", "-f=${Version}", NCHAN_PACKAGE):
        found["Nchan"] = nchan
    return found


NCHAN_PACKAGE: Final = "libnginx-mod-nchan"


def _commit() -> str:
    """The commit that is being weighed, `+` behind it if files differ from it."""
    words = ("-C", str(build.HERE), "describe", "--always", "--dirty=+", "--exclude", "*")
    return _said(shutil.which("git") or "", *words)


def _said(program: str, *words: str) -> str:
    """One line that a program prints, or nothing if it is not here or complains."""
    if not program:
        return ""
    said = subprocess.run((program, *words), capture_output=True, text=True, check=False)
    return (said.stdout or said.stderr).strip() if said.returncode == 0 else ""
