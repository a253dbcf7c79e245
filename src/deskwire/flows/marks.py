"""Acks → marks, batched. Decides nothing, so it is the one other writer.

A batch lost with the process costs a repeat that the client drops. Invariant: a mark only rises,
and never above the stream's head.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from deskwire import telemetry
from deskwire.desk import access
from deskwire.desk import events as ev
from deskwire.desk.marks import Mark, Rise, as_employees_see, own_of, raised, rises
from deskwire.desk.people import PersonId, Principal, Realm
from deskwire.realtime.frames import Ephemeral
from deskwire.realtime.gate import Acked, MarkedRead, Report
from deskwire.storage import conversations, log, marks, pushes, views
from deskwire.storage.engine import Store, StoreUnavailable, Transaction, uncut

BATCH_EVERY_S = 1.0
BATCH_MAX = 1_000

_log = telemetry.logger("flows")


@dataclass(slots=True)
class _Waiting:
    delivered: int = 0
    read: int = 0


_Key = tuple[Principal, ev.Stream]


class Marks:
    """Gathers what clients confirm and stores it at most once a second; then tells who may know.

    `rose` hears of each rise on a conversation after its COMMIT.
    """

    def __init__(
        self,
        store: Store,
        *,
        sign: Callable[[Ephemeral], None],
        now: Callable[[], int],
        rose: Callable[[Sequence[Rise]], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._rose = rose
        self._sign = sign
        self._now = now
        self._waiting: dict[_Key, _Waiting] = {}
        self._some = asyncio.Event()

    async def reported(self, reports: Sequence[Report]) -> None:
        """Take acks and read marks; other reports are somebody else's. Returns at once."""
        for report in reports:
            match report:
                case Acked():
                    for stream, position in report.positions.items():
                        self._raise(report.who, stream, delivered=position, read=0)
                case MarkedRead():
                    at = report.position
                    self._raise(report.who, report.stream, delivered=at, read=at)
                case _:
                    continue
        if self._waiting:
            self._some.set()

    async def run(self) -> None:
        """Store batches until cancelled. The first of a quiet time goes at once."""
        while True:
            await self._some.wait()
            try:
                await self.flush()
            except Exception:  # noqa: BLE001
                # The root of this task: a batch that breaks a rule of ours must not end all others.
                # It is not tried again, for the clients' next acks say the same.
                _log.exception("marks_failed")
            await asyncio.sleep(BATCH_EVERY_S)

    async def flush(self) -> None:
        """Store everything that waits. What the store does not take stays for the next time."""
        self._some.clear()
        keys = list(self._waiting)
        for start in range(0, len(keys), BATCH_MAX):
            batch = {key: self._waiting.pop(key) for key in keys[start : start + BATCH_MAX]}
            try:
                signs, rose = await uncut(self._store_batch(batch))
            except StoreUnavailable as fault:
                _log.warning("marks_wait", count=len(batch), fault=str(fault))
                self._put_back(batch)
                return
            self._rose(rose)
            for sign in signs:
                self._sign(sign)

    async def signs(self, stream: ev.Stream) -> Sequence[Ephemeral]:
        """The marks as they stand: agents as one reader for all, each by name for staff."""
        conv_id = access.conversation_of(stream)
        if conv_id is None:
            return ()
        public = ev.conv_stream(conv_id)
        async with self._store.reading() as conn:
            found = (await marks.of_streams(conn, [public])).get(public, ())
        if stream == public:
            return [_sign(stream, mark) for mark in as_employees_see(found)]
        return [_sign(stream, mark) for mark in found if mark.realm is Realm.AGENT]

    def _raise(self, who: tuple[str, str], stream: str, *, delivered: int, read: int) -> None:
        if not stream.startswith(("conv:", "agent:", "employee:")) or stream.endswith(":staff"):
            return
        realm, person = who
        key = (Principal(Realm(realm), PersonId(person)), ev.Stream(stream))
        waiting = self._waiting.setdefault(key, _Waiting())
        waiting.delivered = max(waiting.delivered, delivered)
        waiting.read = max(waiting.read, read)

    def _put_back(self, batch: Mapping[_Key, _Waiting]) -> None:
        for (who, stream), waiting in batch.items():
            self._raise(who, stream, delivered=waiting.delivered, read=waiting.read)
        self._some.set()

    async def _store_batch(
        self, batch: Mapping[_Key, _Waiting]
    ) -> tuple[list[Ephemeral], list[Rise]]:
        async with self._store.writing() as conn:
            stored = await marks.of_streams(conn, list({stream for _, stream in batch}))
            risen = await self._risen(conn, batch, stored)
            await marks.save(conn, [(stream, mark) for (_, stream), mark in risen.items()])
            await pushes.marked(conn, [(who, name, mark) for (who, name), mark in risen.items()])
            return await _signs(conn, risen), _rises(stored, risen)

    async def _risen(
        self,
        conn: Transaction,
        batch: Mapping[_Key, _Waiting],
        stored: Mapping[ev.Stream, Sequence[Mark]],
    ) -> dict[_Key, Mark]:
        streams = list({stream for _, stream in batch})
        heads = await log.heads(conn, streams)
        sights = await conversations.sights(conn, _conversations(streams))
        found: dict[_Key, Mark] = {}
        for (who, stream), waiting in batch.items():
            if not _counts(who, stream, sights):
                continue
            mark = raised(
                own_of(stored.get(stream, ()), who),
                delivered=waiting.delivered,
                read=waiting.read,
                head=heads[stream].position,
                now=self._now(),
            )
            if mark is not None:
                found[who, stream] = mark
        return found


