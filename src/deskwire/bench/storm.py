"""Everybody comes at once: connects a second, each with its handshake, hello and first watch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from deskwire.bench.children import Pair, Stands

WAIT_S: Final = 75.0  # the load gives up after 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """What it took to let them in. Microseconds are processor time per connection."""

    connections: int
    connects_per_s: float
    cpu_us: float
    load_us: float


def arrive(pair: Pair, connections: int) -> Storm:
    """Opens that many; they stay. Raises Stands if not all get in."""
    before = pair.standing()
    got = pair.load.ask(WAIT_S, do="open", port=pair.port, count=connections)
    after = pair.standing()
    if got["connected"] < connections:
        raise Stands(f"{got['connected']:,} of {connections:,} connections got in.")
    return Storm(
        connections=connections,
        connects_per_s=connections / got["seconds"],
        cpu_us=(after.cpu_s - before.cpu_s) * 1e6 / connections,
        load_us=got["cpu_s"] * 1e6 / connections,
    )
