"""The watched streams of a client, as data."""

from __future__ import annotations

import pytest

from deskwire.bench.sight import Next, Sight, Sights, Standing
from deskwire.realtime.frames import Place


@pytest.mark.parametrize("place", [None, (None, 0), ("e1", 7)])
def test_a_sight_names_the_place_it_started_from(place: Place | None) -> None:
    sight = Sight()

    sight.start_from(place)

    assert sight.place == place


def test_it_is_behind_below_the_highest_head_heard_of() -> None:
    assert Sight(applied=4, head=5).is_behind
    assert not Sight(applied=5, head=5).is_behind
    assert not Sight().is_behind


def test_acks_and_marks_are_taken_once_and_only_where_the_server_has_confirmed() -> None:
    sights = Sights(
        a=Sight(applied=5, standing=Standing.LIVE, ack_due=True, read=4, read_due=True),
        b=Sight(applied=6, standing=Standing.ASKED, ack_due=True, read=6, read_due=True),
    )

    assert (sights.take_acks(), list(sights.take_marks())) == ({"a": 5}, [("a", 4)])
    assert (sights.take_acks(), list(sights.take_marks())) == ({}, [])


def test_with_its_connection_goes_what_was_unwatched_and_every_answer() -> None:
    sights = Sights(
        a=Sight(applied=5, epoch="e1", standing=Standing.LIVE, ack_due=True, asked_at=0),
        b=Sight(next=Next.UNWATCH, asked_at=3),
    )

    sights.forget_connection()

    assert sights.places == {"a": ("e1", 5)}
    assert not sights["a"].is_watched
    assert sights["a"].is_answered
    assert not sights["a"].ack_due


def test_keeping_so_many_gives_up_the_last_ones_and_forgets_what_is_unwatched() -> None:
    sights = Sights(a=Sight(), b=Sight(next=Next.UNWATCH), c=Sight(), d=Sight())

    assert sights.keep(1) == ["c", "d"]
    assert list(sights) == ["a"]
