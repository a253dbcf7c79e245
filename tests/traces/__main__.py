"""python -m tests.traces [show N]

Records the traces of contract/ anew, or prints one of them, a line a step.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from tests.traces import archive


def show(number: int) -> None:
    trace = archive.trace(number)
    for step in trace["steps"]:
        print(f"{step['at']:7} {_side(step)} {step['do']:9} {_text(step.get('with', []))}")
        for out in step["out"]:
            print(f"{'':7} {'':8}   → {_text(out)}")
        print(f"{'':7} {'':8}   {step['state']}, due in {step['due_in']}")
    for name in ("faults", "dice", "limits", "applied", "end"):
        print(f"{name}: {_text(trace[name])}")


def _side(step: Any) -> str:
    return f"{step['side']} {step.get('of', '')}".ljust(8)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.traces", description=__doc__)
    parser.add_argument("show", nargs="*", help="show N: print trace N, of 0 … 999")
    words = parser.parse_args(arguments).show
    if not words:
        print(f"{archive.COUNT} traces, {archive.write()} bytes in {archive.PATH.name}")
    elif len(words) == 2 and words[0] == "show":
        show(int(words[1]))
    else:
        parser.error("either nothing, or: show N")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
