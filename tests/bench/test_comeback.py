"""Whether and when a client comes back: each row of the table of codes, and how delays grow."""

from __future__ import annotations

import pytest

from deskwire.bench.comeback import BACKOFF_MAX_MS, Comeback, Plan, Renew, Stop, WaitFor
from deskwire.realtime.codes import TABLE, Again, Wait


def delays(code: int, retry: tuple[int, int] | None = None) -> tuple[Plan, Plan]:
    """With the dice at 0 and at (almost) 1."""
    low, high = (Comeback(lambda value=value: value) for value in (0.0, 1.0))  # type: ignore[misc]
    return low.after(code, retry), high.after(code, retry)


@pytest.mark.parametrize("code", [*TABLE, 4444, 4888])
def test_a_code_is_obeyed_as_the_table_says(code: int) -> None:
    low, high = delays(code)

    row = TABLE.get(code)
    if code in (4005, 4500):
        assert low == high == Renew(code)
    elif (row is not None and row.again is Again.STOP) or code == 4888:
        assert low == high == Stop(code)
    else:
        delay = row.delay if row is not None else TABLE[4000].delay
        most = delay.most_ms if delay.wait is Wait.RANGE else 1_000
        assert low == WaitFor(delay.least_ms, 0)
        assert high == WaitFor(delay.least_ms, most)


def test_what_bye_told_goes_before_the_table() -> None:
    assert delays(4001, (500, 4_000)) == (WaitFor(500, 0), WaitFor(500, 3_500))
    assert delays(4001, (500, 100)) == (WaitFor(500, 0), WaitFor(500, 0))


def test_the_delay_doubles_to_20_s_and_begins_anew_after_30_s_of_life() -> None:
    comeback = Comeback(lambda: 1.0)

    grown = [comeback.after(4000, None) for _ in range(8)]
    comeback.lived(29_999)
    still = comeback.after(4000, None)
    comeback.lived(30_000)

    assert [plan.more_ms for plan in grown if isinstance(plan, WaitFor)] == [
        1_000, 1_000, 2_000, 4_000, 8_000, 16_000, 20_000, 20_000,
    ]  # fmt: skip
    assert still == WaitFor(0, BACKOFF_MAX_MS)
    assert comeback.after(4000, None) == WaitFor(0, 1_000)


def test_months_of_trying_do_not_overflow() -> None:
    comeback = Comeback(lambda: 1.0)

    for _ in range(3_000):
        comeback.after(1006, None)

    assert comeback.after(1006, None) == WaitFor(0, BACKOFF_MAX_MS)


def test_at_once_over_and_over_becomes_a_backoff() -> None:
    comeback = Comeback(lambda: 1.0)

    plans = [comeback.after(4004, None) for _ in range(5)]

    assert plans == [WaitFor(0, 0)] * 3 + [WaitFor(0, 4_000), WaitFor(0, 8_000)]


@pytest.mark.parametrize(
    "status, plan",
    [
        (401, Renew(4500)),
        (403, Stop(4503)),
        (0, WaitFor(0, 500)),
        (200, WaitFor(0, 500)),
        (503, WaitFor(7_000, 500)),
    ],
)
def test_a_socket_that_never_opened_is_judged_by_the_answer(status: int, plan: Plan) -> None:
    assert Comeback(lambda: 0.5).after_answer(status, 7_000 if status == 503 else 0) == plan


def test_a_login_that_never_holds_is_not_asked_for_without_end() -> None:
    comeback = Comeback(lambda: 0.5)

    plans = [comeback.after(4500, None) for _ in range(3)]
    comeback.greeted()

    assert plans == [Renew(4500), Renew(4500), Stop(4500)]
    assert comeback.after(4500, None) == Renew(4500)
