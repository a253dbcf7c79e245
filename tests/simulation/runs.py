"""One seed from beginning to end, and the shortening of one that fails."""

from __future__ import annotations

import dataclasses
import gc
import types
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from random import Random
from typing import Any

from deskwire.realtime import connection, feed, manager, node, tasks
from deskwire.realtime.connection import StreamConnection
from tests.kit.simloop import Deadlock, SimLoop, run
from tests.realtime.invariants import check
from tests.simulation.oracle import Log, Oracle, Violation
from tests.simulation.plan import Action, Plan, make_plan
from tests.simulation.world import World

Planted = Callable[["Patches"], None]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    plan: Plan
    hash: str
    violation: Violation | None
    seen: Counter[str]
    lines: list[str]
    virtual_s: float


class Patches:
    """Attributes replaced for one run and put back after it."""

    def __init__(self) -> None:
        self._undo: list[tuple[Any, str, Any]] = []

    def set(self, owner: Any, name: str, value: Any) -> None:
        self._undo.append((owner, name, getattr(owner, name)))
        setattr(owner, name, value)

    def undo(self) -> None:
        for owner, name, value in reversed(self._undo):
            setattr(owner, name, value)


def run_seed(
    seed: int | str, events: int, *, planted: Planted | None = None, loud: bool = False
) -> Result:
    return run_plan(make_plan(str(seed), events), planted=planted, loud=loud)


def run_plan(plan: Plan, *, planted: Planted | None = None, loud: bool = False) -> Result:
    loop = SimLoop(plan.seed)
    oracle = Oracle(loop.time, loud=loud)
    loop.set_exception_handler(lambda _, context: _fault_of_loop(oracle, context))
    with _simulated(plan.seed, loop, oracle, planted):
        try:
            run(loop, World(plan, loop, oracle).run())
        except Deadlock as fault:
            oracle.violate("nothing_waits_for_ever", str(fault))
    return Result(
        plan=plan, hash=oracle.hash, violation=oracle.violation, seen=oracle.seen,
        lines=oracle.lines, virtual_s=loop.time(),
    )  # fmt: skip


def shortened(
    result: Result,
    planted: Planted | None,
    tries_max: int = 300,
    told: Callable[[int], None] = print,
) -> Result:
    """The same violation with as few actions as can be found: halves, quarters … are left out."""
    assert result.violation is not None, "only a failing run is shortened"
    rule = result.violation.rule
    last = result.violation.at_s
    best = [action for action in result.plan.actions if action.at_s <= last]
    tries = 0

    def still_fails(actions: Sequence[Action]) -> bool:
        nonlocal tries
        tries += 1
        plan = dataclasses.replace(result.plan, actions=actions)
        violation = run_plan(plan, planted=planted).violation
        return violation is not None and violation.rule == rule

    if not still_fails(best):
        best = list(result.plan.actions)
    step = max(1, len(best) // 2)
    while tries < tries_max:
        at, found = 0, False
        while at < len(best) and tries < tries_max:
            fewer = best[:at] + best[at + step :]
            if still_fails(fewer):
                best, found = fewer, True
            else:
                at += step
        told(len(best))
        if step == 1 and not found:
            break
        step = max(1, step // 2)
    plan = dataclasses.replace(result.plan, actions=best)
    return run_plan(plan, planted=planted, loud=True)


@contextmanager
def _simulated(seed: str, loop: SimLoop, oracle: Oracle, planted: Planted | None) -> Iterator[None]:
    """The room's clocks, dice and log are the world's; every step of a delivery is checked."""
    patches = Patches()
    log = Log(oracle)
    for module in (manager, node, feed, connection, tasks):
        patches.set(module, "_log", log)
    dice = Random(f"ids {seed}")
    ids = types.SimpleNamespace(token_hex=lambda size: f"{dice.getrandbits(size * 8):0{size * 2}x}")
    clock = types.SimpleNamespace(time_ns=lambda: int((loop.wall_offset_s + loop.time()) * 1e9))
    patches.set(manager, "secrets", ids)
    patches.set(node, "secrets", ids)
    patches.set(node, "time", clock)
    patches.set(StreamConnection, "_after", _checked_after(oracle, StreamConnection._after))
    if planted is not None:
        planted(patches)
    with ExitStack() as stack:
        stack.callback(patches.undo)
        gc.disable()  # what it frees may run code of ours: at no instant that a seed cannot repeat
        stack.callback(gc.enable)
        yield


def _checked_after(
    oracle: Oracle, after: Callable[[StreamConnection], None]
) -> Callable[[StreamConnection], None]:
    def checked(self: StreamConnection) -> None:
        oracle.stepped = True
        try:
            check(self.delivery)
        except AssertionError as fault:
            oracle.violate("d1_to_d8", f"{fault} {self!r}")
        after(self)

    return checked


def _fault_of_loop(oracle: Oracle, context: dict[str, Any]) -> None:
    fault = context.get("exception")
    oracle.violate("no_bug_of_our_own", f"{context.get('message')} {fault!r}")
