"""The scales themselves: they count what was sent, see what is missing, and end by themselves.

Tiny and real: a compiler, loopback sockets. No test here looks at a time.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from bench import build, measure, parts, subjects
from bench.servers.driver import Events

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(
        not build.has_compiler(),
        reason="optional: no C compiler for the load generator",
    ),
]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here is measured, so nothing has to settle."""
    monkeypatch.setattr(measure, "SETTLE_S", 0.0)


def subject(name: str) -> subjects.Subject:
    return next(each for each in subjects.SUBJECTS if each.name == name)


SERVERS = (
    "limit", "service", "stream-own", "plain-own", "serial", "serial-fast", "plain", "stream",
    "library",
)  # fmt: skip


def peer(name: str) -> subjects.Subject:
    found = subject(name)
    if why := found.missing():
        pytest.skip(f"optional: {why}")
    return found


@pytest.mark.parametrize("name", SERVERS)
def test_every_event_is_counted_at_every_connection(name: str) -> None:
    with measure.weighing(subject(name), 5) as scales:
        found = scales.pace(0.2, 50, burst=3)

    assert found["complete"]
    assert found["deliveries"] == 5 * found["events"] > 0
    assert found["cpu_us"] > 0


@pytest.mark.parametrize("name", ["serial-wsproto", "picows", "nchan", "node-ws", "socket-io"])
def test_a_peer_that_is_here_is_counted_alike(name: str) -> None:
    with measure.weighing(peer(name), 5) as scales:
        found = scales.pace(0.2, 50, burst=3)

    assert found["complete"]
    assert found["deliveries"] == 5 * found["events"] > 0
    assert found["cpu_us"] > 0


@pytest.mark.parametrize("name", ["limit", "plain-own", "serial", "serial-fast"])
def test_a_push_reaches_the_one_it_is_for_and_nobody_else(name: str) -> None:
    with measure.weighing(subject(name), 4) as scales:
        found = scales.push(0.2)

    assert found["complete"]
    assert found["deliveries"] == found["events"] > 0


def test_the_limit_joins_events_and_the_load_counts_each_of_them() -> None:
    with measure.weighing(subject("limit"), 3) as scales:
        found = scales.pace(0.1, 50, burst=10, join=True)

    assert found["complete"]
    assert found["deliveries"] == 3 * found["events"]
    assert found["events"] % 10 == 0


def test_a_paced_run_says_how_late_deliveries_the_first_and_the_last_were() -> None:
    with measure.weighing(subject("limit"), 3) as scales:
        found = scales.pace(0.2, 50)

    assert found["complete"]
    assert 0 < found["last_p50_ms"] <= found["last_p99_ms"]
    assert 0 < found["late_p50_ms"] <= found["late_p99_ms"] <= 1.01 * found["late_max_ms"]
    assert found["first_max_ms"] <= found["last_max_ms"]
    # Lateness is kept in steps of 0.8 %, the last to have the latest event is exact.
    assert found["late_max_ms"] == pytest.approx(found["last_max_ms"], abs=0.001)


def test_the_stream_is_acknowledged() -> None:
    with measure.weighing(subject("stream"), 2) as scales:
        found = scales.flood(0.3)

    assert found["complete"]
    assert found["acks"] > 0


def test_an_order_that_a_server_does_not_know_is_a_result_and_not_a_hang() -> None:
    with (
        measure.weighing(subject("library"), 1) as scales,
        pytest.raises(measure.Stands, match="does not know"),
    ):
        scales.push(0.1)


# --- those who stall, those who come back --------------------------------------------------------


def test_those_who_stall_are_not_counted_among_the_readers() -> None:
    with measure.weighing(subject("limit"), 6) as scales:
        scales.more(2, stalled=True)
        found = scales.pace(0.1, 50)
        drained = scales.drain(100)

    assert found["complete"]
    assert found["deliveries"] == 6 * found["events"]
    assert (drained["stalled"], drained["closed_by_us"]) == (2, 2)
    assert drained["events"] == 2 * found["events"]


