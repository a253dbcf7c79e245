"""The hourly timer → what has had its time goes: uploads, answers to commands, originals, events,
settled pushes.

Under the lease of one row, so that one node does it. It stands in the round of all timers and must
not hold the others up: one bounded piece at a time, and again in a second while there is more.
Invariant: nothing but these five kinds is ever deleted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from deskwire import telemetry
from deskwire.desk.deadlines import CLEAN_MS, DAY_MS, TimerKind
from deskwire.desk.office import DeskSettings
from deskwire.storage import due, office, retention
from deskwire.storage.due import Clock
from deskwire.storage.engine import Store, surviving, uncut

KEY = "desk"
AGAIN_MS = 1_000
PUSHES_KEPT_MS = 7 * DAY_MS  # limits, gaps and recalls look back a day at most

_log = telemetry.logger("flows")


class Cleaning:
    """Keeps the timer armed, and does what it says. `files` cleans uploads: is there more?"""

    def __init__(self, store: Store, *, clock: Clock, files: Callable[[], Awaitable[bool]]) -> None:
        self._store = store
        self._clock = clock
        self._files = files

    async def run(self) -> None:
        """Until cancelled: arm the timer where it is not, at once and then every hour."""
        while True:
            with surviving(_log, waits="not_cleaned", failed="cleaning_failed"):
                await uncut(self.arm())
            await asyncio.sleep(CLEAN_MS / 1000)

    async def arm(self) -> None:
        """Let the timer be due now, unless it is armed already."""
        async with self._store.writing() as conn:
            now = await self._clock.now(conn)
            await due.arm_once(conn, TimerKind.CLEAN.value, KEY, now)

    async def look(self, _key: str) -> int:
        """Clean a piece of each kind. Returns when to come again (Unix ms)."""
        async with self._store.reading() as conn:
            now, settings = await self._clock.now(conn), await office.settings(conn)
        is_more = await self._rows(settings, now)
        if settings.events_days:
            is_more |= await self._events(now - settings.events_days * DAY_MS)
        is_more |= await self._files()
        return now + (AGAIN_MS if is_more else CLEAN_MS)

    async def _rows(self, settings: DeskSettings, now: int) -> bool:
        async with self._store.writing() as conn:
            before = now - settings.command_records_days * DAY_MS
            commands = await retention.forget_commands(conn, before)
        async with self._store.writing() as conn:
            before = now - settings.originals_days * DAY_MS
            originals = await retention.forget_originals(conn, before)
        async with self._store.writing() as conn:
            pushes = await retention.forget_pushes(conn, now - PUSHES_KEPT_MS)
        return retention.ROWS_MAX in (commands, originals, pushes)

    async def _events(self, before: int) -> bool:
        async with self._store.reading() as conn:
            names = await retention.overdue(conn, before)
        trimmed = 0
        for name in names:
            async with self._store.writing() as conn:
                trimmed = max(trimmed, await retention.trim(conn, name, before))
        return len(names) == retention.STREAMS_MAX or trimmed == retention.ROWS_MAX
