"""The server's end of one socket: a delivery, and what its node answers it, each in its time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from deskwire.realtime.delivery import Phase
from deskwire.realtime.watch import Standing, Watch
from tests.traces.link import Link
from tests.traces.player import Json, as_json, open_server, play_server
from tests.traces.stage import Stage
from tests.traces.truth import Truth

UNIX_MS: Final = 1_763_800_000_000  # at the world's 0
HOURS_8_MS: Final = 8 * 3_600_000
HEARTBEAT_MS: Final = 20_000


class End:
    def __init__(
        self, stage: Stage, truth: Truth, link: Link, limits: dict[str, int], login_ms: int,
        record: Callable[[Json], None],
    ) -> None:  # fmt: skip
        self.link = link
        self._stage = stage
        self._truth = truth
        self._record = record
        self._whole_room = limits["waiting_bytes"]
        self._offers_at = 0
        self._timer = 0
        greeting = {
            "connection": f"c-{link.number}",
            "node": f"n-{1 + link.number % 3}",
            "login_until": UNIX_MS + stage.now + login_ms,
            "unix_offset_ms": UNIX_MS,
            "ping_first_ms": stage.between(0, HEARTBEAT_MS),
            "ping_every_ms": stage.between(HEARTBEAT_MS * 9 // 10, HEARTBEAT_MS * 11 // 10),
        }
        step = self._input("open", greeting)
        self.delivery, made = open_server(step, limits)
        self._heed({**step, **made})
        link.far = self

    @property
    def is_open(self) -> bool:
        return self.delivery.phase is Phase.OPEN

    # --- inputs ---------------------------------------------------------------------------------

    def receive(self, frame: Json) -> None:
        self._step("receive", frame)

    def writable(self) -> None:
        self._step("writable")

    def lost(self) -> None:
        self._step("lost")

    def leave(self, code: int, retry: Json) -> None:
        self._step("leave", code, retry)

    def renewed(self) -> None:
        self._step("renewed", UNIX_MS + self._stage.now + HOURS_8_MS)

    def sign(self, sign: Json) -> None:
        if self.delivery.phase is not Phase.CLOSED:
            self._step("ephemeral", sign)

    def offer_in(self, ms: int, stream: str, position: int) -> None:
        """In the order of the calls, unless the node has lost the stream's thread meanwhile."""
        epoch = self._truth.head(stream)["epoch"]
        self._offers_at = max(self._offers_at, self._stage.now + ms)
        wait = self._offers_at - self._stage.now
        self._stage.later(wait, lambda: self._offer(stream, epoch, position))

    def _offer(self, stream: str, epoch: str, position: int) -> None:
        stale = epoch != self._truth.head(stream)["epoch"]
        watched = stream in self.delivery.watches or self._stage.chance(0.1)
        if self.delivery.phase is not Phase.NEW and watched and not stale:
            self._step("offer", stream, epoch, position, self._truth.event(stream, position))

    def news(self, stream: str, why: str | None = None) -> None:
        """Rights changed, another epoch, a floor: for watches that were answered already."""
        watch = self.delivery.watches.get(stream)
        if self.is_open and watch is not None and watch.standing is not Standing.ASKED:
            self._permitted(stream, why)

    def _permitted(self, stream: str, why: str | None) -> None:
        answer = self._truth.permits[stream] or {"why": why}
        self._step("permitted", stream, answer, self._truth.head(stream))

    # --- steps ----------------------------------------------------------------------------------

    def _input(self, do: str, *given: Json) -> dict[str, Json]:
        step = {"side": "server", "of": self.link.number, "at": self._stage.now, "do": do}
        room = self.link.room()
        if given:
            step["with"] = as_json(given)
        if room != self._whole_room:
            step["room"] = room
        return step

    def _step(self, do: str, *given: Json) -> None:
        if self.delivery.phase is Phase.CLOSED:
            return
        step = self._input(do, *given)
        self._heed({**step, **play_server(self.delivery, step)})
        if self.delivery.held_back and self.link.room() > self.delivery.room:
            self._step("writable")

    def _heed(self, step: dict[str, Json]) -> None:
        lives = [out["stream"] for out in step["out"] if out["do"] == "live"]
        signs = {stream: self._signs(stream) for stream in lives}
        if any(signs.values()):
            step["signs"] = signs
        self._record(step)
        self._arm(step["due_in"])
        for out in step["out"]:
            self._do(out, signs)

    def _do(self, out: Json, signs: Json) -> None:
        match out["do"]:
            case "write":
                self.link.write(out["frames"])
            case "live":
                stream, position = out["stream"], out["position"]
                live = {"op": "live", "stream": stream, "position": position}
                self.link.write([{**live, "signs": signs[stream]}])
            case "ask":
                for stream in out["streams"]:
                    self._answer_later(stream, self.delivery.watches[stream])
            case "read":
                stream, after = out["stream"], out["after"]
                self._stage.later(
                    self._stage.between(1, 150), lambda: self._answer_read(stream, after)
                )
            case "close":
                self.link.close(out["code"])
            case "abort":
                self.link.abort()

    def _signs(self, stream: str) -> list[Json]:
        signs = self._truth.signs[stream].values()
        return [{name: sign[name] for name in sign if name != "stream"} for sign in signs]

    # --- what the node answers ------------------------------------------------------------------

    def _answer_later(self, stream: str, watch: Watch) -> None:
        def answer() -> None:
            asked = self.delivery.watches.get(stream) is watch
            if self.is_open and asked and watch.standing is Standing.ASKED:
                self._permitted(stream, None)

        self._stage.later(self._stage.between(1, 250), answer)

    def _answer_read(self, stream: str, after: int) -> None:
        watch = self.delivery.watches.get(stream)
        if not self.is_open or watch is None:
            return
        page = self._truth.page(stream, after, self._stage.between(1, 8))
        if page is not None and (page["epoch"] == watch.epoch or self._stage.chance(0.5)):
            self._step("page", stream, page)
        elif watch.reading == after:  # the node finds out, and tells whoever watches
            self.news(stream)

    def _arm(self, due_in: int | None) -> None:
        self._timer += 1
        mine = self._timer

        def tick() -> None:
            if mine == self._timer:
                self._step("tick", self._heads())

        if due_in is not None:
            self._stage.later(max(0, due_in) + self._stage.roll(5), tick)

    def _heads(self) -> dict[str, int]:
        return {stream: self._truth.head(stream)["position"] for stream in self.delivery.watches}
