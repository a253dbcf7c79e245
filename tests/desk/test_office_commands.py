from __future__ import annotations

from deskwire.desk.office import Hours
from deskwire.desk.office_commands import SaveGroup

WEEK = (((540, 1080),),) * 5 + ((), ())


def test_a_group_without_a_week_is_always_open() -> None:
    assert SaveGroup(group_id="g", name="G", members=(), version=0).hours is None


def test_a_week_and_its_closed_days_are_the_hours() -> None:
    asking = SaveGroup(
        group_id="g", name="G", members=(), version=0, week=WEEK, closed_days=("2026-10-01",)
    )

    assert asking.hours == Hours(week=WEEK, closed_days=frozenset({"2026-10-01"}))
