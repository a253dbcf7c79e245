"""Which faults a trace has: a subset drawn by its seed, so that each is met alone and together."""

from __future__ import annotations

from typing import Final

from tests.traces.stage import Stage

FAULTS: Final = (
    "cuts",  # the socket is cut, at any frame of either way
    "half_open",  # nothing passes any more and nobody is told
    "stalls",  # the client does not read: the server's room shrinks
    "sleeps",  # the client's machine sleeps; what came meanwhile lies in its queue
    "mangled",  # event frames are dropped, doubled, swapped on their way
    "lost_rings",  # an event is not offered; a later one, or the tick, betrays the gap
    "repeats",  # an event is offered once more
    "bursts",  # more events at once than may be unacknowledged, or than are replayed
    "restores",  # a stream begins another life
    "trims",  # the log lets go of old events
    "forged",  # a place above the head, or of another epoch
    "rights",  # seen from, seen up to, not seen, seen again
    "signs",  # typing and marks of others, coalesced or shed where there is no room
    "byes",  # the node sends the connection away, with each code
    "logins",  # the login ends, is renewed in time, late, or not at all
    "refusals",  # the upgrade is refused, hangs, or is never answered
    "expects",  # replies to commands name places, in time, early, or of a lost epoch
    "again",  # watched from further back, given up, wanted again
    "person",  # reads, types, views, hides the page and shows it, loses the network
    "strangers",  # frames from a later version, both ways, and things that are no frames
    "hurry",  # more frames at once than are allowed
)


def drawn(stage: Stage) -> tuple[str, ...]:
    """Some of the faults, in their order; now and then none."""
    share = stage.pick((0.1, 0.2, 0.2, 0.3, 0.4))
    return tuple(fault for fault in FAULTS if stage.chance(share))
