"""How often one person may do something: counted over sliding windows, the same on every node.

Passwords are counted by what was typed and by where from, for nobody is logged in yet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deskwire.desk import commands as ask
from deskwire.desk.refusals import Code, Refusal

DAY_S = 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """At most `most` in `window_s` seconds for each person, or what else is said in `what`."""

    what: str
    most: int
    window_s: int


MESSAGES = Rate(what="messages", most=20, window_s=10)
MESSAGES_A_DAY = Rate(what="messages", most=1_000, window_s=DAY_S)
COMMANDS = Rate(what="commands", most=60, window_s=10)
UPLOADS = Rate(what="uploads", most=30, window_s=60)
OPENINGS = Rate(what="conversations opened", most=3, window_s=600)
PASSWORDS_OF_NAME = Rate(what="wrong passwords for one login name", most=10, window_s=900)
PASSWORDS_OF_ADDRESS = Rate(what="wrong passwords from one address", most=50, window_s=900)
RATES = (
    *(MESSAGES, MESSAGES_A_DAY, COMMANDS, UPLOADS, OPENINGS),
    *(PASSWORDS_OF_NAME, PASSWORDS_OF_ADDRESS),
)

_MESSAGES = (COMMANDS, MESSAGES, MESSAGES_A_DAY)
_OF: Mapping[type[ask.Command], tuple[Rate, ...]] = {
    ask.PostMessage: _MESSAGES,
    ask.PostNote: _MESSAGES,
    ask.ReopenConversation: _MESSAGES,
    ask.OpenConversation: (*_MESSAGES, OPENINGS),
}


def rates_of(command: ask.Command) -> tuple[Rate, ...]:
    """The limits that a person's command counts against."""
    return _OF.get(type(command), (COMMANDS,))


def too_many(rate: Rate, times: Sequence[int], now: int) -> Refusal | None:
    """Refuse one more now (Unix ms). `times` are the person's last ones, ascending.

    Only the last `rate.most` of them are looked at, so no more need be read.
    """
    return None if len(times) < rate.most else one_more(rate, times[-rate.most], now)


def one_more(rate: Rate, oldest: int, now: int) -> Refusal | None:
    """The same, told the one time that decides: that of the `rate.most`-th newest."""
    free_at = oldest + rate.window_s * 1000
    if now >= free_at:
        return None
    return Refusal(Code.TOO_MANY, {"retry_after_s": -((now - free_at) // 1000)})
