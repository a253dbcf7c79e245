"""Many who ask at once are one question: while one read is under way, the next one gathers.

In a quiet hour everybody is asked for alone and at once; in a storm of arrivals a read serves all
who came during the one before it, and somewhat after.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeAlias, TypeVar

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")

_Batch: TypeAlias = list[tuple[Asked, asyncio.Future[Answer]]]

AT_ONCE_MAX = 250
# Whoever has so much company when a read ends is in a storm: the next read gathers for a moment.
COMPANY = 4
PAUSE_S = 0.02


class Gathering(Generic[Asked, Answer]):
    """`ask` hands single questions to `answer` in batches, answers in the order of the questions.

    What `answer` raises is raised to everybody of its batch. Nobody's cancellation touches another.
    """

    def __init__(self, answer: Callable[[Sequence[Asked]], Awaitable[Sequence[Answer]]]) -> None:
        self._answer = answer
        self._waiting: _Batch[Asked, Answer] = []
        self._running: asyncio.Task[None] | None = None

    async def ask(self, asked: Asked) -> Answer:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((asked, done))
        if self._running is None:
            self._running = loop.create_task(self._run())  # held here, ends by itself
        return await done

    async def _run(self) -> None:
        batch: _Batch[Asked, Answer] = []
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:AT_ONCE_MAX], self._waiting[AT_ONCE_MAX:]
                await self._serve(batch)
                if COMPANY <= len(self._waiting) < AT_ONCE_MAX:
                    await asyncio.sleep(PAUSE_S)
        finally:
            self._running = None
            left, self._waiting = [*batch, *self._waiting], []
            _refuse(left, RuntimeError("cancelled"))  # nothing else leaves anybody waiting

    async def _serve(self, batch: _Batch[Asked, Answer]) -> None:
        try:
            answers = await self._answer([asked for asked, _ in batch])
            answered = list(zip(batch, answers, strict=True))
        except Exception as fault:  # noqa: BLE001  handed to all who asked
            _refuse(batch, fault)
            return
        for (_, done), answer in answered:
            if not done.done():
                done.set_result(answer)


def _refuse(batch: _Batch[Asked, Answer], fault: Exception) -> None:
    for _, done in batch:
        if not done.done():
            done.set_exception(fault)
