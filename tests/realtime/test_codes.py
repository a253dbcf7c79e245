"""The one table of close codes."""

from __future__ import annotations

from deskwire.realtime.codes import TABLE, Again, Code, Wait, meaning


def test_every_code_we_send_stands_in_the_table() -> None:
    assert all(code in TABLE for code in Code)


def test_an_old_client_can_classify_a_code_by_its_range() -> None:
    for row in TABLE.values():
        if 4000 <= row.code <= 4499:
            assert row.again in (Again.YES, Again.RENEW)
        elif 4500 <= row.code <= 4999:
            assert row.again is Again.STOP
    assert meaning(4123).again is Again.YES
    assert meaning(4789).again is Again.STOP
    assert meaning(1006).again is Again.YES


def test_names_fit_into_a_close_frame_and_a_bye() -> None:
    assert all(len(row.name) <= 32 and row.name.isascii() for row in TABLE.values())


def test_who_may_come_back_is_told_when_and_who_may_not_is_not() -> None:
    for row in TABLE.values():
        assert (row.delay.wait is Wait.NEVER) == (row.again is Again.STOP)
        assert row.delay.most_ms == 0 or row.delay.least_ms <= row.delay.most_ms
