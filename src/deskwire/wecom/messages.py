"""WeCom's JSON and our typed values.

Pure. Bytes enter here and nowhere else; what leaves is typed, and user ids are in lower case.
Unknown fields are passed over.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Final, NewType, TypeVar

import msgspec

UserId = NewType("UserId", str)
"""A member's UserID, in lower case: WeCom compares them without case (D90196)."""

USER_ID_BYTES_MAX: Final = 64
CODE_BYTES_MAX: Final = 512
TOKEN_BYTES_MAX: Final = 512


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


class _Outcome(msgspec.Struct):
    errcode: int = 0
    errmsg: str = ""


class _Grant(msgspec.Struct):
    access_token: str
    expires_in: int


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
