from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from deskwire.realtime.connection import Closed, Opened
from deskwire.realtime.gate import ConnectionId
from deskwire.realtime.milestones import YOUNG, Milestones
from tests.realtime.nodes import LI


@pytest.fixture(autouse=True)
def _the_collector_stays_as_it_was() -> Iterator[None]:
    thresholds = gc.get_threshold()
    gc.unfreeze()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


def opened(number: int) -> Opened:
    return Opened(connection=ConnectionId(f"c{number}"), who=LI)


def closed(number: int) -> Closed:
    return Closed(connection=ConnectionId(f"c{number}"), who=LI, code=1006, why="lost")


def test_what_stands_is_set_aside_with_every_so_many_arrivals() -> None:
    milestones = Milestones(every=10)

    for number in range(9):
        milestones.heard(opened(number))
    assert gc.get_freeze_count() == 0
    milestones.heard(opened(9))

    assert gc.get_freeze_count() > 0


def test_all_is_given_back_once_most_have_left() -> None:
    milestones = Milestones(every=10)
    for number in range(20):
        milestones.heard(opened(number))

    for number in range(15):
        milestones.heard(closed(number))
    assert gc.get_freeze_count() > 0
    milestones.heard(closed(15))

    assert gc.get_freeze_count() == 0


def test_a_connection_that_never_opened_does_not_count() -> None:
    milestones = Milestones(every=10)
    for number in range(20):
        milestones.heard(opened(number))

    for number in range(20, 60):
        milestones.heard(closed(number))

    assert gc.get_freeze_count() > 0


@pytest.mark.parametrize("before, after", [(700, YOUNG), (YOUNG + 1, YOUNG + 1), (0, 0)])
def test_young_passes_are_made_seldom_but_what_the_app_has_set_stands(
    before: int, after: int
) -> None:
    gc.set_threshold(before, 7, 9)

    Milestones()

    assert gc.get_threshold() == (after, 7, 9)
