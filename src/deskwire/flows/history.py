"""What has been: steps and reasons, recalled texts, figures; and who has looked in from outside.

Whoever is shown something that is recorded is shown it after the COMMIT of its record.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, TypeAlias

from deskwire.desk import access
from deskwire.desk.commands import RecordInspection
from deskwire.desk.people import Actor, Principal, Realm
from deskwire.desk.refusals import Code, Refusal
from deskwire.flows.execute import Execute
from deskwire.storage import audit, conversations, figures, people
from deskwire.storage.engine import Store, Transaction

Figures: TypeAlias = figures.Figures
Original: TypeAlias = audit.Original

HOUR_MS = 3600 * 1000


class History:
    """Answers as one principal may see them; a refusal where they may not."""

    def __init__(
        self, store: Store, *, execute: Execute, now: Callable[[], int], new_id: Callable[[], str]
    ) -> None:
        self._store = store
        self._execute = execute
        self._now = now
        self._new_id = new_id

    async def opened(self, who: Principal, conv_id: str) -> Refusal | None:
        """Somebody is about to be shown a conversation: an admin from outside is recorded first.

        A refusal means: do not show it. Of what they may not see nothing is recorded.
        """
        if who.realm is not Realm.AGENT:
            return None
        async with self._store.reading() as conn:
            actor = await people.actor(conn, who)
            if actor is None or not actor.is_admin:
                return None
            sight = (await conversations.sights(conn, [conv_id])).get(conv_id)
        if sight is None or not access.looks_in_from_outside(actor, sight):
            return None
        return await self.looked_in(who, conv_id)

    async def looked_in(self, who: Principal, conv_id: str) -> Refusal | None:
        """Record that this admin has opened a conversation: once an hour, however often."""
        command_id = f"inspection:{conv_id}:{self._now() // HOUR_MS}"
        return await self._record(who, command_id, conv_id, None)

    async def original(self, who: Principal, msg_id: str) -> Original | Refusal:
        """What was recalled, for an admin; each look is recorded."""
        async with self._store.reading() as conn:
            conv_id = await audit.conversation_of(conn, msg_id)
            refusal = await _unless(conn, who, access.Action.SEE_ORIGINAL, conv_id)
            if refusal is not None or await audit.original(conn, msg_id) is None:
                return refusal or Refusal(Code.NOT_FOUND)
        assert conv_id is not None
        refusal = await self._record(who, self._new_id(), conv_id, msg_id)
        if refusal is not None:
            return refusal
        async with self._store.reading() as conn:
            return await audit.original(conn, msg_id) or Refusal(Code.NOT_FOUND)

    async def steps(
        self, who: Principal, conv_id: str, *, after: int, limit: int
    ) -> dict[str, Any] | Refusal:
        """What became of a conversation and why, for its staff."""
        refusal = await self.opened(who, conv_id)
        if refusal is not None:
            return refusal
        async with self._store.reading() as conn:
            refusal = await _unless(conn, who, access.Action.SEE_STAFF, conv_id)
            return refusal or await audit.steps(conn, conv_id, after=after, limit=limit)

    async def figures(
        self, who: Principal, start: int, end: int
    ) -> AsyncIterator[Sequence[Figures]] | Refusal:
        """The conversations opened from `start` and before `end`, a page at a time.

        Of the groups that this principal supervises. The store may fail between two pages: that is
        raised out of the iterator.
        """
        async with self._store.reading() as conn:
            actor = await people.actor(conn, who)
        groups = _supervised(actor) if actor else ()
        if groups is not None and not groups:
            return Refusal(Code.NOT_ALLOWED)

        async def page(after: _After) -> Sequence[Figures]:
            async with self._store.reading() as conn:
                return await figures.opened_between(
                    conn, groups=groups, start=start, end=end, after=after
                )

        return _following(await page(None), page)

    async def _record(
        self, who: Principal, command_id: str, conv_id: str, msg_id: str | None
    ) -> Refusal | None:
        command = RecordInspection(conv=conv_id, msg_id=msg_id)
        answer = await self._execute.run(who, command_id, command)
        return answer if isinstance(answer, Refusal) else None


_After: TypeAlias = tuple[int, str] | None


async def _following(
    first: Sequence[Figures], page: Callable[[_After], Awaitable[Sequence[Figures]]]
) -> AsyncIterator[Sequence[Figures]]:
    some = first
    while some:
        yield some
        last = some[-1]
        is_more = len(some) == figures.PAGE_MAX
        some = await page((last.opened_at, last.conv_id)) if is_more else ()


def _supervised(actor: Actor) -> Sequence[str] | None:
    """The groups whose conversations may be exported; none: all of them."""
    return None if actor.is_admin else sorted(filter(actor.supervises, actor.groups))


async def _unless(
    conn: Transaction, who: Principal, action: access.Action, conv_id: str | None
) -> Refusal | None:
    """The refusal, unless this principal may: they see the conversation at all, or they do not."""
    actor = await people.actor(conn, who)
    sight = (await conversations.sights(conn, [conv_id])).get(conv_id) if conv_id else None
    if actor is None or sight is None or not access.may(actor, access.Action.SEE_PUBLIC, sight):
        return Refusal(Code.NOT_FOUND)
    return None if access.may(actor, action, sight) else Refusal(Code.NOT_ALLOWED)
