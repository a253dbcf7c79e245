"""The house rules as a program: who may import whom, where a library lives, what is pure.

Reads sources and runs none of them. A fault is one line: where, what, and where it belongs instead.
The tables are the map in ARCHITECTURE.md; files that do not stand yet are listed all the same.
"""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "deskwire"

# What is not written is forbidden. `__init__` is the package's own door.
MAY_IMPORT: dict[str, set[str]] = {
    "desk": set(),
    "settings": set(),
    "telemetry": set(),
    "realtime": {"telemetry"},
    "wecom": {"telemetry"},
    "storage": {"desk", "telemetry"},
    "flows": {"desk", "realtime", "storage", "wecom", "telemetry"},
    "web": {"desk", "flows", "realtime", "storage.views", "telemetry"},
    "bench": {"realtime"},
    "app": {"desk", "flows", "realtime", "settings", "storage", "telemetry", "web", "wecom"},
    "cli": {"app", "bench", "realtime", "settings", "storage", "telemetry", "wecom"},
    "__init__": {"realtime"},
    "__main__": {"cli"},
}
INSTEAD = {
    "desk": "what needs desk and another room belongs in flows",
    "settings": "app hands settings over as constructor arguments",
    "telemetry": "return plain numbers; the shell around makes metrics and log lines of them",
    "realtime": "state a Protocol in the room that needs it, and let flows or app join the two",
    "wecom": "what speaks to WeCom and awaits another room belongs in flows",
    "storage": "a write belongs in flows, a read for the web in storage/views",
    "flows": "turn the call round: flows calls rooms, only web and app call flows",
    "web": "an HTTP word belongs in web; only app needs web",
    "bench": "only the console runs the scales",
    "app": "app builds and joins; take what you need as a constructor argument",
    "cli": "only __main__ starts the console",
    "__init__": "import from the file that defines it",
    "__main__": "nothing imports the entry point",
}

# Library -> the only places that may import it; a folder ends with a slash.
HOMES: dict[str, tuple[str, ...]] = {
    "sqlalchemy": ("storage/",),
    "alembic": ("storage/",),
    "aiosqlite": ("storage/",),
    "asyncpg": ("storage/",),
    "redis": ("realtime/bus_redis.py", "realtime/presence_redis.py", "app.py"),
    "fastapi": ("web/", "app.py"),
    "pydantic": ("web/", "app.py", "settings.py"),  # a setting's bounds are pydantic's Field
    "pydantic_settings": ("settings.py",),
    "starlette": ("web/", "realtime/asgi.py", "wecom/simulator/asgi.py", "app.py"),
    "uvicorn": ("realtime/uvicorn_protocol.py", "cli/"),
    "websockets": ("realtime/uvicorn_protocol.py", "cli/", "bench/client.py"),
    "httpx": ("wecom/",),
    "cryptography": ("wecom/crypto.py",),
    "defusedxml": ("wecom/messages.py",),
    "argon2": ("flows/login.py",),
    "msgspec": ("realtime/frames.py", "desk/events.py", "wecom/messages.py"),
    "structlog": ("telemetry.py",),
    "prometheus_client": ("telemetry.py",),
    "typer": ("cli/",),
    "rich": ("cli/",),
}
IMPORT_NAMES = {"argon2-cffi": "argon2"}  # where the distribution is called otherwise
NOT_IMPORTED = {"h11"}  # uvicorn's; listed for the floor that closes a hole

