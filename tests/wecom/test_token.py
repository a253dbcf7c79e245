from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from deskwire.wecom.errors import Busy
from deskwire.wecom.messages import Grant
from deskwire.wecom.token import (
    CLAIM_MS,
    FETCH_SPACING_MS,
    AppKey,
    Machine,
    MemoryTokens,
    Token,
    TokenKeeper,
    TokenStore,
    refresh_delay_s,
)
from tests.wecom.town import Clock

APP = AppKey(corp_id="wwcorp", agent_id=1000002)
OTHER_APP = AppKey(corp_id="wwcorp", agent_id=1000003)


def token(generation: int, *, refresh_ms: int = 10**15) -> Token:
    return Token(value=f"T{generation}", generation=generation, refresh_ms=refresh_ms)


class Fetch:
    """A gettoken whose end the test decides."""

    def __init__(self, *, lifetime_s: int = 7200, is_held: bool = False) -> None:
        self.count = 0
        self.lifetime_s = lifetime_s
        self.may_end = asyncio.Event()
        self.has_begun = asyncio.Event()
        self.fault: Exception | None = None
        if not is_held:
            self.may_end.set()

    async def __call__(self) -> Grant:
        self.count += 1
        number = self.count
        self.has_begun.set()
        await self.may_end.wait()
        if self.fault is not None:
            raise self.fault
        return Grant(value=f"T{number}", lifetime_s=self.lifetime_s)


Keep = Callable[..., TokenKeeper]


@asynccontextmanager
async def keepers(clock: Clock) -> AsyncIterator[Keep]:
    machine = Machine(now_ms=clock, pause=clock.pause, chance=lambda: 0.5)
    async with asyncio.TaskGroup() as tasks:

        def keep(fetch: Fetch, store: TokenStore) -> TokenKeeper:
            return TokenKeeper(app=APP, store=store, fetch=fetch, machine=machine, tasks=tasks)

        yield keep


# --- the port ------------------------------------------------------------------------------------


async def test_a_store_begins_empty() -> None:
    assert await MemoryTokens().read(APP) is None


async def test_of_two_that_claim_a_generation_one_gets_it() -> None:
    store = MemoryTokens()

    assert await store.claim(APP, seen=0, now_ms=1000)
    assert not await store.claim(APP, seen=0, now_ms=1000)


async def test_a_claim_that_brings_nothing_runs_out() -> None:
    store = MemoryTokens()
    await store.claim(APP, seen=0, now_ms=1000)

    assert not await store.claim(APP, seen=0, now_ms=1000 + CLAIM_MS - 1)
    assert await store.claim(APP, seen=0, now_ms=1000 + CLAIM_MS)


async def test_after_a_failed_fetch_the_next_waits_10_seconds() -> None:
    store = MemoryTokens()
    await store.claim(APP, seen=0, now_ms=1000)
    await store.release(APP)

    assert not await store.claim(APP, seen=0, now_ms=1000 + FETCH_SPACING_MS - 1)
    assert await store.claim(APP, seen=0, now_ms=1000 + FETCH_SPACING_MS)


async def test_a_claim_of_the_future_counts_as_old() -> None:
    store = MemoryTokens()
    await store.claim(APP, seen=0, now_ms=10**12)

    assert await store.claim(APP, seen=0, now_ms=1000)


async def test_nobody_claims_what_a_newer_token_has_made_needless() -> None:
    store = MemoryTokens()
    await store.write(APP, token(2))

    assert not await store.claim(APP, seen=1, now_ms=10**12)
    assert await store.claim(APP, seen=2, now_ms=10**12)


async def test_generations_only_go_up() -> None:
    store = MemoryTokens()
    await store.write(APP, token(2))

    assert not await store.write(APP, token(2))
    assert not await store.write(APP, token(1))
    assert await store.read(APP) == token(2)


async def test_an_app_never_sees_the_token_of_another_app_of_its_corp() -> None:
    store = MemoryTokens()
    await store.write(APP, token(1))

    assert await store.read(OTHER_APP) is None


def test_a_token_does_not_show_itself() -> None:
    assert "T1" not in repr(token(1))


# --- when to refresh -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lifetime_s, chance, delay_s",
    [
        (7200, 0.5, 6900),
        (7200, 0.0, 6870),
        (600, 0.5, 300),
        (599, 0.5, 299.5),
        (60, 0.0, 22.5),
        (4, 0.0, 1.5),
    ],
)
def test_a_token_is_renewed_before_its_end(lifetime_s: int, chance: float, delay_s: float) -> None:
    assert refresh_delay_s(lifetime_s, chance) == delay_s
    assert refresh_delay_s(lifetime_s, 0.999999) < lifetime_s


# --- the keeper ----------------------------------------------------------------------------------


async def test_a_hundred_callers_cause_one_fetch() -> None:
    fetch = Fetch()
    async with keepers(Clock()) as keep:
        keeper = keep(fetch, MemoryTokens())

        tokens = await asyncio.gather(*(keeper.token() for _ in range(100)))

    assert fetch.count == 1
    assert {found.value for found in tokens} == {"T1"}


