"""One access token per app, fetched once however many ask, shared by all nodes through a port.

Nodes must share it: whether a second `gettoken` leaves the first token alive is not documented
(D91039). Never knows how the call is made, nor where the token is kept. Invariant: a generation is
fetched by one holder of the claim, and only goes up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from deskwire.wecom.errors import Busy
from deskwire.wecom.messages import Grant

REFRESH_BEFORE_END_S: Final = 300
SHORT_LIFETIME_S: Final = 600
JITTER_S: Final = 30

FETCH_SPACING_MS: Final = 10_000
"""At most one gettoken in this time per app: WeCom blocks who calls too often, figure unknown."""

CLAIM_MS: Final = 30_000
"""Longer than any fetch may last (the client ends it after 20 s): no two nodes fetch at once."""

WAIT_STEP_S: Final = 0.5
WAIT_STEPS_MAX: Final = 80
"""40 s: longer than another node's claim may last."""


FLIGHTS_MAX: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class AppKey:
    """Whose token. By app, not by corp: two apps of one corp must never see each other's."""

    corp_id: str
    agent_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """`generation` grows with each fetch, so that a call can say which token failed it."""

    value: str = field(repr=False)
    generation: int
    refresh_ms: int


class TokenStore(Protocol):
    """Where the nodes of one desk keep an app's token. All times are Unix ms."""

    async def read(self, app: AppKey) -> Token | None:
        """The newest token, fit for use or not."""

    async def claim(self, app: AppKey, *, seen: int, now_ms: int) -> bool:
        """Take the right to fetch the generation after `seen` (0: none yet).

        One atomic step. False when a newer token stands, when another's claim is younger than
        `CLAIM_MS` and not released, or when the last claim of anybody is younger than
        `FETCH_SPACING_MS`. A claim of the future (the clock was set back) counts as old.
        """

    async def write(self, app: AppKey, token: Token) -> bool:
        """Store it and end the claim. False, nothing stored, when one as new stands there."""

    async def release(self, app: AppKey) -> None:
        """End the claim without a token: the fetch failed."""


@dataclass(slots=True)
class _Row:
    token: Token | None = None
    claimed_ms: int | None = None
    is_held: bool = False

    @property
    def generation(self) -> int:
        return self.token.generation if self.token else 0


class MemoryTokens:
    """The twin: for one process, and for tests."""

    def __init__(self) -> None:
        self._rows: dict[AppKey, _Row] = {}

    async def read(self, app: AppKey) -> Token | None:
        return self._row(app).token

    async def claim(self, app: AppKey, *, seen: int, now_ms: int) -> bool:
        row = self._row(app)
        if row.generation > seen:
            return False
        if row.claimed_ms is not None:
            limit_ms = CLAIM_MS if row.is_held else FETCH_SPACING_MS
            if 0 <= now_ms - row.claimed_ms < limit_ms:
                return False
        row.claimed_ms, row.is_held = now_ms, True
        return True

    async def write(self, app: AppKey, token: Token) -> bool:
        row = self._row(app)
        if row.generation >= token.generation:
            return False
        row.token, row.is_held = token, False
        return True

    async def release(self, app: AppKey) -> None:
        self._row(app).is_held = False

    def _row(self, app: AppKey) -> _Row:
        return self._rows.setdefault(app, _Row())


def refresh_delay_s(lifetime_s: int, chance: float) -> float:
    """How long a token is used: to 300 s before its end, to the half when short; ± 30 s.

    `chance` lies in [0, 1). The jitter of a very short token shrinks with it.
    """
    base_s = lifetime_s - REFRESH_BEFORE_END_S if lifetime_s >= SHORT_LIFETIME_S else lifetime_s / 2
    return base_s + min(JITTER_S, base_s / 4) * (2 * chance - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Clock (Unix ms), pause (seconds) and chance [0, 1) of this process. Tests pass their own."""

    now_ms: Callable[[], int]
    pause: Callable[[float], Awaitable[None]]
    chance: Callable[[], float]


class TokenKeeper:
    """This process's view of one app's token.

    The caller owns `tasks` and keeps it open as long as the keeper is used: a fetch runs there, so
    that a cancelled caller does not cancel it for the others.
    """

    def __init__(
        self,
        *,
        app: AppKey,
        store: TokenStore,
        fetch: Callable[[], Awaitable[Grant]],
        machine: Machine,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._app = app
        self._store = store
        self._fetch = fetch
        self._machine = machine
        self._tasks = tasks
        self._held: Token | None = None
        self._flight: asyncio.Future[Token] | None = None
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        generation = self._held.generation if self._held else 0
        return f"<TokenKeeper {self._app} generation={generation} fetching={bool(self._flight)}>"

    async def token(self, *, after: int = 0) -> Token:
        """A token to use now, later than generation `after`: that of one just found bad."""
        for _ in range(FLIGHTS_MAX):
            held = self._held
            if held is not None and self._is_good(held, after):
                return held
            token = await asyncio.shield(self._shared_flight(after))
            if token.generation > after:
                return token
            # It was under way for somebody who did not know yet that this token is bad.
        raise Busy("gettoken", "no newer token was to be had")

    def stop(self) -> None:
        """End a fetch that is under way; who waits for it gets `Busy`."""
        if self._task is not None:
            self._task.cancel()

    def _is_good(self, token: Token, after: int) -> bool:
        return token.generation > after and self._machine.now_ms() < token.refresh_ms

    def _shared_flight(self, after: int) -> asyncio.Future[Token]:
        if self._flight is None:
            flight: asyncio.Future[Token] = asyncio.get_running_loop().create_future()
            self._flight = flight
            self._task = self._tasks.create_task(self._fly(flight, after))
        return self._flight

    async def _fly(self, flight: asyncio.Future[Token], after: int) -> None:
        try:
            token = await self._renew(after)
        except asyncio.CancelledError:
            _fail(flight, Busy("gettoken", "the client was closed"))
            raise
        except Exception as fault:  # noqa: BLE001 - a task's root: whatever it was goes to those who wait
            _fail(flight, fault)
        else:
            self._held = token
            flight.set_result(token)
        finally:
            self._flight = self._task = None

    async def _renew(self, after: int) -> Token:
        for _ in range(WAIT_STEPS_MAX):
            stored = await self._store.read(self._app)
            if stored is not None and self._is_good(stored, after):
                return stored
            seen = stored.generation if stored else 0
            if await self._store.claim(self._app, seen=seen, now_ms=self._machine.now_ms()):
                return await self._fetched(seen)
            await self._machine.pause(WAIT_STEP_S)
        raise Busy("gettoken", "another node holds the claim and brings no token")

    async def _fetched(self, seen: int) -> Token:
        try:
            grant = await self._fetch()
            token = self._of(grant, generation=seen + 1)
            is_newest = await self._store.write(self._app, token)
        except BaseException:
            await self._store.release(self._app)
            raise
        if is_newest:
            return token
        stored = await self._store.read(self._app)
        return stored or token

    def _of(self, grant: Grant, *, generation: int) -> Token:
        delay_s = refresh_delay_s(grant.lifetime_s, self._machine.chance())
        refresh_ms = self._machine.now_ms() + int(delay_s * 1000)
        return Token(value=grant.value, generation=generation, refresh_ms=refresh_ms)


def _fail(flight: asyncio.Future[Token], fault: Exception) -> None:
    flight.set_exception(fault)
    # All who waited may have been cancelled meanwhile: then nobody else would look at it.
    flight.exception()
