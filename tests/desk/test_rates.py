from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deskwire.desk.rates import (
    COMMANDS,
    MESSAGES,
    MESSAGES_A_DAY,
    OPENINGS,
    RATES,
    Rate,
    rates_of,
    too_many,
)
from tests.desk.cast import START, asked, command


def test_the_rates_are_those_of_the_design() -> None:
    assert [(rate.what, rate.most, rate.window_s) for rate in RATES] == [
        ("messages", 20, 10),
        ("messages", 1_000, 86_400),
        ("commands", 60, 10),
        ("uploads", 30, 60),
        ("conversations opened", 3, 600),
        ("wrong passwords for one login name", 10, 900),
        ("wrong passwords from one address", 50, 900),
    ]


def test_a_command_counts_against_its_rates() -> None:
    assert rates_of(command("claim_conversation")) == (COMMANDS,)
    assert rates_of(command("post_message")) == (COMMANDS, MESSAGES, MESSAGES_A_DAY)
    assert OPENINGS in rates_of(asked())


@pytest.mark.parametrize("rate", RATES, ids=lambda rate: f"{rate.most} in {rate.window_s} s")
def test_the_last_one_is_taken_and_one_more_is_told_when(rate: Rate) -> None:
    times = [START + n for n in range(rate.most)]
    now = START + rate.most

    assert too_many(rate, times[1:], now) is None
    refusal = too_many(rate, times, now)
    assert refusal is not None
    wait_s = refusal.detail["retry_after_s"]
    assert too_many(rate, times, now + wait_s * 1000) is None
    assert 0 < wait_s <= rate.window_s


@given(st.lists(st.integers(0, 30_000), max_size=80))
def test_no_window_ever_holds_more_than_the_rate(asked_at: list[int]) -> None:
    taken: list[int] = []
    for now in sorted(asked_at):
        if too_many(MESSAGES, taken, now) is None:
            taken.append(now)

    for n, end in enumerate(taken):
        inside = [at for at in taken[: n + 1] if at > end - MESSAGES.window_s * 1000]
        assert len(inside) <= MESSAGES.most
