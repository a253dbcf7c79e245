"""One seed's verdict: what a worker process of the command hands back."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from tests.simulation.planted.catalogue import PLANTED
from tests.simulation.runs import run_seed

TWICE = 25  # one seed in so many runs twice: its trace must be the same


@dataclass(frozen=True, slots=True)
class Verdict:
    seed: int
    rule: str  # empty: nothing was violated
    what: str
    seen: Counter[str]


def judge(seed: int, *, events: int, planted: str) -> Verdict:
    result = run_seed(seed, events, planted=PLANTED.get(planted))
    if result.violation is not None:
        return Verdict(seed, result.violation.rule, str(result.violation), result.seen)
    if not planted and seed % TWICE == 0 and run_seed(seed, events).hash != result.hash:
        return Verdict(seed, "equal_seeds_give_equal_traces", "the trace was another", result.seen)
    return Verdict(seed, "", "", result.seen)
