"""python3 dev.py simulate --seeds N --events M [--seed S] [--planted NAME] [--jobs J]

Runs seeds S … S + N − 1. The first that fails is shortened and shown with the line that replays it.
With `--planted NAME` (or `all`) a bug is put in first, and what is printed is how many seeds it
took to catch it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial

from tests.simulation.judging import Verdict, judge
from tests.simulation.planted.catalogue import PLANTED
from tests.simulation.runs import run_seed, shortened

SHOWN_LINES = 60
SEEDS_PER_PLANTED_BUG = 1_000


def judged(seeds: Iterable[int], options: argparse.Namespace, planted: str) -> Iterator[Verdict]:
    work = partial(judge, events=options.events, planted=planted)
    if options.jobs == 1:
        yield from map(work, seeds)
        return
    context = multiprocessing.get_context("spawn")
    with context.Pool(options.jobs, maxtasksperchild=200) as pool:
        yield from pool.imap_unordered(work, seeds, chunksize=2)


def simulate(options: argparse.Namespace) -> int:
    began = shown_at = time.monotonic()
    done, failed, seen = 0, [], Counter[str]()
    for verdict in judged(range(options.seed, options.seed + options.seeds), options, ""):
        done += 1
        seen += verdict.seen
        if verdict.rule:
            failed.append(verdict)
            print(f"seed {verdict.seed}: {verdict.what}", flush=True)
        if time.monotonic() - shown_at > 10:
            shown_at = time.monotonic()
            rate = done / (shown_at - began)
            print(f"{done}/{options.seeds} seeds, {rate:.1f}/s, {len(failed)} failed", flush=True)
    report(options, done, failed, seen, time.monotonic() - began)
    if failed:
        show(min(failed, key=lambda verdict: verdict.seed).seed, options)
    return 1 if failed else 0


def report(
    options: argparse.Namespace, done: int, failed: list[Verdict], seen: Counter[str], took: float
) -> None:
    commits, applied = seen["do commit"], seen["applied"]
    print(f"\n{done} seeds × {options.events} events in {took:.0f} s: {len(failed)} violations")
    print(f"{commits} commits, {applied} events applied, {seen['snapshots']} snapshots loaded")
    if not failed and done:
        print(f"a run fails at a rate below {3 / done:.2%} (rule of three, 95 %)")
    for prefix, title in (("do ", "done to them"), ("closed ", "closed"), ("log ", "logged")):
        found = {k.removeprefix(prefix): n for k, n in seen.items() if k.startswith(prefix)}
        print(f"{title}: " + ", ".join(f"{k} {n}" for k, n in sorted(found.items())))


def show(seed: int, options: argparse.Namespace, planted: str = "") -> None:
    """The failing seed, shortened, and how to see it again."""
    result = run_seed(seed, options.events, planted=PLANTED.get(planted))
    if result.violation is None:
        print(f"seed {seed} does not fail again: the simulation is not deterministic")
        return
    short = shortened(result, PLANTED.get(planted), options.shorten, told=lambda _: None)
    print(f"\nseed {seed}, shortened from {len(result.plan.actions)} actions:")
    print(*(f"  {action}" for action in short.plan.actions), sep="\n")
    print(f"\nits trace, the last {SHOWN_LINES} lines:")
    print(*short.lines[-SHOWN_LINES:], sep="\n")
    print(f"\n{short.violation}\nreplay:  python3 dev.py simulate "
          f"--seed {seed} --seeds 1 --events {options.events}"
          + (f" --planted {planted}" if planted else ""))  # fmt: skip


def catch(options: argparse.Namespace, name: str) -> int:
    """How many seeds it takes to catch one planted bug; 0 if it is not caught."""
    began = time.monotonic()
    seeds = range(options.seed, options.seed + options.seeds)
    for taken, seed in enumerate(seeds, 1):
        verdict = judge(seed, events=options.events, planted=name)
        if verdict.rule:
            took = time.monotonic() - began
            print(
                f"{name:32} caught at seed {taken:4} in {took:5.1f} s  {verdict.rule}", flush=True
            )
            if options.planted != "all":
                show(seed, options, name)
            return taken
    print(f"{name:32} NOT CAUGHT in {len(seeds)} seeds", flush=True)
    return 0


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python3 dev.py simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=0, help="how many (100; planted: 1000)")
    parser.add_argument("--events", type=int, default=200, help="commits in each")
    parser.add_argument("--seed", type=int, default=0, help="the first")
    parser.add_argument("--planted", default="", help="a planted bug by name, or all")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--shorten", type=int, default=300, help="runs spent on shortening")
    options = parser.parse_args(arguments)
    if not options.planted:
        options.seeds = options.seeds or 100
        return simulate(options)
    options.seeds = options.seeds or SEEDS_PER_PLANTED_BUG
    names = list(PLANTED) if options.planted == "all" else [options.planted]
    unknown = [name for name in names if name not in PLANTED]
    if unknown:
        print(f"there is no {unknown[0]}; there are: {', '.join(PLANTED)}")
        return 2
    taken = sorted(catch(options, name) for name in names)
    print(f"caught {sum(map(bool, taken))} of {len(taken)}, median {taken[len(taken) // 2]} seeds")
    return 0 if all(taken) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
