"""All plain connections of one realm, and the shortest way to write to those that keep up.

A connection is in step while its socket is open, keeps up and has nothing of its own waiting; then
all there is to do is its transport's bare `write`, and what is joined is joined once for all.
Invariant: frames reach each member in the order of the calls, whichever way they go.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Hashable, Sequence
from collections.abc import Set as AbstractSet
from typing import Generic, Protocol, TypeVar

from deskwire.realtime.frames import JOINED_BYTES_MAX, JOINED_FRAMES_MAX, Framed
from deskwire.realtime.transport import BareWrite
from deskwire.realtime.turn import Turn


class Member(Hashable, Protocol):
    @property
    def who(self) -> Hashable: ...


M = TypeVar("M", bound=Member)


class Crowd(Generic[M]):
    def __init__(self) -> None:
        self.falls = 0  # how often somebody fell out of step, since the start
        self._apart: dict[M, None] = {}
        self._writes: dict[M, BareWrite] = {}  # of those in step
        self._waiting: dict[M, BareWrite] = {}  # keep step, but came when frames were pending
        self._people: Counter[Hashable] = Counter()  # of those in step
        self._pending: list[bytes] = []  # for all in step, until the turn ends
        self._pending_bytes = 0
        self._joined = 0  # frames that were pending in this turn and have left before its end
        self._wrote_in = 0  # the turn
        self._turn: Turn | None = None

    def __repr__(self) -> str:
        return f"<Crowd in_step={len(self._writes)} apart={len(self._apart)}>"

    @property
    def apart(self) -> Sequence[M]:
        """Who is not in step, longest apart first; a copy."""
        return tuple(self._apart)

    @property
    def people_in_step(self) -> AbstractSet[Hashable]:
        """A view: it changes with whoever falls behind."""
        return self._people.keys()

    def add(self, member: M) -> None:
        """Apart, until its socket says that it keeps step."""
        if member not in self._writes:
            self._apart[member] = None

    def remove(self, member: M) -> None:
        """What it is owed its socket has taken over before."""
        self._fall_out(member)
        self._apart.pop(member, None)

    def enter(self, member: M, write: BareWrite) -> None:
        """A member keeps step: at once, or when what is pending, which is not for it, has gone."""
        if member not in self._apart:
            return
        if self._pending:
            self._waiting[member] = write
            return
        del self._apart[member]
        self._writes[member] = write
        self._people[member.who] += 1

    def owes(self, member: M) -> bool:
        """It is in step, and frames are pending."""
        return bool(self._pending) and member in self._writes

    def leave(self, member: M) -> Sequence[bytes]:
        """Puts a member apart and hands over what it is owed."""
        if not self._fall_out(member):
            return ()
        self.falls += 1
        self._apart[member] = None
        return tuple(self._pending)

    def send(self, frame: Framed, *, more: bool = False) -> int:
        """To all in step; returns how many. The first of a turn leaves at once, unless `more` says
        that others follow it in the same turn.
        """
        if not self._writes:
            return 0
        turn = self._turn_of_this_loop()
        if not turn.is_open:
            turn.begin()
        waits = self._pending or more or turn.is_pressed or self._wrote_in == turn.number
        if not waits:
            self._wrote_in = turn.number
            return self._write(frame.wire)
        if not self._pending:
            turn.at_end(self)
        self._pending.append(frame.wire)
        self._pending_bytes += frame.size
        count = len(self._writes)
        if self._pending_bytes > JOINED_BYTES_MAX or len(self._pending) >= JOINED_FRAMES_MAX:
            self.hand_on()
        return count

    def make_room(self, size: int, bytes_max: int) -> None:
        """Pending and `size` more are within `bytes_max` afterwards, or nothing is pending."""
        if self._pending_bytes + size > bytes_max:
            self.hand_on()

    def flush(self) -> int:
        """With the end of the turn: whoever left before was in company too."""
        self.hand_on()
        frames, self._joined = self._joined, 0
        return frames

    def hand_on(self) -> None:
        """What is pending leaves now, in one write to each."""
        pending = self._pending
        if not pending:
            return
        self._joined += len(pending)
        self._pending, self._pending_bytes = [], 0
        self._write(pending[0] if len(pending) == 1 else b"".join(pending))
        waiting, self._waiting = self._waiting, {}
        for member, write in waiting.items():
            self.enter(member, write)

    def _write(self, data: bytes) -> int:
        """Over a copy: who falls behind leaves meanwhile, with the frame taken."""
        writes = list(self._writes.values())
        for write in writes:
            write(data)
        return len(writes)

    def _fall_out(self, member: M) -> bool:
        self._waiting.pop(member, None)
        if self._writes.pop(member, None) is None:
            return False
        self._people[member.who] -= 1
        if not self._people[member.who]:
            del self._people[member.who]
        return True

    def _turn_of_this_loop(self) -> Turn:
        loop = asyncio.get_running_loop()
        if self._turn is None or self._turn.loop is not loop:
            self._turn, self._wrote_in, self._joined = Turn(loop), 0, 0
            self._pending, self._pending_bytes = [], 0
        return self._turn
