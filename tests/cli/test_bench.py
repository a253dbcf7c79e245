"""`deskwire bench` as a person calls it."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from deskwire.cli import app

pytestmark = pytest.mark.system


def bench(*words: str, files: int = 0) -> subprocess.CompletedProcess[str]:
    limit = (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))) if files else None
    return subprocess.run(
        [sys.executable, "-m", "deskwire", "bench", *words],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        preexec_fn=limit,
    )


def test_a_small_run_tells_all_three_and_what_the_load_cost() -> None:
    done = bench("--connections", "5", "--rounds", "1", "--seconds", "0.3")

    assert done.returncode == 0, done.stderr
    for words in ("CPU per delivery", "the load's", "connects a second", "KiB per idle connection"):
        assert words in done.stdout


def test_only_what_was_asked_for_is_told() -> None:
    done = bench("storm", "--connections", "3", "--rounds", "1")

    assert done.returncode == 0, done.stderr
    assert "connects a second" in done.stdout
    assert "CPU per delivery" not in done.stdout


def test_a_part_that_there_is_not_is_named_with_those_that_there_are() -> None:
    done = CliRunner().invoke(app, ["bench", "fanuot"])

    assert done.exit_code == 1
    assert "no fanuot" in done.stderr
    assert "fanout, storm, memory" in done.stderr


def test_more_connections_than_files_is_said_before_anything_starts() -> None:
    done = bench("--connections", "500", files=200)

    assert done.returncode == 1
    assert "ulimit -n" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_absurd_number_is_refused_by_its_bound() -> None:
    done = CliRunner().invoke(app, ["bench", "--connections", "1000000"])

    assert done.exit_code == 2
    assert "20000" in done.stderr
