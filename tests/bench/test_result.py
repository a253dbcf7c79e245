"""A dated result: what it says of the machine, how it is written, how long the rest will take."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import result


def test_the_time_left_is_what_the_same_weighings_took_before() -> None:
    now = [0.0]
    progress = result.Progress(2, 3, lambda: now[0])
    for took in (10, 1, 20):
        now[0] += took
        progress.done("x")

    # of the second round the quick one, then a round as the last two were
    assert progress.left_s() == 1 + 20 + 1


def test_in_the_first_round_the_rest_is_taken_to_last_as_long() -> None:
    now = [0.0]
    progress = result.Progress(3, 1, lambda: now[0])
    now[0] = 5.0
    line = progress.done("service, 10")

    assert progress.left_s() == 10
    assert "1/3" in line
    assert "service, 10" in line
    assert "10 s left" in line


def test_the_last_line_says_that_nothing_is_left() -> None:
    progress = result.Progress(1, 1, lambda: 1.0)

    assert "0 s left" in progress.done("x")


def test_a_page_its_plot_and_every_round_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(result, "RESULTS", tmp_path)

    result.save({"rounds": [{"cpu_us": 1.23456}]}, "today", "# today\n", "<svg/>")

    assert (tmp_path / "today.md").read_text("utf-8").endswith("![CPU per delivery](today.svg)\n")
    assert (tmp_path / "today.svg").read_text("utf-8") == "<svg/>"
    assert json.loads((tmp_path / "today.json").read_text("utf-8")) == {
        "rounds": [{"cpu_us": 1.235}]
    }


def test_the_machine_is_told_without_its_name() -> None:
    told = result.machine()

    assert set(told) == {"processor", "cores", "kernel", "load average at the end"}


def test_a_weighing_is_told_in_a_line() -> None:
    one = {"subject": "limit", "connections": 5_000, "part": "fan", "flood": {"cpu_us": 7.25}}

    assert result.told(one).split() == ["limit,", "5,000", "(fan)", "7.2", "µs", "per", "delivery"]
