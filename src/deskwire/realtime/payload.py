"""One plain payload on its way to many: framed once, handed out without an await.

Knows connections as they take it. Never waits, and never raises for a peer.
Invariant: each connection is offered the payload once, and counts only if it took it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deskwire.realtime.connection import StreamConnection
from deskwire.realtime.crowd import Crowd
from deskwire.realtime.frames import Framed, FramedSign, frame_plain
from deskwire.realtime.gate import Principal, personal_stream
from deskwire.realtime.plain import PlainConnection
from deskwire.realtime.transport import CLEAR, Taken

AnyConnection = PlainConnection | StreamConnection


@dataclass(frozen=True, slots=True)
class Reach:
    """How many a send reached: handed to the transport or queued. Says nothing of arrival."""

    people: int  # distinct persons of whom at least one connection took the payload
    connections: int

    def __bool__(self) -> bool:
        return self.connections > 0


class Payload:
    def __init__(self, frame: Framed, key: str) -> None:
        self.crowded = False  # some backlog is over half full: the sender should let the loop turn
        self._frame = frame
        self._key = key  # of the ephemeral that stream connections get
        self._signs: dict[Principal, FramedSign | None] = {}

    def send_to(self, crowd: Crowd[PlainConnection]) -> int:
        """To all who keep step; returns how many."""
        falls = crowd.falls
        count = crowd.send(self._frame)
        if crowd.falls != falls:  # the latest apart fell behind by it
            self.crowded = any(c.is_over_half for c in crowd.apart[falls - crowd.falls :])
        return count

    def hand_to(self, connections: Sequence[AnyConnection]) -> Sequence[AnyConnection]:
        """Offers it to each, in order. Returns those that took it."""
        frame = self._frame
        behind: dict[AnyConnection, Taken] = {}
        for connection in connections:
            taken = connection.take(frame)
            if taken is not CLEAR:
                behind[connection] = taken
        missed = {c for c, taken in behind.items() if not self._is_taken(c, taken)}
        return [c for c in connections if c not in missed] if missed else connections

    def _is_taken(self, connection: AnyConnection, taken: Taken) -> bool:
        if isinstance(connection, PlainConnection):
            was_taken = connection.taken(taken, self._frame)
            self.crowded = self.crowded or connection.is_over_half
            return was_taken
        who = connection.who
        if who not in self._signs:
            self._signs[who] = frame_plain(personal_stream(who), self._key, self._frame.json)
        sign = self._signs[who]
        return sign is not None and connection.plain(sign)
