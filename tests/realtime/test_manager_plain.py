"""The baseline's methods: what they keep, what they no longer do wrong."""

from __future__ import annotations

import asyncio
import inspect
import logging
from random import Random
from typing import Any

import pytest
from starlette.websockets import WebSocket

from deskwire import ConnectionManager, PayloadError, Policy, Reach, manager
from deskwire.realtime.gate import Principal
from deskwire.realtime.limits import Limits
from tests.realtime.nodes import node, settle
from tests.realtime.simloop import SIMULATED
from tests.realtime.sockets import LookAlike, Server


@pytest.fixture
def anyio_backend() -> Any:
    return SIMULATED


async def elsewhere(work: Any) -> Any:
    """Runs in a task of its own, as another endpoint would."""
    return await asyncio.get_running_loop().create_task(work)


# --- the baseline's face -------------------------------------------------------------------------


def test_the_baselines_names_and_argument_order_are_kept() -> None:
    expected = {
        "connect": ["agent_id", "websocket"],
        "disconnect": ["agent_id"],
        "send_to_agent": ["agent_id", "data"],
        "broadcast": ["data"],
        "connect_employee": ["employee_id", "websocket"],
        "disconnect_employee": ["employee_id"],
        "send_to_employee": ["employee_id", "data"],
        "broadcast_to_employees": ["employee_ids", "data"],
        "broadcast_message_status": ["conv_id", "msg_id", "status", "participant_ids", "extra"],
        "is_employee_online": ["employee_id"],
    }
    for name, arguments in expected.items():
        parameters = list(inspect.signature(getattr(manager, name)).parameters)
        assert parameters[: len(arguments)] == arguments, name


async def test_connect_accepts_registers_and_sends() -> None:
    desk, ws = ConnectionManager(), LookAlike()

    connection_id = await desk.connect("li", ws)

    assert connection_id.startswith("c-")
    assert ws.accepted == 1
    assert desk.active_connections["li"] is ws
    assert await desk.send_to_agent("li", {"n": 1}) == Reach(people=1, connections=1)
    assert ws.sent == [{"n": 1}]


async def test_a_failing_accept_raises_and_registers_nobody() -> None:
    desk, ws = ConnectionManager(), LookAlike()

    async def refuse() -> None:
        raise RuntimeError("gone before accept")

    ws.accept = refuse  # type: ignore[method-assign]

    with pytest.raises(RuntimeError):
        await desk.connect("li", ws)
    assert len(desk.active_connections) == 0


async def test_an_accepted_socket_is_taken_as_it_is() -> None:
    desk, server = ConnectionManager(), Server()
    await server.websocket.accept()

    await desk.connect("li", server.websocket)

    assert [m["type"] for m in server.messages] == ["websocket.accept"]


async def test_a_send_that_an_app_has_made_its_own_is_what_is_called() -> None:
    class Counting(WebSocket):
        said = 0

        async def send(self, message: Any) -> None:
            self.said += message["type"] == "websocket.send"
            await super().send(message)

    desk, server = ConnectionManager(), Server()
    own = Counting({"type": "websocket"}, server._receive, server._send)

    await desk.connect("li", own)
    await desk.send_to_agent("li", {"n": 1})
    await desk.broadcast({"n": 2})

    assert server.texts == ['{"n":1}', '{"n":2}']
    assert own.said == 2


async def test_numbers_for_ids_work_as_they_did_in_a_dict() -> None:
    desk, server = ConnectionManager(), Server()
    numbers: Any = desk

    await numbers.connect(5, server.websocket)

    assert numbers.is_agent_online(5)
    assert (await numbers.send_to_agent(5, {"a": 1})).people == 1
    assert numbers.disconnect(None) == 0
    assert numbers.disconnect(5) == 1


