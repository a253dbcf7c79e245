"""From the rounds to a table, a plot and a file: medians, ranges, ratios of the same round."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import Any, Final, TypeAlias

Round: TypeAlias = Mapping[str, Any]  # subject, connections, round, and what was found
Figure: TypeAlias = Callable[[Mapping[str, Any]], float | None]

REFERENCES: Final = ("limit", "serial", "serial-fast")


def figure(*path: str) -> Figure:
    def look(found: Mapping[str, Any]) -> float | None:
        value: Any = found
        for step in path:
            value = value.get(step) if isinstance(value, Mapping) else None
        return float(value) if value is not None else None

    return look


CPU: Final = figure("flood", "cpu_us")


def values(rounds: Sequence[Round], subject: str, connections: int, look: Figure) -> list[float]:
    found = (look(r) for r in rounds if (r["subject"], r["connections"]) == (subject, connections))
    return [value for value in found if value is not None]


def ratios(
    rounds: Sequence[Round], connections: int, one: tuple[str, Figure], other: tuple[str, Figure]
) -> list[float]:
    """Round by round: only what ran side by side is compared."""
    sides = []
    for subject, look in (one, other):
        sides.append(
            {
                r["round"]: look(r)
                for r in rounds
                if (r["subject"], r["connections"]) == (subject, connections)
            }
        )
    a, b = sides
    return [x / y for n in a if (x := a[n]) is not None and (y := b.get(n))]


def spread(found: Sequence[float], digits: int = 1) -> str:
    """The median, and the range if there is one."""
    if not found:
        return "–"
    middle = f"{statistics.median(found):,.{digits}f}"
    if len(found) == 1:
        return middle
    return f"{middle} ({min(found):,.{digits}f}–{max(found):,.{digits}f})"


def middle(found: Sequence[float], digits: int = 1) -> str:
    return f"{statistics.median(found):,.{digits}f}" if found else "–"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def markdown(result: Mapping[str, Any]) -> str:
    rounds, words = result["rounds"], result["subjects"]
    parts = [f"# {result['date']}: {result['title']}", "", *about(result)]
    for n in result["connections"]:
        here = [s for s in words if any((r["subject"], r["connections"]) == (s, n) for r in rounds)]
        if any("flood" in r for r in rounds):
            parts += ["", f"## One event to each of {n:,} connections", "", costs(result, here, n)]
            parts += ["", cost_ratios(rounds, here, n)]
        if any("paced" in r or "arrival" in r for r in rounds):
            parts += ["", f"## Lateness, memory and arrival, {n:,} connections", ""]
            parts.append(_lateness(result, here, n))
        if any("burst" in r for r in rounds):
            parts += ["", f"## Bursts of {result['burst']} events, {n:,} connections", ""]
            parts.append(bursts(rounds, here, n))
        if any("push" in r for r in rounds):
            parts += ["", f"## One event to one of {n:,} connections", "", pushes(rounds, here, n)]
        if any("resume" in r for r in rounds):
            parts += ["", f"## All {n:,} connections are cut and come back", ""]
            parts.append(storms(rounds, here, n))
        if any("stalled" in r for r in rounds):
            parts += ["", f"## A quarter of {n:,} connections never reads", ""]
            parts.append(stalled(rounds, here, n))
    if len(result["connections"]) > 1:
        parts += ["", "## More connections, the same cost?", "", _scale(result)]
    if result["faults"]:
        parts += ["", "## What failed", "", *(f"- {fault}" for fault in result["faults"])]
    return "\n".join(parts) + "\n"


def about(result: Mapping[str, Any]) -> list[str]:
    machine = ", ".join(f"{key} {value}" for key, value in result["machine"].items())
    versions = ", ".join(f"{key} {value}" for key, value in result["versions"].items())
    lines = [
        f"Command: `{result['command']}`",
        "",
        f"- Machine: {machine}. Server and load each on one core of their own.",
        f"- Versions: {versions}.",
        f"- {result['count']} rounds, the servers in turn within each: medians, and ranges in",
        "  brackets. A ratio is taken within a round.",
        f"- An event is {result['event_bytes']} bytes of JSON. CPU is the server's own, kernel",
        "  included, as the scheduler counts it; the load's is beside it.",
    ]
    lines += [f"- Not weighed: `{name}`, {why}." for name, why in result["left_out"].items()]
    return lines


def costs(result: Mapping[str, Any], here: Sequence[str], n: int) -> str:
    rounds = result["rounds"]

    def row(s: str) -> Sequence[str]:
        def v(*path: str) -> list[float]:
            return values(rounds, s, n, figure("flood", *path))

        return (
            result["subjects"][s], spread(v("cpu_us")), middle(v("user_us")),
            middle(v("system_us")), middle(v("per_s"), 0), middle(v("bytes"), 0),
            middle(v("events_per_read")), middle(v("acks_per_event"), 2), middle(v("load_us")),
        )  # fmt: skip

    head = (
        "server, as fast as it goes", "CPU µs per delivery", "user", "system", "deliveries/s",
        "bytes", "events per read", "acks per event", "the load's µs",
    )  # fmt: skip
    return table(head, [row(s) for s in here])


def cost_ratios(rounds: Sequence[Round], here: Sequence[str], n: int) -> str:
    references = [s for s in REFERENCES if s in here]
    rows = []
    for s in here:
        cells = [spread(ratios(rounds, n, (s, CPU), (other, CPU)), 2) for other in references]
        rows.append((f"`{s}`", *cells))
    return table(("CPU as a multiple of", *(f"`{s}`" for s in references)), rows)


def _lateness(result: Mapping[str, Any], here: Sequence[str], n: int) -> str:
    rounds = result["rounds"]

    def row(s: str) -> Sequence[str]:
        def v(*path: str) -> list[float]:
            return values(rounds, s, n, figure(*path))

        return (
            f"`{s}`", spread(v("paced", "cpu_us")), spread(v("paced", "last_p50_ms")),
            spread(v("paced", "last_p99_ms")), spread(v("arrival", "kib_per_connection")),
            spread(v("arrival", "connects_per_s"), 0), middle(v("arrival", "connect_cpu_us"), 0),
        )  # fmt: skip

    head = (
        f"server, {result['paced_per_s']:g} events a second", "CPU µs per delivery",
        "last receiver p50, ms", "p99, ms", "KiB per idle connection", "connects/s",
        "CPU µs per connect",
    )  # fmt: skip
    return table(head, [row(s) for s in here])


def bursts(rounds: Sequence[Round], here: Sequence[str], n: int) -> str:
    looks = [(s, s, "burst") for s in here]
    if "limit" in here:
        looks.insert(1, ("limit", "limit, joined", "burst_joined"))
    rows = []
    for s, name, part in looks:
        look = figure(part, "cpu_us")
        if not values(rounds, s, n, look):
            continue
        to_limit = ratios(rounds, n, (s, look), ("limit", figure("burst", "cpu_us")))
        rows.append(
            (
                f"`{name}`",
                spread(values(rounds, s, n, look), 2),
                spread(to_limit, 2),
                middle(values(rounds, s, n, figure(part, "per_s")), 0),
                middle(values(rounds, s, n, figure(part, "events_per_read"))),
                middle(values(rounds, s, n, figure(part, "acks_per_event")), 2),
            )
        )
    head = (
        "server", "CPU µs per event", "of the limit's write() each", "deliveries/s",
        "events per read", "acks per event",
    )  # fmt: skip
    return table(head, rows)


def arrivals(rounds: Sequence[Round], here: Sequence[str], n: int) -> str:
    """The storm as all come in, and what each then holds."""

    def row(s: str) -> Sequence[str]:
        def v(name: str, digits: int) -> str:
            return spread(values(rounds, s, n, figure("arrival", name)), digits)

        load = middle(values(rounds, s, n, figure("arrival", "connect_load_us")), 0)
        away = middle(values(rounds, s, n, figure("arrival", "turned_away")), 0)
        cpu, kib = v("connect_cpu_us", 0), v("kib_per_connection", 1)
        return (f"`{s}`", v("connects_per_s", 0), cpu, load, away, kib)

    head = (
        "server", "connects/s", "CPU µs per connect", "the load's µs", "turned away and came again",
        "KiB per idle connection",
    )  # fmt: skip
    return table(head, [row(s) for s in here])


def lateness(rounds: Sequence[Round], here: Sequence[str], n: int) -> str:
    """A few events a second: every delivery by itself, and until the last reader has an event."""
    rows = []
    for s in here:

        def v(name: str, *, s: str = s) -> list[float]:
            return values(rounds, s, n, figure("paced", name))

        if found := v("cpu_us"):
            last_p50, last_p99 = spread(v("last_p50_ms")), spread(v("last_p99_ms"))
            each = spread(v("late_p50_ms")), spread(v("late_p99_ms"))
            rows.append((f"`{s}`", spread(found), *each, last_p50, last_p99))
    head = (
        "server, paced", "CPU µs per delivery", "a delivery's p50, ms", "p99, ms",
        "last receiver p50, ms", "p99, ms",
    )  # fmt: skip
    return table(head, rows)


def pushes(rounds: Sequence[Round], here: Sequence[str], n: int) -> str:
    """One event to one of many."""
    look = figure("push", "cpu_us")
    rows = [
        (
            f"`{s}`",
            spread(found),
            middle(values(rounds, s, n, figure("push", "user_us"))),
            middle(values(rounds, s, n, figure("push", "per_s")), 0),
            spread(ratios(rounds, n, (s, look), ("serial", look)), 2),
        )
        for s in here
        if (found := values(rounds, s, n, look))
    ]
    head = ("server, one event to one of all", "CPU µs per push", "user", "pushes/s", "of `serial`")
    return table(head, rows)


def storms(rounds: Sequence[Round], here: Sequence[str], n: int) -> str:
    """All are cut and come back within a second."""
    rows = []
    for s in here:
        for name, words in (("plain", "nothing missed"), ("missed", "20 events missed each")):

            def v(figure_name: str, digits: int = 0, *, s: str = s, name: str = name) -> str:
                look = figure("resume", name, figure_name)
                return spread(values(rounds, s, n, look), digits)

            if not values(rounds, s, n, figure("resume", name, "seconds")):
                continue
            rows.append(
                (
                    f"`{s}`, {words}", v("seconds", 1), v("p99_ms"), v("cpu_us"), v("load_us"),
                    v("loop_max_ms"), v("loop_p99_ms", 1), v("turned_away"), v("lost"),
                )
            )  # fmt: skip
    head = (
        "back within a second", "s until the last is in", "p99 of one's return, ms",
        "CPU µs per return", "the load's µs", "loop kept at most, ms", "p99, ms",
        "turned away and came again", "deliveries lost",
    )  # fmt: skip
    return table(head, rows)


def stalled(rounds: Sequence[Round], here: Sequence[str], n: int) -> str:
    """The healthy ones' lateness before and while a quarter stalls, delivery by delivery."""
    before, after = (figure("stalled", which, "late_p99_ms") for which in ("without", "with"))
    before_p50, after_p50 = (
        figure("stalled", which, "late_p50_ms") for which in ("without", "with")
    )
    stuck = figure("stalled", "with", "stuck")

    def row(s: str) -> Sequence[str]:
        return (
            f"`{s}`",
            middle(values(rounds, s, n, before_p50)),
            middle(values(rounds, s, n, after_p50)),
            spread(values(rounds, s, n, before)),
            spread(values(rounds, s, n, after)),
            spread(ratios(rounds, n, (s, after), (s, before)), 2),
            middle(values(rounds, s, n, figure("stalled", "kib_per_stalled")), 0),
            f"{sum(values(rounds, s, n, stuck)):.0f} of {result_count(rounds, s, n)}",
        )

    head = (
        "server", "the others' p50, ms, before", "while they stall", "p99 before",
        "while they stall", "p99, while / before", "KiB per stalled connection",
        "rounds in which it stood",
    )  # fmt: skip
    return table(head, [row(s) for s in here])


