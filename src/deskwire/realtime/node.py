"""The stream side of one node: its connections, their clock, its bus, its presence, its end.

It opens deliveries and closes them, carries doorbells and notices both ways, looks at heads and
logins in rounds, hands reports to the gate, and drains. It decides nothing: a delivery decides for
its connection, the gate for its people.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from random import Random
from typing import Final

from deskwire import telemetry
from deskwire.realtime.bus import ALL_SHARDS, Bus, Heard, MemoryBus, Notice, Ring
from deskwire.realtime.codes import Code
from deskwire.realtime.connection import (
    Closed,
    Hook,
    Lagging,
    Opened,
    Resumed,
    StreamConnection,
)
from deskwire.realtime.delivery import Delivery, Phase
from deskwire.realtime.feed import Feed
from deskwire.realtime.frames import Ephemeral, Framed, PayloadError
from deskwire.realtime.gate import ConnectionId, Gate, LoginId, MemoryGate, Principal, Report
from deskwire.realtime.hub import Hub
from deskwire.realtime.limits import Limits
from deskwire.realtime.log import Log, MemoryLog, Page, Stream
from deskwire.realtime.plain import PlainConnection
from deskwire.realtime.presence import LEASE_RENEW_S, Lease, MemoryPresence, Presence
from deskwire.realtime.pulse import Greeting
from deskwire.realtime.tasks import Tasks
from deskwire.realtime.timers import Timers
from deskwire.realtime.transport import Socket

_log = telemetry.logger("realtime")

TICK_S: Final = 1.0
SWEEP_S: Final = 1.5  # with jitter and the read well within the two seconds of a login that ended
JITTER: Final = 0.1
REPORTS_MAX: Final = 10_000  # held while the gate is away; the oldest go, clients ack again
REPORT_RETRY_S: Final = 1.0
NOTICE_TRIES: Final = 10  # at REPORT_RETRY_S
HEARD_WITHIN_MS: Final = 32_000  # a lease is renewed for who was heard within
SLICE_S: Final = 0.2
SLICE_MIN: Final = 50
ABORT_AFTER_S: Final = 2.0
DRAIN_RETRY_MS: Final = (500, 4_000)
DRAIN_ALONE_RETRY_MS: Final = (1_000, 10_000)

AnyConnection = PlainConnection | StreamConnection
_ENDED: Final[Mapping[str, Code]] = {
    "logged_out": Code.LOGGED_OUT, "disabled": Code.KICKED, "expired": Code.LOGIN_EXPIRED,
}  # fmt: skip


@dataclass(slots=True)
class Counts:
    """How often, since the start."""

    opened: int = 0
    closed: dict[int, int] = field(default_factory=dict)  # by code
    lagged: int = 0
    resumed: int = 0
    reports_dropped: int = 0
    signs_refused: int = 0


class Node:
    def __init__(
        self,
        hub: Hub[AnyConnection, StreamConnection],
        tasks: Tasks,
        limits: Limits,
        per_person_max: int,
        ports: Ports,
    ) -> None:
        self.id = f"n-{secrets.token_hex(3)}"
        self.dice = Random()  # noqa: S311  jitter only
        self.counts = Counts()
        self.draining = False
        self.running = False
        self._hub = hub
        self._tasks = tasks
        self._limits = limits
        self._per_person_max = per_person_max
        self._gate = ports.gate
        self._bus = ports.bus
        self._presence = ports.presence
        self._is_alone = isinstance(ports.bus, MemoryBus)
        self._feed = Feed(hub, ports.log, ports.gate, tasks, limits, self.now)
        self._timers: Timers[StreamConnection] = Timers(StreamConnection.tick)
        self._watching: dict[ConnectionId, frozenset[Stream]] = {}
        self._reports: list[Report] = []
        self._reporting: asyncio.Task[None] | None = None
        self._hooks: list[Callable[[Hook], None]] = []
        self._newcomers: list[StreamConnection] = []  # without a lease yet
        self._present_elsewhere: set[Principal] = set()
        self._start_number = 0
        self._ending = AsyncExitStack()

    @property
    def feed(self) -> Feed:
        return self._feed

    # --- start and stop -------------------------------------------------------------------------

    async def start(self) -> None:
        if self.running:
            return
        self._start_number = time.time_ns() // 1_000_000
        self._newcomers.clear()  # of a start before, whose task was cancelled
        await self._feed.begin()
        await self._ending.enter_async_context(self._bus.listen(ALL_SHARDS, self._heard))
        self.running, self.draining = True, False
        await self._feed.look_at_heads()
        self._tasks.start(self._every(TICK_S, self._feed.look_at_heads), "tick")
        self._tasks.start(self._every(SWEEP_S, self._sweep), "sweep")
        self._tasks.start(self._every(LEASE_RENEW_S, self._renew_leases), "leases")
        self._tasks.start(self._follow_presence(), "presence")

    async def stop(self) -> None:
        """Ends what runs. Connections were closed before, by `drain` or `close_all`."""
        self.running = False
        self._timers.stop()
        await self.flush_reports()
        await self._ending.aclose()

    async def _every(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(seconds * self.dice.uniform(1 - JITTER, 1 + JITTER))
            try:
                await work()
            except Exception:  # noqa: BLE001  the next round tries again
                _log.warning("round_failed", work=work.__name__, exc_info=True)

    # --- connections ----------------------------------------------------------------------------

    def open(
        self, socket: Socket, who: Principal, login: LoginId, until_ms: int
    ) -> StreamConnection:
        assert self.running, "start() the manager before it serves streams"
        connection_id = ConnectionId(f"c-{secrets.token_hex(8)}")
        now = self.now()
        every = self._limits.heartbeat_ms
        greeting = Greeting(
            connection=connection_id,
            node=self.id,
            login_until=until_ms,
            unix_offset_ms=time.time_ns() // 1_000_000 - now,
            ping_first_ms=self.dice.randint(0, every),
            ping_every_ms=round(every * self.dice.uniform(1 - JITTER, 1 + JITTER)),
        )
        delivery = Delivery(greeting, self._limits, now)
        connection = StreamConnection(connection_id, who, login, socket, delivery, self)
        self._hub.add(connection_id, who, connection, realm=who.realm)
        self.counts.opened += 1
        if self.draining:
            connection.leave(Code.DRAIN, self.drain_retry_ms)
        else:
            connection.writable()  # arms its timer
        return connection

    def streams_of(self, who: Principal) -> list[StreamConnection]:
        return [c for c in self._hub.of(who) if isinstance(c, StreamConnection)]

    def all_streams(self) -> list[StreamConnection]:
        return [c for c in self._hub.connections.values() if isinstance(c, StreamConnection)]

    # --- what a connection asks of its node -----------------------------------------------------

    def now(self) -> int:
        return int(asyncio.get_running_loop().time() * 1_000)

    def heads(self) -> Mapping[Stream, int]:
        return _Heads(self._hub)

    def ask(self, connection: StreamConnection, streams: Sequence[Stream]) -> None:
        self.watches_changed(connection)  # registered first: what is committed from now on is seen
        self._feed.ask(connection, streams)

    def read(self, connection: StreamConnection, stream: Stream, after: int) -> None:
        self._feed.read(connection, stream, after)

    def live(self, stream: Stream, position: int) -> Framed:
        return self._hub.live(self._hub.channels[stream], position, self.now())

    def watches_changed(self, connection: StreamConnection) -> None:
        before = self._watching.get(connection.id, frozenset())
        after = frozenset(connection.delivery.watches)
        for stream in sorted(before - after):
            self._hub.unwatch(stream, connection.id)
        for stream in sorted(after - before):
            self._hub.watch(stream, connection.id, connection)
        self._watching[connection.id] = after

    def report(self, report: Report) -> None:
        self._reports.append(report)
        if len(self._reports) > REPORTS_MAX:
            self.counts.reports_dropped += 1
            del self._reports[0]
        if self._reporting is None:
            self._reporting = self._tasks.start(self._hand_over_reports(), "reports")

    def due(self, connection: StreamConnection, at: int) -> None:
        self._timers.arm(connection.id, connection, at)

    def identified(self, connection: StreamConnection) -> None:
        """The same tab takes its place over; over the cap the longest unheard goes."""
        mine = [c for c in self.streams_of(connection.who) if c.delivery.phase is Phase.OPEN]
        place = _place_of(connection)
        for other in mine:
            if other is not connection and _place_of(other) == place:
                other.leave(Code.REPLACED)
        self._cap(connection, [c for c in mine if c.delivery.phase is Phase.OPEN])
        self._hold_lease(connection)
        self.tell(Opened(connection=connection.id, who=connection.who))

    def tell(self, hook: Hook) -> None:
        if isinstance(hook, Lagging):
            self.counts.lagged += 1
        elif isinstance(hook, Resumed):
            self.counts.resumed += 1
        elif isinstance(hook, Closed):
            self.counts.closed[hook.code] = self.counts.closed.get(hook.code, 0) + 1
        for call in self._hooks:
            try:
                call(hook)
            except Exception:  # noqa: BLE001  a hook's fault is its owner's, not the connection's
                _log.error("hook_failed", hook=type(hook).__name__, exc_info=True)

    def gone(self, connection: StreamConnection) -> None:
        for stream in sorted(self._watching.pop(connection.id, frozenset())):
            self._hub.unwatch(stream, connection.id)
        self._hub.remove(connection.id)
        self._timers.disarm(connection.id)
        if self.running:
            self._tasks.start(self._presence.drop((connection.id,)), "lease drop")

    def on(self, hook: Callable[[Hook], None]) -> None:
        self._hooks.append(hook)

    def _cap(self, newcomer: StreamConnection, mine: list[StreamConnection]) -> None:
        """The newcomer enters. Refusing it would let a half-open owner lock its person out."""
        over = len(mine) - self._per_person_max
        others = [c for c in mine if c is not newcomer]
        others.sort(key=lambda c: (c.delivery.visible, c.delivery.pulse.heard_at))
        for connection in others[: max(0, over)]:
            connection.leave(Code.TOO_MANY_CONNECTIONS)

    # --- doorbells, signs, notices --------------------------------------------------------------

    def ring(self, stream: Stream, position: int, page: Page | None) -> None:
        try:
            self._feed.rung(stream, position, page)
            self._bus.ring((Ring(stream=stream, position=position),))
        except Exception:  # noqa: BLE001  the event is committed: the tick finds it, its writer must not fail
            _log.error("ring_failed", stream=stream, position=position, exc_info=True)

    def sign(self, ephemeral: Ephemeral, except_for: ConnectionId | None) -> None:
        if self._sign_here(ephemeral, except_for):
            self._bus.sign((ephemeral,))

    def _sign_here(self, ephemeral: Ephemeral, except_for: ConnectionId | None) -> bool:
        try:
            framed = self._hub.hold_sign(ephemeral, self.now())
        except PayloadError as fault:
            self.counts.signs_refused += 1
            _log.error("sign_refused", type=ephemeral.type[:64], fault=str(fault))
            return False
        channel = self._hub.channels.get(ephemeral.stream)
        if channel is not None:
            for connection in tuple(channel.watchers.values()):
                if connection.id != except_for and _is_for(ephemeral, connection):
                    connection.sign(framed)
        return True

    def is_wanted(self, stream: Stream, word: str) -> bool:
        """Whether a watcher of the stream has said this word."""
        channel = self._hub.channels.get(stream)
        return channel is not None and any(
            word in each.delivery.wants for each in channel.watchers.values()
        )

    def publish(self, notice: Notice) -> None:
        self._bus.notice(notice)

    def _heard(self, message: Heard) -> None:
        match message:
            case Ring():
                self._feed.rung(message.stream, message.position)
            case Ephemeral():
                self._sign_here(message, None)
            case Notice():
                self._tasks.start(self._heed(message), "notice")

    async def _heed(self, notice: Notice) -> None:
        """A notice of another node. Nobody repeats it, so a gate that is away is asked again."""
        for left in reversed(range(NOTICE_TRIES)):
            try:
                await self.act_on(notice)
            except Exception:  # noqa: BLE001  losses are found by the sweep in any case
                _log.warning("notice_not_heeded", tries_left=left, exc_info=True)
                await asyncio.sleep(REPORT_RETRY_S)
            else:
                return

    async def act_on(self, notice: Notice) -> None:
        """What a notice asks of this node: closes, or a second look at rights."""
        if notice.principal is not None:
            concerned = list(self._hub.of(Principal(*notice.principal)))
        else:
            concerned = [c for c in self.all_streams() if c.login == notice.login]
        if notice.code is not None:
            self.close_some(concerned, notice.code)
            return
        await self._feed.look_at_access()  # a loss that is recorded says why; asking again does not
        streams = [c for c in concerned if isinstance(c, StreamConnection)]
        await asyncio.gather(*(self._feed.recheck(c, list(c.delivery.watches)) for c in streams))

    def close_some(
        self,
        connections: Sequence[AnyConnection],
        code: int,
        retry: tuple[int, int] | None = None,
    ) -> None:
        for connection in connections:
            if isinstance(connection, StreamConnection):
                connection.leave(code, retry)
            else:
                self._hub.remove(connection.id)
                connection.close(code, "")

    # --- rounds ---------------------------------------------------------------------------------

    async def _sweep(self) -> None:
        """Finds the logins that ended and the losses of sight that no notice told of."""
        await self._feed.look_at_access()
        connections = self.all_streams()
        if not connections:
            return
        states = await self._gate.logins(sorted({c.login for c in connections}))
        for connection in connections:
            state = states.get(connection.login)
            if state is None:
                connection.leave(Code.LOGGED_OUT)
            elif state.ended is not None:
                connection.leave(_ENDED.get(state.ended, Code.LOGGED_OUT))
            elif state.until_ms != connection.login_until_ms:
                connection.renewed(state.until_ms)

    async def _renew_leases(self) -> None:
        heard_after = self.now() - HEARD_WITHIN_MS
        leases = [
            self._lease(c)
            for c in self.all_streams()
            if c.delivery.phase is Phase.OPEN and c.delivery.pulse.heard_at >= heard_after
        ]
        if leases:
            await self._presence.hold(leases)

    def _hold_lease(self, connection: StreamConnection) -> None:
        """With all who come in this turn of the loop: one write for them."""
        self._newcomers.append(connection)
        if len(self._newcomers) == 1:
            self._tasks.start(self._hold_and_check(), "leases of newcomers")

    async def _hold_and_check(self) -> None:
        newcomers, self._newcomers = self._newcomers, []
        await self._presence.hold([self._lease(c) for c in newcomers])
        gone = [c.id for c in newcomers if c.closed is not None]
        if gone:  # they left while the leases were being written
            await self._presence.drop(gone)

    def _lease(self, connection: StreamConnection) -> Lease:
        delivery = connection.delivery
        return Lease(
            connection=connection.id,
            principal=connection.who,
            node=self.id,
            node_start=self._start_number,
            device=delivery.device,
            visible=delivery.visible,
            heard_ms=time.time_ns() // 1_000_000 - (self.now() - delivery.pulse.heard_at),
        )

    async def _follow_presence(self) -> None:
        async for change in self._presence.changes():
            if change.state == "connected":
                self._present_elsewhere.add(change.who)
            else:
                self._present_elsewhere.discard(change.who)
            self.report(change)

    def is_present(self, who: Principal) -> bool:
        """Has a live connection here, or a lease anywhere as far as this node heard."""
        return bool(self._hub.of(who)) or who in self._present_elsewhere

    async def _hand_over_reports(self) -> None:
        try:
            while self._reports:
                batch, self._reports = self._reports, []
                try:
                    await self._gate.report(batch)
                except Exception:  # noqa: BLE001  kept, in order, until the gate takes them
                    _log.warning("reports_not_taken", count=len(batch), exc_info=True)
                    self._reports = (batch + self._reports)[-REPORTS_MAX:]
                    await asyncio.sleep(REPORT_RETRY_S)
        finally:
            self._reporting = None

    async def flush_reports(self) -> None:
        """Acks and marks that clients sent before now are with the gate when this returns."""
        if self._reporting is not None:
            await asyncio.wait((self._reporting,), timeout=ABORT_AFTER_S)

    # --- the end --------------------------------------------------------------------------------

    @property
    def drain_retry_ms(self) -> tuple[int, int]:
        return DRAIN_ALONE_RETRY_MS if self._is_alone else DRAIN_RETRY_MS

    async def drain(self, window_s: float) -> None:
        """Sends everybody away in even slices, so that they do not all arrive elsewhere at once."""
        self.draining = True
        await self.flush_reports()
        slices = max(1, int(window_s / SLICE_S))
        size = max(SLICE_MIN, -(-len(self._hub.connections) // slices))
        while waiting := self._not_leaving()[:size]:
            self.close_some(waiting, Code.DRAIN, self.drain_retry_ms)
            await asyncio.sleep(SLICE_S)
        await self._until_nobody_is_left(ABORT_AFTER_S)
        await self.flush_reports()

    def dismiss(self) -> None:
        """Bye and close to all who have not heard one."""
        self.draining = True
        self.close_some(self._not_leaving(), Code.DRAIN, self.drain_retry_ms)

    async def close_all(self) -> None:
        """Closes the rest with 4001 at once and aborts what is not gone after 2 s."""
        self.dismiss()
        await self._until_nobody_is_left(ABORT_AFTER_S)
        for connection in list(self._hub.connections.values()):
            connection.transport.abort()
            if isinstance(connection, StreamConnection):
                connection.lost()

    def _not_leaving(self) -> list[AnyConnection]:
        return [
            c
            for c in self._hub.connections.values()
            if isinstance(c, PlainConnection) or c.delivery.phase in (Phase.NEW, Phase.OPEN)
        ]

    async def _until_nobody_is_left(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while self._hub.connections and loop.time() < end:  # noqa: ASYNC110  asked while it ends
            await asyncio.sleep(SLICE_S / 10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What a node stands on: the twins, where nothing else was given."""

    log: Log
    gate: Gate
    bus: Bus
    presence: Presence


def ports_or_twins(
    log: Log | None, gate: Gate | None, bus: Bus | None, presence: Presence | None
) -> Ports:
    return Ports(
        log=log if log is not None else MemoryLog(epoch=secrets.token_hex(4)),
        gate=gate if gate is not None else MemoryGate(),
        bus=bus if bus is not None else MemoryBus(),
        presence=presence if presence is not None else MemoryPresence(),
    )


class _Heads(Mapping[Stream, int]):
    """The hub's heads as a mapping, without a copy."""

    def __init__(self, hub: Hub[AnyConnection, StreamConnection]) -> None:
        self._channels = hub.channels

    def __getitem__(self, stream: Stream) -> int:
        return self._channels[stream].head

    def __iter__(self) -> Iterator[Stream]:
        return iter(self._channels)

    def __len__(self) -> int:
        return len(self._channels)


def _is_for(sign: Ephemeral, connection: StreamConnection) -> bool:
    is_said = sign.wants is None or sign.wants in connection.delivery.wants
    return is_said and (sign.to is None or connection.who in sign.to)


def _place_of(connection: StreamConnection) -> tuple[LoginId, str, str]:
    return connection.login, connection.delivery.device, connection.delivery.tab
