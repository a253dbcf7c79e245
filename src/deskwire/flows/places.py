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
from deskwire.storage.engine import Store, StoreUnavailable, Transaction

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

    def rung(self, stream: str) -> None:
        """A stream has a new event: on a board it may have moved a queue. Returns at once."""
        kind, _, group_id = stream.partition(":")
        if kind == "queue":
            self._moved.add(group_id)
            self._some.set()

    async def run(self) -> None:
        """Until cancelled. The first of a quiet time is told at once."""
        while True:
            await self._some.wait()
            try:
                await self.tell()
            except StoreUnavailable as fault:
                _log.warning("places_wait", fault=str(fault))
            except Exception:  # noqa: BLE001
                # The root of this task: a sign that is lost is told with the next.
                _log.exception("places_failed")
            await asyncio.sleep(EVERY_S)

    async def tell(self) -> None:
        """Tell those whose place has changed in a queue that has moved."""
        self._some.clear()
        moved, self._moved = sorted(self._moved), set()
        if len(self._told) > TOLD_MAX:
            self._told.clear()
        for group_id in moved:
            async with self._store.reading() as conn:
                found = await self._of_group(conn, group_id)
            for sign in found:
                if self._told.get(sign.key) != sign.data:
                    self._told[sign.key] = sign.data
                    self._sign(sign)

    async def signs(self, stream: ev.Stream) -> Sequence[Ephemeral]:
        """How an employee's own stream stands: their places, where they wait."""
        kind, _, person = stream.partition(":")
        if kind != Realm.EMPLOYEE.value:
            return ()
        found: list[Ephemeral] = []
        async with self._store.reading() as conn:
            for state in await queues.of_requester(conn, PersonId(person)):
                every = await self._of_group(conn, state.group.id)
                found += [sign for sign in every if sign.key == _key(state)]
        return found

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


def _key(state: Conversation) -> str:
    return f"queue_place:{state.conv_id}"


def _place_sign(state: Conversation, place: QueuePlace) -> Ephemeral:
    return Ephemeral(
        stream=ev.personal_stream(Principal(Realm.EMPLOYEE, state.requester.id)),
        type="queue_place",
        key=_key(state),
        ttl_ms=None,
        data={
            "conv": state.conv_id,
            "place": place.place,
            "low_s": place.low_s,
            "high_s": place.high_s,
            "reason": place.reason.value if place.reason else None,
        },
    )
