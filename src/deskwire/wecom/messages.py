"""WeCom's JSON and our typed values.

Pure. Bytes enter here and nowhere else; what leaves is typed, and user ids are in lower case.
Unknown fields are passed over.
"""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Final, NewType, TypeVar

import msgspec

UserId = NewType("UserId", str)
"""A member's UserID, in lower case: WeCom compares them without case (D90196)."""

USER_ID_BYTES_MAX: Final = 64
CODE_BYTES_MAX: Final = 512
TOKEN_BYTES_MAX: Final = 512
MSGID_CHARS_MAX: Final = 256  # ours; WeCom names no bound

# A card's text (D90236): what is over is cut by WeCom, so by us first, at a whole character.
TITLE_CHARS_MAX: Final = 128
DESCRIPTION_CHARS_MAX: Final = 512
BUTTON_CHARS_MAX: Final = 4
URL_BYTES_MAX: Final = 2048
DUPLICATE_CHECK_S: Final = 14_400
"""The longest time for which WeCom holds back a request with the same bytes."""


class Unreadable(ValueError):
    """The body is not what the page of that call describes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What every reply says first. A good one may leave `errcode` out."""

    code: int
    errmsg: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A fresh access token, and for how long."""

    value: str = field(repr=False)
    lifetime_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """WeCom says: who brought this code is this member. In the app's scope or not."""

    userid: UserId


class Stranger(StrEnum):
    """Why a code that WeCom accepted names no member of ours."""

    EXTERNAL = "external"
    """A WeChat user or another corp's: errcode 0 with an openid, or with nothing."""
    LINKED = "linked"
    """A member of a linked corp: `CorpId/userid`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outsider:
    """The code was good and proves no member. Not a fault: a person to be refused in words."""

    kind: Stranger


class MemberStatus(IntEnum):
    """`status` of D90196. Anything but ACTIVE may not log in."""

    ACTIVE = 1
    DISABLED = 2
    NOT_ACTIVATED = 4
    LEFT = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """`user/get`: what an app may know of a member. No phone, e-mail or picture since 2022-06."""

    userid: UserId
    name: str
    department_id: int | None
    status: MemberStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class TextCard:
    """A card for one member. `title` and `description` are plain text, a line's end included.

    `url` must name this very card: of two cards with the same bytes WeCom drops the second.
    """

    to: UserId
    agent_id: int
    title: str
    description: str
    url: str
    button: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """WeCom took a message. Those in `invalid` and `unlicensed` (in lower case) do not get it.

    `msgid` is what a recall names; a reply may leave it out.
    """

    msgid: str | None
    invalid: frozenset[str]
    unlicensed: frozenset[str]


class _Outcome(msgspec.Struct):
    errcode: int = 0
    errmsg: str = ""


class _Grant(msgspec.Struct):
    access_token: str
    expires_in: int


class _Sent(msgspec.Struct):
    # Of any type: a reply in an odd form must not make a failure of what was accepted.
    msgid: object = None
    invaliduser: object = None
    unlicenseduser: object = None


class _Identity(msgspec.Struct):
    userid: str = ""


class _Listing(msgspec.Struct):
    userid: str
    status: int
    name: str = ""
    department: list[int] = []
    main_department: int | None = None


class _Department(msgspec.Struct):
    name: str = ""


class _DepartmentReply(msgspec.Struct):
    department: _Department


def user_id(raw: str) -> UserId:
    """The one form in which we hold a user id."""
    if not 0 < len(raw.encode()) <= USER_ID_BYTES_MAX:
        raise Unreadable("a user id has 1 to 64 bytes")
    return UserId(raw.casefold())


def read_outcome(body: bytes) -> Outcome:
    """First of all: is this a reply of WeCom's, and a good one?"""
    reply = _decode(body, _Outcome)
    return Outcome(code=reply.errcode, errmsg=reply.errmsg)


def read_grant(body: bytes) -> Grant:
    reply = _decode(body, _Grant)
    if not 0 < len(reply.access_token.encode()) <= TOKEN_BYTES_MAX or reply.expires_in <= 0:
        raise Unreadable("a token has 1 to 512 bytes and a lifetime")
    return Grant(value=reply.access_token, lifetime_s=reply.expires_in)


def read_identity(body: bytes) -> Member | Outsider:
    """Who the code belongs to (D91023). Only a bare `userid` proves a member."""
    raw = _decode(body, _Identity).userid
    if not raw:
        return Outsider(kind=Stranger.EXTERNAL)
    if "/" in raw:
        return Outsider(kind=Stranger.LINKED)
    return Member(userid=user_id(raw))


def read_listing(body: bytes) -> Listing:
    reply = _decode(body, _Listing)
    departments = [reply.main_department, *reply.department]
    return Listing(
        userid=user_id(reply.userid),
        name=reply.name,
        department_id=next((found for found in departments if found), None),
        status=_status(reply.status),
    )


def read_department_name(body: bytes) -> str:
    return _decode(body, _DepartmentReply).department.name


def read_sent(body: bytes) -> Sent:
    reply = _decode(body, _Sent)
    is_named = isinstance(reply.msgid, str) and 0 < len(reply.msgid) <= MSGID_CHARS_MAX
    return Sent(
        msgid=str(reply.msgid) if is_named else None,
        invalid=_members(reply.invaliduser),
        unlicensed=_members(reply.unlicenseduser),
    )


def _members(raw: object) -> frozenset[str]:
    """`"userid1|userid2"`; compared without case (D90236)."""
    names = raw.casefold().split("|") if isinstance(raw, str) else ()
    return frozenset(filter(None, names))


def text_card(card: TextCard) -> bytes:
    """The request's JSON: the same bytes for the same card. Raises ValueError for a bad address."""
    if not card.url.startswith(("https://", "http://")) or len(card.url.encode()) > URL_BYTES_MAX:
        raise ValueError("a card's address has a scheme and at most 2048 bytes")
    return msgspec.json.encode(
        {
            "touser": card.to,
            "msgtype": "textcard",
            "agentid": card.agent_id,
            "textcard": {
                "title": _shown(card.title, TITLE_CHARS_MAX),
                "description": _shown(card.description, DESCRIPTION_CHARS_MAX),
                "url": card.url,
                "btntxt": card.button[:BUTTON_CHARS_MAX],
            },
            "enable_duplicate_check": 1,
            "duplicate_check_interval": DUPLICATE_CHECK_S,
        }
    )


def recall_request(msgid: str) -> bytes:
    """The JSON that takes a message back (D94867)."""
    return msgspec.json.encode({"msgid": msgid})


def _shown(text: str, chars_max: int) -> str:
    """As HTML of at most so many characters, cut where no entity is torn."""
    found = ""
    for char in text:
        written = "<br>" if char == "\n" else html.escape(char, quote=False)
        if len(found) + len(written) > chars_max:
            break
        found += written
    return found


_Reply = TypeVar("_Reply", bound=msgspec.Struct)


def _decode(body: bytes, reply: type[_Reply]) -> _Reply:
    try:
        return msgspec.json.decode(body, type=reply)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # The decoder's words may quote the body.
        pass
    raise Unreadable(f"not a reply of the form {reply.__name__.removeprefix('_')}")


def _status(raw: int) -> MemberStatus:
    try:
        return MemberStatus(raw)
    except ValueError:
        # A status that WeCom adds one day must not let anybody in.
        return MemberStatus.DISABLED
