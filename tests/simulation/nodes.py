"""One life of one node: a real ConnectionManager over simulated ports, until a crash or a drain."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from random import Random
from typing import Any

from deskwire.realtime.bus import Faults, Hall, MemoryBus
from deskwire.realtime.connection import StreamConnection
from deskwire.realtime.gate import Principal
from deskwire.realtime.limits import Limits
from deskwire.realtime.manager import ConnectionManager, Policy
from deskwire.realtime.presence import MemoryPresence
from tests.simulation.client import Client
from tests.simulation.network import Wire
from tests.simulation.oracle import Oracle
from tests.simulation.plain import PlainApp
from tests.simulation.store import FAR_MS, StoreFault, StorePort

DRAIN_S_MAX = 30.0
PLAIN_CAP = 4


class NodeDied(Exception):
    """SIGKILL: whatever was under way here goes no further."""


class Ordered(dict[Any, None]):
    """A set that remembers its order: what is cancelled together is cancelled in it."""

    def add(self, item: Any) -> None:
        self[item] = None

    def discard(self, item: Any) -> None:
        self.pop(item, None)


class Life:
    def __init__(
        self, name: str, oracle: Oracle, port: StorePort, hall: Hall, faults: Faults,
        presence: MemoryPresence, limits: Limits, dice: Random, *, many: bool,
    ) -> None:  # fmt: skip
        self.name = name
        self.oracle = oracle
        self.port = port
        self.hall = hall
        self.bus = MemoryBus(hall, faults=faults, dice=Random(dice.random()))
        self.manager = ConnectionManager(
            policy=Policy.MANY if many else Policy.LATEST,
            connections_per_person_max=PLAIN_CAP if many else 10,
            limits=limits, log=port, gate=port, bus=self.bus, presence=presence,
        )  # fmt: skip
        self.node = self.manager._node
        self.node.dice = Random(dice.random())
        self.manager.tasks._running = Ordered()  # type: ignore[assignment]
        self.dead = False
        self.drained = False
        self.wires: list[Wire] = []
        self.plain = PlainApp(
            self.manager, oracle, Random(dice.random()), cap=PLAIN_CAP if many else None
        )
        self._own: list[asyncio.Task[Any]] = []
        self._names = 0

    def __repr__(self) -> str:
        return f"<Life {self.name} dead={self.dead} {self.manager!r}>"

    @property
    def accepting(self) -> bool:
        return not self.dead and self.manager.accepting

    def start_task(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """What runs in this process and dies with it."""
        self._names += 1
        loop = asyncio.get_running_loop()
        task: asyncio.Task[Any] = loop.create_task(work, name=f"{self.name} {self._names}")
        self._own = [each for each in self._own if not each.done()]
        self._own.append(task)
        return task

    async def start(self) -> None:
        while not self.dead:
            try:
                await self.manager.start()
            except StoreFault:
                await asyncio.sleep(0.5)
            else:
                self.oracle.note(f"{self.name} is up")
                return

    # --- sockets --------------------------------------------------------------------------------

    def serve(self, wire: Wire, client: Client) -> None:
        """The handshake was accepted: from here on the manager owns the socket."""
        if not self.accepting:
            wire.gone = True
            wire._tell_far(1006)
            return
        self.wires.append(wire)
        serving = self.manager.serve(wire, client.who, client.login, until_ms=FAR_MS)
        try:
            serving.send(None)
        except StopIteration:
            return
        self.oracle.violate("a_socket_that_drives_itself_is_served_at_once", repr(wire))

    def check_registry(self) -> None:
        """P6: exactly the open sockets. After every turn of the loop."""
        if self.dead:
            return
        held = {
            id(c.transport)
            for c in self.manager._hub.connections.values()
            if isinstance(c, StreamConnection)
        }
        self.wires = [wire for wire in self.wires if wire.is_open]
        if held != {id(wire) for wire in self.wires}:
            self.oracle.violate(
                "the_registry_equals_the_open_sockets",
                f"{self.name} holds {len(held)} of {self.wires}",
            )

    def check_indexes(self) -> None:
        """Each index agrees with the deliveries; dearer, hence once a second."""
        hub = self.manager._hub
        for stream, channel in hub.channels.items():
            watching = {
                c.id for c in hub.connections.values()
                if isinstance(c, StreamConnection) and stream in c.delivery.watches
            }  # fmt: skip
            self.oracle.demand(
                set(channel.watchers) == watching, "a_channel_has_exactly_its_watchers", stream
            )
        kept = sum(channel.kept_bytes for channel in hub.channels.values())
        self.oracle.demand(kept == hub.kept_bytes, "kept_bytes_are_counted", f"{kept}")
        limit = self.manager.limits.kept_bytes
        self.oracle.demand(kept <= limit, "memory_stays_within_the_written_bound", f"kept {kept}")
        if not self.dead:
            self.plain.check()

    def connections_of(self, who: Principal) -> list[StreamConnection]:
        return self.node.streams_of(who)

    # --- the end --------------------------------------------------------------------------------

    def crash(self) -> None:
        if self.dead:
            return
        self.oracle.note(f"{self.name} is killed")
        self._die()
        for wire in self.wires:
            if wire.is_open:
                wire.node_died()

    async def drain(self, window_s: float) -> None:
        began = asyncio.get_running_loop().time()
        self.oracle.note(f"{self.name} drains")
        await self.manager.drain(window_s)
        await self.manager.stop()
        if self.dead:
            return
        took = asyncio.get_running_loop().time() - began
        stalled = self.plain.stalls
        self.oracle.demand(
            took <= DRAIN_S_MAX or stalled, "a_drain_ends_in_time", f"{self.name} took {took:.1f} s"
        )
        left = [wire for wire in self.wires if wire.is_open]
        self.oracle.demand(not left, "a_drain_leaves_nobody", f"{self.name} {left}")
        self.oracle.note(f"{self.name} has drained")
        self.drained = True
        self._die()

    def _die(self) -> None:
        self.dead = self.port.dead = True
        self.bus.faults = Faults(deaf=True)
        self.node._timers.stop()
        self.plain.die()
        for task in [*self._own, *self.manager.tasks._running]:
            if task is not asyncio.current_task():
                task.cancel()