def test_a_plain_connection_that_stalls_is_closed_as_slow_and_the_others_miss_nothing() -> None:
    with measure.weighing(subject("plain-own"), 2, further=1, sndbuf=4096) as scales:
        scales.more(1, stalled=True)
        found = scales.pace(1.0, 50, 1, 16_000)
        closed = scales.stats()["closed"]
        drained = scales.drain(3_000)

    assert found["complete"]
    assert closed == {"4002": 1}
    assert drained["ended"] == 1
    assert sum(drained["codes"].values()) == 1
    assert drained["events"] < found["events"]


def test_the_code_of_a_close_and_the_word_before_it_are_both_seen() -> None:
    with _server([0], close=4001) as (port, go):
        load = _load(port, "--ack", "s")
        load.ask("more 1 1", 10)
        go()
        drained = load.ask("drain 5000", 10)
        load.end()

    assert drained["codes"] == {"4001": 1}
    assert drained["byes"] == {"4001": 1}


def test_who_is_turned_away_comes_again_and_is_counted() -> None:
    with _server([], refuse=1) as (port, go):
        go()
        command = (str(build.program("load")), "--port", str(port), "--connections", "1")
        load = measure.Talker(command, None)
        entered = load.hear(20)
        load.end()

    assert (entered["connected"], entered["turned_away"]) == (1, 1)
    assert entered["refusals"] == {"503": 1}


@pytest.mark.parametrize("name", ["stream-own", "service"])
def test_who_was_cut_comes_back_to_its_place_and_has_what_it_missed(name: str) -> None:
    plan = parts.Plan(connections=4, flood_s=0.1, missed=20, window_ms=50)

    found = parts.fan_out(subject(name), plan, ("resume",))

    for which, events in (("plain", 0), ("missed", 20)):
        back = found["resume"][which]
        assert (back["connected"], back["lost"]) == (4, 0)
        assert (back["counted"]["least"], back["counted"]["most"]) == (events, events)
        assert back["looks"] > 0
        assert back["loop_max_ms"] >= back["loop_p99_ms"]


@pytest.mark.parametrize(
    "places, gaps, repeats", [([1, 3], 1, 0), ([1, 1], 0, 1), ([1, 2], 0, 0)],
    ids=["a gap", "a repeat", "neither"],
)  # fmt: skip
def test_a_place_that_is_skipped_or_comes_again_is_noticed(
    places: list[int], gaps: int, repeats: int
) -> None:
    with _server([0, 1], places=places) as (port, go):
        load = _load(port, "--ack", "s")
        load.ask("begin", 10)
        go()
        found = load.ask("end 2 2000 0", 10)
        load.end()

    assert (found["gaps"], found["repeats"], found["disordered"]) == (gaps, repeats, 0)


def test_everybody_has_everything_after_half_of_them_stalled_and_were_closed() -> None:
    plan = parts.Plan(connections=4, stalled_s=2.0, stalled_per_s=60)

    found = parts.stalled(subject("stream-own"), plan, 0.5, to_the_end=True)

    assert found["count"] == 2
    assert found["without"]["complete"]
    assert found["with"]["complete"]
    assert sum(found["server_closed"].values()) == 2
    assert found["drained"]["stalled"] == 2
    assert found["back"]["connected"] == 2
    assert found["lost"] == 0


@pytest.mark.parametrize(
    "numbers, least",
    [([0, 2], 2), ([0, 1, 1], 3), ([1, 0], 2), ([0], 1)],
    ids=["a gap", "twice", "out of order", "one is missing"],
)
def test_the_load_sees_what_did_not_come_as_it_was_sent(numbers: list[int], least: int) -> None:
    with _sending(numbers) as load:
        found = load.ask("end 2 300 0", 10)

    assert found["least"] == least
    assert found["disordered"] > 0 or found["least"] < 2


