"""The manager's stream side over the twins: the road from COMMIT to the socket, rights, the end."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from deskwire.realtime import codes
from deskwire.realtime.bus import Faults, Hall, MemoryBus
from deskwire.realtime.connection import Closed, Hook, Lagging, Opened, Resumed
from deskwire.realtime.feed import PAGES_PER_TURN
from deskwire.realtime.frames import Ephemeral
from deskwire.realtime.gate import (
    Acked,
    LoginId,
    LoginState,
    Loss,
    MarkedRead,
    MemoryGate,
    Permit,
    Permits,
    PresenceChanged,
    Principal,
    Report,
)
from deskwire.realtime.limits import Limits
from deskwire.realtime.log import MemoryHead, MemoryLog, MemoryPage
from deskwire.realtime.manager import ConnectionManager
from deskwire.realtime.transport import MemoryTransport
from tests.realtime.nodes import EPOCH, FOREVER_MS, LI, WANG, Peer, node, settle, sign, stay
from tests.realtime.simloop import SIMULATED


@pytest.fixture
def anyio_backend() -> Any:
    return SIMULATED


# --- COMMIT to socket ----------------------------------------------------------------------------


async def test_an_event_reaches_every_watcher_once_and_in_order() -> None:
    async with node() as it:
        peers = [await it.peer(LI, {"desk": None}, tab=f"tab-0000{n}") for n in range(3)]

        for _ in range(5):
            it.commit("desk")
        await settle()

        assert all(peer.positions("desk") == [1, 2, 3, 4, 5] for peer in peers)


async def test_a_page_handed_along_goes_out_within_the_call() -> None:
    async with node() as it:
        peer = await it.peer(LI, {"desk": None})
        position = it.log.append("desk", b"{}")

        it.manager.ring("desk", position, it.log.page("desk", 0))

        assert peer.positions("desk") == [1]
        assert it.manager.stats().pages_read == 0


async def test_a_page_that_does_not_start_at_the_head_is_read_from_the_log() -> None:
    async with node() as it:
        peer = await it.peer(LI, {"desk": None})
        it.commit("desk", 2, ring=False)

        it.manager.ring("desk", 2, it.log.page("desk", 1))
        await settle()

        assert peer.positions("desk") == [1, 2]


async def test_the_tick_finds_a_lost_ring_within_a_second_and_a_half() -> None:
    async with node() as it:
        peer = await it.peer(LI, {"desk": None})
        it.commit("desk", 3, ring=False)

        await asyncio.sleep(1.5)

        assert peer.positions("desk") == [1, 2, 3]


async def test_late_doubled_and_false_rings_change_nothing() -> None:
    async with node() as it:
        peer = await it.peer(LI, {"desk": None})
        it.commit("desk", 3)
        await settle()

        for position in (1, 3, 3, 2, 99):
            it.manager.ring("desk", position)
        await settle()
        it.commit("desk")
        await asyncio.sleep(2)

        assert peer.positions("desk") == [1, 2, 3, 4]


async def test_a_resume_replays_what_was_missed_and_goes_live() -> None:
    async with node() as it:
        it.commit("desk", 600)

        peer = await it.peer(LI, {"desk": [EPOCH, 550]})

        assert peer.positions("desk") == list(range(551, 601))
        assert [frame["op"] for frame in peer.frames[:2]] == ["hello", "watched"]
        assert peer.frames[-1]["op"] == "live"


async def test_a_long_replay_is_paged_against_acks_and_live_never_overtakes_it() -> None:
    async with node() as it:
        it.commit("desk", 1_000)
        peer = await it.peer(LI, {"desk": [EPOCH, 0]})

        while peer.positions("desk")[-1] < 1_010:
            if it.log.head("desk").position < 1_010:
                it.commit("desk")
            peer.ack("desk")
            await asyncio.sleep(0.2)

        assert peer.positions("desk") == list(range(1, 1_011))


async def test_one_read_serves_all_who_lag_alike() -> None:
    async with node() as it:
        it.commit("desk", 100)
        await asyncio.gather(
            *(it.peer(LI, {"desk": [EPOCH, 40]}, tab=f"tab-1000{n}") for n in range(8))
        )

        stats = it.manager.stats()
        assert stats.pages_read + stats.pages_joined + stats.pages_kept >= 8
        assert stats.pages_read < 8


class HeldBack(MemoryLog):
    """A log whose reads are answered when it is let."""

    def __init__(self) -> None:
        super().__init__(epoch=EPOCH)
        self.may_answer = asyncio.Event()

    async def read(self, stream: str, after: int, limit: int = 256) -> MemoryPage:
        await self.may_answer.wait()
        return await super().read(stream, after, limit)


async def test_all_who_come_back_share_frames_and_get_them_some_in_a_turn() -> None:
    log = HeldBack()
    async with node(log=log) as it:
        it.commit("desk", 20)
        people = [Principal("agent", f"p{n}") for n in range(3 * PAGES_PER_TURN)]
        peers = [await it.peer(who, {"desk": [EPOCH, 0]}) for who in people]
        before = len(peers[0].transport.received)

        log.may_answer.set()
        served = [0]
        while served[-1] < len(peers):
            await asyncio.sleep(0)
            served.append(sum(len(peer.transport.received) > before for peer in peers))

        steps = [b - a for a, b in itertools.pairwise(served)]
        assert max(steps) <= PAGES_PER_TURN
        assert all(peer.positions("desk") == list(range(1, 21)) for peer in peers)
        firsts = {id(peer.transport.received[before]) for peer in peers}
        assert len(firsts) == 1


class Hesitant(MemoryGate):
    """A gate that answers about WANG when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.may_answer = asyncio.Event()

    async def permits(self, who: Principal, login: LoginId, streams: Collection[str]) -> Permits:
        if who == WANG:
            await self.may_answer.wait()
        return await super().permits(who, login, streams)


