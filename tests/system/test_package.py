"""The package as it would be published: the pages go along, and nothing else is needed for them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import hatch_build

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "node_modules", ".*_cache", "__pycache__")


def build(target: str, tree: Path, out: Path) -> Path:
    """Hatchling itself, without the isolation that would need a package index; no Node on PATH."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(out)],
        cwd=tree,
        env=os.environ | {"PATH": "/nowhere"},
        check=True,
        capture_output=True,
    )
    return next(out.iterdir())


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    assert (ROOT / hatch_build.STATIC / "workbench.html").exists(), (
        "build the pages: hatch_build.py"
    )
    assert not hatch_build.is_stale(ROOT), "the pages are stale: python3 hatch_build.py"
    shutil.copytree(ROOT, tmp_path / "checkout", ignore=LEFT_OUT)
    return tmp_path / "checkout"


def test_a_wheel_built_from_the_sdist_brings_the_pages(checkout: Path, tmp_path: Path) -> None:
    sdist = build("sdist", checkout, tmp_path / "sdist")
    with tarfile.open(sdist) as archive:
        # by attribute: the first releases of 3.11 do not know the argument
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(tmp_path / "unpacked")

    wheel = build("wheel", next((tmp_path / "unpacked").iterdir()), tmp_path / "wheel")

    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"deskwire/web/static/workbench.html", "deskwire/web/static/h5.html"} <= names
    assert {"deskwire/py.typed", "deskwire/storage/migrations/env.py"} <= names
    assert not any(name.startswith(("tests/", "frontend/")) for name in names)
