"""Every figure of the reach in one run: `python -m bench reach`. Linux, a C compiler, 2 cores.

Each row of the table is a figure, its bound, what was found (the median of the rounds and their
range) and whether the median holds. Servers take turns within a round; a ratio is of one round.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from bench import build, measure, parts, report, result, subjects
from bench.parts import Plan
from bench.report import table
from bench.rows import CPU, FAN, FEW, HALF, LATE, MANY, QUARTER, Found, Sizes, reach_table
from bench.subjects import Subject

OTHER_FILES: Final = 100  # descriptors of a server and of the load, beside connections

QUICK: Final = Sizes(
    rounds=1,
    fan=200,
    quarter=100,
    half=100,
    few=100,
    many=500,
    plan=Plan(connections=0, flood_s=0.4, paced_s=0.5, company_s=2.0, push_s=0.3, stalled_s=5.0),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One server in one part of a round."""

    part: str
    subject: Subject
    do: Callable[[Subject, Plan], dict[str, Any]]


FAN_OUT: Final[Mapping[str, Sequence[str]]] = {  # in the order in which they take turns
    "service": ("flood", "burst", "paced", "resume"),
    "limit": ("flood", "burst", "paced", "push"),
    "stream-own": ("flood", "burst", "paced", "company"),
    "plain-own": ("flood", "burst", "paced", "company", "push"),
    "nchan": ("flood", "paced"),
    "node-ws": ("flood", "paced"),
    "socket-io": ("flood",),
    "picows": ("flood",),
    "serial": ("flood", "paced", "push"),
    "serial-fast": ("flood", "paced", "push"),
    "serial-wsproto": ("flood", "push"),
    "plain": ("flood",),
}
SCALED: Final = ("limit", "plain-own", "stream-own")


def tasks(present: Sequence[Subject]) -> list[Task]:
    """What one round consists of, as far as it is here."""
    by_name = {subject.name: subject for subject in present}
    found: list[tuple[str, str, Callable[[Subject, Plan], dict[str, Any]]]] = [
        (FAN, name, partial(_fan_out, what)) for name, what in FAN_OUT.items()
    ]
    found += [(QUARTER, name, _quarter) for name in ("service", "plain-own")]
    found.append((HALF, "service", _half))
    for part in (FEW, MANY):
        found += [(part, name, partial(_fan_out, ("flood",))) for name in SCALED]
    return [
        Task(part=part, subject=by_name[name], do=do) for part, name, do in found if name in by_name
    ]


def _fan_out(what: Sequence[str], subject: Subject, plan: Plan) -> dict[str, Any]:
    return parts.fan_out(subject, plan, what)


def _quarter(subject: Subject, plan: Plan) -> dict[str, Any]:
    return parts.stalled(subject, plan, 0.25, to_the_end=False)


def _half(subject: Subject, plan: Plan) -> dict[str, Any]:
    return parts.stalled(subject, plan, 0.5, to_the_end=True)


# --- the page ------------------------------------------------------------------------------------


def page(outcome: Mapping[str, Any], sizes: Sizes) -> str:
    """The dated page; `outcome` is what the JSON beside it holds."""
    found = Found(outcome["rounds"], sizes)
    fan = {**outcome, "rounds": found.of(FAN), "connections": [sizes.fan]}
    here = [s for s in outcome["subjects"] if any(r["subject"] == s for r in found.of(FAN))]
    sections = [
        f"# {outcome['date']}: {outcome['title']}", "", *report.about(outcome), *_notes(outcome),
        "", "## The reach", "", reach_table(found, sizes),
        "", f"## One event to each of {sizes.fan:,} connections", "",
        report.costs(fan, here, sizes.fan), "", report.cost_ratios(found.of(FAN), here, sizes.fan),
        "", f"## Bursts of {outcome['burst']}, arrival, memory, {sizes.fan:,} connections", "",
        report.bursts(found.of(FAN), here, sizes.fan), "",
        report.arrivals(found.of(FAN), here, sizes.fan),
        "", f"## Lateness: {sizes.plan.paced_per_s:g} events a second to {sizes.fan:,}", "",
        report.lateness(found.of(FAN), here, sizes.fan),
        "", f"## One event to one of {sizes.fan:,} connections", "",
        report.pushes(found.of(FAN), here, sizes.fan),
        "", "## Those who stall", "", _stalled(found),
        "", "## More connections, the same cost?", "", _scales(found, sizes),
        "", "## Everybody comes back", "", report.storms(found.of(FAN), here, sizes.fan),
    ]  # fmt: skip
    if outcome["faults"]:
        sections += ["", "## What failed", "", *(f"- {fault}" for fault in outcome["faults"])]
    return "\n".join(sections) + "\n"


def _notes(outcome: Mapping[str, Any]) -> list[str]:
    lines = [f"- {note}" for note in outcome["notes"]]
    dear = sorted({r["subject"] for r in outcome["rounds"] if _load_is_dearer(r)})
    if dear:
        names = ", ".join(f"`{name}`" for name in dear)
        lines.append(f"- The load's CPU per delivery came above the server's beside {names}.")
    return lines


def _load_is_dearer(one: report.Round) -> bool:
    flood = one.get("flood")
    return flood is not None and flood["load_us"] > flood["cpu_us"]


