"""Bugs of the baseline and its kin, put back into the plain side."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Any

from deskwire.realtime import asgi
from deskwire.realtime.gate import ConnectionId, Principal
from deskwire.realtime.manager import AGENT, EMPLOYEE, ConnectionManager, Find
from deskwire.realtime.payload import AnyConnection, Reach
from deskwire.realtime.plain import PlainConnection
from tests.simulation.runs import Patches


def removal_by_person(patches: Patches) -> None:
    def disconnect(self: ConnectionManager, realm: str, person: str, websocket: Any | None) -> int:
        del websocket
        mine = _plain_of(self, self._who(realm, person))
        for connection in mine:
            self._hub.remove(connection.id)
            connection.forget()
        return len(mine)

    patches.set(ConnectionManager, "_disconnect", disconnect)


def a_failed_send_removes_the_newest(patches: Patches) -> None:
    def gone(self: ConnectionManager, connection: PlainConnection) -> None:
        for newest in _plain_of(self, connection.who)[-1:]:
            self._hub.remove(newest.id)

    patches.set(ConnectionManager, "_plain_gone", gone)


def _connect_with(patches: Patches, *, awaits_old_close: bool) -> None:
    async def connect(
        self: ConnectionManager, realm: str, person: str, websocket: Any, device: str, tab: str
    ) -> ConnectionId:
        who = self._who(realm, person)
        await asgi.accept(websocket)
        losers = self._losers(who, websocket, device, tab)
        if awaits_old_close:
            for loser in losers:
                loser.close(4504, "replaced")
                while not loser.websocket.closed and not loser.websocket.fails:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        else:
            await asyncio.sleep(0)
        connection_id = ConnectionId(f"c-{id(websocket)}")
        transport = asgi.transport_over(websocket, self.tasks)
        connection = PlainConnection(
            connection_id, who, person, websocket, transport, self._plain_gone, close_s=1.0
        )
        for loser in losers:
            self._hub.remove(loser.id)
        self._hub.add(connection_id, who, connection)
        self._note(who, connection_id, websocket, transport)
        for loser, code in losers.items():
            loser.close(code, "")
        connection.join(self._crowds[realm])
        return connection_id

    patches.set(ConnectionManager, "_connect", connect)


def an_await_between_check_and_register(patches: Patches) -> None:
    _connect_with(patches, awaits_old_close=False)


def the_old_close_is_awaited_first(patches: Patches) -> None:
    _connect_with(patches, awaits_old_close=True)


def ids_differ_by_case_at_one_border(patches: Patches) -> None:
    async def to_employees(self: ConnectionManager, ids: Collection[str], data: Any) -> Reach:
        return await self._send(self._of([Principal(EMPLOYEE, each) for each in ids]), data)

    patches.set(ConnectionManager, "broadcast_to_employees", to_employees)


def removed_but_never_closed(patches: Patches) -> None:
    close = PlainConnection.close

    def forgetful(self: PlainConnection, code: int, reason: str) -> None:
        if code not in (4504, 4505):
            close(self, code, reason)

    patches.set(PlainConnection, "close", forgetful)


def one_copy_for_both_realms(patches: Patches) -> None:
    of = ConnectionManager._of

    def first_realm(self: ConnectionManager, people: Collection[Principal]) -> Find:
        agents = {who.person for who in people if who.realm == AGENT and self._hub.of(who)}
        return of(self, [who for who in people if who.realm == AGENT or who.person not in agents])

    patches.set(ConnectionManager, "_of", first_realm)


def a_repeated_recipient_gets_two(patches: Patches) -> None:
    def each_named(self: ConnectionManager, people: Collection[Principal]) -> Find:
        return lambda: [c for who in people for c in self._hub.of(who)]

    patches.set(ConnectionManager, "_of", each_named)


def _reach_one_by_one(patches: Patches, *, waits: bool) -> None:
    async def reach(
        self: ConnectionManager, find: Find, data: Any, wait_s: float = 0
    ) -> tuple[Collection[Principal], int]:
        del wait_s
        frame = self._encode(data)
        taken: list[AnyConnection] = []
        for connection in find() if frame is not None else ():
            assert frame is not None
            taken += self._payload(frame).hand_to([connection])
            await asyncio.sleep(0)
            if waits and isinstance(connection, PlainConnection):
                while connection.is_waiting and connection.ended is None:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        return {c.who for c in taken}, len(taken)

    _broadcast_by_reach(patches)
    patches.set(ConnectionManager, "_reach", reach)


def _broadcast_by_reach(patches: Patches) -> None:
    """As the baseline: a broadcast is a send to each of a realm."""

    async def broadcast(self: ConnectionManager, data: Any) -> Reach:
        return await self._send(self._of(self._hub.people(AGENT)), data)

    patches.set(ConnectionManager, "broadcast", broadcast)


def sends_are_awaited_one_by_one(patches: Patches) -> None:
    _reach_one_by_one(patches, waits=True)


def no_deadline_on_a_stalled_peer(patches: Patches) -> None:
    patches.set(PlainConnection, "_watch_the_clock", lambda _: None)


def an_unencodable_payload_unmaps(patches: Patches) -> None:
    reach = ConnectionManager._reach

    async def unmapping(
        self: ConnectionManager, find: Find, data: Any, wait_s: float = 0
    ) -> tuple[Collection[Principal], int]:
        if self._encode(data) is None:
            for connection in find():
                if isinstance(connection, PlainConnection):
                    self._hub.remove(connection.id)
        return await reach(self, find, data, wait_s)

    _broadcast_by_reach(patches)
    patches.set(ConnectionManager, "_reach", unmapping)


def a_cancelled_fan_out_leaves_the_rest(patches: Patches) -> None:
    _reach_one_by_one(patches, waits=False)


def extra_overrides(patches: Patches) -> None:
    def beside(self: ConnectionManager, extra: Mapping[str, Any]) -> dict[str, Any]:
        del self
        return dict(extra)

    patches.set(ConnectionManager, "_beside_status_fields", beside)


def _plain_of(manager: ConnectionManager, who: Principal) -> list[PlainConnection]:
    return [c for c in manager._hub.of(who) if isinstance(c, PlainConnection)]