async def test_absent_people_are_a_quiet_no() -> None:
    desk = ConnectionManager()

    assert not await desk.send_to_agent("nobody", {})
    assert not await desk.broadcast({})
    assert not await desk.broadcast_to_employees([], {})
    assert await desk.broadcast_message_status("c", "m", "read", []) == 0
    assert desk.disconnect("nobody") == 0
    assert not desk.is_employee_online("nobody")


async def test_broadcast_reaches_all_agents_and_no_employee() -> None:
    desk = ConnectionManager()
    agents = [LookAlike() for _ in range(3)]
    for n, ws in enumerate(agents):
        await desk.connect(f"a{n}", ws)
    employee = LookAlike()
    await desk.connect_employee("e", employee)

    assert await desk.broadcast({"n": 1}) == Reach(people=3, connections=3)

    assert all(ws.sent == [{"n": 1}] for ws in agents)
    assert employee.sent == []


async def test_employees_listed_twice_get_it_once() -> None:
    desk, ws = ConnectionManager(), LookAlike()
    await desk.connect_employee("wang", ws)

    reach = await desk.broadcast_to_employees(["wang", "WANG", "nobody", "wang"], {"n": 1})

    assert reach == Reach(people=1, connections=1)
    assert ws.sent == [{"n": 1}]


async def test_the_views_are_live_read_only_and_look_up_by_key() -> None:
    desk, ws = ConnectionManager(), LookAlike()
    view = desk.active_connections
    await desk.connect("ZhangSan", ws)

    assert view["zhangsan"] is ws
    assert "ZHANGSAN" in view
    assert list(view) == ["ZhangSan"]
    assert view.get("nobody") is None
    assert len(desk.employee_connections) == 0
    with pytest.raises(TypeError):
        view["li"] = ws  # type: ignore[index]
    with pytest.raises(TypeError):
        del view["ZhangSan"]  # type: ignore[attr-defined]


async def test_two_spellings_warn_once_and_name_the_setting(
    caplog: pytest.LogCaptureFixture,
) -> None:
    desk = ConnectionManager()
    with caplog.at_level(logging.WARNING, "deskwire.realtime"):
        for spelling in ("ZhangSan", "zhangsan", "ZHANGSAN"):
            await desk.connect(spelling, LookAlike())

    assert [r for r in caplog.records if "id_key" in r.getMessage()] == caplog.records[:1]
    assert len(desk.active_connections) == 1
    exact = ConnectionManager(id_key=str)
    await exact.connect("a", LookAlike())
    assert not await exact.send_to_agent("A", {})


# --- one connection, its successor, its end ------------------------------------------------------


async def test_the_newest_replaces_the_older_which_is_closed_with_4504() -> None:
    desk, old, new = ConnectionManager(), LookAlike(), LookAlike()
    await desk.connect("li", old)

    await desk.connect("li", new)

    assert old.closed == [(4504, "replaced")]
    assert desk.active_connections["li"] is new
    assert desk.stats().connections == 1


async def test_replaced_code_1000_restores_the_baselines() -> None:
    desk, old = ConnectionManager(replaced_code=1000), LookAlike()
    await desk.connect("li", old)

    await desk.connect("li", LookAlike())

    assert old.closed[0][0] == 1000


async def test_a_new_connection_registers_while_the_old_close_hangs() -> None:
    desk, old, new = ConnectionManager(), LookAlike(), LookAlike()
    old.close_hangs = True
    await desk.connect("li", old)

    async with asyncio.timeout(0.1):
        await desk.connect("li", new)
    await desk.send_to_agent("li", {"n": 1})
    await asyncio.sleep(1.1)  # then the close is given up

    assert new.sent == [{"n": 1}]
    assert len(desk.tasks) == 0


async def test_a_close_is_given_up_after_a_second_though_frames_leave_meanwhile() -> None:
    class Trickle(LookAlike):
        async def send_json(self, data: Any) -> None:
            await asyncio.sleep(0.3)
            await super().send_json(data)

    desk, old = ConnectionManager(), Trickle()
    await desk.connect("li", old)
    for n in range(100):
        await desk.send_to_agent("li", n)

    await desk.connect("li", LookAlike())
    await asyncio.sleep(1.1)

    assert 0 < len(old.sent) < 5
    assert len(desk.tasks) == 0


