"""When a client acknowledges."""

from __future__ import annotations

import pytest

from deskwire.bench.acks import ACK_EVENTS, ACK_MS, ACK_SIZE, Acks

HELLO = {"ack_ms": 2_000, "ack_events": 4, "ack_bytes": 1_000}


def told() -> Acks:
    acks = Acks()
    acks.told(HELLO)
    return acks


def said(acks: Acks, now: float) -> None:
    acks.at = None
    acks.taken(now)


def test_the_first_event_after_a_pause_is_acknowledged_soon() -> None:
    acks = told()
    acks.event(100, now=10_000)
    assert acks.at == 10_000 + ACK_MS
    said(acks, 10_200)

    acks.event(100, now=50_000)

    assert acks.at == 50_000 + ACK_MS


def test_while_events_come_an_ack_waits_for_its_time() -> None:
    acks = told()
    acks.event(100, now=10_000)
    said(acks, 10_200)

    acks.event(100, now=10_300)
    acks.event(100, now=11_000)

    assert acks.at == 12_200
    assert not acks.is_full


def test_a_mark_does_not_wait_for_it() -> None:
    acks = told()
    acks.event(100, now=10_000)
    said(acks, 10_200)
    acks.event(100, now=10_300)

    acks.soon(10_400)

    assert acks.at == 10_400 + ACK_MS


@pytest.mark.parametrize("sizes", [[1] * 4, [600, 400]])
def test_enough_events_or_enough_of_them_are_acknowledged_at_once(sizes: list[int]) -> None:
    acks = told()
    for size in sizes:
        assert not acks.is_full
        acks.event(size, now=10_000)

    assert acks.is_full
    said(acks, 10_000)
    assert not acks.is_full


def test_a_server_that_says_nothing_of_it_gets_what_it_always_got() -> None:
    acks = Acks()
    acks.told({})
    acks.event(100, now=10_000)
    said(acks, 10_200)
    acks.event(ACK_SIZE - 1, now=10_201)
    assert acks.at == 10_201 + ACK_MS

    for _ in range(ACK_EVENTS - 1):
        assert not acks.is_full
        acks.event(0, now=10_202)

    assert acks.is_full


def test_a_new_connection_begins_without_a_last_ack() -> None:
    acks = told()
    acks.event(100, now=10_000)
    said(acks, 10_200)

    acks.forget_connection()
    acks.event(100, now=10_300)

    assert acks.at == 10_300 + ACK_MS
