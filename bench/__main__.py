"""The scales: `python -m bench [what …]`. Linux; the servers take turns, round by round.

what: flood (as fast as it goes), paced (lateness), burst (joining), arrival (storm and memory),
stalled (a quarter never reads). Nothing named: all but stalled.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bench import build, measure, report, subjects
from bench.subjects import Subject

WHAT: Final = ("flood", "paced", "burst", "arrival", "stalled")
RESULTS: Final = build.HERE.parent / "docs" / "benchmarks"


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", nargs="*", help=", ".join(WHAT))
    parser.add_argument("--connections", default="1000", help="one or several: 1000,5000")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each flood")
    parser.add_argument("--only", default="", help="servers by name: limit,plain,stream")
    parser.add_argument("--save", metavar="NAME", help="write docs/benchmarks/NAME.{md,json,svg}")
    parser.add_argument("--title", default="fan-out", help="of the saved page")
    parser.add_argument("--list", action="store_true", help="who can be weighed here, and who not")
    return parser


def main() -> None:
    asked = options().parse_args()
    what = asked.what or [name for name in WHAT if name != "stalled"]
    if unknown := sorted(set(what) - set(WHAT)):
        raise SystemExit(f"Unknown: {', '.join(unknown)}. There is: {', '.join(WHAT)}")
    present, left_out = subjects.chosen([name for name in asked.only.split(",") if name])
    if asked.list:
        print("\n".join(f"{s.name:15} {s.words}" for s in present))
        print("\n".join(f"{name:15} not here: {why}" for name, why in left_out.items()))
        return
    try:
        for name in ("load", "limit"):
            build.program(name)
    except build.CannotBuild as why:
        raise SystemExit(str(why)) from None
    counts = [int(n) for n in asked.connections.split(",")]
    rounds, faults = run(present, counts, asked.rounds, asked.seconds, what)
    plan = measure.Plan(connections=counts[0])
    result = {
        "title": asked.title,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "command": shlex.join(["python", "-m", "bench", *sys.argv[1:]]),
        "machine": machine(),
        "versions": {"Python": platform.python_version(), **subjects.versions()},
        "subjects": {s.name: s.words for s in present},
        "left_out": left_out,
        "connections": counts,
        "count": asked.rounds,
        "burst": plan.burst,
        "paced_per_s": plan.paced_per_s,
        "event_bytes": measure.EVENT_BYTES,
        "faults": faults,
        "rounds": rounds,
    }
    print("\n" + report.markdown(result))
    if asked.save:
        save(result, asked.save)


def run(
    present: Sequence[Subject],
    counts: Sequence[int],
    rounds: int,
    seconds: float,
    what: Sequence[str],
) -> tuple[list[dict[str, Any]], list[str]]:
    """A B C … A B C …: whatever the machine does besides meets them all."""
    found: list[dict[str, Any]] = []
    faults: list[str] = []
    weighings = [(n, s) for n in counts for s in present]
    began = time.monotonic()
    for number in range(rounds):
        for place, (connections, subject) in enumerate(weighings):
            plan = measure.Plan(connections=connections, flood_s=seconds)
            one: dict[str, Any] = {
                "subject": subject.name,
                "connections": connections,
                "round": number,
            }
            try:
                if set(what) - {"stalled"}:
                    one |= measure.fan_out(subject, plan, what)
                if "stalled" in what:
                    one["stalled"] = measure.stalled(subject, plan)
            except measure.Stands as why:
                faults.append(f"{subject.name}, {connections:,} connections, round {number}: {why}")
            found.append(one)
            done = number * len(weighings) + place + 1
            _progress(done, rounds * len(weighings), began, one)
    return found, faults


def _progress(done: int, of: int, began: float, one: dict[str, Any]) -> None:
    left = (time.monotonic() - began) / done * (of - done)
    cost = report.CPU(one)
    said = f"{cost:6.1f} µs per delivery" if cost is not None else "done"
    who = f"{one['subject']}, {one['connections']:,}"
    print(f"{done:4}/{of}  {who:24} {said}   {left:4.0f} s left", flush=True)


def machine() -> dict[str, str]:
    """What a reader needs to judge the figures, and no name of the host."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {
        "processor": model,
        "cores": str(len(os.sched_getaffinity(0))),
        "kernel": platform.release().partition("-")[0],
        "load average at the end": f"{os.getloadavg()[1]:.1f}",
    }


def save(result: dict[str, Any], name: str) -> None:
    RESULTS.mkdir(parents=True, exist_ok=True)
    text = report.markdown(result)
    if plot := report.svg(result):
        (RESULTS / f"{name}.svg").write_text(plot, "utf-8")
        text += f"\n![CPU per delivery]({name}.svg)\n"
    (RESULTS / f"{name}.md").write_text(text, "utf-8")
    (RESULTS / f"{name}.json").write_text(
        json.dumps(_rounded(result), ensure_ascii=False, indent=1) + "\n", "utf-8"
    )
    print(f"written: docs/benchmarks/{name}.md")


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    return value


if __name__ == "__main__":
    main()
