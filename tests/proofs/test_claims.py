from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest

from tests.flows.conftest import KINDS
from tests.flows.office import Office
from tests.proofs.claims import AGENTS, Race, hired
from tests.web.conftest import database, of_module, office
from tests.web.site import Site

__all__ = ["database", "of_module", "office"]

ROUNDS = 5
NODES = {"sqlite": 1, "postgresql": 2}  # SQLite is for one process


@pytest.mark.parametrize("database", KINDS, indirect=True)
async def test_of_fifty_who_claim_at_once_one_wins_and_the_others_are_told_who(
    office: Office,
) -> None:
    capacities = await hired(office.database.url)
    race = Race(office.database, capacities, office.now_ms)
    async with AsyncExitStack() as stack:
        doors: list[dict[str, Any]] = []
        for _ in range(NODES[office.database.kind]):
            site = await Site.at(office)
            stack.push_async_callback(site.close)
            doors.append({"transport": httpx.ASGITransport(site.desk.asgi), "base_url": site.url})
        await race.start(stack, doors)
        for number in range(ROUNDS):
            await race.round(number)

    assert not race.wrong, "\n" + "\n".join(race.wrong)
    assert race.seen["won"] == 6
    assert race.seen["already_taken"] + race.seen["at_capacity"] == 6 * (AGENTS - 1)
