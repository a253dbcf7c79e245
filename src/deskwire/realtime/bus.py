"""Port: the doorbell between nodes; with its in-memory twin.

Knows streams, positions, passing signs and notices. Never carries what somebody wrote.
Nothing is promised: a bus may lose, delay, double, reorder or go deaf; that costs latency only.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final, Protocol, TypeAlias
from zlib import crc32

from deskwire.realtime.frames import Ephemeral
from deskwire.realtime.gate import LoginId, Principal
from deskwire.realtime.log import Stream

SHARDS: Final = 64
ALL_SHARDS: Final = frozenset(range(SHARDS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ring:
    """Stream `stream` has reached `position`."""

    stream: Stream
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Look again at this principal or this login. With a code, close what is theirs."""

    principal: Principal | None = None
    login: LoginId | None = None
    code: int | None = None


class BusState(StrEnum):
    UP = "up"
    DOWN = "down"
    DEAF = "deaf"  # connected, but what is published is not heard


Heard: TypeAlias = Ring | Ephemeral | Notice


class Bus(Protocol):
    def ring(self, rings: Sequence[Ring]) -> None:
        """Never raises; what cannot be sent is dropped and counted."""
        ...

    def sign(self, signs: Sequence[Ephemeral]) -> None:
        """Ids and numbers, no text. Never raises."""
        ...

    def notice(self, notice: Notice) -> None:
        """Reaches every node that is up. Never raises."""
        ...

    def listen(
        self, shards: frozenset[int], heard: Callable[[Heard], None]
    ) -> AbstractAsyncContextManager[None]:
        """`heard` is called on the loop for what other nodes published, never for one's own."""
        ...

    def state(self) -> BusState: ...


def shard_of(stream: Stream) -> int:
    """The channel of a stream; the same on every node and in every process."""
    return crc32(stream.encode()) % SHARDS


@dataclass(slots=True)
class Faults:
    """What the twin does wrong, each as a chance from 0 to 1 per message and listener."""

    loss: float = 0.0
    doubling: float = 0.0
    delay_s_max: float = 0.0  # a random delay, hence reordering too
    deaf: bool = False


class Hall:
    """What the twins of several nodes share: whom to hand a message to."""

    def __init__(self) -> None:
        self.listeners: list[_Listener] = []


@dataclass(frozen=True, slots=True, eq=False)
class _Listener:
    bus: MemoryBus
    shards: frozenset[int]
    heard: Callable[[Heard], None]


class MemoryBus:
    """One node's bus; those that share a `hall` hear each other. Alone it hears nothing.

    Without faults a message is heard on the next turn of the loop.
    """

    def __init__(
        self, hall: Hall | None = None, *, faults: Faults | None = None, dice: Random | None = None
    ) -> None:
        self.hall = hall or Hall()
        self.faults = faults or Faults()
        self.dropped = 0
        self._dice = dice or Random(0)  # noqa: S311  only for faults

    def ring(self, rings: Sequence[Ring]) -> None:
        for ring in rings:
            self._publish(ring, shard_of(ring.stream))

    def sign(self, signs: Sequence[Ephemeral]) -> None:
        for sign in signs:
            self._publish(sign, shard_of(sign.stream))

    def notice(self, notice: Notice) -> None:
        self._publish(notice, None)

    @asynccontextmanager
    async def listen(
        self, shards: frozenset[int], heard: Callable[[Heard], None]
    ) -> AsyncIterator[None]:
        listener = _Listener(self, shards, heard)
        self.hall.listeners.append(listener)
        try:
            yield
        finally:
            self.hall.listeners.remove(listener)

    def state(self) -> BusState:
        return BusState.DEAF if self.faults.deaf else BusState.UP

    def _publish(self, message: Heard, shard: int | None) -> None:
        for listener in self.hall.listeners:
            if listener.bus is not self and (shard is None or shard in listener.shards):
                for _ in range(self._copies()):
                    self._deliver(listener, message)

    def _copies(self) -> int:
        if self.faults.deaf or self._dice.random() < self.faults.loss:
            self.dropped += 1
            return 0
        return 2 if self._dice.random() < self.faults.doubling else 1

    def _deliver(self, listener: _Listener, message: Heard) -> None:
        def arrive() -> None:
            if listener in self.hall.listeners and not listener.bus.faults.deaf:
                listener.heard(message)

        loop = asyncio.get_running_loop()
        if self.faults.delay_s_max > 0:
            loop.call_later(self._dice.random() * self.faults.delay_s_max, arrive)
        else:
            loop.call_soon(arrive)
