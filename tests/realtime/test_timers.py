"""Timers: one for many, earliest first, whatever is armed while it fires."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest

from deskwire.realtime.gate import ConnectionId
from deskwire.realtime.timers import GRAIN_MS, Timers
from tests.realtime.simloop import SIMULATED


@pytest.fixture
def anyio_backend() -> Any:
    return SIMULATED


def now_ms() -> int:
    return int(asyncio.get_running_loop().time() * 1_000)


async def test_each_is_called_once_its_time_has_come_and_not_before() -> None:
    dice = Random(5)
    fired: list[tuple[int, int]] = []
    begun = now_ms()

    def due(at: int) -> None:
        fired.append((at, now_ms()))
        if dice.random() < 0.5:  # arms again while the timer fires
            later = now_ms() + dice.randint(1, 3_000)
            timers.arm(ConnectionId(f"again-{later}-{len(fired)}"), later, later)

    timers: Timers[int] = Timers(due)
    for n in range(200):
        at = begun + dice.randint(0, 5_000)
        timers.arm(ConnectionId(str(n)), at, at)

    await asyncio.sleep(60)

    assert len(timers) == 0
    assert len(fired) > 200
    assert all(at <= when <= at + 2 * GRAIN_MS for at, when in fired)


async def test_arming_earlier_wins_and_disarming_ends_it() -> None:
    fired: list[str] = []
    timers: Timers[str] = Timers(fired.append)
    timers.arm(ConnectionId("a"), "a", now_ms() + 5_000)
    timers.arm(ConnectionId("a"), "a", now_ms() + 1_000)
    timers.arm(ConnectionId("b"), "b", now_ms() + 1_000)
    timers.disarm(ConnectionId("b"))

    await asyncio.sleep(2)
    assert fired == ["a"]

    await asyncio.sleep(10)
    assert fired == ["a"]
