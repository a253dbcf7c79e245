"""Starts one server under test: `python -m bench.servers NAME [--ws CLASS] [--no-deflate] …`."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from typing import Final

from bench.servers.driver import Start

# Each is a file with `run`; only the one that is asked for is loaded, so its memory is its own.
SERVERS: Final = ("library", "nchan", "picows", "plain", "serial", "service", "stream")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("name", choices=SERVERS)
    options.add_argument("--ws", default="auto", help="uvicorn's class for WebSockets")
    options.add_argument("--no-deflate", action="store_true")
    options.add_argument("--sndbuf", type=int, default=0, help="SO_SNDBUF of the listening socket")
    options.add_argument("--people", type=int, default=1, help="how many will come")
    options.add_argument("--folder", type=Path, default=Path(), help="for what it has to keep")
    asked = options.parse_args()
    start = Start(
        uvicorn={"ws": asked.ws, "ws_per_message_deflate": not asked.no_deflate},
        sndbuf=asked.sndbuf,
        people=asked.people,
        folder=asked.folder,
    )
    importlib.import_module(f"bench.servers.{asked.name}").run(start)


if __name__ == "__main__":
    main()
