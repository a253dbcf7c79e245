"""Why has it not arrived? An admin asks for a message's way to each of its readers.

Looking in from outside is recorded first, as every look is. Whether somebody has a connection is
said as it is now; it decides nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from deskwire.desk import access
from deskwire.desk.people import Presence, Principal, Realm
from deskwire.desk.refusals import Code, Refusal
from deskwire.realtime import gate as port
from deskwire.realtime import presence as leases
from deskwire.storage import agents, audit, conversations, office, people, trace
from deskwire.storage.due import Clock
from deskwire.storage.engine import Store, Transaction
from deskwire.storage.trace import Reader, Traced


class Traces:
    """Answers admins. `looked_in` records that somebody is about to be shown a conversation.

    `is_partial`: another node may have employees' connections that `registry` does not know of.
    """

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock,
        registry: leases.Presence,
        is_partial: bool,
        looked_in: Callable[[Principal, str], Awaitable[Refusal | None]],
    ) -> None:
        self._store = store
        self._clock = clock
        self._registry = registry
        self._is_partial = is_partial
        self._looked_in = looked_in

    async def of(self, who: Principal, msg_id: str) -> Mapping[str, Any] | Refusal:
        """Each reader's socket, acknowledgement and pushes."""
        async with self._store.reading() as conn:
            conv_id = await audit.conversation_of(conn, msg_id)
            refusal = await _unless(conn, who, conv_id)
        if refusal is not None or conv_id is None:
            return refusal or Refusal(Code.NOT_FOUND)
        refusal = await self._looked_in(who, conv_id)
        if refusal is not None:
            return refusal
        async with self._store.reading() as conn:
            found = await trace.trace(conn, msg_id)
            sockets = await self._agents(conn, found.readers) if found else {}
        if found is None:
            return Refusal(Code.NOT_FOUND)
        return self._told(found, sockets | await self._employees(found.readers))

    async def _agents(
        self, conn: Transaction, readers: Sequence[Reader]
    ) -> dict[Principal, Presence]:
        ids = [each.who.person for each in readers if each.who.realm is Realm.AGENT]
        grace_s = (await office.settings(conn)).presence_grace_s
        found = await agents.read(conn, ids, grace_s=grace_s, now=await self._clock.now(conn))
        return {Principal(Realm.AGENT, each.id): each.presence for each in found}

    async def _employees(self, readers: Sequence[Reader]) -> dict[Principal, Presence]:
        them = [each.who for each in readers if each.who.realm is Realm.EMPLOYEE]
        states = await self._registry.of([port.Principal(*who) for who in them])
        return {who: Presence(states[port.Principal(*who)]) for who in them}

    def _told(self, found: Traced, sockets: Mapping[Principal, Presence]) -> Mapping[str, Any]:
        return {
            **asdict(found),
            "readers": [
                self._reader(each, sockets.get(each.who, Presence.LOST)) for each in found.readers
            ],
        }

    def _reader(self, each: Reader, socket: Presence) -> Mapping[str, Any]:
        more = asdict(each)
        realm, person = more.pop("who")
        return {
            "principal": {"realm": realm.value, "id": person},
            "socket": socket.value,
            "partial": self._is_partial and realm is Realm.EMPLOYEE,
            **more,
        }


async def _unless(conn: Transaction, who: Principal, conv_id: str | None) -> Refusal | None:
    """The refusal, unless this principal administers: who does not see it learns of nothing."""
    actor = await people.actor(conn, who)
    sight = (await conversations.sights(conn, [conv_id])).get(conv_id) if conv_id else None
    if actor is None or sight is None or not access.may(actor, access.Action.SEE_PUBLIC, sight):
        return Refusal(Code.NOT_FOUND)
    is_admin = access.has_duty(actor, access.Duty.ADMINISTER)
    return None if is_admin else Refusal(Code.NOT_ALLOWED)
