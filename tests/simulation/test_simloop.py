"""The canary: the loop that overrides asyncio works on this CPython."""

from __future__ import annotations

import asyncio
import hashlib
import time

import pytest

from tests.kit.simloop import Deadlock, SimLoop, run


def test_hours_pass_in_no_time_and_timers_come_in_order() -> None:
    loop = SimLoop(1)
    seen: list[float] = []

    async def main() -> None:
        async def sleeper(seconds: float) -> None:
            await asyncio.sleep(seconds)
            seen.append(loop.time())

        async with asyncio.TaskGroup() as group:
            for seconds in (4_200.0, 0.5, 30.0):
                group.create_task(sleeper(seconds))

    began = time.perf_counter()
    run(loop, main())

    assert seen == [0.5, 30.0, 4_200.0]
    assert time.perf_counter() - began < 5


def test_the_library_works_as_it_is() -> None:
    async def main() -> str:
        queue: asyncio.Queue[str] = asyncio.Queue()
        asyncio.get_running_loop().call_later(60, queue.put_nowait, "late")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(59):
                await queue.get()
        async with asyncio.Semaphore(1), asyncio.timeout(2):
            return await queue.get()

    assert run(SimLoop(1), main()) == "late"


def test_waiting_for_what_can_never_happen_is_a_deadlock() -> None:
    async def main() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Deadlock):
        run(SimLoop(1), main())


def test_cancelled_timers_are_no_future() -> None:
    async def main() -> None:
        asyncio.get_running_loop().call_later(10, print).cancel()
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Deadlock):
        run(SimLoop(1), main())


def test_a_stalled_process_finds_all_its_timers_due() -> None:
    loop = SimLoop(1)

    async def main() -> float:
        loop.stall(5)
        await asyncio.sleep(0.1)
        return loop.time()

    assert run(loop, main()) == pytest.approx(5.1)


def _trace_of(seed: int) -> str:
    loop = SimLoop(seed)
    trace = hashlib.sha256()

    async def worker(name: int) -> None:
        for step in range(20):
            trace.update(b"%d %d %.3f;" % (name, step, loop.time()))
            await asyncio.sleep(0.1 * (step % 2))

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for name in range(8):
                group.create_task(worker(name))

    run(loop, main())
    return trace.hexdigest()


def test_equal_seeds_give_equal_traces_and_other_seeds_others() -> None:
    traces = [_trace_of(seed) for seed in range(10)]

    assert traces == [_trace_of(seed) for seed in range(10)]
    assert len(set(traces)) == 10
