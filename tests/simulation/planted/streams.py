"""Bugs in the stream side: delivery, feed, node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deskwire.realtime.connection import StreamConnection
from deskwire.realtime.delivery import Delivery
from deskwire.realtime.feed import Feed
from deskwire.realtime.frames import FramedEvent, ResetWhy
from deskwire.realtime.node import Node
from deskwire.realtime.outputs import NOTHING, Output
from deskwire.realtime.stride import Stride
from deskwire.realtime.watch import Standing, Watch
from tests.simulation.runs import Patches


def a_durable_event_is_shed(patches: Patches) -> None:
    offer = Delivery.offer

    def shedding(self: Delivery, event: FramedEvent, now: int) -> Sequence[Output]:
        watch = self.watches.get(event.stream)
        if (
            watch is not None
            and watch.standing is Standing.LIVE
            and (event.epoch, event.position) == (watch.epoch, watch.sent + 1)
            and not _takes(self, event)
        ):
            watch.head = max(watch.head, event.position)
            watch.sent += 1
            watch.unacked.append(0)
            self._window.events += 1
            return NOTHING
        return offer(self, event, now)

    patches.set(Delivery, "offer", shedding)


def _takes(delivery: Delivery, event: FramedEvent) -> bool:
    window, limits, size = delivery._window, delivery.limits, event.frame.size
    has_room = delivery.backlog.takes(size) and window.events < limits.unacked_events
    return has_room and window.bytes + size <= limits.unacked_bytes


def a_position_above_head_is_believed(patches: Patches) -> None:
    start = Watch.start

    def believing(self: Watch, floor: int, events_max: int) -> int | ResetWhy:
        found = start(self, floor, events_max)
        return self.place[1] if found == "ahead" and self.place is not None else found

    patches.set(Watch, "start", believing)


def live_overtakes_replay(patches: Patches) -> None:
    offer = Delivery.offer

    def overtaking(self: Delivery, event: FramedEvent, now: int) -> Sequence[Output]:
        watch = self.watches.get(event.stream)
        if (
            watch is not None
            and watch.standing is Standing.BEHIND
            and watch.epoch == event.epoch
            and _takes(self, event)
        ):
            watch.head = max(watch.head, event.position)
            self.backlog.room -= event.frame.size
            self._frames.append(event.frame)
            return self._done()
        return offer(self, event, now)

    patches.set(Delivery, "offer", overtaking)


def who_leaves_step_books_nothing(patches: Patches) -> None:
    def leave(self: Stride[Any], watcher: Any) -> Sequence[bytes]:
        owed = self._crowd.leave(watcher)
        self.forget(watcher)
        return owed

    patches.set(Stride, "leave", leave)


def who_lost_sight_keeps_step(patches: Patches) -> None:
    patches.set(StreamConnection, "check_step", lambda _: None)


def a_late_ack_is_a_fault(patches: Patches) -> None:
    patches.set(Watch, "written", property(lambda self: (self.epoch, self.sent)))


def no_tick(patches: Patches) -> None:
    async def nothing(_: Feed) -> None: ...

    patches.set(Feed, "look_at_heads", nothing)


def revocation_by_ring_only(patches: Patches) -> None:
    async def believe(self: Feed, access: int) -> None:
        self.access = max(self.access, access)

    patches.set(Feed, "_apply", believe)


def a_handed_page_is_not_held(patches: Patches) -> None:
    fits = Feed._fits

    def fitting(self: Feed, channel: Any, page: Any) -> bool:
        access, self.access = self.access, 2**62
        try:
            return fits(self, channel, page)
        finally:
            self.access = access

    patches.set(Feed, "_fits", fitting)


def the_drain_comes_too_late(patches: Patches) -> None:
    async def closed_by_the_server(self: Node, window_s: float) -> None:
        del window_s
        self.draining = True
        for connection in self.all_streams():
            connection.transport.close(1012, "")

    patches.set(Node, "drain", closed_by_the_server)
