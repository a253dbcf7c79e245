"""What is done to one server in one round, and what is found: plain numbers, no verdicts."""

from __future__ import annotations

import selectors
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from bench.measure import Stands, Weighing, weighing
from bench.subjects import Subject

STALLED_SNDBUF: Final = 32 * 1024
STALLED_EVENT_BYTES: Final = 4_000  # 100 of them are past every bound of ours
CLOSED_WITHIN_S: Final = 45.0  # a stuck connection is closed after 10 s, 30 s at most
LOOK_EVERY_S: Final = 0.5
SLOW: Final = "4002"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How long each part of a round is."""

    connections: int
    flood_s: float = 2.0
    paced_s: float = 3.0
    paced_per_s: float = 10.0
    burst: int = 10
    company_s: float = 4.0
    bursts_per_s: float = 1.0  # slow enough for each to be over before the next
    push_s: float = 1.0
    stalled_s: float = 12.0
    stalled_per_s: float = 25.0
    missed: int = 20
    window_ms: int = 1_000  # in which those who were cut come back


def fan_out(subject: Subject, plan: Plan, what: Collection[str]) -> dict[str, Any]:
    """One server, one round: storm and memory come with the connections, the rest is sent.

    what: flood, paced, burst, company (how long a burst's first receiver waits), push, resume.
    """
    with weighing(subject, plan.connections) as scales:
        found: dict[str, Any] = {"arrival": scales.arrival}
        scales.flood(min(0.3, plan.flood_s))  # warm
        if "flood" in what:
            found["flood"] = scales.flood(plan.flood_s)
        if "paced" in what:
            found["paced"] = scales.pace(plan.paced_s, plan.paced_per_s)
        if "burst" in what:
            found["burst"] = scales.flood(plan.flood_s / 2, plan.burst)
            if subject.joins:
                found["burst_joined"] = scales.flood(plan.flood_s / 2, plan.burst, join=True)
        if "company" in what:
            found["company"] = scales.pace(plan.company_s, plan.bursts_per_s, plan.burst)
        if "push" in what and subject.pushes:
            found["push"] = scales.push(plan.push_s)
        if "resume" in what and subject.resumes:
            found["resume"] = _resumed(scales, plan)
        return found


def stalled(subject: Subject, plan: Plan, share: float, *, to_the_end: bool) -> dict[str, Any]:
    """The healthy ones' lateness before and while others stall, and what becomes of those.

    `share` of `plan.connections` stall. They stop reading just before the second look begins, so
    all that happens to them happens while the others are looked at. To the end: until the server
    has closed them, and they have come back.
    """
    count = max(1, round(plan.connections * share))
    healthy = plan.connections - count
    with weighing(subject, healthy, further=count, sndbuf=STALLED_SNDBUF) as scales:
        rest = (plan.stalled_per_s, 1, STALLED_EVENT_BYTES)
        scales.pace(min(1.0, plan.stalled_s), *rest)  # warm
        found: dict[str, Any] = {"count": count, "without": scales.pace(plan.stalled_s, *rest)}
        before = scales.rss_kib()
        scales.more(count, stalled=True)
        found["with"] = scales.pace(plan.stalled_s, *rest)
        found["kib_per_stalled"] = (scales.rss_kib() - before) / count
        if to_the_end:
            found |= _until_they_are_back(scales, count, found["with"]["events"])
        return found


def _until_they_are_back(scales: Weighing, count: int, events: int) -> dict[str, Any]:
    """The count began before they stalled, so in the end everybody must have every event since."""
    closed_after_s = _closed(scales, count)
    server_closed = scales.stats()["closed"]
    drained = scales.drain(2_000)
    back = scales.back(scales.connections, count, 1_000)
    counted = scales.count(events)
    return {
        "closed_after_s": closed_after_s,
        "server_closed": server_closed,
        "slow_percent": 100 * server_closed.get(SLOW, 0) / count,
        "drained": drained,
        "back": back,
        "counted": counted,
        "lost": _lost(counted, scales.connections + count, events),
    }


def _closed(scales: Weighing, count: int) -> float | None:
    """Seconds until the server has closed that many; None if it did not in CLOSED_WITHIN_S."""
    began = time.monotonic()
    while time.monotonic() < began + CLOSED_WITHIN_S:
        if sum(scales.stats()["closed"].values()) >= count:
            return time.monotonic() - began
        _wait(LOOK_EVERY_S)
    return None


def _resumed(scales: Weighing, plan: Plan) -> dict[str, Any]:
    """All are cut and come back within a short window: with nothing missed, then with some."""
    n = scales.connections
    found: dict[str, Any] = {}
    for name, missed in (("plain", 0), ("missed", plan.missed)):
        scales.cut(0, n)
        _all_gone(scales)
        scales.begin()
        scales.send(missed)
        look: dict[str, Any] = {}
        with scales.looking_at_the_loop(look):
            back = scales.back(0, n, plan.window_ms, wait_s=300)
        counted = scales.count(missed)
        lost = _lost(counted, n, missed) + n - back["connected"]
        found[name] = back | look | {"lost": lost, "counted": counted}
    return found


def _lost(counted: dict[str, Any], clients: int, events: int) -> int:
    """Deliveries that did not come, came twice or out of turn; 0 if all is as it was sent."""
    lacking = int(abs(clients * events - counted["events"]))
    return 0 if counted["complete"] and not lacking else max(1, lacking)


def _all_gone(scales: Weighing) -> None:
    """The server has noticed that they are gone: what it then sends they miss."""
    deadline = time.monotonic() + 30
    while scales.stats()["connections"]:
        if time.monotonic() > deadline:
            raise Stands("the server still counts connections that were cut")
        _wait(0.1)


def _wait(seconds: float) -> None:
    with selectors.DefaultSelector() as selector:
        selector.select(seconds)