async def test_a_cancelled_caller_does_not_cancel_the_fetch_for_the_others() -> None:
    fetch = Fetch(is_held=True)
    async with keepers(Clock()) as keep, asyncio.TaskGroup() as callers:
        keeper = keep(fetch, MemoryTokens())
        first = callers.create_task(keeper.token())
        second = callers.create_task(keeper.token())
        await fetch.has_begun.wait()

        first.cancel()
        await asyncio.sleep(0)
        fetch.may_end.set()

        assert (await second).value == "T1"
    assert first.cancelled()
    assert fetch.count == 1


async def test_a_fetch_goes_on_when_all_its_callers_have_gone() -> None:
    fetch = Fetch(is_held=True)
    store = MemoryTokens()
    async with keepers(Clock()) as keep, asyncio.TaskGroup() as callers:
        keeper = keep(fetch, store)
        only = callers.create_task(keeper.token())
        await fetch.has_begun.wait()
        only.cancel()
        fetch.may_end.set()

    assert (await store.read(APP)) is not None


async def test_a_failed_fetch_fails_all_who_waited_and_the_next_caller_tries_anew() -> None:
    clock, fetch = Clock(), Fetch(is_held=True)
    fetch.fault = Busy("gettoken", "HTTP 502")
    async with keepers(clock) as keep:
        keeper = keep(fetch, MemoryTokens())
        waiting = [keeper.token() for _ in range(3)]
        fetch.may_end.set()

        results = await asyncio.gather(*waiting, return_exceptions=True)

        assert results == [fetch.fault] * 3
        fetch.fault = None
        assert (await keeper.token()).generation == 1
    assert fetch.count == 2
    assert sum(clock.pauses) >= FETCH_SPACING_MS / 1000


async def test_a_token_is_used_until_its_refresh_time_and_not_longer() -> None:
    clock, fetch = Clock(), Fetch()
    async with keepers(clock) as keep:
        keeper = keep(fetch, MemoryTokens())
        await keeper.token()

        clock.advance(6899)
        assert (await keeper.token()).value == "T1"
        clock.advance(1)
        assert (await keeper.token()).value == "T2"


async def test_a_token_found_bad_is_replaced_once_by_all_who_found_it_so() -> None:
    clock, fetch = Clock(), Fetch()
    async with keepers(clock) as keep:
        keeper = keep(fetch, MemoryTokens())
        bad = await keeper.token()
        clock.advance(60)

        renewed = await asyncio.gather(
            *(keeper.token(after=bad.generation) for _ in range(5)),
            keeper.token(after=bad.generation - 1),
        )

    assert {found.generation for found in renewed[:5]} == {2}
    assert fetch.count == 2


async def test_who_knows_a_token_as_bad_is_not_given_it_by_a_flight_that_did_not() -> None:
    clock, store = Clock(), MemoryTokens()
    await store.write(APP, token(1))
    async with keepers(clock) as keep:
        keeper = keep(Fetch(), store)

        innocent, knowing = await asyncio.gather(keeper.token(), keeper.token(after=1))

    assert innocent.generation == 1
    assert knowing.generation == 2


async def test_nodes_share_one_token() -> None:
    store, fetches = MemoryTokens(), [Fetch(), Fetch()]
    async with keepers(Clock()) as keep:
        here, there = (keep(fetch, store) for fetch in fetches)

        tokens = await asyncio.gather(here.token(), there.token())

    assert tokens[0] == tokens[1]
    assert sum(fetch.count for fetch in fetches) == 1


async def test_a_node_takes_over_when_the_one_with_the_claim_has_died() -> None:
    clock, store = Clock(), MemoryTokens()
    await store.claim(APP, seen=0, now_ms=clock.now_ms)
    async with keepers(clock) as keep:
        keeper = keep(Fetch(), store)

        assert (await keeper.token()).generation == 1

    assert sum(clock.pauses) == CLAIM_MS / 1000


async def test_a_node_whose_fetch_came_too_late_uses_the_newer_token() -> None:
    clock, store, fetch = Clock(), MemoryTokens(), Fetch(is_held=True)
    async with keepers(clock) as keep, asyncio.TaskGroup() as callers:
        keeper = keep(fetch, store)
        late = callers.create_task(keeper.token())
        await fetch.has_begun.wait()
        await store.write(APP, token(5))
        fetch.may_end.set()

        assert (await late) == token(5)


async def test_a_claim_that_is_never_to_be_had_is_given_up() -> None:
    class Stubborn(MemoryTokens):
        async def claim(self, app: AppKey, *, seen: int, now_ms: int) -> bool:
            return False

    async with keepers(Clock()) as keep:
        keeper = keep(Fetch(), Stubborn())

        with pytest.raises(Busy, match="another node"):
            await keeper.token()


async def test_stopping_frees_those_who_wait_and_the_claim() -> None:
    store, fetch = MemoryTokens(), Fetch(is_held=True)
    clock = Clock()
    async with keepers(clock) as keep, asyncio.TaskGroup() as callers:
        keeper = keep(fetch, store)
        waiting = callers.create_task(_fault_of(keeper))
        await fetch.has_begun.wait()

        keeper.stop()

        assert isinstance(await waiting, Busy)
    assert await store.claim(APP, seen=0, now_ms=clock.now_ms + FETCH_SPACING_MS)


async def _fault_of(keeper: TokenKeeper) -> Exception | None:
    try:
        await keeper.token()
    except Busy as fault:
        return fault
    return None