@pytest.mark.parametrize("how", ["trimmed", "replaced"])
async def test_whoever_is_still_asked_about_hears_from_the_gate_alone(how: str) -> None:
    gate = Hesitant()
    async with node(gate=gate) as it:
        await it.peer(LI, {"desk": None})
        asked = await it.peer(WANG, {"desk": [None, 0]})
        gate.allowed.pop((WANG, "desk"))
        it.commit("desk")  # offered to both: the one who is asked about learns the epoch by it
        await settle()
        if how == "trimmed":
            it.commit("desk", 5, ring=False)
            it.log.trim("desk", 4)
        else:
            it.log.restore("desk", "epoch-02", [b"{}"] * 9)
        it.commit("desk")
        await asyncio.sleep(3)
        assert asked.all("watched") == asked.all("event") == asked.all("reset") == []

        gate.may_answer.set()
        await asyncio.sleep(3)

        assert [frame["why"] for frame in asked.all("unwatched")] == ["denied"]


async def test_a_lagging_connection_is_caught_up_from_kept_frames() -> None:
    async with node() as it:
        slow = await it.peer(LI, {"desk": None})
        for _ in range(300):
            it.commit("desk")
            await settle(5)
        read_before = it.manager.stats().pages_read
        assert len(slow.positions("desk")) == 256

        slow.ack("desk")
        await settle()

        assert slow.positions("desk") == list(range(1, 301))
        assert it.manager.stats().pages_read == read_before
        assert it.manager.stats().pages_kept == 1


async def test_a_voided_event_is_never_replayed_from_memory() -> None:
    async with node() as it:
        await it.peer(LI, {"desk": None})
        it.commit("desk", 3)
        await settle()
        position = it.log.append("desk", b'{"recalled":2}', voids=2)
        it.manager.ring("desk", position)
        await settle()

        late = await it.peer(LI, {"desk": [EPOCH, 0]}, tab="tab-00002")

        assert [f["event"] for f in late.all("event")] == [
            {"n": 1}, None, {"n": 3}, {"recalled": 2}
        ]  # fmt: skip


async def test_a_restored_stream_resets_every_client() -> None:
    async with node() as it:
        peers = [await it.peer(LI, {"desk": None}, tab=f"tab-0000{n}") for n in range(2)]
        it.commit("desk", 5)
        await settle()

        it.log.restore("desk", "epoch-02", [b"{}"] * 2)
        await asyncio.sleep(1.5)

        expected = {"op": "reset", "stream": "desk", "epoch": "epoch-02", "head": 2, "why": "epoch"}
        assert all(peer.all("reset") == [expected] for peer in peers)
        again = await it.peer(LI, {"desk": ["epoch-02", 2]}, tab="tab-00009")
        it.commit("desk")
        await settle()
        assert again.positions("desk") == [3]


