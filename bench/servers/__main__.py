"""Starts one server under test: `python -m bench.servers NAME [--ws CLASS] [--no-deflate] …`."""

from __future__ import annotations

import argparse

from bench.servers import library, plain, serial, stream
from bench.servers.driver import listening

SERVERS = {
    "serial": serial.run,
    "plain": plain.run,
    "stream": stream.run,
    "library": library.run,
}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("name", choices=sorted(SERVERS))
    options.add_argument("--ws", default="auto", help="uvicorn's class for WebSockets")
    options.add_argument("--no-deflate", action="store_true")
    options.add_argument("--sndbuf", type=int, default=0, help="SO_SNDBUF of the listening socket")
    asked = options.parse_args()
    SERVERS[asked.name](
        listening(0, asked.sndbuf), {"ws": asked.ws, "ws_per_message_deflate": not asked.no_deflate}
    )


if __name__ == "__main__":
    main()
