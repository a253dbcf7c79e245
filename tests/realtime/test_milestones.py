from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from deskwire.realtime.connection import Closed, Opened
from deskwire.realtime.gate import ConnectionId
from deskwire.realtime.milestones import Milestones
from tests.realtime.nodes import LI


@pytest.fixture(autouse=True)
def _nothing_stays_frozen() -> Iterator[None]:
    gc.unfreeze()
    yield
    gc.unfreeze()


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
