"""Port: the doorbell between nodes; with its in-memory twin.

Knows streams, positions, passing signs and notices. Never carries what somebody wrote.
Nothing is promised: a bus may lose, delay, double, reorder or go deaf; that costs latency only.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
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
        """`heard` is called on the loop for what *other* listeners published, and for one's own."""
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


@dataclass(slots=True, eq=False)
class MemoryBus:
    """Nodes of one process. Without faults a message is heard on the next turn of the loop."""

    faults: Faults = field(default_factory=Faults)
    dice: Random = field(default_factory=lambda: Random(0))  # noqa: S311  only for faults
    dropped: int = 0
    _listeners: list[tuple[frozenset[int], Callable[[Heard], None]]] = field(default_factory=list)

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
        entry = (shards, heard)
        self._listeners.append(entry)
        try:
            yield
        finally:
            self._listeners.remove(entry)

    def state(self) -> BusState:
        return BusState.DEAF if self.faults.deaf else BusState.UP

    def _publish(self, message: Heard, shard: int | None) -> None:
        for entry in self._listeners:
            if shard is None or shard in entry[0]:
                for _ in range(self._copies()):
                    self._deliver(entry, message)

    def _copies(self) -> int:
        if self.faults.deaf or self.dice.random() < self.faults.loss:
            self.dropped += 1
            return 0
        return 2 if self.dice.random() < self.faults.doubling else 1

    def _deliver(
        self, entry: tuple[frozenset[int], Callable[[Heard], None]], message: Heard
    ) -> None:
        def arrive() -> None:
            if entry in self._listeners:
                entry[1](message)

        loop = asyncio.get_running_loop()
        if self.faults.delay_s_max > 0:
            loop.call_later(self.dice.random() * self.faults.delay_s_max, arrive)
        else:
            loop.call_soon(arrive)
