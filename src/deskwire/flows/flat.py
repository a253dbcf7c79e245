"""The flat form `message_status`, for connections that asked for it: events and marks → signs.

Told one after the other by one task, which looks at the messages anew before it tells: so nothing
follows `recalled` or `deleted`, and for one message and person the status never falls. Nothing is
kept; a sign that is lost is lost.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any, Final

from deskwire import telemetry
from deskwire.desk import access
from deskwire.desk import events as ev
from deskwire.desk.events import Event, MarkRise, flat_status
from deskwire.desk.marks import Rise
from deskwire.desk.messages import Said
from deskwire.desk.people import LOGIN_REALMS, Principal, Realm
from deskwire.realtime.frames import Ephemeral
from deskwire.storage import conversations, said
from deskwire.storage.engine import Store, Transaction, surviving, uncut

WORD: Final = "flat"
TYPE: Final = "message_status"
WAITING_MAX: Final = 1_000
AT_ONCE_MAX: Final = 64

_log = telemetry.logger("flows")


class FlatForm:
    """Takes what has happened after its COMMIT, in that order; `run` tells it.

    `sign` hands a sign out; `is_wanted(stream)` says whether anybody here asked for the flat form
    of this stream.
    """

    def __init__(
        self,
        store: Store,
        *,
        sign: Callable[[Ephemeral], None],
        is_wanted: Callable[[str], bool],
        waiting_max: int = WAITING_MAX,
    ) -> None:
        self._store = store
        self._sign = sign
        self._is_wanted = is_wanted
        self._waiting_max = waiting_max
        self._waiting: deque[Event | Rise] = deque()
        self._some = asyncio.Event()

    def happened(self, sources: Iterable[Event | Rise]) -> None:
        """Take events and marks. Returns at once; at the bound the oldest is not told."""
        for source in sources:
            if source.conv is None or not self._is_wanted(ev.conv_stream(source.conv)):
                continue
            if isinstance(source, Event) and not flat_status(source, Realm.AGENT):
                continue
            if len(self._waiting) == self._waiting_max:
                self._waiting.popleft()
                _log.warning("flat_status_dropped")
            self._waiting.append(source)
            self._some.set()

    async def run(self) -> None:
        """Tell until cancelled."""
        while True:
            await self._some.wait()
            with surviving(_log, waits="flat_status_not_told", failed="flat_status_failed"):
                await uncut(self.flush())

    async def flush(self) -> None:
        """Tell everything that waits."""
        while self._waiting:
            some = [self._waiting.popleft() for _ in range(min(len(self._waiting), AT_ONCE_MAX))]
            async with self._store.reading() as conn:
                signs = [await _signs(conn, source) for source in some]
            for sign in chain.from_iterable(signs):
                self._sign(sign)
        self._some.clear()


async def _signs(conn: Transaction, source: Event | Rise) -> list[Ephemeral]:
    assert source.conv is not None
    sight = (await conversations.sights(conn, [source.conv])).get(source.conv)
    if sight is None:
        return []
    messages = await _messages(conn, source, sight)
    positions = {each.msg_id: each.position for each in messages}
    signs = []
    for realm in LOGIN_REALMS:
        for flat in flat_status(_as_seen(source, realm, messages), realm):
            to = _seeing(sight, realm, positions[flat["msg_id"]])
            if to:
                signs.append(_sign(source.conv, flat, to))
    return signs


async def _messages(conn: Transaction, source: Event | Rise, sight: access.Sight) -> Sequence[Said]:
    """What it is about; of a mark, those messages that its person may see."""
    assert source.conv is not None
    if isinstance(source, Event):
        assert isinstance(source.data, ev.MessagePosted | ev.MessageRecalled | ev.MessageRedacted)
        return await said.named(conn, source.conv, [source.data.msg_id])
    taking_part = sight.participation(source.who)
    first = taking_part.visible_from if taking_part else 1
    return await said.between(
        conn,
        source.conv,
        source.who,
        above=max(min(source.delivered[0], source.read[0]), first - 1),
        up_to=source.delivered[1],
    )


def _as_seen(source: Event | Rise, realm: Realm, messages: Sequence[Said]) -> Event | MarkRise:
    if isinstance(source, Event):
        return source
    is_named = realm is Realm.AGENT
    return MarkRise(
        conv=source.conv,
        who=source.who,
        at=source.at,
        delivered=source.delivered if is_named else source.shown_delivered,
        read=source.read if is_named else source.shown_read,
        messages=messages,
    )


def _seeing(sight: access.Sight, realm: Realm, position: int) -> tuple[Principal, ...]:
    """Who takes part in this realm and sees that message, each once."""
    return tuple(
        each.principal
        for each in sight.participants
        if each.principal.realm is realm and each.left_at is None and each.visible_from <= position
    )


def _sign(conv_id: str, flat: dict[str, Any], to: tuple[Principal, ...]) -> Ephemeral:
    by = flat.get("delivered_to") or flat.get("read_by") or ""
    return Ephemeral(
        stream=ev.conv_stream(conv_id),
        type=TYPE,
        key=f"{flat['msg_id']}:{by}"[:96],
        data=flat,
        wants=WORD,
        to=to,
    )