REALTIME_PURE = (
    *("frames", "codes", "delivery", "hub", "transport", "log", "gate", "rfc6455"),
    *("backlog", "limits", "outputs", "pulse", "watch", "window"),  # delivery's parts
)
BENCH_PURE = (  # all of a client but its socket
    *("reading", "acks", "budget", "comeback", "expected", "outs", "phases", "sight", "wire"),
)
SIMULATOR_PURE = ("chance", "faults", "mailbox", "people", "world")
STORAGE_PURE = ("cut",)
WECOM_PURE = ("crypto", "messages", "errors", "limits")
PURE = {
    *(f"realtime.{name}" for name in REALTIME_PURE),
    *(f"bench.{name}" for name in BENCH_PURE),
    *(f"storage.{name}" for name in STORAGE_PURE),
    *(f"wecom.{name}" for name in WECOM_PURE),
    *(f"wecom.simulator.{name}" for name in SIMULATOR_PURE),
}
PURE_ROOMS = {"desk"}
IMPURE_MODULES = {
    *("asyncio", "logging", "os", "pathlib", "random", "secrets"),
    *("socket", "ssl", "threading", "time"),
}
IMPURE_NAMES = {
    "uuid1": "take the id as an argument",
    "uuid4": "take the id as an argument",
    "hash": "it differs from process to process: use a digest of the bytes",
}
CLOCKS = {("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today")}

SIMULATOR = "wecom.simulator"
MAY_SIMULATE = {"cli.demo", "cli.simulator"}
PATH_SHARED_BY_FLOWS = "flows.execute"

# These may fall, never rise.
FUNCTIONS_OVER_60_LINES_MAX = 0
LONGEST_FILE_LINES_MAX = 700


# --- reading -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    line: int
    own: str | None  # dotted, below deskwire; "" is the package itself
    library: str
    name: str  # what was taken out of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    path: str  # below the package, with slashes
    dotted: str  # realtime.frames; a folder's __init__ is the folder, the package's is __init__
    tree: ast.Module
    lines: int
    imports: tuple[Import, ...]

    @property
    def room(self) -> str:
        return self.dotted.split(".")[0]

    @property
    def is_pure(self) -> bool:
        return self.room in PURE_ROOMS or self.dotted in PURE


@functools.cache
def read(package: Path) -> dict[str, Source]:
    """Every source file but migrations, by dotted name."""
    paths = [path for path in sorted(package.rglob("*.py")) if "migrations" not in path.parts]
    known = {dotted(path, package) for path in paths}
    sources = {}
    for path in paths:
        text = path.read_text("utf-8")
        tree = ast.parse(text, str(path))
        name = dotted(path, package)
        sources[name] = Source(
            path=path.relative_to(package).as_posix(),
            dotted=name,
            tree=tree,
            lines=text.count("\n"),
            imports=tuple(imports_of(tree, path.relative_to(package), known)),
        )
    return sources


def dotted(path: Path, package: Path) -> str:
    parts = list(path.relative_to(package).with_suffix("").parts)
    if len(parts) > 1 and parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts)


def imports_of(tree: ast.Module, path: Path, known: set[str]) -> Iterator[Import]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield classify(node.lineno, alias.name, "", known)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = ["deskwire", *path.parts[:-1]][: len(path.parts) + 1 - node.level]
                base = ".".join([*above, *([base] if base else [])])
            for alias in node.names:
                yield classify(node.lineno, base, alias.name, known)


def classify(line: int, module: str, name: str, known: set[str]) -> Import:
    top, _, below = module.partition(".")
    if top != "deskwire":
        return Import(line=line, own=None, library=top, name=name)
    deeper = f"{below}.{name}".lstrip(".")
    is_file = deeper in known or (not below and deeper in MAY_IMPORT)
    own = deeper if is_file else below
    return Import(line=line, own=own or "__init__", library="", name=name)


# --- rules ---------------------------------------------------------------------------------------


def faults(package: Path) -> list[str]:
    sources = read(package)
    found: list[str] = []
    for source in sources.values():
        if source.room not in MAY_IMPORT:
            found.append(f"{source.path}: no room in the map is called {source.room}")
        found += allow_list(source)
        found += homes(source)
        found += hidden_imports(source)
        found += simulator(source)
        found += separate_paths(source)
        if source.is_pure:
            found += purity(source, sources)
    for room in MAY_IMPORT:
        found += cycles(room, sources)
    return list(dict.fromkeys(found))  # a line may take several names from one file


def allow_list(source: Source) -> Iterator[str]:
    allowed = MAY_IMPORT.get(source.room, set())
    for taken in source.imports:
        if taken.own is None:
            continue
        room = taken.own.split(".")[0]
        if room == source.room or any(is_below(taken.own, place) for place in allowed):
            continue
        yield (
            f"{source.path}:{taken.line}: {source.room} may not import {taken.own}; "
            f"{INSTEAD.get(room, 'no such room')}"
        )