async def test_what_was_trimmed_under_a_reader_resets_it() -> None:
    async with node() as it:
        it.commit("desk", 600)
        peer = await it.peer(LI, {"desk": [EPOCH, 0]})
        assert peer.positions("desk")[-1] == 256

        it.log.trim("desk", 500)
        peer.ack("desk")
        await settle()

        assert peer.all("reset")[0]["why"] == "trimmed"


async def test_a_body_that_is_no_json_keeps_the_stream_dense() -> None:
    async with node() as it:
        peer = await it.peer(LI, {"desk": None})

        it.log.append("desk", b"{broken")
        it.manager.ring("desk", 1)
        it.commit("desk")
        await settle()

        assert peer.positions("desk") == [1, 2]
        assert peer.all("event")[0]["event"]["type"] == "unreadable"
        assert it.manager.stats().events_unreadable == 1


async def test_a_body_that_is_no_json_is_counted_and_logged_from_a_page_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with node() as it:
        it.log.append("desk", b"{broken")

        with caplog.at_level(logging.ERROR, "deskwire.realtime"):
            peer = await it.peer(LI, {"desk": [EPOCH, 0]})

        assert peer.all("event")[0]["event"]["type"] == "unreadable"
        assert it.manager.stats().events_unreadable == 1
        assert "event_unreadable stream='desk' position=1" in caplog.text


# --- a store that fails --------------------------------------------------------------------------


class FlakyLog(MemoryLog):
    """A log that can be switched off."""

    down = False

    async def heads(self, streams: Collection[str]) -> Mapping[str, MemoryHead]:
        self._look()
        return await super().heads(streams)

    async def read(self, stream: str, after: int, limit: int = 256) -> MemoryPage:
        self._look()
        return await super().read(stream, after, limit)

    def _look(self) -> None:
        if self.down:
            raise ConnectionError("the store is away")


