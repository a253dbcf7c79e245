"""From rounds to words: a ratio is of one round, a missing figure is a dash, the plot shows all."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

from bench import report


def one(subject: str, number: int, cpu_us: float, **more: Any) -> dict[str, Any]:
    flood = {"cpu_us": cpu_us, "user_us": cpu_us / 2, "system_us": cpu_us / 2, **more}
    return {"subject": subject, "connections": 10, "round": number, "flood": flood}


def result(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "title": "a test",
        "date": "2026-11-23",
        "command": "python -m bench",
        "machine": {"cores": "2"},
        "versions": {"Python": "3.11"},
        "subjects": {"limit": "the limit", "plain": "ours & plain"},
        "left_out": {"node-ws": "it is missing"},
        "connections": [10],
        "count": 2,
        "burst": 10,
        "paced_per_s": 10,
        "event_bytes": 300,
        "faults": ["plain, 10 connections, round 1: it did not answer"],
        "rounds": rounds,
    }


def test_a_ratio_compares_only_what_ran_in_the_same_round() -> None:
    rounds = [one("limit", 0, 5), one("plain", 0, 10), one("plain", 1, 99), one("limit", 2, 5)]

    found = report.ratios(rounds, 10, ("plain", report.CPU), ("limit", report.CPU))

    assert found == [2.0]


def test_a_figure_stands_with_its_range_and_a_missing_one_is_a_dash() -> None:
    assert report.spread([3.0, 1.0, 2.0]) == "2.0 (1.0–3.0)"
    assert report.spread([2.0]) == "2.0"
    assert report.spread([]) == "–"


def test_the_page_names_command_machine_failures_and_who_was_not_weighed() -> None:
    page = report.markdown(result([one("limit", 0, 5), one("plain", 0, 10)]))

    for words in ("python -m bench", "cores 2", "it did not answer", "`node-ws`, it is missing"):
        assert words in page
    assert "| `plain` | 2.00 | – | – |" not in page
    assert "| `plain` | 2.00 |" in page


def test_every_row_of_a_table_has_as_many_cells_as_its_head() -> None:
    stalled = {"without": {"last_p99_ms": 2.0}, "with": {"last_p99_ms": None, "stuck": True}}
    burst = {"cpu_us": 1.0, "per_s": 10}
    storm = {"seconds": 1.0, "lost": 0}
    extra = {
        "stalled": stalled, "burst": burst, "paced": {"last_p50_ms": 1.0}, "arrival": {},
        "push": {"cpu_us": 3.0}, "resume": {"plain": storm, "missed": storm},
    }  # fmt: skip
    rounds = [one("limit", 0, 5) | extra, one("plain", 0, 10) | extra]

    page = report.markdown(result(rounds))

    width = 0
    for line in page.splitlines():
        cells = line.count("|")
        assert not line.startswith("|") or width in (0, cells), line
        width = cells if line.startswith("|") else 0
    assert "1 of 1" in page


def test_the_plot_is_one_well_formed_picture_with_every_server() -> None:
    plot = report.svg(result([one("limit", 0, 5), one("plain", 0, 10), one("plain", 1, 14)]))

    texts = [element.text for element in ET.fromstring(plot).iter() if element.text]
    assert {"limit", "plain", "12.0"} <= set(texts)
