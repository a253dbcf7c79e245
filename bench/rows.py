"""The reach as a table: each figure, where among the rounds it is found, and its bound.

Knows numbers only: no server is started here. A ratio is of one round, so only what ran side by
side is compared.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from bench import report
from bench.parts import Plan
from bench.report import figure, table

FAN, QUARTER, HALF, FEW, MANY = "fan", "quarter", "half", "few", "many"
LATE: Final = "late_p99_ms"
CPU: Final = ("flood", "cpu_us")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How many connections each part has, and how long it lasts."""

    rounds: int = 5
    fan: int = 5_000
    quarter: int = 1_000  # of whom a quarter stalls
    half: int = 2_000  # of whom half stalls
    few: int = 1_000
    many: int = 20_000
    plan: Plan = field(default_factory=lambda: Plan(connections=0, paced_s=2.0, paced_per_s=4))

    def of(self, part: str) -> int:
        return int(getattr(self, part))


class Found:
    """The rounds, looked at by part."""

    def __init__(self, rounds: Sequence[report.Round], sizes: Sizes) -> None:
        self._rounds = rounds
        self._sizes = sizes

    def of(self, part: str) -> list[report.Round]:
        return [each for each in self._rounds if each["part"] == part]

    def values(self, part: str, subject: str, *path: str) -> list[float]:
        return report.values(self.of(part), subject, self._sizes.of(part), figure(*path))

    def ratios(self, part: str, one: str, other: str, *path: str) -> list[float]:
        look = figure(*path)
        return report.ratios(self.of(part), self._sizes.of(part), (one, look), (other, look))

    def within(
        self, part: str, subject: str, one: Sequence[str], other: Sequence[str]
    ) -> list[float]:
        """Two figures of the same server in the same round."""
        sides = (subject, figure(*one)), (subject, figure(*other))
        return report.ratios(self.of(part), self._sizes.of(part), *sides)

    def by_round(self, part: str, names: Sequence[str], *path: str) -> dict[int, list[float]]:
        """What these servers found, round by round."""
        look = figure(*path)
        found: dict[int, list[float]] = {}
        for each in self.of(part):
            if each["subject"] in names and (value := look(each)) is not None:
                found.setdefault(each["round"], []).append(value)
        return found

    def scaled(self, subject: str) -> list[float]:
        """The cost of a delivery at many connections as a multiple of that at few."""
        by_part = [
            {r["round"]: report.CPU(r) for r in self.of(part) if r["subject"] == subject}
            for part in (MANY, FEW)
        ]
        many, few = by_part
        return [x / y for n in many if (x := many[n]) is not None and (y := few.get(n))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of the table. Without a bound it is only told."""

    what: str
    found: Callable[[Found], list[float]]
    part: str
    unit: str = "×"
    at_most: float | None = None
    at_least: float | None = None
    above: float | None = None
    every: bool = False  # a promise without exception: every round must hold, not the median
    digits: int = 2

    @property
    def reach(self) -> str:
        bounds = (("≤", self.at_most), ("≥", self.at_least), (">", self.above))
        words = [
            f"{sign} {bound:g} {self.unit}".strip() for sign, bound in bounds if bound is not None
        ]
        return " and ".join(words) or "–"

    def verdict(self, values: Sequence[float]) -> str:
        """Of the median, or of every round."""
        if self.reach == "–":
            return "–"
        if not values:
            return "not weighed"
        judged = values if self.every else [statistics.median(values)]
        return "yes" if all(self._holds(value) for value in judged) else "**no**"

    def _holds(self, value: float) -> bool:
        return (
            (self.at_most is None or value <= self.at_most)
            and (self.at_least is None or value >= self.at_least)
            and (self.above is None or value > self.above)
        )


SERVICE: Final = "`deskwire serve`"
BASELINES: Final = ("serial", "serial-fast", "serial-wsproto")


def _costs(one: str, other: str, *path: str, part: str = FAN) -> Callable[[Found], list[float]]:
    return lambda found: found.ratios(part, one, other, *(path or CPU))


def _value(part: str, subject: str, *path: str) -> Callable[[Found], list[float]]:
    return lambda found: found.values(part, subject, *path)


def _within(
    part: str, subject: str, one: Sequence[str], other: Sequence[str]
) -> Callable[[Found], list[float]]:
    return lambda found: found.within(part, subject, one, other)


def _cheapest_baseline(found: Found) -> list[float]:
    """Round by round the baseline on the setting that costs least, as a multiple of ours."""
    ours = found.by_round(FAN, ["service"], *CPU)
    theirs = found.by_round(FAN, BASELINES, *CPU)
    return [min(theirs[n]) / ours[n][0] for n in ours if n in theirs]


def _quickest_baseline(found: Found) -> list[float]:
    """Ours as a multiple of the most that the baseline takes in, whichever class it runs on."""
    ours = found.by_round(FAN, ["service"], "arrival", "connects_per_s")
    theirs = found.by_round(FAN, BASELINES, "arrival", "connects_per_s")
    return [ours[n][0] / max(theirs[n]) for n in ours if n in theirs]


def _bursts_of(one: str) -> Callable[[Found], list[float]]:
    return lambda found: found.ratios(FAN, one, "limit", "burst", "cpu_us")


def _scaled(subject: str) -> Callable[[Found], list[float]]:
    return lambda found: found.scaled(subject)


ROWS: Final = (
    Row(what=f"server CPU per broadcast delivery, {SERVICE}, as a multiple of the C program's",
        found=_costs("service", "limit"), part=FAN, at_most=1.15),
    Row(what="… of it in user space", found=_value(FAN, "service", "flood", "user_us"), part=FAN,
        unit="µs", at_most=1.5),
    Row(what=f"the baseline as uvicorn runs it by default, as a multiple of {SERVICE}",
        found=_costs("serial", "service"), part=FAN, at_least=4),
    Row(what=f"the baseline on its fastest setting, as a multiple of {SERVICE}",
        found=_cheapest_baseline, part=FAN, at_least=2.5),
    Row(what=f"Nchan, as a multiple of {SERVICE}", found=_costs("nchan", "service"), part=FAN,
        above=1),
    Row(what=f"node `ws`, as a multiple of {SERVICE}", found=_costs("node-ws", "service"), part=FAN,
        above=1),
    Row(what=f"Socket.IO, as a multiple of {SERVICE}", found=_costs("socket-io", "service"),
        part=FAN, above=1),
    Row(what=f"picows, as a multiple of {SERVICE}", found=_costs("picows", "service"), part=FAN),
    Row(what="the manager alone, `desk.v1`, our uvicorn class, as a multiple of the C program's",
        found=_costs("stream-own", "limit"), part=FAN),
    Row(what="the manager alone, plain, our uvicorn class, as a multiple of the C program's",
        found=_costs("plain-own", "limit"), part=FAN),
    Row(what=f"ten events in one burst, per event, {SERVICE}: of the C program's write() per event",
        found=_bursts_of("service"), part=FAN, at_most=0.25),
    Row(what="… the manager alone, `desk.v1`", found=_bursts_of("stream-own"), part=FAN,
        at_most=0.25),
    Row(what="… the manager alone, plain", found=_bursts_of("plain-own"), part=FAN, at_most=0.25),
    Row(what="… the longest that a burst's first receiver waited, `desk.v1`",
        found=_value(FAN, "stream-own", "company", "first_max_ms"), part=FAN, unit="ms",
        at_most=10, digits=1),
    Row(what="… the same, plain", found=_value(FAN, "plain-own", "company", "first_max_ms"),
        part=FAN, unit="ms", at_most=10, digits=1),
    Row(what="any ASGI server without our class: the baseline as a multiple of ours, the server's"
        " settings the same (deflate off)", found=_costs("serial-fast", "plain"), part=FAN,
        at_least=2),
    Row(what="… the baseline on the server as it comes (deflate on), of ours (deflate off)",
        found=_costs("serial", "plain"), part=FAN),
    Row(what="stream events with position and ack, as a multiple of plain ones, our class",
        found=_costs("stream-own", "plain-own"), part=FAN, at_most=1.3),
    Row(what=f"memory per idle `desk.v1` connection, {SERVICE}",
        found=_value(FAN, "service", "arrival", "kib_per_connection"), part=FAN, unit="KiB",
        at_most=16, digits=1),
    Row(what=f"connects a second with login and hello, {SERVICE}, as a multiple of the baseline's"
        " bare accept (as it comes)",
        found=_costs("service", "serial", "arrival", "connects_per_s"), part=FAN, at_least=1),
    Row(what="… of the baseline's most on any setting", found=_quickest_baseline, part=FAN),
    Row(what="… server CPU per connect, of the baseline's (as it comes)",
        found=_costs("service", "serial", "arrival", "connect_cpu_us"), part=FAN),
    Row(what="targeted push, plain: the baseline as it comes, as a multiple of ours on our class",
        found=_costs("serial", "plain-own", "push", "cpu_us"), part=FAN),
    Row(what="… the baseline with deflate off, of ours",
        found=_costs("serial-fast", "plain-own", "push", "cpu_us"), part=FAN),
    Row(what=f"a quarter stalled: p99 of the others, as a multiple of that without, {SERVICE}",
        found=_within(QUARTER, "service", ("with", LATE), ("without", LATE)), part=QUARTER,
        at_most=1.1),
    Row(what="… the manager alone, plain",
        found=_within(QUARTER, "plain-own", ("with", LATE), ("without", LATE)), part=QUARTER,
        at_most=1.1),
    Row(what=f"as many stalled as healthy: p99 of the healthy, as a multiple of that without,"
        f" {SERVICE}", found=_within(HALF, "service", ("with", LATE), ("without", LATE)),
        part=HALF, at_most=1.1),
    Row(what="… memory per stalled connection", found=_value(HALF, "service", "kib_per_stalled"),
        part=HALF, unit="KiB", at_most=300, every=True, digits=0),
    Row(what="… of the stalled closed as slow (4002)",
        found=_value(HALF, "service", "slow_percent"), part=HALF, unit="%", at_least=100,
        every=True, digits=0),
    Row(what="… deliveries lost once they are back", found=_value(HALF, "service", "lost"),
        part=HALF, unit="", at_most=0, every=True, digits=0),
    Row(what="cost per delivery at many connections, of that at few: the manager, `desk.v1`",
        found=_scaled("stream-own"), part=MANY, at_most=1.2),
    Row(what="… the manager, plain", found=_scaled("plain-own"), part=MANY, at_most=1.2),
    Row(what="… the C program", found=_scaled("limit"), part=MANY),
    Row(what=f"all cut, back within a second with 20 missed events each: deliveries lost,"
        f" {SERVICE}",
        found=_value(FAN, "service", "resume", "missed", "lost"), part=FAN, unit="", at_most=0,
        every=True, digits=0),
    Row(what="… the longest that the loop was kept",
        found=_value(FAN, "service", "resume", "missed", "loop_max_ms"), part=FAN, unit="ms",
        at_most=100, every=True, digits=0),
    Row(what="… the loop's p99", found=_value(FAN, "service", "resume", "missed", "loop_p99_ms"),
        part=FAN, unit="ms", digits=1),
    Row(what="… server CPU, as a multiple of a reconnect with nothing missed",
        found=_within(FAN, "service", ("resume", "missed", "cpu_us"),
                      ("resume", "plain", "cpu_us")), part=FAN),
    Row(what="… seconds until the last is in, of a reconnect with nothing missed",
        found=_within(FAN, "service", ("resume", "missed", "seconds"),
                      ("resume", "plain", "seconds")), part=FAN),
)  # fmt: skip


def reach_table(found: Found, sizes: Sizes) -> str:
    """No figure means that its server is not here, or failed."""
    lines = []
    for row in ROWS:
        values = row.found(found)
        words = f"{report.spread(values, row.digits)} {row.unit}".strip() if values else "–"
        at = f"{sizes.of(row.part):,}"
        lines.append((row.what, row.reach, words, row.verdict(values), at))
    return table(("what", "reach", "found: median (range)", "holds", "connections"), lines)
