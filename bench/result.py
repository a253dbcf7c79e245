"""What a dated result says of the machine, and how it is written to docs/benchmarks."""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from bench import build, subjects

RESULTS: Final = build.HERE.parent / "docs" / "benchmarks"


def head(title: str) -> dict[str, Any]:
    """What stands on top of every page."""
    return {
        "title": title,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "command": shlex.join(["python", "-m", "bench", *sys.argv[1:]]),
        "machine": machine(),
        "versions": {"Python": platform.python_version(), **subjects.versions()},
    }


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


def save(result: dict[str, Any], name: str, page: str, plot: str) -> None:
    RESULTS.mkdir(parents=True, exist_ok=True)
    if plot:
        (RESULTS / f"{name}.svg").write_text(plot, "utf-8")
        page += f"\n![CPU per delivery]({name}.svg)\n"
    (RESULTS / f"{name}.md").write_text(page, "utf-8")
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


def told(one: dict[str, Any]) -> str:
    """A weighing in a line, while the run goes on."""
    cost = one.get("flood", {}).get("cpu_us")
    part = f" ({one['part']})" if "part" in one else ""
    words = f"{one['subject']}, {one['connections']:,}{part}"
    return f"{words:38}" + (f"{cost:7.1f} µs per delivery" if cost is not None else "")


class Progress:
    """A line per weighing; the time left is what the same weighings took in earlier rounds."""

    def __init__(self, tasks: int, rounds: int, clock: Callable[[], float]) -> None:
        self._tasks = tasks
        self._all = tasks * rounds
        self._clock = clock
        self._took: list[float] = []
        self._since = clock()

    def done(self, words: str) -> str:
        now = self._clock()
        self._took.append(now - self._since)
        self._since = now
        number = len(self._took)
        left = self.left_s()
        minutes = f"{left / 60:.0f} min" if left >= 90 else f"{left:.0f} s"
        return f"{number:4}/{self._all}  {words:60} {minutes:>7} left"

    def left_s(self) -> float:
        """Until the first round is over the others are taken to last as those behind us."""
        done, left = len(self._took), self._all - len(self._took)
        if done < self._tasks:
            return sum(self._took) / done * left
        one_round = sum(self._took[-self._tasks :])
        of_this = self._took[done - self._tasks : done - self._tasks + left % self._tasks]
        return left // self._tasks * one_round + sum(of_this)
