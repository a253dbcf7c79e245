"""The Gate.

May I watch this stream? Asked by the manager, answered by `desk/access` on today's rows.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

from deskwire.desk import access
from deskwire.desk import events as ev
from deskwire.desk.people import Actor, PersonId, Principal, Realm
from deskwire.realtime import gate as port
from deskwire.realtime.frames import Ephemeral
from deskwire.storage import conversations, logins, people
from deskwire.storage.engine import Store, Transaction

Reported = Callable[[Sequence[port.Report]], Awaitable[None]]
Signs = Callable[[ev.Stream], Awaitable[Sequence[Ephemeral]]]


class DeskGate:
    """The desk's answers to the manager.

    `signs` says how a stream's passing signs stand; what clients report goes to each of `reported`.
    """

    def __init__(self, store: Store, *, signs: Signs, reported: Sequence[Reported]) -> None:
        self._store = store
        self._signs = signs
        self._reported = reported

    async def permits(
        self, who: port.Principal, login: port.LoginId, streams: Collection[str]
    ) -> port.Permits:
        """What `who` may see of each stream, and the access number of the same moment."""
        async with self._store.reading() as conn:
            number = await logins.access_number(conn)
            actor = await people.actor(conn, _principal(who))
            if actor is None or not await _is_live(conn, actor.principal, login):
                return port.Permits(permits=dict.fromkeys(streams), access=number)
            permits = await _permits(conn, actor, streams)
        return port.Permits(permits=permits, access=number)

    async def narrowed(self, since: int) -> port.Narrowed:
        """Who lost sight of what after `since`."""
        async with self._store.reading() as conn:
            number = await logins.access_number(conn)
            losses = await logins.losses_since(conn, since) if since >= 0 else []
        return port.Narrowed(access=number, losses=tuple(_loss(found) for found in losses))

    async def logins(self, ids: Collection[port.LoginId]) -> Mapping[port.LoginId, port.LoginState]:
        async with self._store.reading() as conn:
            found = await logins.by_ids(conn, ids)
        return {port.LoginId(login_id): _state(record) for login_id, record in found.items()}

    async def signs(self, stream: str) -> Sequence[Ephemeral]:
        return await self._signs(ev.Stream(stream))

    async def report(self, reports: Sequence[port.Report]) -> None:
        for reported in self._reported:
            await reported(reports)


async def _permits(
    conn: Transaction, actor: Actor, streams: Collection[str]
) -> dict[str, port.Permit | None]:
    of = {name: access.conversation_of(ev.Stream(name)) for name in streams}
    sights = await conversations.sights(conn, {conv for conv in of.values() if conv is not None})
    permits: dict[str, port.Permit | None] = {}
    for name, conv in of.items():
        bounds = access.sees(actor, ev.Stream(name), sights.get(conv) if conv else None)
        permits[name] = port.Permit(after=bounds.after, until=bounds.until) if bounds else None
    return permits


async def _is_live(conn: Transaction, who: Principal, login: port.LoginId) -> bool:
    """Whether this login is theirs and stands. When it runs out is the manager's to watch."""
    record = (await logins.by_ids(conn, [login])).get(login)
    return record is not None and record.principal == who and record.revoked is None


def _state(record: logins.LoginRecord) -> port.LoginState:
    ended = "logged_out" if record.revoked else "disabled" if record.is_disabled else None
    return port.LoginState(until_ms=record.expires, ended=ended)


def _loss(found: logins.Loss) -> port.Loss:
    return port.Loss(
        principal=port.Principal(*found.principal) if found.principal else None,
        login=port.LoginId(found.login_id) if found.login_id else None,
        stream=found.stream,
        why=found.why,
    )


def _principal(who: port.Principal) -> Principal:
    return Principal(Realm(who.realm), PersonId(who.person))
