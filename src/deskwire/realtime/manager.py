"""ConnectionManager: every open connection of this node, and who each one speaks for.

Used alone, with the baseline's methods, it is the dict of sockets that a FastAPI app already has,
made right. With streams it carries each event of a log to every connection that may watch it.
Invariant: the registry holds exactly the open connections; removing one never touches another.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Literal, TypeAlias

from deskwire import telemetry
from deskwire.realtime import asgi
from deskwire.realtime.bus import Bus, BusState, Notice
from deskwire.realtime.codes import TABLE, Code
from deskwire.realtime.connection import Closed, Hook, StreamConnection
from deskwire.realtime.crowd import Crowd
from deskwire.realtime.frames import Ephemeral, Framed, PayloadError, frame_payload
from deskwire.realtime.gate import ConnectionId, Gate, LoginId, Principal
from deskwire.realtime.hub import Hub
from deskwire.realtime.limits import Limits
from deskwire.realtime.log import Log, Page, Stream
from deskwire.realtime.node import AnyConnection, Node, ports_or_twins
from deskwire.realtime.payload import Payload, Reach
from deskwire.realtime.plain import PlainConnection
from deskwire.realtime.presence import Presence
from deskwire.realtime.tasks import Tasks
from deskwire.realtime.transport import Socket, Transport

_log = telemetry.logger("realtime")

AGENT: Final = "agent"
EMPLOYEE: Final = "employee"
STATUS_FIELDS: Final = ("type", "conv_id", "msg_id", "status")

# Which connection the running task, or one it was started from, has made: (manager, person) → id.
_connected_here: ContextVar[Mapping[tuple[int, Principal], ConnectionId]] = ContextVar(
    "deskwire_connected_here"
)
_manager_numbers = itertools.count()


Find: TypeAlias = Callable[[], Sequence[AnyConnection]]


class Policy(StrEnum):
    """What happens to a person's older plain connections. Streams are always `many`."""

    LATEST = "latest"  # the newest replaces them: 4504
    MANY = "many"  # up to connections_per_person_max; over it the oldest goes with 4505


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """Plain numbers, as they stand; counts are since the start."""

    connections: int
    plain: int
    people: int
    streams: int
    tasks: int
    kept_bytes: int
    access: int
    bus: BusState
    payloads_refused: int
    slow_closed: int
    opened: int
    closed: Mapping[int, int]
    lagged: int
    resumed: int
    events: int
    events_unreadable: int
    pages_read: int
    pages_joined: int
    pages_kept: int
    pages_held: int
    reads_failed: int
    reports_dropped: int
    signs_refused: int