def is_below(name: str, place: str) -> bool:
    return name == place or name.startswith(place + ".")


def homes(source: Source) -> Iterator[str]:
    for taken in source.imports:
        library = taken.library
        if taken.own is not None or library in sys.stdlib_module_names:
            continue
        if library not in HOMES:
            yield f"{source.path}:{taken.line}: {library} has no home; give it one line in HOMES"
        elif not any(
            source.path.startswith(home) if home.endswith("/") else source.path == home
            for home in HOMES[library]
        ):
            where = " or ".join(HOMES[library])
            yield f"{source.path}:{taken.line}: {library} belongs in {where}"


def hidden_imports(source: Source) -> Iterator[str]:
    for taken in source.imports:
        if taken.library == "importlib":
            yield f"{source.path}:{taken.line}: importlib hides an import; write the import"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Name) and node.id in ("__import__", "exec", "eval"):
            yield f"{source.path}:{node.lineno}: {node.id} hides what is used; write it plainly"


def simulator(source: Source) -> Iterator[str]:
    if source.dotted in MAY_SIMULATE or is_below(source.dotted, SIMULATOR):
        return
    for taken in source.imports:
        if taken.own is not None and is_below(taken.own, SIMULATOR):
            yield (
                f"{source.path}:{taken.line}: only cli/demo.py and cli/simulator.py import the "
                "simulator; give the address of a WeCom as an argument"
            )


def separate_paths(source: Source) -> Iterator[str]:
    if source.room != "flows":
        return
    for taken in source.imports:
        own = taken.own
        if own is not None and own.startswith("flows.") and own != PATH_SHARED_BY_FLOWS:
            yield (
                f"{source.path}:{taken.line}: a path imports no other path ({own}); what both need "
                "belongs in the room they ask"
            )


def purity(source: Source, sources: Mapping[str, Source]) -> Iterator[str]:
    for taken in source.imports:
        where = f"{source.path}:{taken.line}"
        if taken.library in IMPURE_MODULES:
            yield f"{where}: a pure file imports {taken.library}; take what it gives as an argument"
        elif taken.name in ("uuid1", "uuid4"):
            yield f"{where}: a pure file imports {taken.name}; {IMPURE_NAMES[taken.name]}"
        elif taken.own == "telemetry":
            yield f"{where}: a pure file uses telemetry; {INSTEAD['telemetry']}"
        elif taken.own is not None and not getattr(sources.get(taken.own), "is_pure", True):
            yield f"{where}: a pure file imports {taken.own}, which is not; move the pure part here"
    for node in ast.walk(source.tree):
        for what in impurities(node):
            yield f"{source.path}:{getattr(node, 'lineno', 0)}: {what}"


def impurities(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Attribute):
        holder = getattr(node.value, "attr", getattr(node.value, "id", ""))
        if (holder, node.attr) in CLOCKS:
            yield f"a pure file reads {holder}.{node.attr}; take `now` as an argument"
        elif node.attr in ("uuid1", "uuid4"):
            yield f"a pure file calls {node.attr}; {IMPURE_NAMES[node.attr]}"
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "hash":
        yield f"a pure file calls hash; {IMPURE_NAMES['hash']}"
    elif isinstance(node, ast.For) and is_set(node.iter):
        yield "a pure file walks over a set; sort it before its order shows"
    elif isinstance(node, ast.ListComp) and any(is_set(part.iter) for part in node.generators):
        yield "a pure file makes a list of a set; sort it before its order shows"


def is_set(node: ast.expr) -> bool:
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in ("set", "frozenset")
    return isinstance(node, ast.Set | ast.SetComp)