def _counts(who: Principal, stream: ev.Stream, sights: Mapping[str, access.Sight]) -> bool:
    """Whoever only looks on moves nothing; on personal streams it is their own that counts."""
    conv_id = access.conversation_of(stream)
    if conv_id is None:
        return stream == ev.personal_stream(who)
    sight = sights.get(conv_id)
    return sight is not None and sight.has(who)


def _conversations(streams: Sequence[ev.Stream]) -> set[str]:
    return {conv for conv in map(access.conversation_of, streams) if conv is not None}


async def _signs(conn: Transaction, risen: Mapping[_Key, Mark]) -> list[Ephemeral]:
    """To all who see the conversation, to staff by name, and to the person's own other devices."""
    public = [stream for _, stream in risen if access.conversation_of(stream)]
    stored = await marks.of_streams(conn, public)
    signs: list[Ephemeral] = []
    for (who, stream), mark in risen.items():
        conv_id = access.conversation_of(stream)
        if conv_id is None:
            continue
        seen = as_employees_see(stored[stream])
        shown = next(m for m in seen if m.realm is who.realm and _is_shown_as(m, who))
        signs.append(_sign(stream, shown))
        if who.realm is Realm.AGENT:
            signs.append(_sign(ev.staff_stream(conv_id), mark))
        unread = await views.unread_of(conn, who, conv_id, mark.read)
        signs.append(_own_sign(who, conv_id, mark, unread))
    return signs


def _rises(stored: Mapping[ev.Stream, Sequence[Mark]], risen: Mapping[_Key, Mark]) -> list[Rise]:
    of_conversations: dict[ev.Stream, list[Mark]] = {}
    for (_, stream), mark in risen.items():
        if access.conversation_of(stream):
            of_conversations.setdefault(stream, []).append(mark)
    return [
        rise
        for stream, some in of_conversations.items()
        for rise in rises(str(access.conversation_of(stream)), stored.get(stream, ()), some)
    ]


def _is_shown_as(mark: Mark, who: Principal) -> bool:
    return who.realm is Realm.AGENT or mark.person == who.person


def _sign(stream: ev.Stream, mark: Mark) -> Ephemeral:
    """A mark on its way to whoever watches the stream."""
    return Ephemeral(
        stream=stream,
        type="marks",
        key=f"marks:{mark.realm.value}:{mark.person}",
        ttl_ms=None,
        data={
            "person": mark.person,
            "realm": mark.realm.value,
            "delivered": mark.delivered,
            "read": mark.read,
            "at": mark.at,
        },
    )


def _own_sign(who: Principal, conv_id: str, mark: Mark, unread: int) -> Ephemeral:
    return Ephemeral(
        stream=ev.personal_stream(who),
        type="marks",
        key=f"marks:{conv_id}",
        ttl_ms=None,
        data={
            "conv": conv_id,
            "delivered": mark.delivered,
            "read": mark.read,
            "unread": unread,
        },
    )
