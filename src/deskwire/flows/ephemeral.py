"""Typing and viewing: may they? → hub and bus; nothing kept.

The manager has checked that the sender watches the stream, so all that is left is the name to show.
A sign carries no text and no position; one that is lost is over by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from deskwire.desk import access
from deskwire.desk.events import Stream
from deskwire.desk.people import PersonId, Principal, Realm
from deskwire.realtime.frames import Ephemeral
from deskwire.realtime.gate import ConnectionId, Report, TypingSign, ViewingSign
from deskwire.storage import conversations, people
from deskwire.storage.engine import Store

TYPING_MS = 6_000
VIEWING_MS = 30_000
NAMES_MAX = 10_000

Sign = Callable[[Ephemeral, ConnectionId], None]


class Signs:
    """Hands typing and viewing on.

    `sign(ephemeral, from)` reaches the watchers but for the sender's connection.
    """

    def __init__(self, store: Store, *, sign: Sign) -> None:
        self._store = store
        self._sign = sign
        self._names: dict[str, dict[str, str | None]] = {}

    async def reported(self, reports: Sequence[Report]) -> None:
        """Take typing and viewing; other reports are somebody else's."""
        for report in reports:
            match report:
                case TypingSign() if await self._may_type(report):
                    self._sign(await self._typing(report), report.connection)
                case ViewingSign() if report.stream.endswith(":staff"):
                    self._sign(await self._viewing(report), report.connection)
                case _:
                    continue

    async def _may_type(self, report: TypingSign) -> bool:
        """Whoever only looks on is not seen by those who take part; among staff all are seen."""
        conv_id = access.conversation_of(Stream(report.stream))
        if conv_id is None or report.stream.endswith(":staff"):
            return conv_id is not None
        async with self._store.reading() as conn:
            sight = (await conversations.sights(conn, [conv_id])).get(conv_id)
        return sight is not None and sight.has(
            Principal(Realm(report.who.realm), PersonId(report.who.person))
        )

    async def _typing(self, report: TypingSign) -> Ephemeral:
        realm, person = report.who
        mode = "note" if report.stream.endswith(":staff") else "reply"
        return Ephemeral(
            stream=report.stream,
            type="typing",
            key=f"typing:{realm}:{person}",
            ttl_ms=TYPING_MS if report.on else 0,
            data={"by": await self._name(person), "mode": mode, "on": report.on},
        )

    async def _viewing(self, report: ViewingSign) -> Ephemeral:
        realm, person = report.who
        return Ephemeral(
            stream=report.stream,
            type="viewing",
            key=f"viewing:{realm}:{person}",
            ttl_ms=VIEWING_MS if report.on else 0,
            data={"agent": await self._name(person), "on": report.on},
        )

    async def _name(self, person: str) -> dict[str, str | None]:
        known = self._names.get(person)
        if known is not None:
            return known
        async with self._store.reading() as conn:
            actor = await people.actor(conn, Principal(Realm.EMPLOYEE, PersonId(person)))
        name = actor.person.name if actor else person
        avatar = actor.person.avatar if actor else None
        if len(self._names) >= NAMES_MAX:
            self._names.clear()
        self._names[person] = {"id": person, "name": name, "avatar": avatar}
        return self._names[person]
