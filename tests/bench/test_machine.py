"""This machine as the scales see it: what is not told is None."""

from __future__ import annotations

from pathlib import Path

from deskwire.bench import machine


def test_without_proc_the_memory_is_unknown_and_never_a_guess(tmp_path: Path) -> None:
    assert machine.rss_kib(tmp_path / "statm") is None


def test_resident_memory_is_told_in_kib(tmp_path: Path) -> None:
    statm = tmp_path / "statm"
    statm.write_text("9000 512 100 1 0 300 0\n", "ascii")

    found = machine.rss_kib(statm)

    assert found is not None
    assert found % 512 == 0
    assert found >= 512


def test_a_standing_has_no_more_user_time_than_time() -> None:
    found = machine.standing()

    assert found.cpu_s > 0
    assert found.user_s <= found.cpu_s + 0.02  # user time comes in ticks


def test_there_is_room_for_some_connections() -> None:
    assert machine.connections_max() > 0
