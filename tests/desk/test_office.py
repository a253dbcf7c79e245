from __future__ import annotations

from dataclasses import asdict

import pytest

from deskwire.desk.office import DEFAULTS, SETTINGS, Setting

# desk.md's settings in brackets: default, lowest, highest, whether 0 turns it off.
BRACKETS = {
    "recall_window_s": (120, 1, 86_400, True),
    "originals_days": (30, 1, 365, True),
    "command_records_days": (30, 7, 365, False),
    "events_days": (90, 30, 3_650, True),
    "presence_grace_s": (90, 30, 600, False),
    "auto_close_h": (48, 1, 168, False),
    "second_rung_s": (180, 30, 3_600, True),
    "quiet_from_min": (22 * 60, 0, 1_439, False),
    "quiet_until_min": (8 * 60, 0, 1_439, False),
}


@pytest.mark.parametrize("name", BRACKETS)
def test_a_setting_has_the_default_and_the_bounds_of_its_brackets(name: str) -> None:
    known = SETTINGS[name]

    assert (known.default, known.low, known.high, known.zero is not None) == BRACKETS[name]


@pytest.mark.parametrize("known", SETTINGS.values(), ids=lambda known: known.name)
def test_a_setting_holds_its_edges_and_nothing_past_them(known: Setting) -> None:
    inside = {known.low, known.high, known.default}
    outside = {known.high + 1, -1, known.low - 1} - {0}

    assert all(known.allows(value) for value in inside)
    assert not any(known.allows(value) for value in outside)
    assert known.allows(0) == (known.zero is not None or known.low == 0)
    assert known.meaning
    assert known.unit


def test_there_is_one_line_for_every_setting() -> None:
    assert {known.name: known.default for known in SETTINGS.values()} == asdict(DEFAULTS)


def test_silence_reminds_before_it_resolves() -> None:
    assert DEFAULTS.reminder_h < DEFAULTS.auto_resolve_h
