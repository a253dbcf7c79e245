"""The recorded traces: fresh, replayed by both cores, and able to tell a client that errs.

`frontend/client/traces.test.ts` replays the same file with the client core in TypeScript.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import pytest

from deskwire.bench.reading import Reading
from deskwire.bench.sight import Sight
from deskwire.bench.wire import Frame
from tests.traces import archive
from tests.traces.plan import FAULTS
from tests.traces.player import Json, replayed

PARTS = 8
parts = pytest.mark.parametrize("part", range(PARTS))


def numbers(part: int) -> range:
    return range(part, archive.COUNT, PARTS)


def test_there_are_a_thousand_and_each_fault_is_in_many() -> None:
    seen = [archive.trace(number)["faults"] for number in range(archive.COUNT)]

    assert len(archive.lines()) == archive.COUNT == 1_000
    assert min(sum(fault in faults for faults in seen) for fault in FAULTS) > 150


def test_the_page_explains_all_that_happens_in_them() -> None:
    page = (archive.PATH.parents[1] / "docs" / "protocol.md").read_text("utf-8")
    section = page.split("## Traces")[1].split("\n## ")[0]
    steps = [step for number in range(200) for step in archive.trace(number)["steps"]]
    mine = [step for step in steps if step["side"] == "client"]
    named = {step["do"] for step in mine} | {out["do"] for step in mine for out in step["out"]}

    unexplained = sorted(word for word in named if f"`{word}`" not in section)

    assert not unexplained


@parts
def test_the_file_holds_what_the_seeds_give(part: int) -> None:
    stale = [n for n in numbers(part) if archive.lines()[n] != archive.recorded(n)]

    assert not stale, f"traces {stale[:5]} … are stale; run: python -m tests.traces"


@parts
def test_both_cores_make_of_the_inputs_what_is_recorded(part: int) -> None:
    for number in numbers(part):
        trace = archive.trace(number)

        assert replayed(trace) == trace, f"trace {number}"


@parts
def test_what_one_core_hears_the_other_has_said_in_that_order(part: int) -> None:
    for number in numbers(part):
        trace = archive.trace(number)
        if {"mangled", "strangers"} & set(trace["faults"]):
            continue
        down, up = Wire(), Wire()
        for step in trace["steps"]:
            put_on(down if step["side"] == "server" else up, step)
            take_off(up if step["side"] == "server" else down, step)

        assert not down.strange, f"trace {number}"
        assert not up.strange, f"trace {number}"


class Wire:
    """One way of every socket: what was said on it, what was heard, what was heard unsaid."""

    def __init__(self) -> None:
        self.of = 0
        self.said: dict[int, list[Json]] = defaultdict(list)
        self.strange: list[Json] = []

    def hear(self, of: int, frame: Json) -> None:
        said = self.said[of]
        if said and said[0] == frame:
            said.pop(0)
        else:
            self.strange.append((of, frame))


def put_on(wire: Wire, step: Mapping[str, Json]) -> None:
    wire.of = step.get("of", wire.of)
    for out in step["out"]:
        if out["do"] == "send":
            wire.said[wire.of].append(out["frame"])
        elif out["do"] == "write":
            wire.said[wire.of] += out["frames"]
        elif out["do"] == "live":
            stream, position = out["stream"], out["position"]
            signs = step.get("signs", {}).get(stream, [])
            live = {"op": "live", "stream": stream, "position": position, "signs": signs}
            wire.said[wire.of].append(live)


def take_off(wire: Wire, step: Mapping[str, Json]) -> None:
    if step["do"] == "receive":
        heard = step["with"] if step["side"] == "server" else step["with"][0]
        for frame in heard:
            wire.hear(step["of"], frame)


# --- clients that err ----------------------------------------------------------------------------


class AppliesOverAGap(Reading):
    def _event(self, frame: Frame, size: int) -> None:
        sight = self._sights.get(frame["stream"])
        if sight is not None and sight.applied is not None and frame["position"] > sight.applied:
            sight.applied = frame["position"] - 1
        super()._event(frame, size)


class IsSilentAboutRepeats(Reading):
    def _event(self, frame: Frame, size: int) -> None:
        sight = self._sights.get(frame["stream"])
        if sight is None or (sight.applied or 0) < frame["position"]:
            super()._event(frame, size)


class TakesEventsBeforeWatched(Reading):
    def _watches(self, sight: Sight) -> bool:
        return self._is_greeted


class OverlooksTheHeartbeatsHeads(Reading):
    def _heads(self, heads: Mapping[str, int] | None) -> None:
        del heads


class ForgetsTheBye(Reading):
    def _hear(self, frame: Frame, size: int) -> None:
        if frame["op"] != "bye":
            super()._hear(frame, size)


class ResumesWithoutItsPlace(Reading):
    def _settle(self, code: int, retry: tuple[float, float] | None) -> None:
        super()._settle(code, retry)
        for sight in self._sights.values():
            sight.applied = sight.applied and sight.applied - 1


@pytest.mark.parametrize(
    "client",
    [
        AppliesOverAGap, IsSilentAboutRepeats, TakesEventsBeforeWatched,
        OverlooksTheHeartbeatsHeads, ForgetsTheBye, ResumesWithoutItsPlace,
    ],
)  # fmt: skip
def test_the_traces_tell_a_client_that_errs(client: type[Reading]) -> None:
    traces = (archive.trace(number) for number in range(archive.COUNT))

    assert any(is_told(trace, client) for trace in traces)


def is_told(trace: Json, client: type[Reading]) -> bool:
    try:
        return bool(replayed(trace, client) != trace)
    except (StopIteration, AssertionError, KeyError):
        return True  # astray, it asks for more than the trace has
