"""A socket of an app that reads it itself: it gets the caller's JSON, and is closed when full.

Knows one transport and the crowd it stands in. Never waits but in `wait_for_room`, never raises for
a peer's fault.
Invariant: once `ended`, nothing is written but what was taken before, and the crowd has let it go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from deskwire import telemetry
from deskwire.realtime.codes import TABLE, Code
from deskwire.realtime.crowd import Crowd
from deskwire.realtime.frames import Framed
from deskwire.realtime.gate import ConnectionId, Principal
from deskwire.realtime.transport import (
    BEHIND,
    CAPACITY_BYTES,
    CLOSED,
    NOT,
    BareWrite,
    Taken,
    Transport,
)

_log = telemetry.logger("realtime")

# A plain connection that takes nothing for this long, with something waiting, is dead.
PLAIN_WRITE_DEADLINE_S: Final = 10.0


class PlainConnection:
    """No envelope, no position: it is closed when full.

    There is no log to catch it up from, and a silent drop would be worse than 4002.
    """

    __slots__ = (
        "_close_s", "_crowd", "_deadline", "_gone", "_waiters", "device", "ended",
        "id", "said_id", "tab", "take", "transport", "websocket", "who",
    )  # fmt: skip

    def __init__(
        self,
        connection_id: ConnectionId,
        who: Principal,
        said_id: str,
        websocket: Any,
        transport: Transport,
        gone: Callable[[PlainConnection], None],
        *,
        close_s: float,
    ) -> None:
        self.id = connection_id
        self.who = who
        self.said_id = said_id  # the spelling its app used
        self.websocket = websocket
        self.transport = transport
        self.device = self.tab = ""
        # The hot path. Asked only while this connection is registered, hence has not ended; what
        # it says is owed to `taken`.
        self.take: Callable[[Framed], Taken] = transport.write_one
        self.ended: tuple[int, str] | None = None
        self._crowd: Crowd[PlainConnection] | None = None
        self._gone = gone
        self._close_s = close_s
        self._deadline: asyncio.TimerHandle | None = None
        self._waiters: list[asyncio.Future[None]] = []
        transport.on_room(self._on_room)

    def __repr__(self) -> str:
        return f"<PlainConnection {self.id} {self.who.realm}:{self.who.person}>"

    # --- in the crowd ---------------------------------------------------------------------------

    def join(self, crowd: Crowd[PlainConnection]) -> None:
        """From here on what is sent to the crowd reaches it, unless it was ended before."""
        if self.ended is not None:
            return
        self._crowd = crowd
        crowd.add(self)
        self.transport.keep_step(self)
        if self.is_waiting:  # of what was sent before
            self._watch_the_clock()

    def enter(self, write: BareWrite) -> None:
        if self._crowd is not None:
            self._crowd.enter(self, write)

    @property
    def is_owed(self) -> bool:
        return self._crowd is not None and self._crowd.owes(self)

    def fall_out(self) -> Sequence[bytes]:
        if self._crowd is None:
            return ()
        owed = self._crowd.leave(self)
        if self.is_waiting and self.ended is None:
            self._watch_the_clock()
        return owed

    def _end(self, how: tuple[int, str]) -> None:
        self.ended = how
        self._stop_the_clock()
        self._wake()
        self.transport.keep_step(None)
        if self._crowd is not None:
            self._crowd.remove(self)
            self._crowd = None

    # --- sending --------------------------------------------------------------------------------

    def send(self, frame: Framed) -> bool:
        """Hands the frame on, without waiting; whether it was taken. Never raises."""
        return self.taken(self.take(frame) if self.ended is None else NOT, frame)

    def taken(self, taken: Taken, frame: Framed) -> bool:
        """What follows from what `take` said of this frame; whether it was taken."""
        if taken is NOT:
            return self.ended is None and self._queue(frame)
        if taken is BEHIND:
            self._watch_the_clock()
        return True

    def _queue(self, frame: Framed) -> bool:
        """The peer is behind, or gone: its frame waits, or it is closed."""
        room = self.transport.room()
        if room == CLOSED:
            self._lost()
            return False
        if len(frame.json) > room:
            _log.warning("plain_connection_slow", connection=self.id, who=self.who)
            self.close(Code.SLOW, TABLE[Code.SLOW].name)
            self._gone(self)
            return False
        self.transport.write((frame,))
        room = self.transport.room()
        if room == CLOSED:
            self._lost()
            return False
        if room < CAPACITY_BYTES:
            self._watch_the_clock()
        return True

    def close(self, code: int, reason: str) -> None:
        """Begins a close; what has not left after a second is aborted."""
        if self.ended is not None:
            return
        self._end((int(code), reason))
        self.transport.close(int(code), reason)
        if self.transport.room() != CLOSED:
            loop = asyncio.get_running_loop()
            self._deadline = loop.call_later(self._close_s, self.transport.abort)

    def forget(self) -> None:
        """Its app took it back: nothing is closed."""
        if self.ended is None:
            self._end((1000, "disconnected"))

    @property
    def is_waiting(self) -> bool:
        """Something has not left yet."""
        return self.transport.room() < CAPACITY_BYTES

    @property
    def is_over_half(self) -> bool:
        return self.transport.room() < CAPACITY_BYTES // 2

    async def wait_for_room(self, size: int, wait_s: float) -> None:
        """Returns once `size` bytes have room, the connection ended, or `wait_s` is over."""
        try:
            async with asyncio.timeout(wait_s):
                while self.ended is None and 0 <= self.transport.room() < size:
                    waiter = asyncio.get_running_loop().create_future()
                    self._waiters.append(waiter)
                    await waiter
        except TimeoutError:
            pass

    def _on_room(self) -> None:
        self._wake()
        is_gone = self.transport.room() == CLOSED
        if self.ended is not None and not is_gone:
            return  # the second that a close is given runs on, whatever leaves meanwhile
        self._stop_the_clock()
        if is_gone:
            self._lost()
        elif self.is_waiting:
            self._watch_the_clock()

    def _lost(self) -> None:
        if self.ended is None:
            self._end((1006, "lost"))
            self._gone(self)
            self.transport.close(1011, "lost")  # unmapped and left open would be a zombie

    def _watch_the_clock(self) -> None:
        if self._deadline is None:
            loop = asyncio.get_running_loop()
            self._deadline = loop.call_later(PLAIN_WRITE_DEADLINE_S, self._stuck)

    def _stop_the_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _stuck(self) -> None:
        self._deadline = None
        if self.ended is None and self.is_waiting:
            _log.warning("plain_connection_stuck", connection=self.id, who=self.who)
            self.close(Code.SLOW, TABLE[Code.SLOW].name)
            self._gone(self)

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