async def test_an_unmodified_endpoint_never_removes_its_successor() -> None:
    desk, old, new = ConnectionManager(), LookAlike(), LookAlike()
    left = asyncio.Event()

    async def endpoint(ws: LookAlike, until: asyncio.Event) -> None:
        await desk.connect("li", ws)
        try:
            await until.wait()
        finally:
            desk.disconnect("li")

    loop = asyncio.get_running_loop()
    first = loop.create_task(endpoint(old, left))
    await settle()
    second = loop.create_task(endpoint(new, asyncio.Event()))
    await settle()

    left.set()
    await first

    assert desk.active_connections["li"] is new
    second.cancel()
    await settle()
    assert "li" not in desk.active_connections


async def test_a_task_started_by_the_endpoint_removes_only_its_own() -> None:
    desk, old, new = ConnectionManager(), LookAlike(), LookAlike()

    async def endpoint() -> asyncio.Task[int]:
        await desk.connect("li", old)

        async def later() -> int:
            await asyncio.sleep(1)
            return desk.disconnect("li")

        return asyncio.get_running_loop().create_task(later())

    cleanup = await elsewhere(endpoint())
    await elsewhere(desk.connect("li", new))

    assert await cleanup == 0
    assert desk.active_connections["li"] is new


async def test_disconnect_from_elsewhere_takes_away_all_of_that_person() -> None:
    desk = ConnectionManager(policy=Policy.MANY)
    for _ in range(3):
        await elsewhere(desk.connect("li", LookAlike()))
    await elsewhere(desk.connect_employee("li", LookAlike()))

    assert desk.disconnect("LI") == 3

    assert not desk.is_agent_online("li")
    assert desk.is_employee_online("li")


async def test_disconnect_of_a_socket_removes_that_one_and_is_harmless_twice() -> None:
    desk = ConnectionManager(policy=Policy.MANY)
    one, two = LookAlike(), LookAlike()
    await desk.connect("li", one)
    await desk.connect("li", two)

    assert desk.disconnect("li", one) == 1
    assert desk.disconnect("li", one) == 0

    assert desk.active_connections["li"] is two
    assert one.closed == []


async def test_the_same_socket_connected_again_stays_open() -> None:
    desk, ws = ConnectionManager(), LookAlike()
    await desk.connect("li", ws)

    await desk.connect("li", ws)

    assert ws.closed == []
    assert (await desk.send_to_agent("li", {"n": 1})).connections == 1


async def test_the_same_socket_connected_again_keeps_the_order_of_the_calls() -> None:
    class OneByOne(LookAlike):
        room = asyncio.Semaphore(0)

        async def send_json(self, data: Any) -> None:
            await self.room.acquire()
            await super().send_json(data)

    desk, ws = ConnectionManager(), OneByOne()
    await desk.connect("li", ws)
    for n in (1, 2, 3):
        await desk.send_to_agent("li", n)
    await desk.connect("li", ws)
    await desk.send_to_agent("li", 4)
    for _ in range(4):
        ws.room.release()
        await settle()

    assert ws.sent == [1, 2, 3, 4]


async def test_who_is_taken_out_while_it_still_connects_hears_no_broadcast() -> None:
    desk, new = ConnectionManager(), LookAlike()

    class TakesItselfOut(LookAlike):
        async def close(self, code: int = 1000, reason: str | None = None) -> None:
            desk.disconnect("li")  # by now the newcomer's: it is what this task has connected
            await super().close(code, reason)

    await desk.connect("li", TakesItselfOut())
    await desk.connect("li", new)
    assert not desk.is_agent_online("li")

    assert await desk.broadcast({"n": 1}) == Reach(people=0, connections=0)

    assert new.sent == []


