"""`@deskwire/client` as npm would publish it: packed from a copy, installed beside nothing else."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Final

import hatch_build

FRONTEND: Final = Path(__file__).resolve().parents[2] / "frontend"


@cache
def npm() -> tuple[list[str], dict[str, str]]:
    return hatch_build.npm_command()


def run(command: list[str], where: Path) -> str:
    """With Node and npm at hand; fails with what it said."""
    done = subprocess.run(
        command, cwd=where, env=npm()[1], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def node(*arguments: str | Path) -> list[str]:
    found = shutil.which("node", path=npm()[1]["PATH"])
    assert found, "no Node"
    return [found, *map(str, arguments)]


def packed(folder: Path) -> Path:
    """The tarball. The checkout is not touched: what compiling leaves behind stays in the copy."""
    modules = FRONTEND / "node_modules"
    assert modules.is_dir(), "install the front end's packages: python hatch_build.py --packages"
    copy = folder / "frontend"
    ignored = shutil.ignore_patterns("dist", "node_modules")
    shutil.copytree(FRONTEND / "client", copy / "client", ignore=ignored)
    shutil.copy(FRONTEND / "tsconfig.json", copy)
    (copy / "node_modules").symlink_to(modules.resolve(), target_is_directory=True)
    run([*npm()[0], "pack", "--pack-destination", str(folder)], copy / "client")
    return next(folder.glob("*.tgz"))


def installed(tarball: Path, home: Path) -> Path:
    """A project of somebody else's, with the package and nothing besides. No registry is asked."""
    home.mkdir()
    (home / "package.json").write_text('{"private": true, "type": "module"}')
    run([*npm()[0], "install", "--offline", "--no-audit", "--no-fund", str(tarball)], home)
    return home


def example(title: str, page: Path = FRONTEND / "client" / "README.md") -> str:
    """The first code below this heading, of the package's README or another page."""
    section = page.read_text("utf-8").split(f"\n## {title}\n")[1]
    block = re.search(r"```\w+\n(.*?)```", section, re.DOTALL)
    assert block is not None, title
    return block[1]