def cycles(room: str, sources: Mapping[str, Source]) -> Iterator[str]:
    """One line for each loop among the files of a room; the package's door joins no room."""
    edges = {
        source.dotted: sorted(
            {taken.own for taken in source.imports if taken.own is not None} - {source.dotted}
        )
        for source in sources.values()
        if source.room == room
    }
    done: set[str] = set()

    def walk(name: str, trail: list[str]) -> Iterator[str]:
        if name in trail:
            loop = " -> ".join([*trail[trail.index(name) :], name])
            yield f"{sources[name].path}: files of {room} import in a circle: {loop}; split one"
            return
        if name in done:
            return
        for target in edges.get(name, []):
            if target in edges:
                yield from walk(target, [*trail, name])
        done.add(name)

    for name in edges:
        yield from walk(name, [])


def long_functions(package: Path) -> list[str]:
    return [
        f"{source.path}:{node.lineno}: {node.name} has {body_lines(node)} lines"
        for source in read(package).values()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and body_lines(node) > 60
    ]


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines without the docstring: words cost nobody a second thought."""
    first = node.body[0]
    documented = ast.get_docstring(node) is not None
    docstring = (first.end_lineno or 0) - first.lineno + 1 if documented else 0
    return (node.end_lineno or 0) - node.lineno + 1 - docstring


# --- the front end -------------------------------------------------------------------------------

IMPORT_TS = re.compile(r"""(?:\bfrom\s*|\bimport\s*\(?\s*)["']([^"']+)["']""")
COMMENT_TS = re.compile(r"/\*.*?\*/|(?<![:\"'])//[^\n]*|<!--.*?-->", re.DOTALL)
DOM = re.compile(
    r"\b(window|document|navigator|localStorage|sessionStorage|indexedDB|fetch|XMLHttpRequest"
    r"|HTML\w*Element|requestAnimationFrame|addEventListener|WebSocket)\b"
)
OTHERS_TS = {"node_modules", "dist"}  # not ours, and compiled from ours
PURE_TS = {"client/delivery.ts", "client/desk/fold.ts"}
SOCKET_TS = "client/socket.ts"
NEVER = {  # folder -> libraries and folders that it never imports
    "src/h5/": ("reka-ui", "src/workbench"),
    "src/workbench/": ("vant", "src/h5"),
}


def front_faults(frontend: Path) -> list[str]:
    found: list[str] = []
    for path in sorted([*frontend.glob("client/**/*.ts"), *frontend.glob("src/**/*")]):
        name = path.relative_to(frontend).as_posix()
        if path.suffix not in (".ts", ".vue") or ".test." in name or OTHERS_TS & set(path.parts):
            continue
        code = COMMENT_TS.sub("", path.read_text("utf-8"))
        wanted = [resolve_ts(name, specifier) for specifier in IMPORT_TS.findall(code)]
        found += front_imports(name, wanted)
        if name in PURE_TS:
            words = {match[1] for match in DOM.finditer(code)} | ({"vue"} & set(wanted))
            found += [f"{name}: names {word}; leave that to socket.ts" for word in sorted(words)]
        if name != SOCKET_TS and re.search(r"\bWebSocket\b", code):
            found.append(f"{name}: says WebSocket; only {SOCKET_TS} does")
    return found


def front_imports(name: str, wanted: list[str]) -> Iterator[str]:
    for target in wanted:
        if name.startswith("client/") and not target.startswith("client/"):
            yield f"{name}: imports {target}; client/ imports nothing outside itself"
        first_entry = name.startswith("client/") and not name.startswith("client/desk/")
        if first_entry and target.startswith("client/desk"):
            yield f"{name}: imports {target}; the first entry never imports the second, desk/"
        for folder, forbidden in NEVER.items():
            if name.startswith(folder) and target.startswith(forbidden):
                yield f"{name}: imports {target}; what both faces need belongs in src/parts"


def resolve_ts(name: str, specifier: str) -> str:
    """A path below frontend/ for our own files, the specifier itself for a library."""
    if specifier.startswith("@deskwire/client"):
        return "client" + specifier.removeprefix("@deskwire/client") + "/"
    if specifier.startswith(("@/", "~/")):
        return "src/" + specifier[2:]
    if not specifier.startswith("."):
        return specifier
    parts = name.split("/")[:-1]
    for part in specifier.split("/"):
        if part == "..":
            parts = parts[:-1] if parts else ["outside"]
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


# --- the house as it stands ----------------------------------------------------------------------


def test_every_file_imports_only_what_its_room_may_know() -> None:
    found = faults(PACKAGE)

    assert not found, "\n" + "\n".join(found)


def test_the_front_end_keeps_its_own_rooms_apart() -> None:
    found = front_faults(ROOT / "frontend")

    assert not found, "\n" + "\n".join(found)


def test_long_functions_and_long_files_only_get_fewer() -> None:
    too_long = long_functions(PACKAGE)
    lines, path = max((source.lines, source.path) for source in read(PACKAGE).values())

    assert len(too_long) <= FUNCTIONS_OVER_60_LINES_MAX, "\n".join(too_long)
    assert lines <= LONGEST_FILE_LINES_MAX, f"{path} has {lines} lines"


def test_every_dependency_has_a_home() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    names = {re.split(r"[\[<>=~!; ]", line)[0] for line in project["dependencies"]} - NOT_IMPORTED

    homeless = {
        name for name in names if IMPORT_NAMES.get(name, name.replace("-", "_")) not in HOMES
    }

    assert homeless == set()


def test_a_fresh_import_loads_no_database_and_no_web_framework() -> None:
    program = [sys.executable, "-c", "import sys, deskwire; print(*sorted(sys.modules))"]

    said = subprocess.run(program, capture_output=True, text=True, check=True)

    heavy = {"sqlalchemy", "fastapi", "redis", "httpx", "starlette", "pydantic"}
    assert heavy & set(said.stdout.split()) == set()


# --- the rules themselves, on trees with one planted fault ---------------------------------------

CLEAN = {
    "__init__.py": "from deskwire.realtime.manager import ConnectionManager\n",
    "__main__.py": "from deskwire.cli.console import main\n",
    "app.py": "from deskwire import telemetry\nfrom deskwire.flows import execute\n",
    "settings.py": "import pydantic_settings\n",
    "telemetry.py": "import logging\nimport structlog\n",
    "cli/__init__.py": "",
    "cli/console.py": "import typer\nfrom . import demo\n\ndef main(): ...\n",
    "cli/demo.py": "from deskwire.wecom.simulator import asgi\nfrom deskwire.app import build\n",
    "desk/__init__.py": "",
    "desk/people.py": "from datetime import datetime\n",
    "desk/routing.py": "from .people import Agent\nfrom deskwire.desk import people\n",
    "realtime/__init__.py": "",
    "realtime/manager.py": "import asyncio\nfrom deskwire import telemetry\nfrom .hub import Hub\n",
    "realtime/frames.py": "import msgspec\n",
    "realtime/hub.py": "from .frames import Frame\n",
    "storage/__init__.py": "",
    "storage/log.py": "import sqlalchemy as sa\nfrom deskwire.desk import people\n",
    "storage/views.py": "from sqlalchemy import select\n",
    "storage/migrations/0001_first.py": "import deskwire.web.agent\nimport importlib\n",
    "wecom/__init__.py": "",
    "wecom/client.py": "import httpx\n",
    "wecom/simulator/__init__.py": "",
    "wecom/simulator/world.py": "import dataclasses\n",
    "wecom/simulator/asgi.py": "from starlette.routing import Route\nfrom .world import World\n",
    "flows/__init__.py": "",
    "flows/execute.py": "from deskwire.storage import log\nfrom deskwire.realtime import hub\n",
    "flows/timers.py": "from .execute import execute\n",
    "web/__init__.py": "",
    "web/agent.py": "from deskwire.storage import views\nfrom deskwire.storage.views import mine\n",
}

SPOILT = {
    "an import hidden in a function": (
        {"realtime/hub.py": "def look():\n    from deskwire.storage import log\n"},
        "realtime/hub.py:2: realtime may not import storage.log",
    ),
    "an import under TYPE_CHECKING": (
        {"desk/people.py": "if TYPE_CHECKING:\n    import deskwire.flows\n"},
        "desk/people.py:2: desk may not import flows",
    ),
    "a relative import out of the room": (
        {"wecom/client.py": "from ..realtime import hub\n"},
        "wecom/client.py:1: wecom may not import realtime.hub",
    ),
    "a relative import from a deeper folder": (
        {"wecom/simulator/asgi.py": "from ...storage.log import append\n"},
        "wecom/simulator/asgi.py:1: wecom may not import storage.log",
    ),
    "a pure file that uses telemetry": (
        {"realtime/frames.py": "from deskwire import telemetry\n"},
        "realtime/frames.py:1: a pure file uses telemetry",
    ),
    "a pure file that imports an impure one": (
        {"realtime/hub.py": "from deskwire.realtime.bus import Bus\n", "realtime/bus.py": ""},
        "realtime/hub.py:1: a pure file imports realtime.bus",
    ),
    "a pure file with asyncio": (
        {"realtime/hub.py": "import asyncio.locks\n"},
        "realtime/hub.py:1: a pure file imports asyncio",
    ),
    "a pure file that reads the clock": (
        {"desk/people.py": "import datetime as d\nnow = d.datetime.now\n"},
        "desk/people.py:2: a pure file reads datetime.now",
    ),
    "a pure file that makes ids": (
        {"desk/people.py": "import uuid\nnew = uuid.uuid4()\n"},
        "desk/people.py:2: a pure file calls uuid4",
    ),
    "a pure file that hashes": (
        {"wecom/simulator/world.py": "def place(x):\n    return hash(x) % 8\n"},
        "wecom/simulator/world.py:2: a pure file calls hash",
    ),
    "a pure file that shows a set's order": (
        {"desk/routing.py": "def all(x):\n    return [y for y in set(x)]\n"},
        "desk/routing.py:2: a pure file makes a list of a set",
    ),
    "the web reaching past the views": (
        {"web/agent.py": "from deskwire.storage import log\n"},
        "web/agent.py:1: web may not import storage.log; a write belongs in flows",
    ),
    "the web taking the whole of storage": (
        {"web/agent.py": "import deskwire.storage\n"},
        "web/agent.py:1: web may not import storage",
    ),
    "a room that reads settings": (
        {"storage/log.py": "from deskwire.settings import Settings\n"},
        "storage/log.py:1: storage may not import settings; app hands settings over",
    ),
    "a room that goes through the package's door": (
        {"flows/execute.py": "from deskwire import ConnectionManager\n"},
        "flows/execute.py:1: flows may not import __init__",
    ),
    "a library away from home": (
        {"flows/execute.py": "import sqlalchemy.ext.asyncio\n"},
        "flows/execute.py:1: sqlalchemy belongs in storage/",
    ),
    "a library at the wrong file of its room": (
        {"realtime/manager.py": "import msgspec\n"},
        "realtime/manager.py:1: msgspec belongs in realtime/frames.py or",
    ),
    "a library without a home": (
        {"web/agent.py": "import requests\n"},
        "web/agent.py:1: requests has no home",
    ),
    "importlib": (
        {"app.py": "from importlib import import_module\n"},
        "app.py:1: importlib hides an import",
    ),
    "__import__": (
        {"web/agent.py": "log = __import__('deskwire.storage.log')\n"},
        "web/agent.py:1: __import__ hides",
    ),
    "exec": (
        {"web/agent.py": "exec('import deskwire.app')\n"},
        "web/agent.py:1: exec hides",
    ),
    "two files of a room in a circle": (
        {"desk/people.py": "from . import routing\n"},
        "files of desk import in a circle: desk.people -> desk.routing -> desk.people",
    ),
    "the simulator in the application": (
        {"app.py": "from deskwire.wecom.simulator.world import World\n"},
        "app.py:1: only cli/demo.py and cli/simulator.py import the simulator",
    ),
    "a path that imports another": (
        {"flows/execute.py": "from deskwire.flows import timers\n", "flows/timers.py": ""},
        "flows/execute.py:1: a path imports no other path (flows.timers)",
    ),
    "a room that is not in the map": (
        {"utils/text.py": "", "utils/__init__.py": ""},
        "utils/text.py: no room in the map is called utils",
    ),
}


def build(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    return folder


def test_a_clean_tree_has_no_fault(tmp_path: Path) -> None:
    assert faults(build(tmp_path, CLEAN)) == []


@pytest.mark.parametrize("fault", SPOILT)
def test_a_planted_fault_is_found(fault: str, tmp_path: Path) -> None:
    files, expected = SPOILT[fault]

    found = faults(build(tmp_path, CLEAN | files))

    assert any(expected in line for line in found), found


def test_a_function_over_60_lines_is_counted_without_its_docstring(tmp_path: Path) -> None:
    words = '    """' + "word\n    " * 50 + '"""\n'
    short = "def short():\n" + words + "    x = 1\n" * 59
    long = "def long():\n" + words + "    x = 1\n" * 60

    found = long_functions(build(tmp_path, {"desk/people.py": short + long}))

    assert [line.split(": ")[1] for line in found] == ["long has 61 lines"]


FRONT_CLEAN = {
    "client/index.ts": 'export { Delivery } from "./delivery";\n',
    "client/delivery.ts": 'import type { Frame } from "./frames"; // a WebSocket is not ours\n',
    "client/frames.ts": "export type Frame = string;\n",
    "client/socket.ts": 'import { Delivery } from "./delivery.ts";\nnew WebSocket("");\n',
    "client/socket.test.ts": 'import { test } from "vitest";\nclass Fake implements WebSocket {}\n',
    "client/desk/fold.ts": 'import type { Entry } from "../frames";\n',
    "src/desk/store.ts": 'import { openDesk } from "@deskwire/client/desk";\nimport "vue";\n',
    "src/h5/App.vue": '<script setup lang="ts">\nimport { Button } from "vant";\n</script>\n',
    "src/workbench/App.vue": 'import { DialogRoot } from "reka-ui";\n',
}
FRONT_SPOILT = {
    "the client reaching out": (
        {"client/desk/fold.ts": 'import { t } from "../../src/words";\n'},
        "client/desk/fold.ts: imports src/words; client/ imports nothing outside itself",
    ),
    "the client with a library": (
        {"client/socket.ts": 'import { ref } from "vue";\n'},
        "client/socket.ts: imports vue; client/ imports nothing",
    ),
    "the first entry importing the second": (
        {"client/index.ts": 'export * from "./desk/fold";\n'},
        "client/index.ts: imports client/desk/fold; the first entry never",
    ),
    "a DOM word in delivery.ts": (
        {"client/delivery.ts": "const hidden = document.hidden;\n"},
        "client/delivery.ts: names document",
    ),
    "a socket outside socket.ts": (
        {"src/desk/store.ts": "const s = new WebSocket(url);\n"},
        "src/desk/store.ts: says WebSocket",
    ),
    "the H5 page with Reka UI": (
        {"src/h5/App.vue": 'const x = import("reka-ui");\n'},
        "src/h5/App.vue: imports reka-ui",
    ),
    "the H5 page with the workbench": (
        {"src/h5/App.vue": 'import Pane from "../workbench/Pane.vue";\n'},
        "src/h5/App.vue: imports src/workbench/Pane.vue",
    ),
    "the workbench with Vant": (
        {"src/workbench/App.vue": 'import "vant/lib/index.css";\n'},
        "src/workbench/App.vue: imports vant/lib/index.css",
    ),
}


def test_a_clean_front_end_has_no_fault(tmp_path: Path) -> None:
    assert front_faults(build(tmp_path, FRONT_CLEAN)) == []


@pytest.mark.parametrize("fault", FRONT_SPOILT)
def test_a_planted_front_end_fault_is_found(fault: str, tmp_path: Path) -> None:
    files, expected = FRONT_SPOILT[fault]

    found = front_faults(build(tmp_path, FRONT_CLEAN | files))

    assert any(expected in line for line in found), found


def test_the_map_names_only_rooms_that_it_knows() -> None:
    known = set(MAY_IMPORT)
    named = {place.split(".")[0] for places in MAY_IMPORT.values() for place in places}

    assert named <= known
    assert set(INSTEAD) == known
