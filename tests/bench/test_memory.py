"""Memory per idle connection: a difference over a number, or nothing at all."""

from __future__ import annotations

import pytest

from deskwire.bench import memory
from deskwire.bench.machine import Standing


def standing(rss_kib: int | None) -> Standing:
    return Standing(cpu_s=1.0, user_s=0.5, rss_kib=rss_kib)


def test_what_was_there_before_is_not_counted() -> None:
    found = memory.held(standing(50_000), standing(58_000), 1_000)

    assert found.kib_per_connection == 8.0


@pytest.mark.parametrize("before, after", [(None, 5), (5, None), (None, None)])
def test_what_the_system_does_not_tell_is_not_measured(
    before: int | None, after: int | None
) -> None:
    found = memory.held(standing(before), standing(after), 10)

    assert found.kib_per_connection is None