def test_a_frame_that_comes_in_pieces_and_several_in_one_are_read_alike() -> None:
    with _sending([0, 1, 2], pieces=True) as load:
        found = load.ask("end 3 2000 1", 10)

    assert (found["events"], found["disordered"]) == (3, 0)
    assert len(found["last_ns"]) == 3


def test_an_event_has_the_size_that_was_asked_for() -> None:
    events = Events(300)

    sizes = [
        len(json.dumps(events.next(), ensure_ascii=False, separators=(",", ":")).encode())
        for _ in range(200)
    ]

    assert set(sizes) == {300}


def test_a_server_that_ends_is_a_result_and_not_a_hang() -> None:
    dying = subjects.Subject(name="dying", words="", command=lambda _: ("/bin/false",))

    with pytest.raises(measure.Stands, match="has ended"), measure.weighing(dying, 1):
        pass


def test_without_a_compiler_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")

    with pytest.raises(build.CannotBuild, match="apt-get install gcc"):
        build.compiler_path()


def _load(port: int, *options: str) -> measure.Talker:
    """The load generator with one connection, which is in."""
    command = (str(build.program("load")), "--port", str(port), "--connections", "1", *options)
    load = measure.Talker(command, None)
    assert load.hear(10)["connected"] == 1
    return load


@contextmanager
def _sending(numbers: Sequence[int], *, pieces: bool = False) -> Iterator[measure.Talker]:
    """A server that sends these numbers once the load counts, and the load."""
    with _server(numbers, pieces=pieces) as (port, go):
        load = _load(port)
        try:
            load.ask("begin", 10)
            go()
            yield load
        finally:
            load.end()


@contextmanager
def _server(
    numbers: Sequence[int],
    *,
    pieces: bool = False,
    places: Sequence[int] = (),
    close: int = 0,
    refuse: int = 0,
) -> Iterator[tuple[int, Callable[[], object]]]:
    """Sends these numbers to everybody once told to: as events of a stream if there are places."""
    loop = asyncio.new_event_loop()
    began, over, ports = asyncio.Event(), asyncio.Event(), asyncio.Queue[int]()

    async def send(connection: ServerConnection) -> None:
        await began.wait()
        for k, number in enumerate(numbers):
            event: dict[str, object] = {"n": number, "body": "x" * 200}
            if places:
                event = {"op": "event", "stream": "s", "position": places[k], "event": event}
            text = json.dumps(event, separators=(",", ":"))
            if pieces:  # more than one TCP segment for a frame, and two frames in one
                raw = bytes((0x81, 0x7E)) + len(text).to_bytes(2, "big") + text.encode()
                connection.transport.write(raw[:3])
                await asyncio.sleep(0.02)
                connection.transport.write(raw[3:])
            else:
                await connection.send(text)
        if close:
            bye = {"op": "bye", "code": close, "why": "drain", "retry_ms": [1, 2]}
            await connection.send(json.dumps(bye, separators=(",", ":")))
            await connection.close(close, "drain")
        await connection.wait_closed()

    refusals = iter(range(refuse))

    def admit(connection: ServerConnection, request: Request) -> Response | None:
        return connection.respond(503, "later") if next(refusals, None) is not None else None

    async def main() -> None:
        door = serve(send, "127.0.0.1", 0, compression=None, process_request=admit)
        async with door as server:
            ports.put_nowait(next(iter(server.sockets)).getsockname()[1])
            await over.wait()

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(loop.run_until_complete, main())
        port = asyncio.run_coroutine_threadsafe(ports.get(), loop).result(10)
        try:
            yield port, lambda: loop.call_soon_threadsafe(began.set)
        finally:
            loop.call_soon_threadsafe(over.set)
            running.result(10)
    loop.close()


def test_what_is_built_is_kept_out_of_git() -> None:
    ignored = (Path(build.HERE) / ".gitignore").read_text("utf-8")

    assert ".build/" in ignored
