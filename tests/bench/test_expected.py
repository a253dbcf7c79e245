"""Places that replies named: met, in doubt, given up."""

from __future__ import annotations

from deskwire.bench.expected import Expected
from deskwire.bench.sight import Sight


def expecting(position: int = 7) -> Expected:
    expected = Expected()
    expected.add("a", "e1", position, 0)
    return expected


def test_a_place_that_has_come_is_no_longer_expected() -> None:
    expected = expecting(7)

    expected.meet("a", Sight(epoch="e1", applied=6))
    assert list(expected.dues) == [5_000]
    expected.meet("a", Sight(epoch="e2", applied=9))
    assert list(expected.dues) == [5_000]
    expected.meet("a", Sight(epoch="e1", applied=7))
    assert list(expected.dues) == []


def test_the_higher_of_two_places_counts_and_a_new_epoch_replaces_both() -> None:
    expected = expecting(7)
    expected.add("a", "e1", 5, 100)
    expected.meet("a", Sight(epoch="e1", applied=6))
    assert list(expected.dues) == [5_000]

    expected.add("a", "e2", 1, 200)
    expected.meet("a", Sight(epoch="e1", applied=9))

    assert list(expected.dues) == [5_200]


def test_after_5_s_it_is_in_doubt_and_after_5_s_more_given_up() -> None:
    expected = expecting()

    assert not expected.doubts(4_999)
    assert expected.doubts(5_000)
    assert expected.is_doubtful
    assert expected.lacking(6_000) == ["a"]
    assert not expected.despairs(10_999)
    assert expected.despairs(11_000)


def test_a_new_connection_begins_without_doubt() -> None:
    expected = expecting()
    expected.doubts(5_000)

    expected.begin_anew(8_000)

    assert not expected.is_doubtful
    assert list(expected.dues) == [13_000]