async def test_a_store_that_is_away_is_told_once_a_second_however_many_wait(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = FlakyLog(epoch=EPOCH)
    async with node(log=log) as it:
        log.down = True

        with caplog.at_level(logging.WARNING, "deskwire.realtime"):
            peers = [await it.peer(Principal("agent", f"a{n}"), {"desk": None}) for n in range(30)]
            await stay(5, *peers)
        told = [r.getMessage() for r in caplog.records if "permits_not_read" in r.getMessage()]
        log.down = False
        await stay(2, *peers)

        assert 3 <= len(told) <= 6
        assert "untold=29" in told[-1]
        assert all(peer.all("live") for peer in peers)


async def test_sockets_stay_while_the_store_is_away_and_have_everything_after() -> None:
    log = FlakyLog(epoch=EPOCH)
    async with node(log=log) as it:
        peer = await it.peer(LI, {"desk": None})
        log.down = True
        it.commit("desk", 3)
        late = await it.peer(LI, {"desk": [EPOCH, 1]}, tab="tab-00002")
        await asyncio.sleep(5)
        assert peer.bye is None
        assert late.all("watched") == []

        log.down = False
        await asyncio.sleep(2)

        assert peer.positions("desk") == [1, 2, 3]
        assert late.positions("desk") == [2, 3]


# --- rights --------------------------------------------------------------------------------------


async def test_nobody_watches_what_the_gate_denies() -> None:
    async with node() as it:
        peer = await it.peer(WANG)

        peer.says(op="watch", watch={"conv:1:staff": None, "employee:wang": None})
        await settle()

        assert [(f["stream"], f["why"]) for f in peer.all("unwatched")] == [
            ("conv:1:staff", "denied")
        ]  # fmt: skip
        assert [f["stream"] for f in peer.all("watched")] == ["employee:wang"]


async def test_nothing_committed_after_a_revocation_is_written() -> None:
    async with node() as it:
        revoked = await it.peer(LI, {"desk": None})
        stays = await it.peer(Principal("agent", "zhao"), {"desk": None}, login="L2")
        it.commit("desk")
        await settle()

        it.log.access = it.gate.lose(Loss(principal=LI, stream="desk", why="left"))
        it.commit("desk")  # no notice was sent: the page's `access` alone tells
        await settle()

        assert revoked.positions("desk") == [1]
        assert revoked.all("unwatched")[0]["why"] == "left"
        assert stays.positions("desk") == [1, 2]
        assert it.manager.stats().pages_held == 1


async def test_a_page_handed_along_is_held_too_while_access_is_ahead() -> None:
    async with node() as it:
        revoked = await it.peer(LI, {"desk": None})
        it.log.access = it.gate.lose(Loss(principal=LI, stream="desk"))
        position = it.log.append("desk", b"{}")

        it.manager.ring("desk", position, it.log.page("desk", 0))
        await settle()

        assert revoked.positions("desk") == []


class SlowGate(MemoryGate):
    """A gate whose answers are read at once and arrive when told."""

    async def permits(self, who: Principal, login: LoginId, streams: Collection[str]) -> Permits:
        answer = await super().permits(who, login, streams)
        if self.slow:
            await self.slow.wait()
        return answer

    slow: asyncio.Event | None = None


async def test_a_permit_read_before_a_revocation_is_asked_for_again() -> None:
    gate = SlowGate()
    async with node(gate=gate) as it:
        other = await it.peer(Principal("agent", "zhao"), {"desk": None}, login="L2")
        gate.slow = asyncio.Event()
        late = await it.peer(LI, {"desk": None})  # its permit is read, and on its way
        it.log.access = gate.lose(Loss(principal=LI, stream="desk"))
        arrives, gate.slow = gate.slow, None
        it.commit("desk")
        await settle()
        arrives.set()
        await asyncio.sleep(1)

        assert other.positions("desk") == [1]
        assert late.positions("desk") == []
        assert late.all("unwatched")[0]["why"] == "denied"


async def test_the_sweep_finds_a_loss_that_no_notice_told_of() -> None:
    async with node() as it:
        peer = await it.peer(LI, {"desk": None})
        it.gate.lose(Loss(principal=LI, stream="desk"))

        await asyncio.sleep(2)

        assert peer.all("unwatched")[0]["why"] == "revoked"


async def test_recheck_narrows_what_is_watched() -> None:
    async with node() as it:
        peer = await it.peer(LI, {"desk": None, "queue:1": None})
        del it.gate.allowed[LI, "queue:1"]

        await it.manager.recheck(LI)

        assert [f["stream"] for f in peer.all("unwatched")] == ["queue:1"]


async def test_who_joins_late_sees_from_there_and_who_left_up_to_there() -> None:
    async with node() as it:
        it.commit("conv:1", 5)
        it.gate.allow(WANG, "conv:1", Permit(after=3, until=4))

        peer = await it.peer(WANG, {"conv:1": [None, 0]})
        it.commit("conv:1")
        await settle()

        assert peer.positions("conv:1") == [4]


@pytest.mark.parametrize(
    "ended, code", [("logged_out", 4507), ("disabled", 4506), ("expired", 4005)]
)
async def test_the_sweep_closes_logins_that_ended(ended: str, code: int) -> None:
    async with node() as it:
        mine = await it.peer(LI)
        other = await it.peer(LI, login="L2", tab="tab-00002")
        it.gate.login_states[LoginId("L1")] = LoginState(until_ms=0, ended=ended)

        await asyncio.sleep(2)

        assert mine.bye == code
        assert mine.transport.closed == (code, codes.TABLE[code].name)
        assert other.bye is None


async def test_a_kick_closes_all_of_a_principal_and_nobody_else() -> None:
    async with node() as it:
        mine = [await it.peer(LI, tab=f"tab-0000{n}") for n in range(2)]
        same_person = await it.peer(Principal("employee", "li"))

        await it.manager.kick(LI)

        assert [peer.bye for peer in mine] == [4506, 4506]
        assert same_person.bye is None


# --- several nodes -------------------------------------------------------------------------------


async def test_rings_signs_and_notices_reach_the_other_node() -> None:
    hall, log, gate = Hall(), MemoryLog(epoch=EPOCH), MemoryGate()
    async with (
        node(log=log, gate=gate, bus=MemoryBus(hall)) as one,
        node(log=log, gate=gate, bus=MemoryBus(hall)) as two,
    ):
        peer = await two.peer(LI, {"desk": None})

        one.commit("desk")
        one.manager.sign(sign("desk", n=1))
        await settle()
        assert peer.positions("desk") == [1]
        assert len(peer.all("ephemeral")) == 1
        await one.manager.end_login(LoginId("L1"))
        await settle()

        assert peer.bye == 4507


@pytest.mark.parametrize(
    "faults", [Faults(loss=1.0), Faults(loss=0.5, doubling=0.5, delay_s_max=3.0), Faults(deaf=True)]
)
async def test_any_bus_changes_only_latency(faults: Faults) -> None:
    hall, log, gate = Hall(), MemoryLog(epoch=EPOCH), MemoryGate()
    async with (
        node(log=log, gate=gate, bus=MemoryBus(hall, faults=faults)) as one,
        node(log=log, gate=gate, bus=MemoryBus(hall, faults=faults)) as two,
    ):
        peer = await two.peer(LI, {"desk": None})
        for _ in range(30):
            one.commit("desk")
            await asyncio.sleep(0.1)
            if peer.positions("desk"):
                peer.ack("desk")

        await asyncio.sleep(1.5)

        assert peer.positions("desk") == list(range(1, 31))


# --- signs ---------------------------------------------------------------------------------------


async def test_a_sign_skips_the_connection_it_came_from() -> None:
    async with node() as it:
        mine = await it.peer(LI, {"desk": None})
        others = await it.peer(LI, {"desk": None}, tab="tab-00002")
        own = mine.all("hello")[0]["connection"]

        it.manager.sign(sign("desk", type_="typing"), except_for=own)

        assert mine.all("ephemeral") == []
        assert len(others.all("ephemeral")) == 1


async def test_a_sign_for_some_reaches_them_alone_and_is_kept_for_nobody() -> None:
    async with node() as it:
        wanting = await it.peer(LI, {"desk": None}, wants=("flat", "other"))
        other = await it.peer(WANG, {"desk": None}, wants=("flat",), login="L2")
        silent = await it.peer(LI, {"desk": None}, tab="tab-00002")
        meant = Ephemeral(stream="desk", type="status", key="s", wants="flat", to=(LI,))
        it.manager.sign(meant)
        it.manager.sign(replace(meant, to=()))
        late = await it.peer(LI, {"desk": None}, tab="tab-00003", wants=("flat",))

        told = [len(peer.all("ephemeral")) for peer in (wanting, other, silent)]
        assert told == [1, 0, 0]
        assert late.all("live")[0]["signs"] == []
        assert it.manager.is_wanted("desk", "flat")
        assert not it.manager.is_wanted("desk", "nobody said this")
        assert not it.manager.is_wanted("nobody:watches", "flat")


async def test_live_carries_the_signs_as_they_stand() -> None:
    async with node() as it:
        it.gate.stream_signs["desk"] = (sign("desk", "a", n=1), sign("desk", "b", n=1))
        first = await it.peer(LI, {"desk": None})
        it.manager.sign(sign("desk", "b", n=2))

        late = await it.peer(LI, {"desk": None}, tab="tab-00002")

        assert [s["data"] for s in first.all("live")[0]["signs"]] == [{"n": 1}, {"n": 1}]
        assert [(s["key"], s["data"]) for s in late.all("live")[0]["signs"]] == [
            ("a", {"n": 1}), ("b", {"n": 2})
        ]  # fmt: skip


async def test_a_sign_that_cannot_be_carried_touches_nobody() -> None:
    async with node() as it:
        peer = await it.peer(LI, {"desk": None})

        it.manager.sign(sign("desk", text="x" * 5_000))
        it.manager.sign(sign("desk", bad=object()))

        assert peer.all("ephemeral") == []
        assert it.manager.stats().signs_refused == 2


# --- reports, presence, hooks --------------------------------------------------------------------


async def test_acks_and_marks_are_reported_in_order() -> None:
    async with node() as it:
        peer = await it.peer(LI, {"desk": None})
        it.commit("desk", 3)
        await settle()
        it.gate.reports.clear()

        peer.says(op="ack", positions={"desk": 2})
        peer.says(op="mark", stream="desk", read=3)
        await settle()

        connection = peer.all("hello")[0]["connection"]
        by: dict[str, Any] = {"who": LI, "login": "L1", "connection": connection}
        assert it.gate.reports == [
            Acked(**by, positions={"desk": 2}),
            Acked(**by, positions={"desk": 3}),
            MarkedRead(**by, stream="desk", position=3),
        ]


class DeafGate(MemoryGate):
    failures = 2

    async def report(self, reports: Sequence[Report]) -> None:
        if self.failures:
            self.failures -= 1
            raise ConnectionError("the store is away")
        await super().report(reports)


async def test_an_ack_of_what_was_never_sent_costs_no_more_than_one_frame() -> None:
    async with node() as it:
        peer = await it.peer(watch={"conv:1": None})
        for _ in range(38):  # with the identify 39, and 40 are in credit
            peer.says(op="pong")

        peer.says(op="ack", positions={"conv:1": 1})

        assert peer.bye == 4501
        assert not peer.all("error")


async def test_reports_wait_for_a_gate_that_is_away() -> None:
    gate = DeafGate()
    async with node(gate=gate) as it:
        peer = await it.peer(LI, {"desk": None})
        it.commit("desk", 2)
        await settle()
        peer.ack("desk")

        await asyncio.sleep(4)

        assert [type(report) for report in gate.reports] == [PresenceChanged, Acked]


async def test_one_lost_per_absence() -> None:
    async with node() as it:
        first = await it.peer(LI)
        second = await it.peer(LI, tab="tab-00002")
        first.transport.lose()
        await stay(20, second)
        assert [r.state for r in presence(it.gate)] == ["connected"]

        second.transport.lose()
        await asyncio.sleep(10)
        assert it.manager.is_agent_online("li") is False
        back = await it.peer(LI)
        await stay(20, back)
        back.transport.lose()
        await asyncio.sleep(100)

        assert [r.state for r in presence(it.gate)] == [
            "connected", "grace", "connected", "grace", "lost"
        ]  # fmt: skip


async def test_a_manager_that_is_started_again_tells_of_newcomers_at_once() -> None:
    async with node() as it:
        peer = Peer(MemoryTransport())
        await it.manager.serve(peer.transport, LI, LoginId("L1"), until_ms=FOREVER_MS)
        peer.says(
            op="identify",
            protocol=1,
            client="t/1",
            device="device-1",
            tab="tab-00001",
            visible=True,
        )
        peer.transport.lose()
        await it.manager.stop()  # before its lease was written
        await it.manager.start()

        await it.peer(WANG)

        assert [(r.who, r.state) for r in presence(it.gate)] == [(WANG, "connected")]


def presence(gate: MemoryGate) -> list[PresenceChanged]:
    return [report for report in gate.reports if isinstance(report, PresenceChanged)]


async def test_hooks_hear_of_opened_resumed_lagging_and_closed() -> None:
    async with node() as it:
        heard: list[Hook] = []
        it.manager.on(heard.append)
        it.commit("desk", 2)
        peer = await it.peer(LI, {"desk": [EPOCH, 1]})
        for _ in range(260):
            it.commit("desk")
            await settle(5)
        peer.transport.lose()

        assert [type(hook) for hook in heard] == [Opened, Resumed, Lagging, Closed]
        assert isinstance(heard[-1], Closed)
        assert heard[-1].code == 1006


async def test_a_hook_that_raises_harms_no_connection() -> None:
    async with node() as it:

        def bad(hook: Hook) -> None:
            raise RuntimeError("mine")

        it.manager.on(bad)
        peer = await it.peer(LI, {"desk": None})
        it.commit("desk")
        await settle()

        assert peer.positions("desk") == [1]


# --- devices, liveness, the end ------------------------------------------------------------------


async def test_the_same_tab_takes_its_old_place_over() -> None:
    async with node() as it:
        old = await it.peer(LI)
        other = await it.peer(LI, tab="tab-00002")
        elsewhere = await it.peer(LI, login="L2")
        new = await it.peer(LI)

        assert [p.bye for p in (old, other, elsewhere, new)] == [4504, None, None, None]


async def test_over_the_cap_the_longest_unheard_goes_hidden_ones_first() -> None:
    async with node(connections_per_person_max=3) as it:
        peers = []
        for n in range(3):
            peers.append(await it.peer(LI, tab=f"tab-0000{n}"))
            await asyncio.sleep(1)
        peers[1].says(op="visibility", visible=False)

        newcomer = await it.peer(LI, tab="tab-00009")

        assert [p.bye for p in (*peers, newcomer)] == [None, 4505, None, None]


async def test_a_silent_peer_is_closed_within_32_seconds() -> None:
    async with node() as it:
        peer = await it.peer(LI)

        await asyncio.sleep(33)

        assert peer.bye == 4003
        peer.transport.lose()
        assert it.manager.stats().connections == 0


async def test_a_peer_that_never_identifies_is_closed() -> None:
    async with node() as it:
        transport = MemoryTransport()
        await it.manager.serve(transport, LI, LoginId("L1"), until_ms=2**53 - 1)

        await asyncio.sleep(10.2)
        assert transport.closed == (4008, "identify timeout")

        await asyncio.sleep(2.2)
        assert transport.aborted
        assert it.manager.stats().connections == 0


async def test_who_takes_nothing_for_ten_seconds_is_slow_though_more_would_fit() -> None:
    hooks: list[Hook] = []
    async with node() as it:
        it.manager.on(hooks.append)
        peer = await it.peer(LI, {"desk": None})
        peer.transport.reading = False

        it.commit("desk")
        await stay(9, peer)
        assert it.manager.stats().connections == 1
        peer.transport.drain()  # one frame: the ten seconds begin anew
        it.commit("desk")
        await stay(9, peer)
        assert it.manager.stats().connections == 1
        await stay(2, peer)

        assert peer.transport.aborted
        assert [hook.code for hook in hooks if isinstance(hook, Closed)] == [4002]


@pytest.mark.parametrize("capacity, waiting_bytes", [(100_000, 100_000), (256 * 1024, 512 * 1024)])
async def test_nobody_is_slow_where_nothing_waits_whatever_the_bound(
    capacity: int, waiting_bytes: int
) -> None:
    async with node(limits=Limits(waiting_bytes=waiting_bytes)) as it:
        peer = await it.peer(LI, {"desk": None}, transport=MemoryTransport(capacity=capacity))
        for _ in range(15):
            it.commit("desk")
            await stay(1, peer)

        assert peer.bye is None
        assert it.manager.stats().connections == 1


async def test_a_stuck_peer_is_aborted_and_delays_no_other() -> None:
    async with node() as it:
        stuck = await it.peer(LI, {"desk": None}, transport=MemoryTransport(reading=False))
        healthy = await it.peer(LI, {"desk": None}, tab="tab-00002")
        body = b'{"x":"%b"}' % (b"x" * 30_000)
        for n in range(1, 41):
            it.log.append("desk", body)
            it.manager.ring("desk", n)
            await settle(5)
            assert healthy.positions("desk") == list(range(1, n + 1))
            healthy.ack("desk")

        await stay(13, healthy)  # not writable for 10 s, or silent and then 2 s over

        assert stuck.transport.aborted
        assert it.manager.stats().connections == 1
        assert healthy.bye is None


async def test_a_fault_of_ours_ends_that_connection_only() -> None:
    async with node() as it:
        broken = await it.peer(LI, {"desk": None})
        healthy = await it.peer(LI, {"desk": None}, tab="tab-00002")
        connection = it.manager._node.all_streams()[0]
        connection.delivery.watches["desk"].unacked = None  # type: ignore[assignment]

        it.commit("desk")
        await settle()

        assert broken.bye == 4007
        assert healthy.positions("desk") == [1]
        assert it.manager.stats().connections == 1


async def test_drain_tells_everybody_before_the_close_and_spreads_them() -> None:
    async with node() as it:
        peers = [await it.peer(Principal("agent", f"a{n}"), login=f"L{n}") for n in range(120)]
        assert accepts(it.manager)
        draining = asyncio.get_running_loop().create_task(it.manager.drain(1))
        await asyncio.sleep(0.1)
        assert sum(peer.bye is not None for peer in peers) == 50
        assert not accepts(it.manager)

        for peer in peers:
            if peer.bye:
                peer.transport.lose()
        await asyncio.sleep(1)
        for peer in peers:
            peer.transport.lose()
        await draining

        assert {peer.bye for peer in peers} == {4001}
        assert peers[0].all("bye")[0]["retry_ms"] == [1_000, 10_000]


async def test_stop_closes_the_rest_and_leaves_no_task() -> None:
    async with node() as it:
        peer = await it.peer(LI, {"desk": None})

        await it.manager.stop()

        assert peer.bye == 4001
        assert peer.transport.aborted
        assert it.manager.stats().connections == 0
        assert len(it.manager.tasks) == 0


def accepts(manager: ConnectionManager) -> bool:
    return manager.accepting
