"""Drain at the signal, for an app of one's own under uvicorn.

uvicorn closes every WebSocket with 1012 before it runs the lifespan's end, so a drain in there
comes too late. Here the signal drains first and is passed on afterwards.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, Final, Protocol

from deskwire import telemetry
from deskwire.realtime.tasks import Tasks

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
LOOPS: Final = ("asyncio.unix_events", "uvloop.loop")  # where their handlers are written

_log = telemetry.logger("realtime")


class _Drains(Protocol):
    tasks: Tasks

    async def drain(self, window_s: float = 20) -> None: ...
    def dismiss(self) -> None: ...


def drain_on_signal(
    manager: _Drains, *, window_s: float = 20, signals: Sequence[signal.Signals] = SIGNALS
) -> None:
    """Call it in the lifespan's start-up, on the main thread; uvicorn has its handlers by then.

    A second signal tells who is left and waits for nobody. Give uvicorn
    `--timeout-graceful-shutdown 30` as a backstop. A server that hears signals through the loop
    cannot be held back: there it logs an error and does nothing, and `drain` belongs before that
    server is told to stop.
    """
    draining = _Draining(manager, window_s)
    for number in signals:
        draining.take(number)


class _Draining:
    def __init__(self, manager: _Drains, window_s: float) -> None:
        self._manager = manager
        self._window_s = window_s
        self._loop = asyncio.get_running_loop()
        self._times = 0
        self._before: dict[int, Any] = {}

    def take(self, number: signal.Signals) -> None:
        before = signal.getsignal(number)
        if _is_the_loops(before):
            _log.error("signal_is_the_loops", signal=number.name, means="nobody drains at it")
            return
        self._before[number] = before
        signal.signal(number, self._heard)

    def _heard(self, number: int, frame: FrameType | None) -> None:
        self._times += 1
        if self._times > 2:  # the loop may be stuck
            self._pass_on(number, frame)
        else:
            # Out of the handler: it may have interrupted anything.
            self._loop.call_soon_threadsafe(
                self._begin if self._times == 1 else self._hurry, number
            )

    def _begin(self, number: int) -> None:
        self._manager.tasks.start(self._drain(number), "drain at a signal")

    def _hurry(self, number: int) -> None:
        self._manager.dismiss()
        self._pass_on(number, None)

    async def _drain(self, number: int) -> None:
        try:
            await self._manager.drain(self._window_s)
        finally:
            self._pass_on(number, None)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        before: Callable[[int, FrameType | None], Any] | int | None = self._before[number]
        if callable(before):
            before(number, frame)
        elif before != signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(signal.Signals(number))


def _is_the_loops(handler: object) -> bool:
    """Set by `loop.add_signal_handler`: the loop hears of the signal beside it, whatever we set."""
    return getattr(handler, "__module__", None) in LOOPS
