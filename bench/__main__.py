"""The scales: `python -m bench [what …]`. Linux; the servers take turns, round by round.

what: flood (as fast as it goes), paced (lateness), burst (joining), push (to one of all), arrival
(storm and memory), stalled (a quarter never reads), resume (all are cut and come back). Nothing
named: all but stalled and resume. `python -m bench reach`: every figure of the reach in one run.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from typing import Any, Final

from bench import build, measure, parts, reach, report, result, subjects
from bench.subjects import Subject

WHAT: Final = ("flood", "paced", "burst", "push", "arrival", "stalled", "resume")
UNASKED: Final = ("stalled", "resume")


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", nargs="*", help=", ".join((*WHAT, "reach")))
    parser.add_argument("--connections", default="1000", help="one or several: 1000,5000")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each flood")
    parser.add_argument("--only", default="", help="servers by name: limit,plain,stream")
    parser.add_argument("--save", metavar="NAME", help="write docs/benchmarks/NAME.{md,json,svg}")
    parser.add_argument("--title", default="fan-out", help="of the saved page")
    parser.add_argument("--list", action="store_true", help="who can be weighed here, and who not")
    return parser


def main() -> None:
    if sys.argv[1:2] == ["reach"]:
        reach.main(sys.argv[2:])
        return
    asked = options().parse_args()
    what = asked.what or [name for name in WHAT if name not in UNASKED]
    if unknown := sorted(set(what) - set(WHAT)):
        raise SystemExit(f"Unknown: {', '.join(unknown)}. There is: {', '.join((*WHAT, 'reach'))}")
    present, left_out = subjects.chosen([name for name in asked.only.split(",") if name])
    if asked.list:
        print("\n".join(f"{s.name:15} {s.words}" for s in present))
        print("\n".join(f"{name:15} not here: {why}" for name, why in left_out.items()))
        return
    build.both()
    counts = [int(n) for n in asked.connections.split(",")]
    rounds, faults = run(present, counts, asked.rounds, asked.seconds, what)
    plan = parts.Plan(connections=counts[0])
    outcome = result.head(asked.title) | {
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
    page = report.markdown(outcome)
    print("\n" + page)
    if asked.save:
        result.save(outcome, asked.save, page, report.svg(outcome))


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
    progress = result.Progress(len(weighings), rounds, time.monotonic)
    for number in range(rounds):
        for connections, subject in weighings:
            plan = parts.Plan(connections=connections, flood_s=seconds)
            one: dict[str, Any] = {
                "subject": subject.name,
                "connections": connections,
                "round": number,
            }
            try:
                if set(what) - {"stalled"}:
                    one |= parts.fan_out(subject, plan, what)
                if "stalled" in what:
                    one["stalled"] = parts.stalled(subject, plan, 0.25, to_the_end=False)
            except measure.Stands as why:
                faults.append(f"{subject.name}, {connections:,} connections, round {number}: {why}")
            found.append(one)
            print(progress.done(result.told(one)), flush=True)
    return found, faults


if __name__ == "__main__":
    main()