async def test_many_keeps_up_to_the_cap_and_the_same_tab_takes_its_place() -> None:
    desk = ConnectionManager(policy=Policy.MANY, connections_per_person_max=2)
    sockets = [LookAlike() for _ in range(4)]
    for ws, tab in zip(sockets, ["t1", "t2", "t2", "t3"], strict=True):
        await desk.connect("li", ws, tab=tab)

    codes = [[code for code, _ in ws.closed] for ws in sockets]
    assert codes == [[4505], [4504], [], []]
    assert (await desk.send_to_agent("li", {})).connections == 2


async def test_a_failed_send_removes_and_closes_only_its_own() -> None:
    desk = ConnectionManager(policy=Policy.MANY)
    good, bad, other = LookAlike(), LookAlike(), LookAlike()
    await desk.connect("li", good)
    await desk.connect("li", bad)
    await desk.connect("wang", other)
    bad.breaks = RuntimeError('Cannot call "send" once a close message has been sent.')

    assert await desk.broadcast({"n": 1}) == Reach(people=2, connections=2)

    assert desk.stats().connections == 2
    assert good.sent == other.sent == [{"n": 1}]


async def test_a_socket_that_its_app_has_closed_takes_nothing_and_is_let_go() -> None:
    desk, server = (
        ConnectionManager(),
        Server(),
    )  # a server that says nothing of what comes too late
    await desk.connect("li", server.websocket)
    await server.websocket.close()

    assert not await desk.send_to_agent("li", {"n": 1})

    assert desk.stats().connections == 0
    assert server.texts == []


async def test_a_late_failure_of_the_old_socket_leaves_the_new_one() -> None:
    desk, old, new = ConnectionManager(), LookAlike(), LookAlike()
    await desk.connect("li", old)
    old.breaks = ConnectionResetError()
    await desk.connect("li", new)

    await desk.send_to_agent("li", {"n": 1})

    assert new.sent == [{"n": 1}]


# --- never waiting -------------------------------------------------------------------------------


async def test_one_stalled_peer_delays_no_other() -> None:
    desk, stalled, healthy = ConnectionManager(), LookAlike(), LookAlike()
    stalled.stalls = True
    await desk.connect("a", stalled)
    await desk.connect("b", healthy)

    async with asyncio.timeout(0.1):
        for n in range(100):
            assert (await desk.broadcast({"n": n})).people == 2

    assert [each["n"] for each in healthy.sent] == list(range(100))


async def test_256_messages_wait_and_one_more_closes_with_4002() -> None:
    desk, server = ConnectionManager(), Server()
    await desk.connect("li", server.websocket)
    server.stalls = True
    for n in range(256):
        assert await desk.send_to_agent("li", {"n": n})

    assert not await desk.send_to_agent("li", {"n": 256})

    assert len(desk.active_connections) == 0
    assert desk.stats().slow_closed == 1
    server.reads_on()
    await settle(600)
    assert len(server.texts) == 256
    assert server.close_codes == [4002]


async def test_256_kib_wait_and_one_byte_more_closes_with_4002() -> None:
    desk, server = ConnectionManager(), Server()
    await desk.connect("li", server.websocket)
    server.stalls = True
    text = "x" * (64 * 1024 - 2 - 4)  # with quotes and the frame's header: 64 KiB
    for _ in range(4):
        assert await desk.send_to_agent("li", text)

    assert not await desk.send_to_agent("li", "")

    assert len(desk.active_connections) == 0


async def test_a_peer_that_takes_nothing_for_ten_seconds_is_closed() -> None:
    desk, server = ConnectionManager(), Server()
    await desk.connect("li", server.websocket)
    server.stalls = True
    await desk.send_to_agent("li", {})

    await asyncio.sleep(9.9)
    assert desk.is_agent_online("li")
    await asyncio.sleep(0.2)

    assert not desk.is_agent_online("li")


