"""The honest place in the queue → the requester's pages, as a passing sign.

Told when something has moved in a queue, at most every two seconds, and to whoever comes to watch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from deskwire import telemetry
from deskwire.desk import events as ev
from deskwire.desk.conversation import Conversation
from deskwire.desk.office import DeskSettings
from deskwire.desk.people import PersonId, Principal, Realm
from deskwire.desk.routing import QueuePlace, WaitingReason, absence, queue_place, waiting
from deskwire.realtime.frames import Ephemeral
from deskwire.storage import agents, office, queues
from deskwire.storage.due import Clock
from deskwire.storage.engine import Store, StoreUnavailable, Transaction, surviving, uncut
from deskwire.storage.gathering import Gathering

EVERY_S = 2.0
TOLD_MAX = 10_000

_log = telemetry.logger("flows")


class Places:
    """Tells requesters where they stand. Only what differs from what was told last is told."""

    def __init__(self, store: Store, *, sign: Callable[[Ephemeral], None], clock: Clock) -> None:
        self._store = store
        self._sign = sign
        self._clock = clock
        self._moved: set[str] = set()
        self._some = asyncio.Event()
        self._told: dict[str, Mapping[str, Any]] = {}
        self._arrivals = Gathering(self._of_streams)

    def rung(self, stream: str) -> None:
        """A stream has a new event: on a board it may have moved a queue. Returns at once."""
        kind, _, group_id = stream.partition(":")
        if kind == "queue":
            self.moved(group_id)

    def moved(self, group_id: str) -> None:
        """A queue, or why it waits, is another than before. Returns at once."""
        self._moved.add(group_id)
        self._some.set()

    async def run(self) -> None:
        """Until cancelled. The first of a quiet time is told at once."""
        while True:
            await self._some.wait()
            # A sign that is lost is told with the next.
            with surviving(_log, waits="places_wait", failed="places_failed"):
                await uncut(self.tell())
            await asyncio.sleep(EVERY_S)

    async def tell(self) -> None:
        """Tell those whose place has changed in a queue that has moved."""
        self._some.clear()
        if len(self._told) > TOLD_MAX:
            self._told.clear()
        for group_id in sorted(self._moved):
            self._moved.discard(group_id)
            for sign in await self._now(group_id):
                if self._told.get(sign.key) != sign.data:
                    self._told[sign.key] = sign.data
                    self._sign(sign)

    async def _now(self, group_id: str) -> Sequence[Ephemeral]:
        """What cannot be read stays to be told."""
        try:
            async with self._store.reading() as conn:
                return await self._of_group(conn, group_id)
        except StoreUnavailable:
            self.moved(group_id)
            raise

    async def signs(self, stream: ev.Stream) -> Sequence[Ephemeral]:
        """How an employee's own stream stands: their places, where they wait.

        All who come while one read is under way share the next, and each queue is read once for it.
        """
        if not stream.startswith(f"{Realm.EMPLOYEE.value}:"):
            return ()
        return await self._arrivals.ask(stream)

    async def _of_streams(self, streams: Sequence[ev.Stream]) -> Sequence[Sequence[Ephemeral]]:
        people = {PersonId(stream.partition(":")[2]) for stream in streams}
        found: dict[str, list[Ephemeral]] = {}
        async with self._store.reading() as conn:
            for group_id in await queues.groups_of_requesters(conn, people):
                for sign in await self._of_group(conn, group_id):
                    found.setdefault(sign.stream, []).append(sign)
        return [found.get(stream, []) for stream in streams]

    async def _of_group(self, conn: Transaction, group_id: str) -> list[Ephemeral]:
        now, settings = await self._clock.now(conn), await office.settings(conn)
        queue = await queues.of_group(conn, group_id)
        if not queue:
            return []
        assigned_at = await queues.assigned_lately(conn, group_id, now)
        is_online = await _is_anyone_online(conn, group_id, settings, now)
        signs = []
        for ahead, state in enumerate(sorted(queue, key=lambda each: waiting(each).order)):
            place = queue_place(
                ahead,
                assigned_at=assigned_at,
                is_anyone_online=is_online,
                reason=WaitingReason(state.waiting_reason) if state.waiting_reason else None,
                now=now,
            )
            signs.append(_place_sign(state, place))
        return signs


async def _is_anyone_online(
    conn: Transaction, group_id: str, settings: DeskSettings, now: int
) -> bool:
    staff = await agents.of_group(conn, group_id, grace_s=settings.presence_grace_s, now=now)
    return any(absence(agent) is None for agent in staff)


def _place_sign(state: Conversation, place: QueuePlace) -> Ephemeral:
    return Ephemeral(
        stream=ev.personal_stream(Principal(Realm.EMPLOYEE, state.requester.id)),
        type="queue_place",
        key=f"queue_place:{state.conv_id}",
        ttl_ms=None,
        data={
            "conv": state.conv_id,
            "place": place.place,
            "low_s": place.low_s,
            "high_s": place.high_s,
            "reason": place.reason.value if place.reason else None,
        },
    )
