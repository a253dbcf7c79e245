"""What can go wrong with WeCom, told apart by whose fault it is and what to do now.

Pure. Never matches on `errmsg` (D90664); its hint is kept for the log. No text that leaves this
file holds a secret.
"""

from __future__ import annotations

import re
from typing import Final

HIDDEN: Final = "•••"

# Values of these names are credentials, or as good as one, wherever they stand: query, JSON, repr.
SECRET_NAMES: Final = frozenset(
    {
        "access_token",
        "corpsecret",
        "key",
        "code",
        "user_ticket",
        "msg_signature",
        "echostr",
    }
)

_NAMES: Final = "|".join(sorted(SECRET_NAMES))
_SECRET: Final = re.compile(
    rf"""
    # A name of its own (not the tail of `errcode`), also inside a percent-encoded address.
    (?P<name> (?: (?<![A-Za-z0-9_]) | (?<=%[0-9A-F]{{2}}) ) (?:{_NAMES}) )
    # As in a query, in JSON (also when that is quoted itself), in a repr, in a list of pairs.
    (?P<sign> \\?["']? \s* (?: = | : | %3D ) \s* | ["'] \s* , \s* )
    (?: "(?: [^"\\] | \\. )*"
      | \\"(?: (?!\\") . )*\\" | '[^']*' | (?: (?!%26|%23) [^\s&\#,;"'<>)}}\]] )+ )
    """,
    re.VERBOSE | re.IGNORECASE,
)
_HINT: Final = re.compile(r"hint:\s*\[([^\]]{1,200})\]")


def redact(text: str) -> str:
    """`text` without secrets: the way of every string to a log, exception or stored reason."""
    return _SECRET.sub(rf"\g<name>\g<sign>{HIDDEN}", text)


def hint_of(errmsg: str) -> str:
    """The reference that WeCom's support asks for, or nothing."""
    found = _HINT.search(errmsg)
    return redact(found.group(1)) if found else ""


class WeComFault(Exception):
    """A call that did not succeed. Catch a subclass: each says who is at fault and what to do.

    `code` is WeCom's errcode, or None when no answer of WeCom's was read.
    """

    def __init__(self, call: str, reason: str, *, code: int | None = None, hint: str = "") -> None:
        self.call = call
        self.reason = redact(reason)
        self.code = code
        self.hint = hint
        super().__init__(call, self.reason, code, hint)

    def __str__(self) -> str:
        known = [self.call, self.reason]
        if self.code is not None:
            known.append(f"errcode {self.code}")
        if self.hint:
            known.append(f"hint {self.hint}")
        return ", ".join(known)


class AuthConfig(WeComFault):
    """Our settings, or the app's, are wrong. No retry helps: the breaker opens, admins are told."""


class TokenInvalid(AuthConfig):
    """A token fetched a moment ago was refused as well: as good as a wrong setting."""


class Limited(WeComFault):
    """Over a limit. Nothing before the penalty ends: 60 s at least, up to the month (D90312)."""

    retry_after_s: Final = 60


class Recipient(WeComFault):
    """Nothing reaches this person: not a member any more, out of scope, or without a licence."""


class Invisible(WeComFault):
    """This app may not see that person or department, or there is none."""


class Busy(WeComFault):
    """WeCom or the road to it failed, not the request. Reads have been tried again before."""


class Unreached(Busy):
    """Nothing left this machine: even what must not be done twice may be tried again."""


class Ambiguous(WeComFault):
    """A send without an answer: nobody knows whether it was accepted.

    Only the very same bytes may follow, which WeCom's duplicate check holds back if it was.
    """


class LoginCode(WeComFault):
    """The code proves nothing (any more). Start the login again."""


class Permanent(WeComFault):
    """Any other code: our bug."""


STALE_TOKEN: Final = frozenset({40014, 42001})
"""The token is bad or has run out: fetch one anew, once."""

CULPRITS: Final[dict[type[WeComFault], frozenset[int]]] = {
    AuthConfig: frozenset(
        {
            40001,  # bad secret
            40013,  # bad corp id
            40091,  # secret does not belong
            41001,  # no token
            41002,  # no corp id
            41004,  # no secret
            48006,  # rights withdrawn: the app lay unused
            48010,  # our TLS is too old
            50003,  # the app is switched off
            60020,  # our address is not among 企业可信IP
            301002,  # that agent id is not this token's
            301007,  # the corp is switched off
            40056,  # bad agent id
            43012,  # probably: no callback address is set (inferred)
        }
    ),
    Limited: frozenset({45009, 45033, 45035, 45036}),
    Recipient: frozenset({81013}),
    Invisible: frozenset({60011, 60111, 60021, 50002}),
    Busy: frozenset({-1}),
    LoginCode: frozenset({40029, 42022, 42003, 50001}),
}

_CULPRIT_OF: Final = {code: culprit for culprit, codes in CULPRITS.items() for code in codes}


def fault_of(call: str, code: int, errmsg: str) -> WeComFault:
    """The typed fault for an errcode that is not 0. A token stale again is `TokenInvalid`."""
    culprit = TokenInvalid if code in STALE_TOKEN else _CULPRIT_OF.get(code, Permanent)
    return culprit(call, culprit.__name__, code=code, hint=hint_of(errmsg))
