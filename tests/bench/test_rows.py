"""The reach's table: each figure is found where it was put, and judged by its own bound."""

from __future__ import annotations

from typing import Any

import pytest

from bench import rows
from bench.rows import FAN, FEW, MANY, ROWS, Found, Row, Sizes

SIZES = Sizes(rounds=2, fan=10, few=5, many=20)


def one(part: str, subject: str, number: int, **found: Any) -> dict[str, Any]:
    at = SIZES.of(part)
    return {"part": part, "subject": subject, "connections": at, "round": number, **found}


def flood(cpu_us: float, user_us: float = 1.0) -> dict[str, Any]:
    return {"cpu_us": cpu_us, "user_us": user_us, "load_us": 1.0}


def row(words: str) -> Row:
    return next(each for each in ROWS if words in each.what)


def test_a_ratio_is_of_one_round() -> None:
    rounds = [
        one(FAN, "service", 0, flood=flood(6)),
        one(FAN, "limit", 0, flood=flood(3)),
        one(FAN, "service", 1, flood=flood(99)),
    ]

    found = row("as a multiple of the C program's").found(Found(rounds, SIZES))

    assert found == [2.0]


def test_the_baselines_fastest_setting_is_the_cheapest_of_each_round() -> None:
    rounds = [
        *(one(FAN, "service", n, flood=flood(10)) for n in (0, 1)),
        one(FAN, "serial", 0, flood=flood(90)),
        one(FAN, "serial-fast", 0, flood=flood(30)),
        one(FAN, "serial-fast", 1, flood=flood(50)),
        one(FAN, "serial-wsproto", 1, flood=flood(40)),
    ]

    found = row("on its fastest setting").found(Found(rounds, SIZES))

    assert found == [3.0, 4.0]


def test_many_connections_are_compared_with_few_of_the_same_round() -> None:
    rounds = [
        one(FEW, "limit", 0, flood=flood(5)),
        one(MANY, "limit", 0, flood=flood(6)),
        one(FEW, "limit", 1, flood=flood(1)),
    ]

    assert Found(rounds, SIZES).scaled("limit") == [1.2]


def test_parts_with_as_many_connections_are_not_mixed() -> None:
    sizes = Sizes(fan=10, quarter=10)
    rounds = [
        {"part": FAN, "subject": "a", "connections": 10, "round": 0, "flood": flood(1)},
        {"part": rows.QUARTER, "subject": "a", "connections": 10, "round": 0, "flood": flood(9)},
    ]

    assert Found(rounds, sizes).values(FAN, "a", "flood", "cpu_us") == [1.0]


@pytest.mark.parametrize(
    "bound, values, verdict",
    [
        ({"at_most": 2}, [2.0], "yes"),
        ({"at_most": 2}, [2.1], "**no**"),
        ({"at_least": 4}, [4.0], "yes"),
        ({"at_least": 4}, [3.9], "**no**"),
        ({"above": 1}, [1.0], "**no**"),
        ({"above": 1}, [1.1], "yes"),
        ({"at_most": 2}, [1.0, 2.0, 9.0], "yes"),
        ({"at_most": 2, "every": True}, [1.0, 2.0, 9.0], "**no**"),
        ({"at_most": 2}, [], "not weighed"),
        ({}, [7.0], "–"),
    ],
)
def test_a_figure_is_judged_by_its_median_or_by_every_round(
    bound: dict[str, Any], values: list[float], verdict: str
) -> None:
    judged = Row(what="x", found=lambda _: values, part=FAN, **bound)

    assert judged.verdict(values) == verdict


def test_a_delivery_that_was_lost_in_one_round_is_not_outvoted() -> None:
    resumed = [{"missed": {"lost": lost}} for lost in (0, 0, 7)]
    rounds = [one(FAN, "service", n, resume=found) for n, found in enumerate(resumed)]
    lost = row("deliveries lost, `deskwire serve`")

    assert lost.verdict(lost.found(Found(rounds, SIZES))) == "**no**"


def test_every_row_stands_in_the_table_even_with_nothing_found() -> None:
    table = rows.reach_table(Found([], SIZES), SIZES)

    lines = table.splitlines()
    assert len(lines) == len(ROWS) + 2
    assert {line.count("|") for line in lines} == {6}
    assert all(each.what in table for each in ROWS)
    assert "yes" not in table


def test_the_table_says_at_how_many_connections() -> None:
    rounds = [
        one(FAN, "service", 0, flood=flood(3.0, user_us=1.4)),
        one(FAN, "limit", 0, flood=flood(3.0)),
    ]

    table = rows.reach_table(Found(rounds, SIZES), SIZES)

    assert "| … of it in user space | ≤ 1.5 µs | 1.40 µs | yes | 10 |" in table
