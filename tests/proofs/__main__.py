"""python3 dev.py prove WHAT [options]: what the desk promises, at full size.

Each prints its progress, and at its end what it has shown or how to see the failure again. CI runs
a small size of each as tests beside these files.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def matrix(_options: argparse.Namespace) -> int:
    """Every door × every kind of identity × one's own and another's; the table is policy.py."""
    return int(pytest.main(["-q", "-n0", "--timeout=600", str(HERE / "test_matrix.py")]))


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python3 dev.py prove", description=__doc__)
    whats = parser.add_subparsers(dest="what", required=True)
    whats.add_parser("matrix", help=matrix.__doc__).set_defaults(run=matrix)
    options = parser.parse_args(arguments)
    return int(options.run(options))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
