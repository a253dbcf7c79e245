"""The client's end: the core in Python, a user in front of it, and the laws that it must keep."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from deskwire.bench.phases import Kind
from deskwire.bench.reading import Reading
from deskwire.realtime.frames import Place
from tests.traces.link import Link
from tests.traces.player import Json, as_json, play_client
from tests.traces.stage import Stage
from tests.traces.truth import Truth

WHO: Final = {"device": "d-00000001", "tab": "t-00000001"}
CLIENT: Final = "golden/1"


class Network(Protocol):
    def opens(self, page: Page, number: int) -> None:
        """A socket is wanted: sooner or later `accepted`, or `lost`, or nothing at all."""
        ...

    def why_refused(self) -> tuple[int, int | None]: ...
    def renews(self, page: Page, why: int | None) -> None: ...


class Page:
    def __init__(
        self, stage: Stage, truth: Truth, network: Network, record: Callable[[Json], None]
    ) -> None:
        self.dice: list[float] = []  # as they fell
        self.reading = Reading(CLIENT, self._throw)
        self.link: Link | None = None
        self.number = 0
        self.wanted = list(truth.streams)
        self._stage = stage
        self._truth = truth
        self._network = network
        self._record = record
        self._awake_at = 0
        self._timer = 0
        self._before: Mapping[str, Place | None] = {}  # its places before the present step
        self._applied: dict[str, tuple[str | None, int]] = {}

    def _throw(self) -> float:
        self.dice.append(self._stage.number())
        return self.dice[-1]

    # --- its user -------------------------------------------------------------------------------

    def begin(self) -> None:
        """Streams from a snapshot, from the first event, or from now on; then the socket."""
        first = self.wanted[: 1 + self._stage.roll(len(self.wanted))]
        self.watch({stream: self._first_place(stream) for stream in first})
        self.step("start")
        self.watch({s: self._truth.end(s) for s in self.wanted[len(first) :]})

    def _first_place(self, stream: str) -> Json:
        end = self._truth.end(stream)
        return self._stage.pick((end, end, [None, 0], None))

    def watch(self, places: dict[str, Json]) -> None:
        for stream in places:
            self._applied.pop(stream, None)
        if places:
            self.step("watch", places)

    def load(self, stream: str) -> None:
        """A snapshot: its place, or there is nothing to see."""
        place = self._truth.end(stream)
        if place is not None and stream in self.wanted:
            self.watch({stream: place})

    def want(self, stream: str) -> None:
        self.wanted = [each for each in self._truth.streams if each in (*self.wanted, stream)]

    def unwatch(self, stream: str) -> None:
        self.wanted = [each for each in self.wanted if each != stream]
        self.step("unwatch", [stream])

    def sleep(self, ms: int) -> None:
        self._awake_at = self._stage.now + ms

    def awake_in(self) -> int:
        return max(0, self._awake_at - self._stage.now)

    # --- its socket -----------------------------------------------------------------------------

    def accepted(self, link: Link) -> None:
        self.link = link
        self.step("opened", WHO)

    def receive(self, number: int, frames: Json) -> None:
        if number == self.number or self.link is None:  # late, it is not heard
            self.step("receive", frames)

    def lost(self, number: int, code: int) -> None:
        if number == self.number:
            self.link = None
            self.step("lost", code)

    # --- steps ----------------------------------------------------------------------------------

    def step(self, do: str, *given: Json) -> None:
        step: dict[str, Json] = {"side": "client", "at": self._stage.now, "do": do}
        if do in ("opened", "receive", "lost"):
            step["of"] = self.number
        if given:
            step["with"] = as_json(given)
        self._before = self.reading.places
        step |= play_client(self.reading, step)
        self._record(step)
        self._arm(step["due_in"])
        for out in step["out"]:
            self._heed(out)

    def _heed(self, out: Json) -> None:
        match out["do"]:
            case "open":
                self.number += 1
                self._network.opens(self, self.number)
            case "send":
                assert self.link is not None, "sent where there is no socket"
                self.link.up(out["frame"])
            case "drop":
                if self.link is not None:
                    self.link.drop()
                self.link = None
                self.number += 1  # what still comes from it is not heard
            case "ask":
                status, after = self._network.why_refused()
                self._later((20, 900), lambda: self.step("answered", status, after))
            case "login":
                self._network.renews(self, out["why"])
            case "apply":
                self._applies(out["stream"], out["position"], out["event"])
            case "load":
                self._later((20, 900), lambda: self.load(out["stream"]))
            case "gone":
                self._applied.pop(out["stream"], None)
                if out["why"] == "too_many_watches":
                    self.wanted.remove(out["stream"])

    def _later(self, ms: tuple[int, int], act: Callable[[], None]) -> None:
        self._stage.later(self._stage.between(*ms), act)

    def _arm(self, due_in: float | None) -> None:
        self._timer += 1
        mine = self._timer

        def wake() -> None:
            if mine != self._timer:
                return
            if self.awake_in():
                self._stage.later(self.awake_in(), wake)
            else:
                self.step("wake")

        if due_in is not None:
            self._stage.later(max(0, math.ceil(due_in)) + self._stage.roll(4), wake)

    # --- the laws -------------------------------------------------------------------------------

    def _applies(self, stream: str, position: int, event: Json) -> None:
        """Each stream's next event, as its log has it."""
        place = self.reading.places.get(stream, self._before.get(stream))
        if place is None:  # watched from now on, and forgotten in the same step
            return
        epoch = place[0]
        assert event == self._truth.event(stream, position, epoch), f"{stream} {position}"
        before = self._applied.get(stream)
        assert before in (None, (epoch, position - 1)), f"{stream}: {position} after {before}"
        self._applied[stream] = (epoch, position)

    @property
    def has_everything(self) -> bool:
        """Live, and each stream that is wanted stands at its end; above it, who was narrowed."""
        places = as_json(self.reading.places)
        for stream in self.wanted:
            end, place = self._truth.end(stream), places.get(stream)
            if place is None or place[0] != end[0] or place[1] < end[1]:
                return False
        return self.reading.state.kind is Kind.LIVE
