"""Builds the C programs into bench/.build with the system's compiler, once per version of them."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
COMPILERS: Final = ("cc", "gcc", "clang")
FLAGS: Final = ("-O2", "-std=gnu11", "-Wall", "-Wextra")


class CannotBuild(Exception):
    """Why there are no scales here, in words for the person at the console."""


def program(name: str) -> Path:
    """The path of `load` or `limit`, built if it has to be."""
    if not sys.platform.startswith("linux"):
        raise CannotBuild("The scales read /proc and use epoll: they run on Linux only.")
    source = HERE / f"{name}.c"
    version = hashlib.sha256(source.read_bytes()).hexdigest()[:12]
    built = HERE / ".build" / f"{name}-{version}"
    if built.exists():
        return built
    compiler = compiler_path()
    built.parent.mkdir(exist_ok=True)
    partial = built.with_suffix(f".{os.getpid()}")
    done = subprocess.run(
        [compiler, *FLAGS, "-o", partial, source], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise CannotBuild(f"{compiler} could not build {source.name}:\n{done.stderr}")
    partial.replace(built)
    return built


def both() -> None:
    """Builds what every weighing needs, or ends with what is missing."""
    try:
        for name in ("load", "limit"):
            program(name)
    except CannotBuild as why:
        raise SystemExit(str(why)) from None


def has_compiler() -> bool:
    return any(map(shutil.which, COMPILERS))


def compiler_path() -> str:
    for name in COMPILERS:
        if found := shutil.which(name):
            return found
    raise CannotBuild(
        "The load generator is a small C program and there is no C compiler here (cc, gcc or"
        " clang).\nOn Debian or Ubuntu: apt-get install gcc libc6-dev"
    )
