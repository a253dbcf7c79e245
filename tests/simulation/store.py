"""The truth of the simulated world: streams, commands, rights, logins; and its ports, which fail.

`Store` itself is exact and instantaneous. A `StorePort` is how one life of one node reaches it:
with latency on both sides of the instant at which a statement takes effect, with faults before and
after it, and with silence once the node is dead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar

import msgspec

from deskwire.realtime.frames import Ephemeral
from deskwire.realtime.gate import (
    Acked,
    LoginId,
    LoginState,
    Loss,
    MarkedRead,
    Narrowed,
    Permit,
    Permits,
    Principal,
    Report,
)
from deskwire.realtime.log import MemoryHead, MemoryLog, MemoryPage, Stream
from tests.simulation.oracle import Oracle

T = TypeVar("T")
FAR_MS = 2**52
VOIDED = "voided"


class StoreFault(Exception):
    """The database was away, or the connection to it broke: nobody knows which."""


class Aborted(StoreFault):
    """Serialisation failure: nothing was written."""


@dataclass(frozen=True, slots=True)
class Committed:
    """One event as the world remembers it. `change` orders it among commits and rights."""

    id: str
    change: int
    at_s: float


@dataclass(slots=True)
class Line:
    """One stream's whole life in this epoch: `events[n - 1]` is position n, trimmed or not."""

    epoch: str
    events: list[Committed] = field(default_factory=list)


@dataclass(slots=True)
class Right:
    """Who may see what, and since which change."""

    history: list[tuple[int, Permit | None]] = field(default_factory=list)

    @property
    def now(self) -> Permit | None:
        return self.history[-1][1] if self.history else None

    def allowed(self, position: int, since: int) -> bool:
        """Whether any permit in force at change `since` or later covered `position`."""
        for index, (_, permit) in enumerate(self.history):
            over = index + 1 < len(self.history) and self.history[index + 1][0] <= since
            if not over and permit is not None and _covers(permit, position):
                return True
        return False


def _covers(permit: Permit, position: int) -> bool:
    return permit.after < position and (permit.until is None or position <= permit.until)


