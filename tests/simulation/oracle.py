"""What was seen and what may never be: the trace, the violations, the rules that need memory.

A rule either looks at one step (called where the step is made) or at everything at the end. The
first violation ends the run: what follows from it teaches nothing.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Violation:
    rule: str
    what: str
    at_s: float

    def __str__(self) -> str:
        return f"{self.rule} at {self.at_s:.3f} s: {self.what}"


@dataclass(slots=True)
class Oracle:
    """`clock` is the simulation's. `loud` also keeps the trace as lines, to be read."""

    clock: Callable[[], float]
    loud: bool = False
    lines: list[str] = field(default_factory=list)
    violation: Violation | None = None
    is_over: bool = False  # what follows is only tidying up
    stepped: bool = False  # some connection took a step in this turn of the loop
    seen: Counter[str] = field(default_factory=Counter)
    _trace: hashlib._Hash = field(default_factory=hashlib.sha256)

    def note(self, what: str) -> None:
        """Something that an equal seed must repeat."""
        if self.is_over:
            return
        line = f"{self.clock():9.3f} {what}"
        self._trace.update(line.encode())
        if self.loud:
            self.lines.append(line)

    def count(self, what: str) -> None:
        self.seen[what] += 1

    def violate(self, rule: str, what: str) -> None:
        self.note(f"VIOLATION {rule}: {what}")
        if self.violation is None and not self.is_over:
            self.violation = Violation(rule, what, self.clock())

    def demand(self, holds: object, rule: str, what: str) -> None:
        if not holds:
            self.violate(rule, what)

    @property
    def hash(self) -> str:
        return self._trace.hexdigest()[:16]


@dataclass(slots=True)
class Log:
    """Stands where the room's logger stands: nothing is written, what may not happen is a rule."""

    oracle: Oracle

    def error(self, event: str, **fields: object) -> None:
        fault = fields.pop("exc_info", None)
        self.oracle.count(f"log {event}")
        if event in _OUR_OWN_BUGS:
            self.oracle.violate("no_bug_of_our_own", f"{event} {fields} {_reason(fault)}")

    def warning(self, event: str, **fields: object) -> None:
        self.oracle.count(f"log {event}")
        if event == "round_failed":  # a round may fail on its store, never on itself
            fault = _reason(fields.get("exc_info"))
            self.oracle.demand("StoreFault" in fault, "no_bug_of_our_own", f"{event} {fault}")

    def info(self, event: str, **fields: object) -> None:
        del fields
        self.oracle.count(f"log {event}")

    debug = info


_OUR_OWN_BUGS = ("connection_in_doubt", "task_failed", "ring_failed", "hook_failed")


def _reason(fault: object) -> str:
    import sys
    import traceback

    if fault is True:
        fault = sys.exc_info()[1]
    if not isinstance(fault, BaseException):
        return ""
    frames = traceback.extract_tb(fault.__traceback__)[-3:]
    where = " < ".join(f"{f.name}:{f.lineno}" for f in reversed(frames))
    return f"{type(fault).__name__}: {fault} in {where}"
