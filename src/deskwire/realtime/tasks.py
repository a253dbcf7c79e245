"""The manager's own tasks: held, named, logged when they fail, cancelled when it stops.

Not a TaskGroup: the manager works before `start` and without it, no failure of one task may end the
others, and a group would bind it to the task that entered it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from deskwire import telemetry

_log = telemetry.logger("realtime")


class Tasks:
    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._running)

    def start(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work, name=f"deskwire {name}")
        self._running.add(task)
        task.add_done_callback(self._over)
        return task

    async def close(self) -> None:
        """Cancels what still runs and waits for it, the calling task excepted."""
        running = [task for task in self._running if task is not asyncio.current_task()]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _over(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (fault := task.exception()) is not None:
            _log.error("task_failed", task=task.get_name(), exc_info=fault)