class Store:
    restores_with_new_epoch = True  # a planted bug turns it off

    def __init__(self, oracle: Oracle, streams: Sequence[Stream]) -> None:
        self.oracle = oracle
        self.streams = list(streams)
        self.log = MemoryLog(epoch="epoch-00", events_max=10**9)
        self.lines = {stream: Line("epoch-00") for stream in streams}
        self.commands: dict[str, tuple[Stream, str, int]] = {}
        self.archive: dict[tuple[Stream, str], Line] = {}  # epochs that a restore ended
        self.voided: set[tuple[Stream, int]] = set()
        self.undone: set[str] = set()  # commands that a restore took back
        self.rights: dict[tuple[Principal, Stream], Right] = {}
        self.login_ends: dict[LoginId, int] = {}
        self.login_states: dict[LoginId, LoginState] = {}
        self.losses: list[tuple[int, Loss]] = []
        self.access = 0
        self.changes = 0
        self.epochs = 0

    # --- what commits ---------------------------------------------------------------------------

    def commit(
        self, command: str, stream: Stream, body: bytes, event_id: str, voids: int | None
    ) -> int:
        """One transaction; the same command again gives the first result."""
        if command in self.commands:
            return self.commands[command][2]
        self.changes += 1
        line = self.lines[stream]
        if voids is not None and not self.log.head(stream).floor <= voids <= len(line.events):
            voids = None
        if voids is not None:
            self.voided.add((stream, voids))
        position = self.log.append(stream, body, voids=voids)
        line.events.append(Committed(event_id, self.changes, self.oracle.clock()))
        if position != len(line.events):
            self.oracle.violate("the_store_is_dense", f"{stream} {position}")
        self.commands[command] = (stream, line.epoch, position)
        self.oracle.note(f"commit {stream} {position} {event_id}")
        return position

    def restore(self, stream: Stream, keep: int) -> None:
        """The stream as a backup had it: the newest events are gone, the epoch is another."""
        line = self.lines[stream]
        bodies = [_body_of(each.id) for each in line.events[:keep]]
        for command, (where, _, position) in self.commands.items():
            if where == stream and position > keep:
                self.undone.add(command)
        self.epochs += 1
        epoch = f"epoch-{self.epochs:02}" if self.restores_with_new_epoch else line.epoch
        self.log.restore(stream, epoch, bodies)
        self.changes += 1
        self.archive[stream, line.epoch] = line
        kept = [Committed(each.id, each.change, each.at_s) for each in line.events[:keep]]
        self.lines[stream] = Line(epoch, kept)
        for (_, where), right in self.rights.items():
            permit = right.now
            if where == stream and permit is not None:
                until = None if permit.until is None else min(permit.until, keep)
                after = min(permit.after, keep)
                right.history.append((self.changes, Permit(after=after, until=until)))
        self._lose(Loss(stream=stream, why="gone"))
        self.oracle.note(f"restore {stream} to {keep} as {epoch}")

    def trim(self, stream: Stream, keep: int) -> None:
        self.log.trim(stream, len(self.lines[stream].events) - keep)
        self.oracle.note(f"trim {stream} floor {self.log.head(stream).floor}")

    # --- rights ---------------------------------------------------------------------------------

    def allow(self, who: Principal, stream: Stream, permit: Permit) -> None:
        self.changes += 1
        self.rights.setdefault((who, stream), Right()).history.append((self.changes, permit))
        self.oracle.note(f"allow {who.person} {stream} {permit.after}..{permit.until}")

    def narrow(self, who: Principal, stream: Stream, *, leaves: bool) -> None:
        """Revoked: nothing more. Left: what there is, nothing that comes."""
        right = self.rights.get((who, stream))
        if right is None or right.now is None or right.now.until is not None:
            return
        self.changes += 1
        until = max(len(self.lines[stream].events), right.now.after)
        left = Permit(after=right.now.after, until=until) if leaves else None
        right.history.append((self.changes, left))
        self._lose(Loss(principal=who, stream=stream, why="left" if leaves else "revoked"))
        self.oracle.note(f"narrow {who.person} {stream} {left}")

    def end_login(self, login: LoginId, who: Principal) -> None:
        if login in self.login_ends:
            return
        self.changes += 1
        self.login_ends[login] = self.changes
        self.login_states[login] = LoginState(until_ms=0, ended="logged_out")
        self._lose(Loss(principal=who, login=login))
        self.oracle.note(f"end login {login}")

    def _lose(self, loss: Loss) -> None:
        self.access += 1
        self.log.access = self.access
        self.losses.append((self.access, loss))

    def permit(self, who: Principal, login: LoginId, stream: Stream) -> Permit | None:
        right = self.rights.get((who, stream))
        return None if right is None or login in self.login_ends else right.now

    def entitled(self, who: Principal, login: LoginId, stream: Stream, event: Committed,
                 position: int) -> bool:  # fmt: skip
        """Whether this login may get these bytes: allowed at the commit or at any time since."""
        if self.login_ends.get(login, self.changes + 1) < event.change:
            return False
        right = self.rights.get((who, stream))
        return right is not None and right.allowed(position, event.change)

    # --- what reads -----------------------------------------------------------------------------

    def event(self, stream: Stream, epoch: str, position: int) -> Committed | None:
        line = self.lines[stream]
        if line.epoch != epoch:
            line = self.archive.get((stream, epoch), line)
        if line.epoch != epoch or not 1 <= position <= len(line.events):
            return None
        return line.events[position - 1]

    def page(self, stream: Stream, after: int, limit: int = 256) -> MemoryPage:
        return self.log.page(stream, after, limit)

    def head_for(self, who: Principal, login: LoginId, stream: Stream) -> int | None:
        permit = self.permit(who, login, stream)
        if permit is None:
            return None
        head = len(self.lines[stream].events)
        return head if permit.until is None else min(head, permit.until)

    def snapshot(
        self, who: Principal, login: LoginId, stream: Stream
    ) -> tuple[str, int, int, list[str]] | None:
        """Epoch, first position, last position and all events between, from one transaction."""
        permit = self.permit(who, login, stream)
        end = self.head_for(who, login, stream)
        if permit is None or end is None:
            return None
        line = self.lines[stream]
        end = max(end, permit.after)
        ids = [each.id for each in line.events[permit.after : end]]
        return line.epoch, permit.after + 1, permit.after + len(ids), ids


