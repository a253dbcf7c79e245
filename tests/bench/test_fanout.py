"""Fan-out, storm and memory on a real server and a real load. No test here looks at a time."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest

from deskwire.bench import children, crowd, fanout, memory, storm
from deskwire.bench.children import Pair, Stands
from deskwire.bench.serving import Events
from deskwire.cli.bench import serves
from deskwire.realtime.frames import encode_payload

pytestmark = pytest.mark.system
CONNECTIONS = 5


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    """A server with five clients."""
    with children.pair(serves) as found:
        before = found.standing()
        came = storm.arrive(found, CONNECTIONS)
        held = memory.held(before, found.standing(), CONNECTIONS)
        assert came.connects_per_s > 0
        assert came.cpu_us > 0
        assert held.kib_per_connection is None or held.kib_per_connection >= 0
        yield found


def test_every_event_of_a_flood_is_counted_at_every_client(pair: Pair) -> None:
    found = fanout.flood(pair, CONNECTIONS, seconds=0.2, size=300)

    assert found.is_whole
    assert found.deliveries == CONNECTIONS * found.events > 0
    assert found.cpu_us > 0
    assert found.load_us > 0


def test_a_paced_run_says_how_late_each_and_the_last_were(pair: Pair) -> None:
    found = fanout.paced(pair, CONNECTIONS, seconds=0.5, size=300)

    assert found.is_whole
    assert found.late_ms is not None
    assert found.last_ms is not None
    assert 0 < found.late_ms[0] <= found.late_ms[1]
    assert 0 < found.last_ms[0] <= found.last_ms[1]


def test_who_does_not_get_in_is_said_and_not_measured(pair: Pair) -> None:
    load = children.Child("load", crowd.run, None)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = replace(pair, load=load, port=closed.getsockname()[1])

        with pytest.raises(Stands, match="0 of 3 connections"):
            storm.arrive(nobody, 3)

    load.end()


@pytest.mark.parametrize("size", [150, 300, 5_000])
def test_an_event_has_the_size_that_was_asked_for(size: int) -> None:
    events = Events(size)

    assert {len(encode_payload(events.next())) for _ in range(20)} == {size}
