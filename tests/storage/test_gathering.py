from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from deskwire.storage.gathering import AT_ONCE_MAX, COMPANY, Gathering
from tests.realtime.simloop import SIMULATED


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return SIMULATED


def asks(gathering: Gathering[int, int], question: int) -> asyncio.Task[int]:
    return asyncio.get_running_loop().create_task(gathering.ask(question))


class Slow:
    """Answers when it is let; remembers what it was asked together."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.may_answer = asyncio.Event()
        self.fault: Exception | None = None

    async def answer(self, asked: Sequence[int]) -> Sequence[int]:
        self.batches.append(list(asked))
        await self.may_answer.wait()
        if self.fault is not None:
            raise self.fault
        return [10 * each for each in asked]


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_who_asks_while_one_is_under_way_shares_the_next() -> None:
    slow = Slow()
    gathering = Gathering(slow.answer)
    asking = [asks(gathering, 1)]
    await turns()
    asking += [asks(gathering, n) for n in (2, 3)]
    await turns()

    slow.may_answer.set()

    assert await asyncio.gather(*asking) == [10, 20, 30]
    assert slow.batches == [[1], [2, 3]]


async def test_in_a_storm_the_next_read_gathers_for_a_moment() -> None:
    slow = Slow()
    gathering = Gathering(slow.answer)
    asking = [asks(gathering, 0)]
    await turns()
    asking += [asks(gathering, n) for n in range(1, COMPANY + 1)]
    await turns()
    slow.may_answer.set()
    await turns()
    assert slow.batches == [[0]]

    asking.append(asks(gathering, 99))
    await asyncio.gather(*asking)

    assert slow.batches == [[0], [*range(1, COMPANY + 1), 99]]


async def test_a_question_after_all_were_answered_begins_anew() -> None:
    slow = Slow()
    slow.may_answer.set()
    gathering = Gathering(slow.answer)

    assert [await gathering.ask(1), await gathering.ask(2)] == [10, 20]
    assert slow.batches == [[1], [2]]


async def test_a_fault_is_its_batchs_alone() -> None:
    slow = Slow()
    slow.may_answer.set()
    slow.fault = ConnectionError("away")
    gathering = Gathering(slow.answer)
    together = await asyncio.gather(gathering.ask(1), gathering.ask(2), return_exceptions=True)
    slow.fault = None

    assert [type(each) for each in together] == [ConnectionError, ConnectionError]
    assert await gathering.ask(3) == 30


async def test_one_who_gives_up_takes_nobody_along() -> None:
    slow = Slow()
    gathering = Gathering(slow.answer)
    asking = [asks(gathering, n) for n in (1, 2)]
    await turns()
    asking[0].cancel()
    await turns()

    slow.may_answer.set()

    assert await asking[1] == 20


async def test_an_answer_that_is_cancelled_leaves_nobody_waiting() -> None:
    torn_down = asyncio.Event()

    async def answer(asked: Sequence[int]) -> Sequence[int]:
        await torn_down.wait()
        raise asyncio.CancelledError  # as a driver's future does whose connection is torn down

    gathering = Gathering(answer)
    asking = [asks(gathering, 1)]
    await turns()
    asking.append(asks(gathering, 2))
    await turns()
    torn_down.set()
    await turns()

    assert [type(each.exception()) for each in asking] == [RuntimeError, RuntimeError]


async def test_answers_that_are_too_few_are_a_fault_of_the_batch() -> None:
    async def forgetful(asked: Sequence[int]) -> Sequence[int]:
        return [10 * each for each in asked[:-1]]

    gathering = Gathering(forgetful)
    asking = [asks(gathering, n) for n in (1, 2)]
    await turns()

    assert [type(each.exception()) for each in asking] == [ValueError, ValueError]


async def test_a_batch_is_bounded() -> None:
    slow = Slow()
    gathering = Gathering(slow.answer)
    asking = [asks(gathering, n) for n in range(AT_ONCE_MAX + 1)]
    await turns()

    slow.may_answer.set()
    await asyncio.gather(*asking)

    assert [len(batch) for batch in slow.batches] == [AT_ONCE_MAX, 1]