async def test_a_stuck_socket_that_is_connected_again_is_closed_as_well() -> None:
    desk, server = ConnectionManager(), Server()
    await desk.connect("li", server.websocket)
    server.stalls = True
    await desk.send_to_agent("li", {})
    await desk.connect("li", server.websocket)

    await asyncio.sleep(10.1)

    assert not desk.is_agent_online("li")


async def test_a_slow_but_moving_peer_gets_everything_in_order() -> None:
    desk, server = ConnectionManager(), Server()
    await desk.connect("li", server.websocket)
    server.stalls = True
    for n in range(200):
        await desk.send_to_agent("li", n)
    server.reads_on()
    await settle(600)

    assert server.texts == [str(n) for n in range(200)]


async def test_a_bulk_sender_may_wait_for_room() -> None:
    desk, server = ConnectionManager(), Server()
    await desk.connect("li", server.websocket)
    server.stalls = True
    for n in range(256):
        await desk.send_to_agent("li", n)

    loop = asyncio.get_running_loop()
    loop.call_later(2, server.reads_on)
    begun = loop.time()
    assert await desk.send_to_agent("li", 256, wait_s=5)

    assert loop.time() - begun == pytest.approx(2)
    await settle(600)
    assert len(server.texts) == 257


async def test_cancelled_halfway_nobody_was_skipped() -> None:
    desk = ConnectionManager()
    sockets = [LookAlike() for _ in range(50)]
    for n, ws in enumerate(sockets):
        await desk.connect(f"a{n}", ws)
    sockets[10].stalls = True

    sending = asyncio.get_running_loop().create_task(desk.broadcast({"n": 1}))
    await asyncio.sleep(0)
    sending.cancel()
    await settle()

    assert sum(len(ws.sent) for ws in sockets) == 49


async def test_calls_keep_their_order_whoever_makes_them() -> None:
    desk, server = ConnectionManager(), Server()
    await desk.connect("li", server.websocket)

    async def send(n: int) -> None:
        await desk.send_to_agent("li", n)

    await asyncio.gather(*(send(n) for n in range(100)))

    assert server.texts == [str(n) for n in range(100)]


# --- payloads ------------------------------------------------------------------------------------


async def test_an_unencodable_payload_touches_nobody_and_names_the_place(
    caplog: pytest.LogCaptureFixture,
) -> None:
    desk = ConnectionManager()
    sockets = [LookAlike() for _ in range(50)]
    for n, ws in enumerate(sockets):
        await desk.connect(f"a{n}", ws)

    with caplog.at_level(logging.ERROR, "deskwire.realtime"):
        reach = await desk.broadcast({"rows": [{"when": object()}]})

    assert reach == Reach(people=0, connections=0)
    assert desk.stats().connections == 50
    assert desk.stats().payloads_refused == 1
    record = caplog.records[0]
    assert record.levelno == logging.ERROR
    assert record.exc_info
    assert "$.rows[0].when" in record.getMessage()
    assert await desk.broadcast({"n": 1})


async def test_a_bad_payload_raises_where_asked_for() -> None:
    desk, ws = ConnectionManager(on_bad_payload="raise"), LookAlike()
    await desk.connect("li", ws)

    with pytest.raises(PayloadError):
        await desk.send_to_agent("li", {"bad": object()})

    assert desk.is_agent_online("li")


async def test_what_the_caller_changes_after_the_call_never_shows() -> None:
    desk, ws = ConnectionManager(), LookAlike()
    await desk.connect("li", ws)
    payload = {"n": [1]}

    await desk.send_to_agent("li", payload)
    payload["n"].append(2)

    assert ws.sent == [{"n": [1]}]


