"""One event to each of many connections: what a delivery costs, how many a second, how late.

The flood says what a core can carry; the paced run says how late an event is when there is time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from deskwire.bench.children import Pair

GRACE_S: Final = 20.0
PACED_PER_S: Final = 10.0
WARM_S: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class FanOut:
    """Microseconds are processor time per delivery, kernel included; `load_us` is the load's.

    `late_ms` is over all deliveries, `last_ms` over events until the last client had it: median and
    p99, None if the run was too short. `is_whole`: every client had every event once and in order.
    """

    connections: int
    events: int
    deliveries: int
    is_whole: bool
    cpu_us: float
    user_us: float
    load_us: float
    per_s: float
    late_ms: tuple[float, float] | None = None
    last_ms: tuple[float, float] | None = None


def flood(pair: Pair, connections: int, *, seconds: float, size: int) -> FanOut:
    """As fast as it goes, `size` bytes of JSON an event."""
    _send(pair, connections, seconds=WARM_S, per_s=0, size=size)
    return _send(pair, connections, seconds=seconds, per_s=0, size=size)


def paced(pair: Pair, connections: int, *, seconds: float, size: int) -> FanOut:
    """Ten events a second."""
    return _send(pair, connections, seconds=seconds, per_s=PACED_PER_S, size=size)


def _send(pair: Pair, connections: int, *, seconds: float, per_s: float, size: int) -> FanOut:
    pair.load.ask(10, do="begin", is_timed=per_s > 0)
    before = pair.standing()
    sent = pair.server.ask(seconds + GRACE_S, do="send", seconds=seconds, per_s=per_s, size=size)
    got = pair.load.ask(GRACE_S + 10, do="end", events=sent["events"], wait_s=GRACE_S)
    after = pair.standing()
    each = max(1, got["deliveries"])
    return FanOut(
        connections=connections,
        events=sent["events"],
        deliveries=got["deliveries"],
        is_whole=got["is_whole"],
        cpu_us=(after.cpu_s - before.cpu_s) * 1e6 / each,
        user_us=(after.user_s - before.user_s) * 1e6 / each,
        load_us=got["cpu_s"] * 1e6 / each,
        per_s=got["deliveries"] / sent["seconds"],
        late_ms=_pair(got.get("late_ms")),
        last_ms=_pair(got.get("last_ms")),
    )


def _pair(found: Any) -> tuple[float, float] | None:
    return (float(found[0]), float(found[1])) if found else None