def _stalled(found: Found) -> str:
    rows = []
    for part, name in ((QUARTER, "service"), (QUARTER, "plain-own"), (HALF, "service")):
        some = [r for r in found.of(part) if r["subject"] == name and "with" in r]
        if not some:
            continue
        drained = [
            f"{code}: {n}"
            for r in some
            for code, n in r.get("drained", {}).get("codes", {}).items()
        ]
        closed = [f"{code}: {n}" for r in some for code, n in r.get("server_closed", {}).items()]
        rows.append((
            f"`{name}`", f"{some[0]['count']:,} of {some[0]['connections']:,}",
            report.spread(found.values(part, name, "without", LATE)),
            report.spread(found.values(part, name, "with", LATE)),
            report.spread(found.values(part, name, "kib_per_stalled"), 0),
            ", ".join(dict.fromkeys(closed)) or "–", ", ".join(dict.fromkeys(drained)) or "–",
            report.spread(found.values(part, name, "closed_after_s")),
        ))  # fmt: skip
    head = (
        "server", "stalled", "the others' p99, ms, before", "while they stall",
        "KiB per stalled connection", "closed by the server, by code", "as they saw it themselves",
        "closed after, s",
    )  # fmt: skip
    return table(head, rows)


def _scales(found: Found, sizes: Sizes) -> str:
    rows = [
        (
            f"`{name}`", report.spread(found.values(FEW, name, *CPU)),
            report.spread(found.values(MANY, name, *CPU)), report.spread(found.scaled(name), 2),
        )
        for name in SCALED
    ]  # fmt: skip
    return table(("CPU µs per delivery", f"{sizes.few:,}", f"{sizes.many:,}", "ratio"), rows)


# --- running -------------------------------------------------------------------------------------


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench reach",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=0, help="5 unless said otherwise")
    parser.add_argument("--quick", action="store_true", help="a small try, nothing is written")
    parser.add_argument("--only", default="", help="servers by name: limit,service")
    parser.add_argument("--no-page", action="store_true", help="only print: write nothing")
    parser.add_argument(
        "--save", metavar="NAME", help="of the page; the date and `reach` otherwise"
    )
    return parser


def main(arguments: Sequence[str]) -> None:
    asked = options().parse_args(arguments)
    present, left_out = subjects.chosen([name for name in asked.only.split(",") if name])
    build.both()
    sizes, notes = _sizes(quick=asked.quick, rounds=asked.rounds)
    began = time.monotonic()
    rounds, faults = run(tasks(present), sizes)
    notes.append(f"It took {(time.monotonic() - began) / 60:.0f} minutes.")
    outcome = result.head("the reach") | {
        "subjects": {s.name: s.words for s in present},
        "left_out": {n: why for n, why in left_out.items() if n in FAN_OUT},
        "count": sizes.rounds,
        "burst": sizes.plan.burst,
        "event_bytes": measure.EVENT_BYTES,
        "notes": notes,
        "faults": faults,
        "rounds": rounds,
    }
    text = page(outcome, sizes)
    print("\n" + text)
    if asked.save or not (asked.quick or asked.no_page):
        fan = {**outcome, "rounds": Found(rounds, sizes).of(FAN), "connections": [sizes.fan]}
        result.save(outcome, asked.save or f"{outcome['date']}-reach", text, report.svg(fan))


def _sizes(*, quick: bool, rounds: int) -> tuple[Sizes, list[str]]:
    sizes = QUICK if quick else Sizes()
    notes = ["A quick try: the sizes are not those of the reach."] if quick else []
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    room = hard - OTHER_FILES
    if hard != resource.RLIM_INFINITY and sizes.many > room:
        notes.append(
            f"A process may have {hard:,} descriptors here (`ulimit -Hn`), so the many are"
            f" {room:,} connections instead of {sizes.many:,}."
        )
        sizes = replace(sizes, many=room)
    return replace(sizes, rounds=rounds or sizes.rounds), notes


def run(work: Sequence[Task], sizes: Sizes) -> tuple[list[dict[str, Any]], list[str]]:
    """A B C … A B C …: whatever the machine does besides meets them all."""
    found: list[dict[str, Any]] = []
    faults: list[str] = []
    progress = result.Progress(len(work), sizes.rounds, time.monotonic)
    for number in range(sizes.rounds):
        for task in work:
            connections = sizes.of(task.part)
            who = f"{task.subject.name}, {connections:,} connections ({task.part}), round {number}"
            one: dict[str, Any] = {
                "part": task.part, "subject": task.subject.name, "connections": connections,
                "round": number,
            }  # fmt: skip
            try:
                one |= task.do(task.subject, replace(sizes.plan, connections=connections))
                faults += [f"{who}: {what}" for what in _incomplete(one)]
            except measure.Stands as why:
                faults.append(f"{who}: {why}")
            found.append(one)
            print(progress.done(result.told(one)), flush=True)
    return found, faults


def _incomplete(one: Mapping[str, Any]) -> list[str]:
    """Where a reader did not get everything once and in order."""
    return [
        f"{name} was not delivered whole: {part['events']} events, {part['least']} to"
        f" {part['most']} at a reader, {part['gone']} readers gone {part['codes']}"
        for name, part in one.items()
        if isinstance(part, dict) and part.get("complete") is False
    ]