class ConnectionManager:
    """Who is connected, and a way to reach them that never waits for a peer.

    The plain side (`connect`, `send_to_agent`, …) needs no `start`. The stream side does: `start`
    once, `serve` each socket, `ring` after each commit, `drain` and `stop` at the end. All calls
    belong to one event loop; `disconnect` and the views may be used without one.
    """

    def __init__(  # noqa: PLR0913  the public face: all keyword-only, each with its default
        self,
        *,
        policy: Policy = Policy.LATEST,
        connections_per_person_max: int = 10,
        id_key: Callable[[str], str] = str.casefold,
        replaced_code: int = Code.REPLACED,
        on_bad_payload: Literal["log", "raise"] = "log",
        limits: Limits = Limits(),  # noqa: B008  frozen
        log: Log | None = None,
        gate: Gate | None = None,
        bus: Bus | None = None,
        presence: Presence | None = None,
    ) -> None:
        self.tasks = Tasks()
        self.limits = limits
        self._policy = Policy(policy)
        self._per_person_max = connections_per_person_max
        self._id_key = id_key
        self._replaced_code = replaced_code
        self._on_bad_payload = on_bad_payload
        self._number = next(_manager_numbers)
        self._hub: Hub[AnyConnection, StreamConnection] = Hub(
            kept_events=limits.kept_events, kept_bytes=limits.kept_bytes
        )
        self._ports = ports_or_twins(log, gate, bus, presence)
        self._node = Node(self._hub, self.tasks, limits, connections_per_person_max, self._ports)
        self._crowds: dict[str, Crowd[PlainConnection]] = {AGENT: Crowd(), EMPLOYEE: Crowd()}
        self._spelling_warned = False
        self._payload_numbers = itertools.count(1)
        self._payloads_refused = 0
        self._slow_closed = 0
        self.active_connections: Mapping[str, Any] = _PlainView(self, AGENT)
        self.employee_connections: Mapping[str, Any] = _PlainView(self, EMPLOYEE)

    def __repr__(self) -> str:
        return f"<ConnectionManager {self._policy.value} {self._hub!r}>"

    # --- plain: the baseline's methods ----------------------------------------------------------

    async def connect(
        self, agent_id: str, websocket: Any, *, device: str = "", tab: str = ""
    ) -> ConnectionId:
        """Accepts and registers. By default the newest replaces the older ones, which are closed.

        The app has checked Origin and login before. Raises only what `accept` raises.
        """
        return await self._connect(AGENT, agent_id, websocket, device, tab)

    async def connect_employee(
        self, employee_id: str, websocket: Any, *, device: str = "", tab: str = ""
    ) -> ConnectionId:
        """As `connect`, in the other realm."""
        return await self._connect(EMPLOYEE, employee_id, websocket, device, tab)

    def disconnect(self, agent_id: str, websocket: Any | None = None) -> int:
        """Takes connections out of the registry and returns how many; closes nothing.

        With `websocket`: that one. Without: the one the calling task (or one it was started from)
        connected, even if it was replaced since; else all of this person.
        """
        return self._disconnect(AGENT, agent_id, websocket)

    def disconnect_employee(self, employee_id: str, websocket: Any | None = None) -> int:
        """As `disconnect`, in the other realm."""
        return self._disconnect(EMPLOYEE, employee_id, websocket)

    async def send_to_agent(self, agent_id: str, data: Any, *, wait_s: float = 0) -> Reach:
        """To all of this person's connections. Never waits for a peer, never raises for one.

        `wait_s` is for bulk senders: wait up to so long for room for this one person first.
        """
        return await self._send(self._of((self._who(AGENT, agent_id),)), data, wait_s)

    async def send_to_employee(self, employee_id: str, data: Any, *, wait_s: float = 0) -> Reach:
        """As `send_to_agent`, in the other realm."""
        return await self._send(self._of((self._who(EMPLOYEE, employee_id),)), data, wait_s)

    async def broadcast(self, data: Any) -> Reach:
        """To all agents: encoded once, handed out without a suspension point in between."""
        frame = self._encode(data)
        if frame is None:
            return Reach(people=0, connections=0)
        crowd, payload = self._crowds[AGENT], self._payload(frame)
        # Before it is sent: who falls behind by it is apart afterwards.
        others = [*crowd.apart, *self._hub.realm(AGENT)]
        people = len(crowd.people_in_step)
        further = {c.who for c in others} - crowd.people_in_step
        connections = payload.send_to(crowd)
        taken = payload.hand_to(others)
        people += len({c.who for c in taken} & further)
        await self._let_peers_in(payload)
        return Reach(people=people, connections=connections + len(taken))

    async def broadcast_to_employees(self, employee_ids: Collection[str], data: Any) -> Reach:
        """To these employees, each once; an empty list is nobody."""
        people = [self._who(EMPLOYEE, each) for each in employee_ids]
        return await self._send(self._of(people), data)

    async def broadcast_message_status(
        self,
        conv_id: str,
        msg_id: str,
        status: str,
        participant_ids: Collection[str],
        extra: Mapping[str, Any] | None = None,
    ) -> int:
        """To these people in both realms; returns how many distinct ones took it.

        `extra` stands beside the four fields and never overrides them.
        """
        payload = {"type": "message_status", "conv_id": conv_id, "msg_id": msg_id, "status": status}
        payload.update(self._beside_status_fields(extra or {}))
        keys = dict.fromkeys(self._id_key(each) for each in participant_ids)
        people = [Principal(realm, key) for key in keys for realm in (AGENT, EMPLOYEE)]
        reached, _ = await self._reach(self._of(people), payload)
        return len({who.person for who in reached})

    def is_agent_online(self, agent_id: str) -> bool:
        """Has a connection here, or a lease on any node. Decides neither delivery nor fallback."""
        return self._node.is_present(self._who(AGENT, agent_id))

    def is_employee_online(self, employee_id: str) -> bool:
        """As `is_agent_online`, in the other realm."""
        return self._node.is_present(self._who(EMPLOYEE, employee_id))

    # --- streams --------------------------------------------------------------------------------

    async def start(self) -> None:
        """Joins the bus and begins the rounds; ready when it returns. Raises what the ports do."""
        await self._node.start()

    async def serve(
        self, transport: Socket, principal: Principal, login: LoginId, *, until_ms: int
    ) -> Closed | None:
        """Runs one `desk.v1` connection whose handshake was accepted.

        `until_ms` is the login's end (Unix ms). Returns how it ended, or None at once if the
        transport drives itself.
        """
        connection = self._node.open(transport, Principal(*principal), login, until_ms)
        reading = transport.listen(connection.heard, connection.lost)
        if reading is None:
            return None
        try:
            await reading
        finally:
            connection.lost()
        return connection.closed

    def ring(self, stream: Stream, position: int, page: Page | None = None) -> None:
        """Stream has reached `position`. Called after COMMIT; never raises.

        `page` spares a read: the committed events, their `access` read after the COMMIT.
        """
        self._node.ring(stream, position, page)

    def sign(self, ephemeral: Ephemeral, *, except_for: ConnectionId | None = None) -> None:
        """Hands a passing sign to every watcher, here and on other nodes. Never raises."""
        self._node.sign(ephemeral, except_for)

    def is_wanted(self, stream: Stream, word: str) -> bool:
        """Whether a connection of this node that watches the stream named `word` in `wants`."""
        return self._node.is_wanted(stream, word)

    async def kick(self, principal: Principal, code: int = Code.KICKED) -> None:
        """Closes all of this principal's connections, on every node."""
        await self._everywhere(Notice(principal=Principal(*principal), code=int(code)))

    async def end_login(self, login: LoginId, code: int = Code.LOGGED_OUT) -> None:
        """Closes all connections of this login, on every node."""
        await self._everywhere(Notice(login=login, code=int(code)))

    async def recheck(self, principal: Principal) -> None:
        """Rights changed: the gate is asked again, on every node; returns once applied here."""
        await self._everywhere(Notice(principal=Principal(*principal)))

    async def drain(self, window_s: float = 20) -> None:
        """Takes nobody new and sends everybody away in even slices within `window_s`."""
        await self._node.drain(window_s)

    def dismiss(self) -> None:
        """Tells everybody who is left to come back, at once, and waits for nobody."""
        self._node.dismiss()

    async def stop(self) -> None:
        """Closes the rest with 4001, aborts after 2 s, ends every task. Twice is harmless."""
        await self._node.close_all()
        await self._node.stop()
        await self.tasks.close()

    def stats(self) -> Stats:
        node, feed = self._node.counts, self._node.feed
        connections = self._hub.connections
        return Stats(
            connections=len(connections),
            plain=sum(isinstance(c, PlainConnection) for c in connections.values()),
            people=self._hub.people_count,
            streams=len(self._hub.channels),
            tasks=len(self.tasks),
            kept_bytes=self._hub.kept_bytes,
            access=feed.access,
            bus=self._ports.bus.state(),
            payloads_refused=self._payloads_refused,
            slow_closed=self._slow_closed + node.closed.get(Code.SLOW, 0),
            opened=node.opened,
            closed=dict(node.closed),
            lagged=node.lagged,
            resumed=node.resumed,
            events=feed.counts.events,
            events_unreadable=feed.counts.unreadable,
            pages_read=feed.counts.pages_read,
            pages_joined=feed.counts.pages_joined,
            pages_kept=feed.counts.pages_kept,
            pages_held=feed.counts.pages_held,
            reads_failed=feed.counts.reads_failed,
            reports_dropped=node.reports_dropped,
            signs_refused=node.signs_refused,
        )

    def on(self, hook: Callable[[Hook], None]) -> None:
        """Calls `hook` for each stream connection opened, resumed, lagging or closed."""
        self._node.on(hook)

    @property
    def accepting(self) -> bool:
        """False before start, while draining and at the node's bound: refuse upgrades with 503."""
        full = len(self._hub.connections) >= self.limits.connections
        return self._node.running and not self._node.draining and not full

    # --- connecting -----------------------------------------------------------------------------

    async def _connect(
        self, realm: str, person: str, websocket: Any, device: str, tab: str
    ) -> ConnectionId:
        who = self._who(realm, person)
        await asgi.accept(websocket)
        # From here to the end without an await: of two at once, one stays and the other is closed.
        connection_id = ConnectionId(f"c-{secrets.token_hex(8)}")
        transport = self._transport_over(websocket, who)
        connection = PlainConnection(
            connection_id,
            who,
            person,
            websocket,
            transport,
            self._plain_gone,
            close_s=self.limits.close_ms / 1_000,
        )
        connection.device, connection.tab = device, tab
        self._warn_of_spelling(who, person)
        losers = self._losers(who, websocket, device, tab)
        for loser in losers:
            self._hub.remove(loser.id)
        self._hub.add(connection_id, who, connection)
        self._note(who, connection_id, websocket, transport)
        for loser, code in losers.items():
            if loser.websocket is websocket:  # connected again: the same socket stays open
                loser.forget()
            else:
                loser.close(code, TABLE[code].name if code in TABLE else "")
        connection.join(self._crowds[realm])
        return connection_id

    def _transport_over(self, websocket: Any, who: Principal) -> Transport:
        """A socket that is connected again keeps its transport: what waits there goes first."""
        for connection in self._hub.of(who):
            if isinstance(connection, PlainConnection) and connection.websocket is websocket:
                return connection.transport
        return asgi.transport_over(websocket, self.tasks)

    def _losers(
        self, who: Principal, websocket: Any, device: str, tab: str
    ) -> dict[PlainConnection, int]:
        """Which of this person's plain connections make way for the newcomer, and why."""
        mine = [c for c in self._hub.of(who) if isinstance(c, PlainConnection)]
        if self._policy is Policy.LATEST:
            return dict.fromkeys(mine, self._replaced_code)
        again = [
            c
            for c in mine
            if c.websocket is websocket or (tab and (c.device, c.tab) == (device, tab))
        ]
        others = [c for c in mine if c not in again]
        over = max(0, len(others) + 1 - self._per_person_max)
        return {
            **dict.fromkeys(again, self._replaced_code),
            **dict.fromkeys(others[:over], int(Code.TOO_MANY_CONNECTIONS)),
        }

    def _note(
        self,
        who: Principal,
        connection_id: ConnectionId,
        websocket: Any,
        transport: Transport,
    ) -> None:
        """Remembers which task connected whom, for `disconnect` without a socket and for abort."""
        noted = dict(_connected_here.get({}))
        over_asgi = transport if isinstance(transport, asgi.AsgiTransport) else None
        if over_asgi is not None and not noted and asgi.is_starlette(websocket):
            # The endpoint's task, as far as we can tell: it has connected nobody else.
            over_asgi.ends(asyncio.current_task())
        noted[self._number, who] = connection_id
        _connected_here.set(noted)

    def _disconnect(self, realm: str, person: str, websocket: Any | None) -> int:
        who = self._who(realm, person)
        mine = [c for c in self._hub.of(who) if isinstance(c, PlainConnection)]
        if websocket is not None:
            mine = [c for c in mine if c.websocket is websocket]
        else:
            noted = _connected_here.get({}).get((self._number, who))
            if noted is not None:
                mine = [c for c in mine if c.id == noted]
        for connection in mine:
            self._hub.remove(connection.id)
            connection.forget()
        return len(mine)

    def _plain_gone(self, connection: PlainConnection) -> None:
        """It failed or was closed as slow: exactly this one leaves the registry."""
        self._hub.remove(connection.id)
        if connection.ended is not None and connection.ended[0] == Code.SLOW:
            self._slow_closed += 1

    def _warn_of_spelling(self, who: Principal, said: str) -> None:
        """Two people whose ids differ in case only would share their messages: say so once."""
        known = {c.said_id for c in self._hub.of(who) if isinstance(c, PlainConnection)} - {said}
        if known and not self._spelling_warned:
            self._spelling_warned = True
            _log.warning("ids_differ_in_spelling", setting="id_key", ids=(*known, said))

    def _who(self, realm: str, person: str) -> Principal:
        # A dict took any key: an app with numbers for ids keeps working.
        return Principal(realm, self._id_key(person if isinstance(person, str) else str(person)))

    # --- sending --------------------------------------------------------------------------------

    def _of(self, people: Collection[Principal]) -> Find:
        """Their connections, each once, as they are when the payload goes out."""
        return lambda: [c for who in dict.fromkeys(people) for c in self._hub.of(who)]

    async def _send(self, find: Find, data: Any, wait_s: float = 0) -> Reach:
        reached, connections = await self._reach(find, data, wait_s)
        return Reach(people=len(reached), connections=connections)

    async def _reach(
        self, find: Find, data: Any, wait_s: float = 0
    ) -> tuple[Collection[Principal], int]:
        """Who took it, and with how many connections together."""
        frame = self._encode(data)
        if frame is None:
            return (), 0
        if wait_s > 0:
            await self._wait_for_room(find(), len(frame.json), wait_s)
        payload = self._payload(frame)
        taken = payload.hand_to(find())
        await self._let_peers_in(payload)
        return {c.who for c in taken}, len(taken)

    async def _let_peers_in(self, payload: Payload) -> None:
        """A sender that never lets go would keep the peers from being written to."""
        if payload.crowded:
            await asyncio.sleep(0)

    def _payload(self, frame: Framed) -> Payload:
        return Payload(frame, f"plain:{self._node.id}:{next(self._payload_numbers)}")

    async def _wait_for_room(
        self, connections: Sequence[AnyConnection], size: int, wait_s: float
    ) -> None:
        plain = [c for c in connections if isinstance(c, PlainConnection)]
        await asyncio.gather(*(c.wait_for_room(size, wait_s) for c in plain))

    def _encode(self, data: Any) -> Framed | None:
        """Before any connection is touched: a payload that cannot be carried is its caller's."""
        try:
            return frame_payload(data)
        except PayloadError as fault:
            self._payloads_refused += 1
            if self._on_bad_payload == "raise":
                raise
            _log.error("payload_refused", path=fault.path, fault=str(fault), exc_info=True)
            return None

    def _beside_status_fields(self, extra: Mapping[str, Any]) -> dict[str, Any]:
        clashing = sorted(key for key in extra if key in STATUS_FIELDS)
        if clashing:
            _log.warning("status_fields_not_overridden", keys=clashing)
        return {key: value for key, value in extra.items() if key not in STATUS_FIELDS}

    async def _everywhere(self, notice: Notice) -> None:
        self._node.publish(notice)
        await self._node.act_on(notice)


class _PlainView(Mapping[str, Any]):
    """A realm's plain connections as the baseline's dict: id → its newest WebSocket. Read-only.

    Looked up by `id_key`; iteration gives the spelling last used.
    """

    def __init__(self, manager: ConnectionManager, realm: str) -> None:
        self._manager = manager
        self._realm = realm

    def __getitem__(self, person: str) -> Any:
        found = self._newest(self._manager._who(self._realm, person))  # noqa: SLF001  its own view
        if found is None:
            raise KeyError(person)
        return found.websocket

    def __iter__(self) -> Iterator[str]:
        hub = self._manager._hub  # noqa: SLF001  its own view
        newest = (self._newest(who) for who in hub.people(self._realm))
        return iter([connection.said_id for connection in newest if connection is not None])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return repr(dict(self))

    def _newest(self, who: Principal) -> PlainConnection | None:
        hub = self._manager._hub  # noqa: SLF001  its own view
        plain = [c for c in hub.of(who) if isinstance(c, PlainConnection)]
        return plain[-1] if plain else None


manager = ConnectionManager()
