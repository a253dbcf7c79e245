"""How many frames may go out: a burst of two seconds' worth, then the rate."""

from __future__ import annotations

from deskwire.bench.budget import Budget


def test_a_burst_is_spent_and_earned_back_at_the_rate() -> None:
    budget = Budget()

    for _ in range(40):
        budget.spend(0)

    assert budget.left(0) == 0
    assert budget.left(500) == 10
    assert budget.left(60_000) == 40


def test_what_hello_names_counts_and_nothing_named_changes_nothing() -> None:
    budget = Budget()

    budget.told(5)
    budget.told(None)
    budget.begin_anew()

    assert budget.left(0) == 10


def test_too_fast_empties_it() -> None:
    budget = Budget()
    budget.spend(1_000)

    budget.empty()

    assert budget.left(1_000) == 0
    assert budget.left(2_000) == 20
