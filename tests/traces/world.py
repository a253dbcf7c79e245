"""One client, its sockets one after another, and the servers behind them, joined.

What either core was given and gave is the trace. Its seed says what goes wrong (`storm.py`); once
that is over the client must soon have everything.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from deskwire.bench.phases import Kind
from tests.traces import plan
from tests.traces.end import HOURS_8_MS, End
from tests.traces.link import Link
from tests.traces.page import CLIENT, Page
from tests.traces.player import Json, applied, stands_client, stands_server
from tests.traces.stage import Stage
from tests.traces.truth import STREAMS, Truth

WAITING_BYTES: Final = 66_000  # no room may be below one event's bound
CALM_MS: Final = 60_000  # within it whoever is healed has everything
ANSWERS: Final = ((200, None), (0, None), (401, None), (403, None), (429, 3_000), (503, 2_000))
STRANGE_FIRST: Final[tuple[Json, ...]] = (
    {"op": "probe", "n": 1},
    {"op": "identify", "protocol": 2},
    {"op": "later"},
)


class World:
    def __init__(self, number: int) -> None:
        self.number = number
        self.stage = stage = Stage(number)
        self.faults = plan.drawn(stage)
        self.truth = Truth(stage, STREAMS[: 1 + stage.roll(len(STREAMS))])
        self.limits = {  # small, so that every bound is met often
            "waiting_bytes": WAITING_BYTES, "unacked_bytes": 66_000, "resume_events": 30,
            "unacked_events": stage.pick((8, 8, 256)), "watches": stage.pick((2, 200, 200, 200)),
        }  # fmt: skip
        self.ends: list[End] = []
        self._steps: list[Json] = []
        self._is_calm = False
        self.page = Page(stage, self.truth, self, self._steps.append)

    def has(self, fault: str) -> bool:
        return fault in self.faults and not self._is_calm

    def trace(self) -> Json:
        ends = [stands_server(end.delivery) for end in self.ends]
        return {
            "trace": self.number,
            "faults": list(self.faults),
            "client": CLIENT,
            "dice": self.page.dice,
            "limits": self.limits,
            "steps": self._steps,
            "applied": applied(self._steps),
            "end": {"client": stands_client(self.page.reading), "servers": ends},
        }

    # --- the network ----------------------------------------------------------------------------

    def opens(self, page: Page, number: int) -> None:
        fate = self.stage.roll(6) if self.has("refusals") else 5
        wait = self.stage.between(5, 150)
        if fate == 0:
            return  # never answered
        if fate in (1, 2):
            self.stage.later(wait, partial(page.lost, number, 1006))
        else:
            self.stage.later(wait, partial(self._accept, page, number))

    def _accept(self, page: Page, number: int) -> None:
        if number != page.number:
            return
        link = Link(self.stage, number, page, WAITING_BYTES, mangles=self.has("mangled"))
        login_ms = self.stage.between(10_000, 80_000) if self.has("logins") else HOURS_8_MS
        self.ends.append(
            End(self.stage, self.truth, link, self.limits, login_ms, self._steps.append)
        )
        if self.has("strangers") and self.stage.chance(0.1):
            link.up(self.stage.pick(STRANGE_FIRST))
        page.accepted(link)
        if self.has("half_open") and self.stage.chance(0.1):
            link.die(down=False, up=True)

    def why_refused(self) -> tuple[int, int | None]:
        return self.stage.pick(ANSWERS) if self.has("refusals") else (200, None)

    def renews(self, page: Page, why: int | None) -> None:
        good = not self.has("logins") or self.stage.chance(0.6)
        wait = self.stage.between(50, 3_000)
        if why is not None:
            self.stage.later(wait, partial(page.step, "renewed", good))
        elif good:
            for end in self.ends:
                self.stage.later(wait, end.renewed)

    # --- the servers ----------------------------------------------------------------------------

    def commit(self, stream: str) -> int:
        """One event, rung at every node; the position it has."""
        position = self.truth.append(stream)
        for end in self.ends:
            if self.has("lost_rings") and self.stage.chance(0.4):
                self.stage.later(self.stage.between(900, 1_100), partial(self._look, end, stream))
                continue
            end.offer_in(self.stage.roll(40), stream, position)
            if self.has("repeats") and self.stage.chance(0.5):
                end.offer_in(self.stage.roll(400), stream, position)
        return position

    def _look(self, end: End, stream: str) -> None:
        """The node's tick finds what no doorbell told of."""
        position = self.truth.head(stream)["position"]
        if position:
            end.offer_in(0, stream, position)

    # --- calm -----------------------------------------------------------------------------------

    def settle(self) -> None:
        """Everything heals; within CALM_MS the client is live and has all that it may see."""
        page = self.page
        self._heal()
        end = self.stage.now + CALM_MS
        while self.stage.now < end and not page.has_everything:
            self.stage.run_for(1_000)
            if page.reading.state.kind is Kind.STOPPED:
                page.step("retry")
            for stream in page.wanted:
                if stream not in page.reading.places:
                    page.load(stream)
        assert page.has_everything, f"{page.reading!r} {page.reading.places}"
        assert "strangers" in self.faults or not self._closed_with(4501), "a fault of the client"
        if self.stage.chance(0.2):
            page.step("close")

    def _heal(self) -> None:
        self._is_calm = True
        self.page.sleep(0)
        for stream in self.truth.streams:
            if self.truth.permits[stream] is None:
                self.truth.permits[stream] = {"after": 0, "until": None}
        if self.page.link is not None:
            self.page.link.flow()
        self.page.step("show", True)
        self.page.step("net", True)

    def _closed_with(self, code: int) -> bool:
        outs = (out for step in self._steps for out in step["out"])
        return any(out["do"] == "close" and out["code"] == code for out in outs)
