"""The one command: what a round consists of, and the page that comes out of it."""

from __future__ import annotations

from typing import Any

import pytest

from bench import build, parts, reach, subjects
from bench.rows import FAN, HALF, MANY, QUARTER, ROWS, Sizes

TINY = Sizes(
    rounds=1,
    fan=40,  # enough that the joined flood of the limit does not outrun its load
    quarter=4,
    half=4,
    few=2,
    many=4,
    plan=parts.Plan(connections=0, flood_s=0.1, company_s=0.3, push_s=0.1, window_ms=50),
)


def of(*names: str) -> list[subjects.Subject]:
    return [each for each in subjects.SUBJECTS if each.name in names]


def outcome(rounds: list[dict[str, Any]], *faults: str) -> dict[str, Any]:
    return {
        "title": "the reach", "date": "2026-11-28", "command": "python -m bench reach",
        "machine": {"cores": "2"}, "versions": {"Python": "3.11"},
        "subjects": {each.name: each.words for each in subjects.SUBJECTS},
        "left_out": {"nchan": "nginx is missing"}, "count": 1, "burst": 10, "event_bytes": 300,
        "notes": ["It took 20 minutes."], "faults": list(faults), "rounds": rounds,
    }  # fmt: skip


def test_a_round_weighs_every_server_that_is_here_and_no_other() -> None:
    work = reach.tasks(of("limit", "service"))

    assert {task.subject.name for task in work} == {"limit", "service"}
    assert {task.part for task in work if task.subject.name == "service"} == {FAN, QUARTER, HALF}
    assert MANY in {task.part for task in work if task.subject.name == "limit"}


def test_every_server_of_the_table_is_one_that_can_be_weighed() -> None:
    known = {each.name for each in subjects.SUBJECTS}

    assert set(reach.FAN_OUT) | set(reach.SCALED) <= known


def test_a_server_that_fails_is_a_fault_and_the_others_go_on() -> None:
    dying = subjects.Subject(name="dying", words="", command=lambda _: ("/bin/false",))
    task = reach.Task(part=FAN, subject=dying, do=lambda s, p: parts.fan_out(s, p, ("flood",)))

    rounds, faults = reach.run([task, task], TINY)

    assert len(rounds) == len(faults) == 2
    assert "dying, 40 connections (fan), round 0" in faults[0]


def test_what_did_not_come_whole_is_a_fault() -> None:
    lacking = {
        "complete": False, "events": 5, "least": 3, "most": 5, "gone": 1, "codes": {"1006": 1}
    }  # fmt: skip
    task = reach.Task(part=FAN, subject=of("limit")[0], do=lambda *_: {"flood": lacking})

    _, faults = reach.run([task], TINY)

    assert (
        "flood was not delivered whole: 5 events, 3 to 5 at a reader, 1 readers gone" in faults[0]
    )


def test_the_page_says_what_was_not_weighed_what_failed_and_where_the_load_was_dearer() -> None:
    dear = {"cpu_us": 1.0, "user_us": 0.5, "system_us": 0.5, "load_us": 2.0}
    rounds = [{"part": FAN, "subject": "limit", "connections": 40, "round": 0, "flood": dear}]

    page = reach.page(outcome(rounds, "service stood"), TINY)

    for words in (
        "nginx is missing", "service stood", "It took 20 minutes.",
        "The load's CPU per delivery came above the server's beside `limit`.",
    ):  # fmt: skip
        assert words in page
    assert all(row.what in page for row in ROWS)


@pytest.mark.system
@pytest.mark.skipif(not build.has_compiler(), reason="optional: no C compiler for the load")
def test_a_tiny_round_of_the_manager_and_the_limit_finds_their_figures() -> None:
    work = [task for task in reach.tasks(of("limit", "plain-own")) if task.part == FAN]

    rounds, faults = reach.run(work, TINY)

    assert not faults
    page = reach.page(outcome(rounds), TINY)
    alone = next(line for line in page.splitlines() if "plain, our uvicorn class, as a" in line)
    assert "×" in alone.split("|")[3]
