from __future__ import annotations

from deskwire.wecom.breaker import FIRST_PAUSE_MS, LONGEST_PAUSE_MS, Breaker
from deskwire.wecom.errors import AuthConfig

FAULT = AuthConfig("gettoken", "AuthConfig", code=40001)


def tripped() -> Breaker:
    breaker = Breaker()
    assert breaker.refusal(0) is None
    breaker.trip(FAULT, 0)
    return breaker


def test_a_new_breaker_lets_calls_through() -> None:
    assert Breaker().refusal(0) is None


def test_a_fault_closes_the_road_for_a_minute() -> None:
    breaker = tripped()

    assert breaker.refusal(FIRST_PAUSE_MS - 1) is FAULT


def test_at_the_end_one_probe_passes_and_the_others_wait() -> None:
    breaker = tripped()

    assert breaker.refusal(FIRST_PAUSE_MS) is None
    assert breaker.refusal(FIRST_PAUSE_MS) is FAULT


def test_each_failed_probe_doubles_the_pause_up_to_an_hour() -> None:
    breaker = tripped()
    pauses, now_ms = [], 0
    for _ in range(9):
        pauses.append(breaker.until_ms - now_ms)
        now_ms = breaker.until_ms
        assert breaker.refusal(now_ms) is None
        assert breaker.trip(FAULT, now_ms)

    assert pauses[:6] == [FIRST_PAUSE_MS * 2**n for n in range(6)]
    assert pauses[6:] == [LONGEST_PAUSE_MS] * 3


def test_a_good_probe_opens_the_road_and_forgets_the_pause() -> None:
    breaker = tripped()
    breaker.refusal(FIRST_PAUSE_MS)

    assert breaker.close()
    assert breaker.refusal(FIRST_PAUSE_MS) is None
    breaker.trip(FAULT, 0)
    assert breaker.until_ms == FIRST_PAUSE_MS


def test_a_probe_that_says_nothing_lets_the_next_one_try() -> None:
    breaker = tripped()
    breaker.refusal(FIRST_PAUSE_MS)

    breaker.let_go()

    assert breaker.refusal(FIRST_PAUSE_MS) is None


def test_calls_that_were_under_way_change_nothing_once_it_is_open() -> None:
    breaker = tripped()

    assert not breaker.trip(FAULT, 10)
    assert not breaker.close()
    assert breaker.until_ms == FIRST_PAUSE_MS
