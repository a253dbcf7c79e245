"""The scales themselves: they count what was sent, see what is missing, and end by themselves.

Tiny and real: a compiler, loopback sockets. No test here looks at a time.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve

from bench import build, measure, subjects
from bench.servers.driver import Events

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(
        not any(map(shutil.which, ("cc", "gcc", "clang"))),
        reason="optional: no C compiler for the load generator",
    ),
]


def subject(name: str) -> subjects.Subject:
    return next(each for each in subjects.SUBJECTS if each.name == name)


SERVERS = (
    "limit", "serial", "serial-fast", "plain", "stream", "plain-own", "stream-own", "library",
)  # fmt: skip


@pytest.mark.parametrize("name", SERVERS)
def test_every_event_is_counted_at_every_connection(name: str) -> None:
    with measure.weighing(subject(name), 5) as scales:
        found = scales.pace(0.2, 50, burst=3)

    assert found["complete"]
    assert found["deliveries"] == 5 * found["events"] > 0
    assert found["cpu_us"] > 0


def test_the_limit_joins_events_and_the_load_counts_each_of_them() -> None:
    with measure.weighing(subject("limit"), 3) as scales:
        found = scales.pace(0.1, 50, burst=10, join=True)

    assert found["complete"]
    assert found["deliveries"] == 3 * found["events"]
    assert found["events"] % 10 == 0


def test_a_paced_run_says_how_late_the_last_receiver_was() -> None:
    with measure.weighing(subject("limit"), 3) as scales:
        found = scales.pace(0.2, 50)

    assert found["complete"]
    assert 0 < found["last_p50_ms"] <= found["last_p99_ms"]


def test_the_stream_is_acknowledged() -> None:
    with measure.weighing(subject("stream"), 2) as scales:
        found = scales.flood(0.3)

    assert found["complete"]
    assert found["acks"] > 0


def test_those_who_stall_are_not_counted_among_the_readers() -> None:
    with measure.weighing(subject("limit"), 8, stalled=0.25) as scales:
        found = scales.pace(0.1, 50)

    assert found["complete"]
    assert found["deliveries"] == 6 * found["events"]


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


@contextmanager
def _sending(numbers: Sequence[int], *, pieces: bool = False) -> Iterator[measure.Talker]:
    """A server that sends these numbers once the load counts, and the load."""
    with _server(numbers, pieces=pieces) as (port, go):
        command = (str(build.program("load")), "--port", str(port), "--connections", "1")
        load = measure.Talker(command, None)
        try:
            assert load.hear(10)["connected"] == 1
            load.ask("begin", 10)
            go()
            yield load
        finally:
            load.end()


@contextmanager
def _server(numbers: Sequence[int], *, pieces: bool) -> Iterator[tuple[int, Callable[[], object]]]:
    loop = asyncio.new_event_loop()
    began, over, ports = asyncio.Event(), asyncio.Event(), asyncio.Queue[int]()

    async def send(connection: ServerConnection) -> None:
        await began.wait()
        for number in numbers:
            text = json.dumps({"n": number, "body": "x" * 200}, separators=(",", ":"))
            if pieces:  # more than one TCP segment for a frame, and two frames in one
                raw = bytes((0x81, 0x7E)) + len(text).to_bytes(2, "big") + text.encode()
                connection.transport.write(raw[:3])
                await asyncio.sleep(0.02)
                connection.transport.write(raw[3:])
            else:
                await connection.send(text)
        await connection.wait_closed()

    async def main() -> None:
        async with serve(send, "127.0.0.1", 0, compression=None) as server:
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