def result_count(rounds: Sequence[Round], subject: str, connections: int) -> int:
    return sum((r["subject"], r["connections"]) == (subject, connections) for r in rounds)


def _scale(result: Mapping[str, Any]) -> str:
    rounds, counts = result["rounds"], result["connections"]
    rows = []
    for s in result["subjects"]:
        by_count = [values(rounds, s, n, CPU) for n in counts]
        if by_count[0] and by_count[-1]:
            ratio = statistics.median(by_count[-1]) / statistics.median(by_count[0])
            rows.append((f"`{s}`", *(spread(found) for found in by_count), f"{ratio:.2f}"))
    return table(("CPU µs per delivery", *(f"{n:,}" for n in counts), "last / first"), rows)


# --- the plot ------------------------------------------------------------------------------------

WIDTH: Final = 860
LABEL: Final = 130
BAR: Final = 22
GAP: Final = 12
USER, SYSTEM, INK = "#3b6fb5", "#a9c4e6", "#333333"
HEAD: Final = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"
 font-family="sans-serif" font-size="13" fill="{ink}">
<rect width="{width}" height="{height}" fill="white"/>
<text x="10" y="22" font-size="15">Server CPU, µs per delivery: one event to each of {n}</text>
<rect x="10" y="34" width="12" height="12" fill="{user}"/><text x="27" y="45">user</text>
<rect x="75" y="34" width="12" height="12" fill="{system}"/><text x="92" y="45">system</text>"""


def svg(result: Mapping[str, Any]) -> str:
    """Bars of user and system time per delivery, with the range of the rounds as a whisker."""
    rounds, n = result["rounds"], result["connections"][0]
    bars = [(s, values(rounds, s, n, CPU)) for s in result["subjects"]]
    bars = [(s, total) for s, total in bars if total]
    if not bars:
        return ""
    scale = (WIDTH - LABEL - 70) / max(max(total) for _, total in bars)
    height = 70 + len(bars) * (BAR + GAP)
    out = [HEAD.format(width=WIDTH, height=height, n=f"{n:,}", user=USER, system=SYSTEM, ink=INK)]
    for row, (name, total) in enumerate(bars):
        whole = statistics.median(total)
        user = statistics.median(values(rounds, name, n, figure("flood", "user_us")))
        low, high = (LABEL + edge * scale for edge in (min(total), max(total)))
        y = 60 + row * (BAR + GAP)
        out.append(f'<text x="10" y="{y + 16}">{escape(name)}</text>')
        out.append(_bar(LABEL, y, min(user, whole) * scale, USER))
        out.append(_bar(LABEL + user * scale, y, max(0, whole - user) * scale, SYSTEM))
        whisker = f"M{low:.1f} {y + 11}H{high:.1f}M{low:.1f} {y + 6}v10M{high:.1f} {y + 6}v10"
        out.append(f'<path d="{whisker}" stroke="{INK}" fill="none"/>')
        out.append(f'<text x="{high + 8:.1f}" y="{y + 16}">{whole:.1f}</text>')
    return "\n".join([*out, "</svg>"]) + "\n"


def _bar(x: float, y: float, width: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{BAR}" fill="{colour}"/>'
