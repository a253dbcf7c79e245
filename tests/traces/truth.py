"""What servers know behind their connections: the log, who may see what, passing signs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from deskwire.realtime.log import MemoryLog
from tests.traces.player import Json, body_of
from tests.traces.stage import Stage

STREAMS: Final = ("conv:812", "conv:812:staff", "agent:li")
TEXTS: Final = ("好的", "VPN 连不上了", "printer on 3rd floor", 'a "quoted" \\ word', "")


class Truth:
    def __init__(self, stage: Stage, streams: Sequence[str]) -> None:
        self.streams = streams
        self.log = MemoryLog(epoch="epoch-01")
        self.permits: dict[str, Json] = {stream: {"after": 0, "until": None} for stream in streams}
        self.signs: dict[str, dict[str, Json]] = {stream: {} for stream in streams}
        self._stage = stage
        self._ever: dict[tuple[str, str, int], Json] = {}
        self._epochs = 1
        for stream in streams:
            for _ in range(stage.roll(6)):
                self.append(stream)

    def append(self, stream: str) -> int:
        head = self.log.head(stream)
        position = head.position + 1
        event = {"type": "message.posted", "n": position, "text": self._stage.pick(TEXTS)}
        self._ever[stream, head.epoch, position] = event
        return self.log.append(stream, body_of(event))

    def restore(self, stream: str, lost: int) -> None:
        """From a backup that lacks the last events: another life of the stream."""
        head = self.log.head(stream)
        self._epochs += 1
        epoch = f"epoch-{self._epochs:02}"
        kept = [self.event(stream, n) for n in range(1, max(0, head.position - lost) + 1)]
        self.log.restore(stream, epoch, [body_of(event) for event in kept])
        for position, event in enumerate(kept, 1):
            self._ever[stream, epoch, position] = event
        permit = self.permits[stream]
        if permit is not None:  # rights come from the same backup
            until = permit["until"]
            within = {"after": min(permit["after"], len(kept))}
            self.permits[stream] = within | {"until": until and min(until, len(kept))}

    def event(self, stream: str, position: int, epoch: str | None = None) -> Json:
        return self._ever[stream, epoch or self.log.head(stream).epoch, position]

    def head(self, stream: str) -> Json:
        head = self.log.head(stream)
        return {"epoch": head.epoch, "position": head.position, "floor": head.floor}

    def end(self, stream: str) -> Json:
        """The place of a snapshot: the head as one may see it; None: it may not be seen."""
        head, permit = self.log.head(stream), self.permits[stream]
        if permit is None:
            return None
        until = head.position if permit["until"] is None else permit["until"]
        return [head.epoch, min(head.position, until)]

    def page(self, stream: str, after: int, limit: int) -> Json:
        """The events above `after`; None where the log has let go of the first of them."""
        page = self.log.page(stream, after, limit)
        if self.log.head(stream).floor > after + 1:
            return None
        events = [self.event(stream, each.position) for each in page.events]
        return {"epoch": page.epoch, "after": after, "events": events, "head": page.head}
