"""What may go wrong in the simulated WeCom, on demand (wecom.md §11.3).

Pure. A fault waits for a call to its path, strikes a given number of times, and is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

TIMES_MAX = 1000
WAITING_MAX = 100


class FaultKind(StrEnum):
    """Each imitates one thing that the real service, or the road to it, does."""

    TOKEN_REVOKED = "token_revoked"  # noqa: S105 - the app's token dies before its time: 40014
    SECRET_CHANGED = "secret_changed"  # noqa: S105 - an admin makes a new one: ours gives 40001
    REPLY_LOST = "reply_lost"  # accepted, then the connection breaks
    REFUSED = "refused"  # nobody listens
    CUT = "cut"  # accepted, half the body arrives
    SLOW = "slow"  # the answer takes 10 s
    HTML = "html"  # a gateway's 502 page
    SYSTEM_BUSY = "system_busy"  # -1
    OVER_FREQUENCY = "over_frequency"  # 45009
    TOO_MANY_AT_ONCE = "too_many_at_once"  # 45033
    SILENT_DISCARD = "silent_discard"  # a message is accepted and never shown
    LEAVES_SCOPE = "leaves_scope"  # the member this call is about is taken out of the app's scope
    RENAMED = "renamed"  # the member's UserID is changed, as it may be once (wecom.md §5.4)


ERRCODES: Mapping[FaultKind, int] = {
    FaultKind.SYSTEM_BUSY: -1,
    FaultKind.OVER_FREQUENCY: 45009,
    FaultKind.TOO_MANY_AT_ONCE: 45033,
}

When = Callable[[Mapping[str, str]], bool]


@dataclass(slots=True, kw_only=True)
class Fault:
    path: str
    kind: FaultKind
    times: int
    when: When | None


class Faults:
    """Those that wait, in the order in which they were added; the first that fits strikes."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []

    def __repr__(self) -> str:
        return (
            f"<Faults {[(fault.path, fault.kind.value, fault.times) for fault in self._waiting]}>"
        )

    def add(
        self, path: str, kind: FaultKind | str, times: int = 1, when: When | None = None
    ) -> None:
        """Let the next `times` calls to `path` (as `user/get`) meet it; `when` sees the query."""
        if not 1 <= times <= TIMES_MAX:
            raise ValueError(f"times is 1 to {TIMES_MAX}")
        if len(self._waiting) >= WAITING_MAX:
            raise ValueError(f"at most {WAITING_MAX} faults wait")
        self._waiting.append(Fault(path=path, kind=FaultKind(kind), times=times, when=when))

    def clear(self) -> None:
        self._waiting.clear()

    def waiting(self) -> list[dict[str, str | int]]:
        return [
            {"path": fault.path, "kind": fault.kind.value, "times": fault.times}
            for fault in self._waiting
        ]

    def strike(self, path: str, query: Mapping[str, str]) -> FaultKind | None:
        """The fault that this call meets, used up by one."""
        for fault in self._waiting:
            if fault.path == path and (fault.when is None or fault.when(query)):
                fault.times -= 1
                if not fault.times:
                    self._waiting.remove(fault)
                return fault.kind
        return None
