from __future__ import annotations

import pytest

from deskwire.desk.rates import COMMANDS, MESSAGES, MESSAGES_A_DAY, OPENINGS, Rate
from deskwire.storage import log, rates
from tests.flows.office import ANN, BO, START, WANG, Office


async def oldest(office: Office, rate: Rate) -> int | None:
    async with office.store.writing() as conn:
        # As whoever asks has it: the id of this command is taken.
        await log.take_command(conn, ANN, "asking", b"", office.now_ms)
        found = await rates.oldest_that_counts(conn, ANN, rate)
    office.write("DELETE FROM command WHERE command_id = 'asking'")
    return found


@pytest.mark.parametrize("rate", [MESSAGES, COMMANDS])
async def test_the_time_that_decides_is_that_of_the_last_that_would_be_one_too_many(
    office: Office, rate: Rate
) -> None:
    conv = await office.claimed()
    seen = []
    for number in range(rate.most):
        if number % 10 == 0 or number == rate.most - 1:
            seen.append(await oldest(office, rate))
        office.now_ms += 100
        await office.post(ANN, conv)

    assert set(seen[:-1]) == {None}
    assert await oldest(office, rate) == START + 100


async def test_openings_are_counted_by_themselves(office: Office) -> None:
    before = []
    for _ in range(3):
        before.append(await oldest(office, OPENINGS))
        await office.yes(ANN, "cancel_conversation", await office.opened())

    assert before == [None] * 3
    assert await oldest(office, OPENINGS) == START
    assert await oldest(office, MESSAGES_A_DAY) is None


async def test_nobody_counts_for_another(office: Office) -> None:
    conv = await office.claimed(BO)
    for _ in range(30):
        await office.post(BO, conv)
        await office.post(WANG, conv)

    assert [await oldest(office, rate) for rate in (MESSAGES, COMMANDS, OPENINGS)] == [None] * 3