async def test_extra_never_overrides_the_status_fields(caplog: pytest.LogCaptureFixture) -> None:
    desk, ws = ConnectionManager(), LookAlike()
    await desk.connect("li", ws)

    with caplog.at_level(logging.WARNING, "deskwire.realtime"):
        count = await desk.broadcast_message_status(
            "c1", "m1", "recalled", ["li"],
            {"status": "read", "type": "forged", "recall_by": "wang"},
        )  # fmt: skip

    assert count == 1
    assert ws.sent == [
        {
            "type": "message_status", "conv_id": "c1", "msg_id": "m1", "status": "recalled",
            "recall_by": "wang",
        }
    ]  # fmt: skip
    assert "status" in caplog.text


async def test_a_person_in_both_realms_gets_both_and_counts_once() -> None:
    desk = ConnectionManager(policy=Policy.MANY)
    sockets = [LookAlike() for _ in range(4)]
    await desk.connect("zhao", sockets[0])
    await desk.connect("zhao", sockets[1])
    await desk.connect_employee("Zhao", sockets[2])
    await desk.connect_employee("wang", sockets[3])

    count = await desk.broadcast_message_status("c", "m", "read", ["zhao", "ZHAO", "wang", "no"])

    assert count == 2
    assert [len(ws.sent) for ws in sockets] == [1, 1, 1, 1]


async def test_failures_are_not_counted_as_reached() -> None:
    desk, ws = ConnectionManager(), LookAlike()
    await desk.connect("li", ws)
    ws.breaks = OSError()

    assert await desk.broadcast_message_status("c", "m", "read", ["li"]) == 0


async def test_doubles_with_plain_functions_and_odd_signatures_work() -> None:
    class Odd:
        sent: list[Any] = []  # noqa: RUF012
        closed = 0

        async def accept(self) -> None: ...

        def send_json(self, data: Any) -> None:
            self.sent.append(data)

        async def close(self) -> None:
            self.closed += 1

    desk, odd = ConnectionManager(), Odd()
    await desk.connect("li", odd)
    await desk.send_to_agent("li", {"n": 1})
    await desk.connect("li", LookAlike())

    assert odd.sent == [{"n": 1}]
    assert odd.closed == 1


async def test_a_plain_payload_reaches_a_stream_connection_as_an_ephemeral() -> None:
    async with node() as it:
        peer = await it.peer(Principal("agent", "li"))
        ws = LookAlike()
        await it.manager.connect("li", ws)

        reach = await it.manager.send_to_agent("LI", {"n": 1})

        assert reach == Reach(people=1, connections=2)
        (frame,) = peer.all("ephemeral")
        assert (frame["type"], frame["data"]) == ("plain", {"n": 1})
        assert ws.sent == [{"n": 1}]


# --- the registry --------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
async def test_the_registry_equals_the_open_connections(seed: int) -> None:
    """Random connects, disconnects, failures and stalls by concurrent endpoints."""
    dice = Random(seed)
    desk = ConnectionManager(
        policy=dice.choice([Policy.LATEST, Policy.MANY]),
        connections_per_person_max=2,
        limits=Limits(close_ms=200),
    )

    async def endpoint(person: str) -> None:
        ws = LookAlike()
        ws.close_hangs = dice.random() < 0.2
        await asyncio.sleep(dice.random())
        await desk.connect(person, ws)
        await asyncio.sleep(dice.random() * 3)
        if dice.random() < 0.3:
            ws.breaks = OSError()
        await asyncio.sleep(dice.random())
        desk.disconnect(person)

    async with asyncio.TaskGroup() as group:
        for _ in range(60):
            group.create_task(endpoint(dice.choice(["a", "b", "c"])))
        for n in range(40):
            await asyncio.sleep(0.1)
            await desk.broadcast({"n": n})
            view = dict(desk.active_connections)
            assert all(not ws.closed for ws in view.values())
            assert desk.stats().connections <= 3 * 2
            assert desk.stats().people == len(view)

    assert desk.stats().connections == 0
    await asyncio.sleep(1)
    assert len(desk.tasks) == 0
