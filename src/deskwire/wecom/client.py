"""Calls to WeCom: times, retries, typed failures, no secret in any word that leaves.

A read may be repeated, and so may a recall; a send without an answer never is. Never raises what
httpx raises (its errors hold the address, and so the token), and never leaves such an error behind
as the context of its own.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Final, Self, TypeGuard, TypeVar

import httpx

from deskwire import telemetry
from deskwire.wecom.breaker import Breaker
from deskwire.wecom.errors import (
    STALE_TOKEN,
    Ambiguous,
    AuthConfig,
    Busy,
    Invisible,
    Limited,
    LoginCode,
    Permanent,
    Recipient,
    Unreached,
    WeComFault,
    fault_of,
)
from deskwire.wecom.messages import (
    CODE_BYTES_MAX,
    Grant,
    Listing,
    Member,
    MemberStatus,
    Outcome,
    Outsider,
    Unreadable,
    UserId,
    read_department_name,
    read_grant,
    read_identity,
    read_listing,
    read_outcome,
    read_sent,
    recall_request,
)
from deskwire.wecom.oauth import base_url
from deskwire.wecom.token import AppKey, Machine, Token, TokenKeeper, TokenStore

API_URL: Final = "https://qyapi.weixin.qq.com"

# D90315 §11 suggests 5 to 10 s, and a random 1 to 3 s between tries.
TIMEOUTS: Final = httpx.Timeout(connect=3, write=5, read=10, pool=2)
CALL_S_MAX: Final = 20
"""httpx bounds each read, not their sum: a peer that drips a byte at a time is cut off here."""
TRIES_MAX: Final = 3
PAUSE_S: Final = (1.0, 3.0)
REPLY_BYTES_MAX: Final = 1024 * 1024
SEND: Final = "message/send"

_log = telemetry.logger("wecom")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberRecord:
    """What the desk keeps of a member. `department` is empty when the app may not see it."""

    userid: UserId
    name: str
    department: str
    status: MemberStatus


class WeComClient:
    """One app's calls to WeCom.

    `async with` it once, around all use: it owns the connections and the token's fetch.
    Every method raises a subclass of `WeComFault` and nothing else.
    """

    def __init__(
        self,
        *,
        corp_id: str,
        agent_id: int,
        secret: str,
        tokens: TokenStore,
        api_url: str = API_URL,
        transport: httpx.AsyncBaseTransport | None = None,
        machine: Machine | None = None,
    ) -> None:
        self._app = AppKey(corp_id=corp_id, agent_id=agent_id)
        self._secret = secret
        self._tokens = tokens
        self._api_url = base_url(api_url)
        self._transport = transport
        self._machine = machine or this_machine()
        self._breaker = Breaker()
        self._open = AsyncExitStack()
        self._http: httpx.AsyncClient | None = None
        self._keeper: TokenKeeper | None = None
        _quiet_httpx()

    def __repr__(self) -> str:
        trouble = f" breaker={self._breaker.fault}" if self._breaker.fault else ""
        return f"<WeComClient {self._app.corp_id}/{self._app.agent_id} {self._api_url}{trouble}>"

    async def __aenter__(self) -> Self:
        http = httpx.AsyncClient(
            timeout=TIMEOUTS,
            follow_redirects=False,
            trust_env=False,
            transport=self._transport,
        )
        self._http = await self._open.enter_async_context(http)
        self._keeper = TokenKeeper(
            app=self._app,
            store=self._tokens,
            fetch=self._fetch_token,
            machine=self._machine,
            tasks=await self._open.enter_async_context(asyncio.TaskGroup()),
        )
        self._open.callback(self._keeper.stop)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    @property
    def trouble(self) -> WeComFault | None:
        """The config fault for which WeCom is not being asked at present."""
        return self._breaker.fault

    @property
    def pause_s(self) -> float:
        """For how long nothing is asked because of a config fault. 0: the next call goes out."""
        if self._breaker.fault is None:
            return 0
        return max(0, self._breaker.until_ms - self._machine.now_ms()) / 1000

    async def send(self, request: bytes) -> str | None:
        """Send an app message to one member (D90236): these very bytes. Returns WeCom's id of it.

        Only `flows/wecom_out` calls this: each message is a row first. Raises `Busy` where nothing
        was accepted, `Ambiguous` where nobody knows, `Recipient` where it cannot reach them.
        """
        call = _Call(path=SEND, body=request, is_repeatable=False)
        try:
            sent = await self._ask(call, read_sent)
        except Busy as busy:
            if busy.call != SEND or _was_not_taken(busy):
                raise
            raise Ambiguous(SEND, busy.reason) from None
        if sent.invalid:
            raise Recipient(SEND, "invalid_user", code=0)
        if sent.unlicensed:
            raise Recipient(SEND, "unlicensed_user", code=0)
        return sent.msgid

    async def recall(self, msgid: str) -> None:
        """Take a message back from its reader (D94867), up to 24 hours after it was sent."""
        call = _Call(path="message/recall", body=recall_request(msgid))
        await self._ask(call, read_outcome)

    async def identify(self, code: str) -> Member | Outsider:
        """Exchange a login's code (D91023). The code is spent by this, whatever comes back.

        Raises `LoginCode` when the login must start again.
        """
        if not (code.isascii() and 0 < len(code) <= CODE_BYTES_MAX):
            raise LoginCode("auth/getuserinfo", "a code has 1 to 512 bytes, all ASCII")
        call = _Call(path="auth/getuserinfo", query={"code": code}, is_repeatable=False)
        return await self._ask(call, read_identity)

    async def member(self, userid: UserId) -> MemberRecord:
        """Name, department, status (D90196, D95351). `Invisible` for who is outside the scope."""
        call = _Call(path="user/get", query={"userid": userid})
        listing = await self._ask(call, read_listing)
        return MemberRecord(
            userid=listing.userid,
            name=listing.name or listing.userid,
            department=await self._department_of(listing),
            status=listing.status,
        )

    async def _department_of(self, listing: Listing) -> str:
        if listing.department_id is None:
            return ""
        call = _Call(path="department/get", query={"id": str(listing.department_id)})
        try:
            return await self._ask(call, read_department_name)
        except Invisible:
            return ""

    # --- one call with a token -------------------------------------------------------------------

    async def _ask(self, call: _Call, read: Callable[[bytes], _T]) -> _T:
        self._pass_breaker(call.path)
        try:
            body = await self._with_retries(call)
            answer = _readable(call.path, body, read)
        except BaseException as error:
            self._note_failure(error)
            raise
        self._note_success()
        return answer

    def _pass_breaker(self, path: str) -> None:
        trouble = self._breaker.refusal(self._machine.now_ms())
        if trouble is not None:
            reason = f"not asked: {trouble.reason} since {trouble.call}"
            raise type(trouble)(path, reason, code=trouble.code, hint=trouble.hint)

    def _note_failure(self, error: BaseException) -> None:
        if _opens_breaker(error):
            self._open_breaker(error)
            return
        if (
            isinstance(error, LoginCode | Invisible | Recipient | Permanent)
            and error.code is not None
        ):
            self._note_success()  # WeCom took our token, so the settings are right
        else:
            self._breaker.let_go()
        if isinstance(error, WeComFault):
            _log.log(_level_of(error), "wecom.call_failed", **_fields(error))

    def _open_breaker(self, fault: WeComFault) -> None:
        now_ms = self._machine.now_ms()
        if self._breaker.trip(fault, now_ms):
            pause_s = (self._breaker.until_ms - now_ms) // 1000
            _log.error("wecom.breaker_open", **_fields(fault), pause_s=pause_s)

    def _note_success(self) -> None:
        if self._breaker.close():
            _log.info("wecom.breaker_closed", agent_id=self._app.agent_id)

    async def _with_retries(self, call: _Call) -> bytes:
        for tries_left in range(TRIES_MAX - 1, -1, -1):
            try:
                return await self._with_token(call)
            except Busy as busy:
                if not tries_left or not _may_repeat(call, busy):
                    raise
            await self._machine.pause(self._between_tries_s())
        raise AssertionError("the last try returns or raises")

    def _between_tries_s(self) -> float:
        least, most = PAUSE_S
        return least + (most - least) * self._machine.chance()

    async def _with_token(self, call: _Call) -> bytes:
        """One try; when the token is found stale, one more with the next."""
        token = await self._token(after=0)
        body = await self._get(call.with_token(token))
        if _outcome_of(call.path, body).code in STALE_TOKEN:
            _log.info("wecom.token_stale", call=call.path, generation=token.generation)
            token = await self._token(after=token.generation)
            body = await self._get(call.with_token(token))
        _check(call.path, body)
        return body

    async def _token(self, *, after: int) -> Token:
        if self._keeper is None:
            raise RuntimeError("a WeComClient is used inside its `async with`")
        return await self._keeper.token(after=after)

    async def _fetch_token(self) -> Grant:
        query = {"corpid": self._app.corp_id, "corpsecret": self._secret}
        body = await self._get(_Call(path="gettoken", query=query))
        _check("gettoken", body)
        return _readable("gettoken", body, read_grant)

    # --- one request -----------------------------------------------------------------------------

    async def _get(self, call: _Call) -> bytes:
        answer = await self._try(call)
        if isinstance(answer, WeComFault):
            # Raised here and not where httpx failed: its error would hang on ours, address and all.
            raise answer
        return answer

    async def _try(self, call: _Call) -> bytes | WeComFault:
        assert self._http is not None
        path, method = call.path, "GET" if call.body is None else "POST"
        url = f"{self._api_url}/cgi-bin/{path}"
        try:
            async with (
                asyncio.timeout(CALL_S_MAX),
                self._http.stream(
                    method, url, params=call.query, content=call.body, headers=call.headers
                ) as reply,
            ):
                return _judged(path, reply.status_code, await _body_of(reply))
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            return Unreached(path, type(error).__name__)
        except (httpx.HTTPError, TimeoutError) as error:
            return Busy(path, type(error).__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    path: str
    query: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    is_repeatable: bool = True

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.body is None else {"Content-Type": "application/json"}

    def with_token(self, token: Token) -> _Call:
        return replace(self, query=self.query | {"access_token": token.value})


def this_machine() -> Machine:
    """The real clock, real waiting, real chance."""
    return Machine(
        now_ms=lambda: time.time_ns() // 1_000_000,
        pause=asyncio.sleep,
        chance=random.Random().random,  # noqa: S311 - spreads retries, keeps no secret
    )


async def _body_of(reply: httpx.Response) -> bytes:
    """At most one byte more than a reply may have."""
    body = bytearray()
    async for chunk in reply.aiter_bytes():
        body += chunk
        if len(body) > REPLY_BYTES_MAX:
            break
    return bytes(body)


def _judged(path: str, status: int, body: bytes) -> bytes | WeComFault:
    """WeCom answers 200 to everything; another status comes from something between us."""
    if len(body) > REPLY_BYTES_MAX:
        return Permanent(path, f"a reply of over {REPLY_BYTES_MAX} bytes")
    if status == 200:
        return body
    if status >= 500:
        return Busy(path, f"HTTP {status}")
    if status == 429:
        return Limited(path, "HTTP 429")
    return Permanent(path, f"HTTP {status}")


def _outcome_of(path: str, body: bytes) -> Outcome:
    try:
        return read_outcome(body)
    except Unreadable:
        raise Busy(path, "HTTP 200 without JSON") from None


def _check(path: str, body: bytes) -> None:
    outcome = _outcome_of(path, body)
    if outcome.code != 0:
        raise fault_of(path, outcome.code, outcome.errmsg)


def _readable(path: str, body: bytes, read: Callable[[bytes], _T]) -> _T:
    try:
        return read(body)
    except Unreadable as error:
        raise Permanent(path, str(error)) from None


def _may_repeat(call: _Call, busy: Busy) -> bool:
    """A try without an answer may have spent a login's code; one that WeCom never took has not."""
    return call.is_repeatable or _was_not_taken(busy)


def _was_not_taken(busy: Busy) -> bool:
    return isinstance(busy, Unreached) or busy.code == -1


def _opens_breaker(error: BaseException) -> TypeGuard[WeComFault]:
    # A penalty on gettoken is WeCom's last word before a ban: waiting is all that helps there too.
    return isinstance(error, AuthConfig) or (
        isinstance(error, Limited) and error.call == "gettoken"
    )


def _level_of(fault: WeComFault) -> int:
    if isinstance(fault, Permanent):
        return logging.ERROR  # our bug
    # A stale login or a stranger is everyday life.
    return logging.INFO if isinstance(fault, LoginCode | Invisible) else logging.WARNING


def _fields(fault: WeComFault) -> dict[str, object]:
    return {
        "kind": type(fault).__name__,
        "call": fault.call,
        "reason": fault.reason,
        "code": fault.code,
        "hint": fault.hint,
    }


def _quiet_httpx() -> None:
    """httpx logs whole addresses at INFO, httpcore at DEBUG: token and secret among them."""
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
