"""The Gate.

May I watch this stream? Asked by the manager, answered by `desk/access` on today's rows.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from deskwire.desk import access
from deskwire.desk import events as ev
from deskwire.desk.people import Actor, PersonId, Principal, Realm
from deskwire.desk.refusals import Refusal
from deskwire.realtime import gate as port
from deskwire.realtime.frames import Ephemeral
from deskwire.storage import conversations, log, logins, people
from deskwire.storage.engine import Store, StoreUnavailable
from deskwire.storage.gathering import Gathering

Reported = Callable[[Sequence[port.Report]], Awaitable[None]]
LookedIn = Callable[[Principal, str], Awaitable[Refusal | None]]
Signs = Callable[[ev.Stream], Awaitable[Sequence[Ephemeral]]]


class DeskGate:
    """The desk's answers to the manager.

    `signs` says how a stream's passing signs stand; what clients report goes to each of `reported`.
    `looked_in` records that an admin from outside is about to be shown a conversation.
    """

    def __init__(
        self, store: Store, *, signs: Signs, reported: Sequence[Reported], looked_in: LookedIn
    ) -> None:
        self._store = store
        self._looked_in = looked_in
        self._signs = signs
        self._reported = reported
        self._arrivals = Gathering(self._permit_all)

    async def permits(
        self, who: port.Principal, login: port.LoginId, streams: Collection[str]
    ) -> port.Permits:
        """What `who` may see of each stream, and the access number of the same moment.

        All who ask while one read is under way share the next.
        """
        arrival = _Arrival(_principal(who), login, tuple(streams))
        answer = await self._arrivals.ask(arrival)
        for conv_id in answer.looks_into:
            refusal = await self._looked_in(arrival.who, conv_id)
            if refusal is not None:  # asked again, by and by: unrecorded it is not shown
                raise StoreUnavailable(f"not recorded: {refusal.code}")
        return answer.permits

    async def _permit_all(self, arrivals: Sequence[_Arrival]) -> Sequence[_Answer]:
        async with self._store.reading() as conn:
            number = await log.access_number(conn)
            actors = await people.actors(conn, {each.who for each in arrivals})
            records = await logins.by_ids(conn, {each.login for each in arrivals})
            conv_ids = {conv for each in arrivals for conv in each.conversations}
            sights = await conversations.sights(conn, conv_ids)
        answers = []
        for each in arrivals:
            actor, record = actors.get(each.who), records.get(each.login)
            # When a login runs out is the manager's to watch.
            is_live = record and record.principal == each.who and record.revoked is None
            permits: Mapping[str, port.Permit | None] = dict.fromkeys(each.streams)
            if actor is not None and is_live:
                permits = {name: _permit(actor, name, sights) for name in each.streams}
            looks_into = _from_outside(actor, permits, sights) if actor else ()
            answers.append(_Answer(port.Permits(permits=permits, access=number), looks_into))
        return answers

    async def narrowed(self, since: int) -> port.Narrowed:
        """Who lost sight of what after `since`."""
        async with self._store.reading() as conn:
            number = await log.access_number(conn)
            losses = await logins.losses_since(conn, since) if since >= 0 else []
        return port.Narrowed(access=number, losses=tuple(_loss(found) for found in losses))

    async def logins(self, ids: Collection[port.LoginId]) -> Mapping[port.LoginId, port.LoginState]:
        async with self._store.reading() as conn:
            found = await logins.ends(conn, ids)
        return {port.LoginId(login_id): _state(end) for login_id, end in found.items()}

    async def signs(self, stream: str) -> Sequence[Ephemeral]:
        return await self._signs(ev.Stream(stream))

    async def report(self, reports: Sequence[port.Report]) -> None:
        for reported in self._reported:
            await reported(reports)


@dataclass(frozen=True, slots=True)
class _Arrival:
    """One question of the manager."""

    who: Principal
    login: port.LoginId
    streams: tuple[str, ...]

    @property
    def conversations(self) -> list[str]:
        found = (access.conversation_of(ev.Stream(name)) for name in self.streams)
        return [conv for conv in found if conv is not None]


@dataclass(frozen=True, slots=True)
class _Answer:
    """The permits, and the conversations that are looked into from outside with them."""

    permits: port.Permits
    looks_into: Sequence[str]


def _from_outside(
    actor: Actor, permits: Mapping[str, port.Permit | None], sights: Mapping[str, access.Sight]
) -> Sequence[str]:
    given = (access.conversation_of(ev.Stream(name)) for name, permit in permits.items() if permit)
    return sorted(
        {conv for conv in given if conv and access.looks_in_from_outside(actor, sights[conv])}
    )


def _permit(actor: Actor, name: str, sights: Mapping[str, access.Sight]) -> port.Permit | None:
    conv = access.conversation_of(ev.Stream(name))
    bounds = access.sees(actor, ev.Stream(name), sights.get(conv) if conv else None)
    return port.Permit(after=bounds.after, until=bounds.until) if bounds else None


def _state(end: logins.LoginEnd) -> port.LoginState:
    return port.LoginState(until_ms=end.expires, ended=_ended(end))


def _ended(end: logins.LoginEnd) -> str | None:
    if end.disabled_at is not None or end.why == logins.KICKED:
        return "disabled"
    return "logged_out" if end.revoked else None


def _loss(found: logins.Loss) -> port.Loss:
    return port.Loss(
        principal=port.Principal(*found.principal) if found.principal else None,
        login=port.LoginId(found.login_id) if found.login_id else None,
        stream=found.stream,
        why=found.why,
    )


def _principal(who: port.Principal) -> Principal:
    return Principal(Realm(who.realm), PersonId(who.person))
