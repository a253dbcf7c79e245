"""The asyncio shell around one connection: carries out what its delivery returns."""

from __future__ import annotations

from dataclasses import dataclass

from deskwire.realtime.gate import ConnectionId, Principal
from deskwire.realtime.log import Stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    connection: ConnectionId
    who: Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """A watch took up where its client had stood."""

    connection: ConnectionId
    who: Principal
    stream: Stream
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lagging:
    """A watch ran out of room and is paged from the log."""

    connection: ConnectionId
    who: Principal
    stream: Stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """How a connection ended. `code` 1006: the peer was gone before any close was begun."""

    connection: ConnectionId
    who: Principal
    code: int
    why: str


Hook = Opened | Resumed | Lagging | Closed
