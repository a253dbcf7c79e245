"""This machine as the scales see it: cores, descriptors, processor time, resident memory.

Where the system does not tell something, the answer is None and never a guess.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

STATM: Final = Path("/proc/self/statm")
OTHER_FILES: Final = 64  # descriptors of a process beside its connections


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A process at one moment: processor time since its start (s), resident memory (KiB)."""

    cpu_s: float
    user_s: float
    rss_kib: int | None


def standing() -> Standing:
    times = os.times()
    return Standing(cpu_s=time.process_time(), user_s=times.user, rss_kib=rss_kib())


def rss_kib(statm: Path = STATM) -> int | None:
    """None where there is no Linux /proc."""
    try:
        pages = int(statm.read_text("ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def connections_max() -> int:
    """How many one process may hold, once it has raised its own limit as far as it may."""
    if sys.platform == "win32":
        return 512 - OTHER_FILES  # what its select takes
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if hard == resource.RLIM_INFINITY else int(hard) - OTHER_FILES


def raise_files() -> None:
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 1 << 20 if hard == resource.RLIM_INFINITY else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def cores() -> tuple[int | None, int | None]:
    """One for the server and another for the load; None and None where we cannot choose."""
    if sys.platform != "linux":
        return None, None
    allowed = sorted(os.sched_getaffinity(0))
    return (allowed[0], allowed[1]) if len(allowed) > 1 else (None, None)


def stay_on(core: int | None) -> None:
    if sys.platform == "linux" and core is not None:
        os.sched_setaffinity(0, {core})
