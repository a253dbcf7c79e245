"""ConnectionManager: every open connection of this node, and who each one speaks for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from deskwire.realtime.bus import Bus
from deskwire.realtime.connection import Closed, Hook
from deskwire.realtime.frames import Ephemeral
from deskwire.realtime.gate import ConnectionId, Gate, LoginId, Principal
from deskwire.realtime.log import Log, Page, Stream
from deskwire.realtime.presence import Presence
from deskwire.realtime.transport import Transport


class Policy(StrEnum):
    LATEST = "latest"  # the newest connection of a person replaces the older ones
    MANY = "many"  # up to connections_per_person_max; over it the longest unheard one goes


@dataclass(frozen=True, slots=True)
class Reach:
    """How many a send reached: handed to the transport or queued. Says nothing of arrival."""

    people: int
    connections: int

    def __bool__(self) -> bool:
        return self.connections > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Every bound of a connection and of a node; realtime's one place for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """Plain numbers, as they stand."""

    connections: int
    people: int
    streams: int


class ConnectionManager:
    def __init__(  # noqa: PLR0913  the public face: all keyword-only, each with its default
        self,
        *,
        policy: Policy = Policy.LATEST,
        connections_per_person_max: int = 10,
        id_key: Callable[[str], str] = str.casefold,
        replaced_code: int = 4504,
        on_bad_payload: Literal["log", "raise"] = "log",
        limits: Limits = Limits(),
        log: Log | None = None,
        gate: Gate | None = None,
        bus: Bus | None = None,
        presence: Presence | None = None,
    ) -> None: ...

    # plain
    async def connect(
        self, agent_id: str, websocket: Any, *, device: str = "", tab: str = ""
    ) -> ConnectionId:
        raise NotImplementedError

    def disconnect(self, agent_id: str, websocket: Any | None = None) -> int:
        raise NotImplementedError

    async def send_to_agent(self, agent_id: str, data: Any, *, wait_s: float = 0) -> Reach:
        raise NotImplementedError

    async def broadcast(self, data: Any) -> Reach:
        raise NotImplementedError

    async def broadcast_to_employees(self, employee_ids: Collection[str], data: Any) -> Reach:
        raise NotImplementedError

    async def broadcast_message_status(
        self,
        conv_id: str,
        msg_id: str,
        status: str,
        participant_ids: Collection[str],
        extra: Mapping[str, Any] | None = None,
    ) -> int:
        raise NotImplementedError

    # stream
    async def start(self) -> None:
        """Joins the bus and starts tick, sweep and timers; ready after the first tick."""
        raise NotImplementedError

    async def serve(
        self, transport: Transport, principal: Principal, login: LoginId, *, until_ms: int
    ) -> Closed | None:
        """Runs one desk.v1 connection to its end; `until_ms` is the login's end, Unix ms."""
        raise NotImplementedError

    def ring(self, stream: Stream, position: int, page: Page | None = None) -> None:
        """Stream has reached `position`. Called after COMMIT; never raises."""
        raise NotImplementedError

    def sign(self, ephemeral: Ephemeral, *, except_for: ConnectionId | None = None) -> None:
        """Hands a passing sign to every watcher, here and on other nodes."""
        raise NotImplementedError

    async def kick(self, principal: Principal, code: int = 4506) -> None:
        raise NotImplementedError

    async def end_login(self, login: LoginId, code: int = 4507) -> None:
        raise NotImplementedError

    async def recheck(self, principal: Principal) -> None:
        """Rights changed: asks the gate again for all this principal watches."""
        raise NotImplementedError

    async def drain(self, window_s: float = 20) -> None:
        raise NotImplementedError

    async def stop(self) -> None:
        raise NotImplementedError

    def stats(self) -> Stats:
        raise NotImplementedError

    def on(self, hook: Callable[[Hook], None]) -> None:
        raise NotImplementedError

    @property
    def accepting(self) -> bool:
        """False while draining, stopped or at the node's bound: refuse upgrades with 503."""
        raise NotImplementedError


manager = ConnectionManager()
