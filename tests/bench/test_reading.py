"""The client core in Python, on the traces that the one in TypeScript replays too."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from deskwire.bench.outs import Drop, Gone, Out, Send
from deskwire.bench.phases import Kind
from deskwire.bench.reading import Reading
from deskwire.bench.wire import Frame
from tests.traces.player import play_client

CASES = sorted((Path(__file__).parents[2] / "contract" / "cases").glob("client_*.json"))


def test_there_are_cases() -> None:
    assert len(CASES) > 10


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_case_gives_its_outputs_and_states(path: Path) -> None:
    case = json.loads(path.read_text("utf-8"))
    reading = Reading(case["client"], lambda: case["dice"])

    played = [step | play_client(reading, step) for step in case["steps"]]
    for step in played:
        del step["due_in"]  # which these cases leave open

    assert played == case["steps"]


# --- what no case shows --------------------------------------------------------------------------

WHO = {"device": "d-00000001", "tab": "t-00000001"}


def told(reading: Reading, *frames: object) -> list[Out]:
    return list(reading.receive("\n".join(json.dumps(frame) for frame in frames), 0))


def sent(outs: Sequence[Out]) -> list[Frame]:
    return [out.frame for out in outs if isinstance(out, Send)]


def hello(watches: int = 200) -> Frame:
    return {"op": "hello", "now": 1, "limits": {"watches": watches}}


def reading_of(*streams: str) -> Reading:
    reading = Reading("test/1", lambda: 0.5)
    reading.watch(dict.fromkeys(streams, ("e1", 5)), 0)
    reading.start(0)
    reading.opened(WHO, 0)
    return reading


def test_a_watch_above_the_bound_is_gone_at_once() -> None:
    reading = reading_of(*(f"s{n}" for n in range(200)))
    told(reading, hello())

    outs = reading.watch({"more": None, "s0": ("e1", 3)}, 0)

    assert outs == [Gone("more", "too_many_watches")]
    assert "more" not in reading.places


def test_a_server_that_takes_fewer_watches_is_asked_for_the_first_ones() -> None:
    reading = reading_of("a", "b", "c")

    outs = told(reading, hello(watches=2))

    assert outs[1:-1] == [Gone("c", "too_many_watches")]
    assert sent(outs) == [{"op": "watch", "watch": {"a": ("e1", 5), "b": ("e1", 5)}}]


def test_a_client_that_is_closed_hears_nothing_more() -> None:
    reading = reading_of("a")
    told(reading, hello())

    assert reading.close(0) == [Drop(1000)]
    assert told(reading, {"op": "event", "stream": "a", "position": 6, "event": {}}) == []
    assert (reading.state.kind, reading.due_at) == (Kind.STOPPED, None)
