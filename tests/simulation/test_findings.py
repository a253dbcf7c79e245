"""What the simulation has found in the room, reduced to the smallest case of each."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from deskwire.realtime import frames
from deskwire.realtime.bus import Hall, MemoryBus, Notice
from deskwire.realtime.feed import Feed
from deskwire.realtime.gate import LoginId, MemoryGate, Permit, Permits, Principal
from deskwire.realtime.hub import Hub
from deskwire.realtime.limits import Limits
from deskwire.realtime.log import MemoryLog, MemoryPage
from deskwire.realtime.manager import ConnectionManager
from deskwire.realtime.tasks import Tasks
from deskwire.realtime.transport import MemoryTransport
from tests.kit.simloop import SimLoop, run
from tests.realtime.deliveries import EPOCH, At, Bench, event, identify
from tests.realtime.deliveries import page as page_of


def _watched_again_at_5_after_7_was_written() -> Bench:
    bench = Bench().live(5).offer(event(6)).offer(event(7))
    bench.receive(frames.Watch(watch={"s": (EPOCH, 5)}))
    return bench.permitted(Permit(), At(position=7))


def test_an_ack_of_what_an_earlier_watch_wrote_is_no_fault_of_the_client() -> None:
    """Events 6 and 7 were under way when the client watched again from 5, and were applied."""
    bench = _watched_again_at_5_after_7_was_written()

    bench.receive(frames.Ack(positions={"s": 7}))

    assert bench.closed is None
    assert bench.told == []
    assert bench.page(page_of(5, 7)).positions == [6, 7]
    assert bench.receive(frames.Ack(positions={"s": 7})).told == [frames.Ack(positions={"s": 7})]


def test_an_ack_above_all_that_was_written_still_is() -> None:
    bench = _watched_again_at_5_after_7_was_written()

    bench.receive(frames.Ack(positions={"s": 8}))

    assert bench.closed == 4501


async def test_a_stream_whose_last_watcher_left_during_a_read_is_kept_nowhere() -> None:
    """Frames kept for it were never forgotten, and counted against all others for ever."""
    read = asyncio.Event()

    class SlowLog(MemoryLog):
        async def read(self, stream: str, after: int, limit: int = 256) -> MemoryPage:
            await read.wait()
            return await super().read(stream, after, limit)

    log, tasks = SlowLog(epoch="epoch-01"), Tasks()
    hub: Hub[object, object] = Hub()
    feed = Feed(hub, log, MemoryGate(), tasks, Limits(), lambda: 0)  # type: ignore[arg-type]
    hub.watch("s", "c-1", object())  # type: ignore[arg-type]
    await feed.begin()
    await feed.look_at_heads()
    feed.rung("s", log.append("s", b"{}"))
    await asyncio.sleep(0)

    hub.unwatch("s", "c-1")  # type: ignore[arg-type]
    read.set()
    while len(tasks):  # noqa: ASYNC110  until all that was begun is done
        await asyncio.sleep(0)

    assert hub.kept_bytes == 0


def test_a_notice_is_heeded_though_the_gate_was_away() -> None:
    """The widened right was never asked for again: the connection kept its old permit."""

    class Faulty(MemoryGate):
        def __init__(self) -> None:
            super().__init__()
            self.faults = 0

        async def permits(
            self, who: Principal, login: LoginId, streams: Collection[str]
        ) -> Permits:
            if self.faults:
                self.faults -= 1
                raise ConnectionResetError
            return await super().permits(who, login, streams)

    async def main() -> list[frames.Down]:
        hall, gate, log = Hall(), Faulty(), MemoryLog(epoch="epoch-01")
        managers = [ConnectionManager(log=log, gate=gate, bus=MemoryBus(hall)) for _ in range(2)]
        for each in managers:
            await each.start()
        who = Principal("agent", "li")
        log.append("s", b"1")
        gate.allow(who, "s", Permit(until=1))
        transport = MemoryTransport()
        await managers[0].serve(transport, who, LoginId("l"), until_ms=2**52)
        transport.peer_sends(frames.encode(identify({"s": (None, 0)})).decode())
        await asyncio.sleep(0.1)
        log.append("s", b"2")
        gate.allow(who, "s")
        gate.faults = 1

        managers[1]._node.publish(Notice(principal=who))
        await asyncio.sleep(5)

        for each in managers:
            await each.stop()
        return [frame for each in transport.received for frame in frames.decode_down(each.json)]

    down = run(SimLoop(1), main())

    assert [each.position for each in down if isinstance(each, frames.Event)] == [1, 2]
