"""The in-memory twins of log, hub, bus and presence: what each port promises."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from deskwire.realtime.bus import ALL_SHARDS, Faults, Hall, MemoryBus, Notice, Ring, shard_of
from deskwire.realtime.frames import frame_event
from deskwire.realtime.gate import ConnectionId, PresenceChanged, Principal
from deskwire.realtime.hub import Channel, Hub
from deskwire.realtime.log import MemoryLog
from deskwire.realtime.presence import Lease, MemoryPresence
from tests.realtime.nodes import LI, WANG, settle, sign
from tests.realtime.simloop import SIMULATED


@pytest.fixture
def anyio_backend() -> Any:
    return SIMULATED


# --- log -----------------------------------------------------------------------------------------


def test_positions_are_dense_from_one() -> None:
    log = MemoryLog(epoch="epoch-01")

    assert [log.append("s", b"{}") for _ in range(3)] == [1, 2, 3]
    assert [event.position for event in log.page("s", 1).events] == [2, 3]
    assert log.head("nobody") == log.head("other")


def test_a_page_holds_256_events_or_256_kib_but_at_least_one() -> None:
    log = MemoryLog(epoch="epoch-01")
    for _ in range(300):
        log.append("many", b"{}")
    for _ in range(3):
        log.append("large", b"x" * 200_000)

    assert len(log.page("many", 0).events) == 256
    assert len(log.page("many", 0, limit=7).events) == 7
    assert len(log.page("large", 0).events) == 1


def test_trimmed_events_are_gone_and_the_head_stays() -> None:
    log = MemoryLog(epoch="epoch-01", events_max=10)
    for _ in range(15):
        log.append("s", b"{}")

    assert (log.head("s").floor, log.head("s").position) == (6, 15)
    assert log.page("s", 0).events[0].position == 6


# --- hub -----------------------------------------------------------------------------------------


def hub_with(who: Principal, *ids: str) -> Hub[str, str]:
    hub: Hub[str, str] = Hub(kept_events=4, kept_bytes=1_000)
    for each in ids:
        hub.add(ConnectionId(each), who, each)
    return hub


def test_removing_one_touches_no_other() -> None:
    hub = hub_with(LI, "a", "b")
    hub.add(ConnectionId("c"), WANG, "c", realm="employee")

    assert hub.remove(ConnectionId("a"))
    assert not hub.remove(ConnectionId("a"))

    assert hub.of(LI) == ("b",)
    assert hub.realm("employee") == ("c",)
    assert hub.people_count == 2


def filled(hub: Hub[str, str], stream: str, count: int, size: int = 10) -> Channel[str]:
    channel = hub.watch(stream, ConnectionId("a"), "a")
    hub.replace(channel, "epoch-01", 0)
    for n in range(1, count + 1):
        hub.keep(channel, frame_event(stream, "epoch-01", n, b'"%b"' % (b"x" * size)))
    return channel


def test_the_last_frames_are_kept_and_older_ones_are_not() -> None:
    hub = hub_with(LI, "a")
    channel = filled(hub, "s", 6)

    page = hub.kept_page(channel, 2)
    assert page is not None
    assert [event.position for event in page.events] == [3, 4, 5, 6]
    assert hub.kept_page(channel, 1) is None
    assert hub.kept_page(channel, 6) is None


def test_kept_frames_have_a_bound_over_all_streams() -> None:
    hub = hub_with(LI, "a")
    first = filled(hub, "s", 3, 150)
    second = filled(hub, "t", 3, 150)

    assert hub.kept_bytes <= 1_000
    assert hub.kept_page(first, 0) is None
    assert hub.kept_page(second, 0) is not None


def test_with_its_last_watcher_a_stream_is_forgotten() -> None:
    hub = hub_with(LI, "a")
    filled(hub, "s", 3)

    hub.unwatch("s", ConnectionId("a"))

    assert not hub.channels
    assert hub.kept_bytes == 0


def test_signs_that_came_while_others_were_read_are_newer() -> None:
    hub = hub_with(LI, "a")
    channel = filled(hub, "s", 0)
    seen = hub.signs_seen
    hub.hold_sign(sign("s", "a", n=2), now=0)

    hub.load_signs(channel, [sign("s", "a", n=1), sign("s", "b", n=1)], seen, now=0)

    live = hub.live(channel, 0, now=0).text
    assert '"key":"a","data":{"n":2}' in live
    assert '"key":"b","data":{"n":1}' in live


# --- bus -----------------------------------------------------------------------------------------


async def test_a_message_reaches_the_others_and_never_its_sender() -> None:
    hall = Hall()
    one, two = MemoryBus(hall), MemoryBus(hall)
    heard: list[tuple[str, Any]] = []
    async with (
        one.listen(ALL_SHARDS, lambda m: heard.append(("one", m))),
        two.listen(frozenset({shard_of("s")}), lambda m: heard.append(("two", m))),
    ):
        elsewhere = next(f"x{n}" for n in range(99) if shard_of(f"x{n}") != shard_of("s"))
        one.ring([Ring(stream="s", position=1), Ring(stream=elsewhere, position=1)])
        one.notice(Notice(principal=LI))
        await settle()

    assert heard == [("two", Ring(stream="s", position=1)), ("two", Notice(principal=LI))]


async def test_a_bus_that_loses_everything_counts_it() -> None:
    hall = Hall()
    one, two = MemoryBus(hall, faults=Faults(loss=1.0)), MemoryBus(hall)
    heard: list[Any] = []
    async with two.listen(ALL_SHARDS, heard.append):
        one.ring([Ring(stream="s", position=1)])
        await settle()

    assert heard == []
    assert one.dropped == 1


# --- presence ------------------------------------------------------------------------------------


def lease(connection: str, who: Principal = LI) -> Lease:
    return Lease(connection=ConnectionId(connection), principal=who, node="n", node_start=1)


async def test_leases_run_out_by_themselves_when_a_node_dies() -> None:
    presence = MemoryPresence(grace_s=lambda _: 10)
    changes: list[PresenceChanged] = []

    async def follow() -> None:
        async for change in presence.changes():
            changes.append(change)  # noqa: PERF401  it never ends

    following = asyncio.get_running_loop().create_task(follow())
    await settle()
    await presence.hold([lease("a"), lease("b")], ttl_s=45)
    await asyncio.sleep(30)
    await presence.hold([lease("b")], ttl_s=45)
    await asyncio.sleep(30)
    assert (await presence.of([LI, WANG])) == {LI: "connected", WANG: "lost"}
    await asyncio.sleep(100)

    assert [change.state for change in changes] == ["connected", "grace", "lost"]
    following.cancel()


async def test_a_return_within_grace_is_no_absence() -> None:
    presence = MemoryPresence()
    await presence.hold([lease("a")])
    await presence.drop([ConnectionId("a")])
    assert (await presence.of([LI]))[LI] == "grace"

    await presence.hold([lease("b")])

    assert (await presence.of([LI]))[LI] == "connected"


async def test_a_renewed_lease_ends_at_its_new_time_and_once() -> None:
    clock = [0.0]
    presence = MemoryPresence(grace_s=lambda _: 0.0, clock=lambda: clock[0])
    lease = Lease(connection=ConnectionId("a"), principal=LI, node="n1", node_start=1)
    await presence.hold((lease,), ttl_s=10)
    clock[0] = 5.0
    await presence.hold((lease,), ttl_s=10)

    clock[0] = 14.0
    assert (await presence.of((LI,)))[LI] == "connected"
    clock[0] = 15.0
    assert (await presence.of((LI,)))[LI] != "connected"
    clock[0] = 16.0
    assert (await presence.of((LI,)))[LI] == "lost"


async def test_a_lease_renewed_for_less_ends_sooner() -> None:
    clock = [0.0]
    presence = MemoryPresence(clock=lambda: clock[0])
    lease = Lease(connection=ConnectionId("a"), principal=LI, node="n1", node_start=1)
    await presence.hold((lease,), ttl_s=45)
    await presence.hold((lease,), ttl_s=5)

    clock[0] = 6.0

    assert (await presence.of((LI,)))[LI] == "grace"
