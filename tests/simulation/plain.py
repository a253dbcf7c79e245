"""The baseline's side of a node: sockets of an app, endpoints as everybody writes them, a model.

The model says who has to be registered and what each socket has to have got; the rules compare it
with the manager after every step that could make them differ.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from random import Random
from typing import Any

from deskwire.realtime.gate import Principal
from deskwire.realtime.manager import ConnectionManager
from deskwire.realtime.payload import Reach
from deskwire.realtime.plain import PlainConnection
from tests.simulation.oracle import Oracle

NAMES = ("ZhangSan", "lisi", "Wang.Wu")
STUCK_S = 10.0
BIG_BYTES = 50_000


class Gone(RuntimeError):
    """What a server raises when the peer has left."""


class PlainSocket:
    """Looks like a WebSocket; takes, hangs or fails as its peer does."""

    def __init__(self, dice: Random) -> None:
        self.received: list[Any] = []
        self.closed: int | None = None
        self.accepted_at: float | None = None
        self.fails = False
        self.left: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._flows = asyncio.Event()
        self._flows.set()
        self._accept_s = dice.choice((0.0, 0.0, 0.02))
        self._send_s = dice.choice((0.0, 0.0, 0.001))

    @property
    def stalled(self) -> bool:
        return not self._flows.is_set()

    def stall(self) -> None:
        self._flows.clear()

    def flow(self) -> None:
        self._flows.set()

    def leave(self) -> None:
        self.fails = True
        self._flows.set()
        if not self.left.done():
            self.left.set_result(None)

    async def accept(self) -> None:
        await asyncio.sleep(self._accept_s)
        if self.fails:
            raise Gone("accept")
        self.accepted_at = asyncio.get_running_loop().time()

    async def send_json(self, data: Any) -> None:
        if self._send_s:
            await asyncio.sleep(self._send_s)
        await self._flows.wait()
        if self.fails or self.closed is not None:
            raise Gone("send")
        self.received.append(data)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        del reason
        await self._flows.wait()
        if self.fails:
            raise Gone("close")
        self.closed = code
        if not self.left.done():
            self.left.set_result(None)


@dataclass(slots=True, eq=False)
class Peer:
    """One socket, as the model sees it."""

    realm: str
    said: str
    socket: PlainSocket
    number: int
    connection: PlainConnection | None = None
    connected: bool = False  # `connect` has returned, `disconnect` was not called
    replaced: bool = False
    expected: list[Any] = field(default_factory=list)
    stuck_since: float | None = None
    entered: int = 0  # the order in which they were registered

    @property
    def key(self) -> tuple[str, str]:
        return self.realm, self.said.casefold()

    @property
    def registered(self) -> bool:
        """Has to be in the registry: nothing has ended it."""
        ended = self.connection is None or self.connection.ended is not None
        return self.connected and not self.replaced and not ended


class PlainApp:
    """One node's app over the baseline's methods."""

    def __init__(
        self, manager: ConnectionManager, oracle: Oracle, dice: Random, *, cap: int | None
    ) -> None:
        self.manager = manager
        self.oracle = oracle
        self.dice = dice
        self.cap = cap  # of `many`; None is `latest`
        self.peers: list[Peer] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.numbers = 0
        self.entries = 0
        self.stalls = 0  # of the whole process: no duration is judged across one

    # --- actions --------------------------------------------------------------------------------

    def connect(self, realm: str, said: str) -> None:
        self.numbers += 1
        peer = Peer(realm, said, PlainSocket(self.dice), self.numbers)
        self.peers.append(peer)
        self._start(self._endpoint(peer))

    async def _endpoint(self, peer: Peer) -> None:
        """As an app of the baseline writes it, not knowing of connection ids."""
        manager, oracle = self.manager, self.oracle
        agent = peer.realm == "agent"
        try:
            connect = manager.connect if agent else manager.connect_employee
            connection_id = await connect(peer.said, peer.socket)
        except Gone:
            return
        self._took(peer, connection_id)
        try:
            await peer.socket.left
            await asyncio.sleep(self.dice.random() * 0.5)  # its cleanup is late
        finally:
            peer.connected = False
            said = self.dice.choice((peer.said, peer.said.lower(), peer.said.upper()))
            (manager.disconnect if agent else manager.disconnect_employee)(said)
            oracle.note(f"plain out {peer.realm} {peer.said} {peer.number}")

    def _took(self, peer: Peer, connection_id: Any) -> None:
        """`connect` has returned: it registered in the step in which `accept` was done."""
        now = asyncio.get_running_loop().time()
        accepted_at = peer.socket.accepted_at or 0.0
        self._rule(
            self.stalls or now <= accepted_at, "a_new_connection_never_waits_for_an_old_one",
            f"{peer.said} {peer.number} waited {now - accepted_at:.3f} s",
        )  # fmt: skip
        found = self.manager._hub.connections.get(connection_id)
        peer.connected = True
        if isinstance(found, PlainConnection):
            peer.connection = found
        same = [p for p in self.peers if p.key == peer.key and p is not peer and p.registered]
        over = len(same) if self.cap is None else max(0, len(same) + 1 - self.cap)
        for loser in sorted(same, key=lambda each: each.entered)[:over]:
            loser.replaced = True
        self.entries += 1
        peer.entered = self.entries
        self.oracle.note(f"plain in {peer.realm} {peer.said} {peer.number}")

    def send(self, realm: str, said: str, payload: Any) -> None:
        method = self.manager.send_to_agent if realm == "agent" else self.manager.send_to_employee
        self._start(self._call(lambda: method(said, payload), [(realm, said.casefold())], payload))

    def broadcast(self, payload: Any, *, cancelled: bool = False) -> None:
        keys = {peer.key for peer in self.peers if peer.realm == "agent"}
        task = self._start(self._call(lambda: self.manager.broadcast(payload), keys, payload))
        if cancelled:  # in the midst of it, if it ever lets go of the loop
            loop = asyncio.get_running_loop()
            loop.call_soon(lambda: loop.call_soon(task.cancel))

    def to_list(self, said: list[str], payload: Any) -> None:
        keys = {("employee", each.casefold()) for each in said}
        call = self.manager.broadcast_to_employees
        self._start(self._call(lambda: call(said, payload), keys, payload))

    def status(self, said: list[str], extra: dict[str, Any], number: int) -> None:
        fields = {
            "type": "message_status",
            "conv_id": "c",
            "msg_id": f"m{number}",
            "status": "read",
        }
        payload = {**extra, **fields}
        keys = {(realm, each.casefold()) for each in said for realm in ("agent", "employee")}

        async def call() -> int:
            return await self.manager.broadcast_message_status(
                "c", f"m{number}", "read", said, extra
            )

        self._start(self._call(call, keys, payload))

    def poison(self, said: str) -> None:
        """A value JSON cannot hold: nobody may be touched by it."""

        async def call() -> None:
            before = [(p, p.registered) for p in self.peers]
            value = {"bad": object()}
            if self.dice.random() < 0.5:
                reach = await self.manager.broadcast(value)
            else:
                reach = await self.manager.send_to_agent(said, value)
            hit = [p.said for p, was in before if was and not p.registered and not p.socket.fails]
            self._rule(not reach, "an_unencodable_payload_touches_nobody", repr(reach))
            self._rule(not hit, "an_unencodable_payload_touches_nobody", str(hit))

        self._start(call())

    def disconnect_all(self, realm: str, said: str) -> None:
        """From outside any endpoint, without a socket: all of this person."""
        for peer in self.peers:
            if peer.key == (realm, said.casefold()):
                peer.connected = False
        manager = self.manager
        (manager.disconnect if realm == "agent" else manager.disconnect_employee)(said)

    async def _call(
        self, call: Callable[[], Any], keys: Collection[tuple[str, str]], payload: Any
    ) -> None:
        """What the model expects is what is registered in the step that calls."""
        loop = asyncio.get_running_loop()
        stalls, began = self.stalls, loop.time()
        targets = [peer for peer in self.peers if peer.key in keys and peer.registered]
        sure = [p for p in targets if not p.socket.fails and _has_room(p)]
        for peer in targets:
            peer.expected.append(payload)
        reached = await call()
        took = loop.time() - began
        self._rule(
            took == 0.0 or stalls != self.stalls,
            "no_send_waits_for_a_peer",
            f"it took {took:.3f} s",
        )
        connections = reached.connections if isinstance(reached, Reach) else None
        people = reached.people if isinstance(reached, Reach) else int(reached)
        apart = isinstance(reached, Reach)  # realms count apart, but for a status
        lower = len({p.key[not apart :] for p in sure})
        streams = self._streams() if apart else []
        upper = len({p.key[not apart :] for p in targets}) + len(set(streams))
        self._rule(
            lower <= people <= upper,
            "reach_counts_people_once", f"{people} of {[p.said for p in targets]}, sure {lower}",
        )  # fmt: skip
        self._rule(
            connections is None or connections <= len(targets) + len(streams),
            "reach_counts_connections_once", f"{connections} of {len(targets)}",
        )  # fmt: skip

    def _streams(self) -> list[Principal]:
        """A broadcast reaches the realm's stream connections too, which the model leaves out."""
        connections = self.manager._hub.connections.values()
        return [c.who for c in connections if not isinstance(c, PlainConnection)]

    # --- rules ----------------------------------------------------------------------------------

    def check(self) -> None:
        """After every action and second: the registry holds exactly who is connected."""
        plain = self._registered()
        for peer in self.peers:
            connection = peer.connection
            if peer.registered and connection is not None:
                self._rule(
                    connection in plain, "the_registry_equals_the_open_connections",
                    f"{peer.realm} {peer.said} {peer.number} is open and not registered",
                )  # fmt: skip
            if peer.connected and connection is not None and connection not in plain:
                self._rule(
                    connection.ended is not None, "what_is_removed_is_closed",
                    f"{peer.realm} {peer.said} {peer.number}",
                )  # fmt: skip
            ended = None if connection is None else connection.ended
            self._rule(
                not (peer.connected and ended is not None and ended[0] == 1000),
                "an_unmodified_endpoint_never_removes_its_successor",
                f"{peer.realm} {peer.said} {peer.number}",
            )  # fmt: skip
            if connection is not None and connection in plain:
                self._rule(
                    peer.connected, "the_registry_equals_the_open_connections",
                    f"{peer.realm} {peer.said} {peer.number} left and is registered",
                )  # fmt: skip
            self._check_content(peer)
            self._check_stuck(peer)
        known = {peer.connection for peer in self.peers}
        self._rule(plain <= known, "the_registry_equals_the_open_connections", "unknown ones")
        if self.cap is None:
            people = [connection.who for connection in plain]
            self._rule(len(people) == len(set(people)), "latest_keeps_one", str(people))

    def _registered(self) -> set[PlainConnection]:
        """Those whose `connect` has returned; one whose has not is not ours to judge yet."""
        pending = {id(peer.socket) for peer in self.peers if not peer.connected}
        known = {peer.connection for peer in self.peers}
        return {
            c for c in self.manager._hub.connections.values()
            if isinstance(c, PlainConnection) and (c in known or id(c.websocket) not in pending)
        }  # fmt: skip

    def _check_content(self, peer: Peer) -> None:
        got = len(peer.socket.received)
        self._rule(
            got <= len(peer.expected) and (not got or peer.socket.received == peer.expected[:got]),
            "calls_keep_their_order_and_content",
            f"{peer.said} {peer.number}: {_short(peer.socket.received)} of {_short(peer.expected)}",
        )  # fmt: skip

    def _check_stuck(self, peer: Peer) -> None:
        """Whoever takes nothing for 10 s with something waiting is closed."""
        now = asyncio.get_running_loop().time()
        waits = peer.registered and peer.connection is not None and peer.connection.is_waiting
        if not waits or not peer.socket.stalled:
            peer.stuck_since = None
        elif peer.stuck_since is None:
            peer.stuck_since = now
        else:
            self._rule(
                now - peer.stuck_since < STUCK_S + 2 or self.stalls,
                "a_stuck_peer_is_closed_in_time",
                f"{peer.said} {peer.number} stuck since {peer.stuck_since:.3f}",
            )  # fmt: skip

    def check_at_rest(self) -> None:
        """Nobody stalls any more and nothing is under way: who stayed has everything."""
        self.check()
        for peer in self.peers:
            if peer.registered:
                self._rule(
                    peer.socket.received == peer.expected, "who_stays_gets_everything",
                    f"{peer.said} {peer.number}: {_short(peer.socket.received)} of "
                    f"{_short(peer.expected)}",
                )  # fmt: skip
            elif peer.connection is not None and peer.connection.ended is not None:
                code = peer.connection.ended[0]
                fair = peer.socket.fails or peer.replaced or code != 1006
                self._rule(fair, "only_a_failed_socket_is_lost", f"{peer.said} {peer.number}")

    def flow(self) -> None:
        for peer in self.peers:
            peer.stuck_since = None
            if not peer.socket.fails:
                peer.socket.flow()

    def die(self) -> None:
        for task in self.tasks:
            task.cancel()

    def _rule(self, holds: object, rule: str, what: str) -> None:
        self.oracle.demand(holds, rule, what)

    def _start(self, work: Any) -> asyncio.Task[None]:
        self.tasks = [task for task in self.tasks if not task.done()]
        name = f"plain {len(self.peers)}"
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work, name=name)
        task.add_done_callback(self._over)
        self.tasks.append(task)
        return task

    def _over(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (fault := task.exception()) is not None:
            self._rule(False, "a_baseline_call_never_raises", f"{type(fault).__name__}: {fault}")


def payload(number: int, dice: Random) -> dict[str, Any]:
    size = BIG_BYTES if dice.random() < 0.3 else 0
    return {"type": "news", "n": number, "x": "x" * size}


def _has_room(peer: Peer) -> bool:
    return peer.connection is not None and peer.connection.transport.room() > BIG_BYTES * 2


def _short(payloads: list[Any]) -> str:
    return str([each.get("n", each.get("msg_id")) for each in payloads][-12:])
