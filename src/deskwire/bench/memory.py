"""What an idle connection holds: resident memory before all came in and after, over their number.

With few connections the server's own growth weighs in: a thousand or more tell something.
"""

from __future__ import annotations

from dataclasses import dataclass

from deskwire.bench.machine import Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """`kib_per_connection` is None where the system does not tell: there is no Linux /proc."""

    connections: int
    kib_per_connection: float | None


def held(before: Standing, after: Standing, connections: int) -> Memory:
    """`before` was taken without connections, `after` while they were idle."""
    if before.rss_kib is None or after.rss_kib is None:
        return Memory(connections=connections, kib_per_connection=None)
    grown = after.rss_kib - before.rss_kib
    return Memory(connections=connections, kib_per_connection=grown / connections)