def body_of(event_id: str, size: int, *, poisoned: bool = False) -> bytes:
    if poisoned:
        return b'{"id":"' + event_id.encode() + b'", this is no JSON'
    return msgspec.json.encode({"id": event_id, "x": "x" * size})


def _body_of(event_id: str) -> bytes:
    return body_of(event_id, 0)


def id_in(body: bytes, stream: Stream, position: int) -> str:
    """The id an event's body carries; a voided or unreadable one says so."""
    decoded: Any = msgspec.json.decode(body)
    if decoded is None:
        return VOIDED
    if decoded.get("type") == "unreadable":
        return f"unreadable:{stream}:{position}"
    return str(decoded["id"])


FAIR_LAG_S = 0.002


@dataclass(slots=True)
class Weather:
    """How the store behaves; the world changes it."""

    lag_s: float = FAIR_LAG_S
    fault: float = 0.0  # chance per call, before the instant or after it
    away_until: float = 0.0
    hangs: bool = False  # while away calls hang, else they fail


class StorePort:
    """Log and Gate of one life of one node."""

    def __init__(self, store: Store, weather: Weather, dice: Random) -> None:
        self.store = store
        self.weather = weather
        self.dead = False
        self.acked: Callable[[Principal, LoginId, Stream, int], None] = lambda *_: None
        self._dice = dice

    # Log

    async def heads(self, streams: Collection[Stream]) -> Mapping[Stream, MemoryHead]:
        return await self.call(lambda: {each: self.store.log.head(each) for each in streams})

    async def read(self, stream: Stream, after: int, limit: int = 256) -> MemoryPage:
        return await self.call(lambda: self.store.page(stream, after, limit))

    # Gate

    async def permits(self, who: Principal, login: LoginId, streams: Collection[Stream]) -> Permits:
        def take() -> Permits:
            answers = {each: self.store.permit(Principal(*who), login, each) for each in streams}
            return Permits(permits=answers, access=self.store.access)

        return await self.call(take)

    async def narrowed(self, since: int) -> Narrowed:
        def take() -> Narrowed:
            losses = tuple(loss for n, loss in self.store.losses if 0 <= since < n)
            return Narrowed(access=self.store.access, losses=losses)

        return await self.call(take)

    async def logins(self, ids: Collection[LoginId]) -> Mapping[LoginId, LoginState]:
        alive = LoginState(until_ms=FAR_MS)
        return await self.call(lambda: {i: self.store.login_states.get(i, alive) for i in ids})

    async def signs(self, stream: Stream) -> Sequence[Ephemeral]:
        sign = Ephemeral(stream=stream, type="marks", key="marks:all", data={"at": stream})
        return await self.call(lambda: (sign,))

    async def report(self, reports: Sequence[Report]) -> None:
        def take() -> None:
            for report in reports:
                if isinstance(report, Acked):
                    for stream, position in report.positions.items():
                        self.acked(Principal(*report.who), report.login, stream, position)
                elif isinstance(report, MarkedRead):
                    self.acked(Principal(*report.who), report.login, report.stream, report.position)

        await self.call(take)

    async def call(self, take: Callable[[], T]) -> T:
        """One statement: its instant lies somewhere within its latency."""
        await self._lag()
        if self._dice.random() < self.weather.fault:
            raise StoreFault("connection reset")
        value = take()
        await self._lag()
        if self._dice.random() < self.weather.fault:
            raise StoreFault("connection reset behind it")
        return value

    async def _lag(self) -> None:
        loop = asyncio.get_running_loop()
        if self._dice.random() < 0.7:
            await asyncio.sleep(self._dice.expovariate(1) * self.weather.lag_s)
        while loop.time() < self.weather.away_until and not self.dead:
            if not self.weather.hangs:
                raise StoreFault("the database is away")
            await asyncio.sleep(self.weather.away_until - loop.time())
        if self.dead:
            await loop.create_future()
