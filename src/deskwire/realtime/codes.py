"""The one table of close codes: what each means, whether to come back, after what delay.

4000–4499: come back and resume. 4500–4999: stop. So an old client can classify a new code.
Docs and the TypeScript client are generated from this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Final


class Again(StrEnum):
    """May the client try again?"""

    YES = "yes"
    RENEW = "renew"  # renew the login first, then come back
    STOP = "stop"
    SELF = "self"  # the client's own code: received from elsewhere it counts as 1006


class Wait(StrEnum):
    """How the delay before coming back is found."""

    BACKOFF = "backoff"  # random in 0 … min(20 s, 0.5 s · 2^k)
    TOLD = "told"  # random in `bye`'s retry_ms; backoff without one
    RANGE = "range"  # random in least_ms … most_ms
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Delay:
    """`least_ms` is a floor under a backoff too."""

    wait: Wait
    least_ms: int = 0
    most_ms: int = 0


@dataclass(frozen=True, slots=True)
class CloseCode:
    code: int
    name: str  # ≤ 32 ASCII characters: `why` of `bye`, reason of the close
    again: Again
    delay: Delay
    zh: str  # what the client shows; empty = nothing
    does: str  # what else the client does, in a word or two


class Code(IntEnum):
    """The codes this room sends."""

    INTERNAL = 4000
    DRAIN = 4001
    SLOW = 4002
    SILENT = 4003
    UNKNOWN_CONNECTION = 4004
    LOGIN_EXPIRED = 4005
    TOO_MANY_FRAMES = 4006
    IN_DOUBT = 4007
    IDENTIFY_TIMEOUT = 4008
    OVERLOADED = 4009
    NOT_LOGGED_IN = 4500
    PROTOCOL = 4501
    VERSION = 4502
    DENIED = 4503
    REPLACED = 4504
    TOO_MANY_CONNECTIONS = 4505
    KICKED = 4506
    LOGGED_OUT = 4507


_BACKOFF: Final = Delay(Wait.BACKOFF)
_AT_ONCE: Final = Delay(Wait.RANGE)
_FIRST_SECOND: Final = Delay(Wait.RANGE, 0, 1_000)
_TOLD: Final = Delay(Wait.TOLD)
_NEVER: Final = Delay(Wait.NEVER)

_ROWS: Final = (
    CloseCode(4000, "internal error", Again.YES, _BACKOFF, "重连中…", ""),
    CloseCode(4001, "drain", Again.YES, _TOLD, "", "shows 重连中… only over 5 s"),
    CloseCode(4002, "slow", Again.YES, Delay(Wait.BACKOFF, 1_000), "网络较慢，正在补齐消息", ""),
    CloseCode(4003, "silent", Again.YES, _FIRST_SECOND, "重连中…", ""),
    CloseCode(4004, "connection unknown", Again.YES, _AT_ONCE, "", "identifies anew"),
    CloseCode(4005, "login expired", Again.RENEW, _AT_ONCE, "", "renewal refused: as 4500"),
    CloseCode(4006, "too many frames", Again.YES, Delay(Wait.BACKOFF, 5_000), "操作过于频繁", ""),
    CloseCode(4007, "state in doubt", Again.YES, _FIRST_SECOND, "", ""),
    CloseCode(4008, "identify timeout", Again.YES, _BACKOFF, "重连中…", ""),
    CloseCode(4009, "overloaded", Again.YES, _TOLD, "服务繁忙，稍后自动重连", ""),
    CloseCode(4500, "not logged in", Again.STOP, _NEVER, "请重新登录", "H5 runs the WeCom login"),
    CloseCode(4501, "protocol error", Again.STOP, _NEVER, "页面异常，请刷新", "reports itself"),
    CloseCode(4502, "version unsupported", Again.STOP, _NEVER, "", "reloads once, drafts kept"),
    CloseCode(4503, "denied", Again.STOP, _NEVER, "无权访问", ""),
    CloseCode(4504, "replaced", Again.STOP, _NEVER, "已在别处打开", "button 在此使用"),
    CloseCode(4505, "too many connections", Again.STOP, _NEVER, "登录设备过多", "list, 在此使用"),
    CloseCode(4506, "kicked", Again.STOP, _NEVER, "账号已停用 / 已被管理员下线", ""),
    CloseCode(4507, "logged out", Again.STOP, _NEVER, "", "login page; positions and cache wiped"),
    CloseCode(1000, "normal", Again.SELF, _BACKOFF, "", "page gone; grace begins"),
    CloseCode(1001, "going away", Again.SELF, _BACKOFF, "", "page gone; grace begins"),
    CloseCode(1002, "bad frame", Again.STOP, _NEVER, "页面异常，请刷新", "as 4501"),
    CloseCode(1003, "bad frame", Again.STOP, _NEVER, "页面异常，请刷新", "as 4501"),
    CloseCode(1007, "bad frame", Again.STOP, _NEVER, "页面异常，请刷新", "as 4501"),
    CloseCode(1009, "bad frame", Again.STOP, _NEVER, "页面异常，请刷新", "as 4501"),
    *(
        CloseCode(code, "infrastructure", Again.YES, _BACKOFF, "重连中…", "")
        for code in (1005, 1006, 1008, 1011, 1012, 1013, 1014, 1015)
    ),
)

TABLE: Final[Mapping[int, CloseCode]] = MappingProxyType({row.code: row for row in _ROWS})


def meaning(code: int) -> CloseCode:
    """The row of `code`; a code we do not know is classified by its range."""
    row = TABLE.get(code)
    if row is not None:
        return row
    if 4500 <= code <= 4999:
        return CloseCode(code, "stop", Again.STOP, _NEVER, "", "")
    return CloseCode(code, "come back", Again.YES, _BACKOFF, "重连中…", "")
