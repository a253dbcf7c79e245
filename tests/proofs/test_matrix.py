"""Who may what: every door × every kind of identity × one's own and another's conversation.

The expected cell stands in `policy.py`; the answer is the whole application's. What is not in the
table fails: a new command, route, kind of stream or operation needs its line there first.
"""

from __future__ import annotations

import asyncio
import re
from typing import get_args

import pytest

from deskwire.desk import access
from deskwire.desk.commands import COMMANDS
from deskwire.realtime import frames
from tests.flows.office import Office
from tests.proofs import policy
from tests.proofs.matrix import REALMS, Matrix, walk
from tests.proofs.policy import ASKS, ROUTES, STREAMS
from tests.proofs.sockets import Sockets
from tests.proofs.stages import STAGES, peopled, staged
from tests.web.conftest import database, of_module, office, site
from tests.web.site import Site, served

__all__ = ["database", "of_module", "office", "site"]


def test_every_command_has_a_line() -> None:
    assert {ask.command for ask in ASKS} | policy.BY_THE_DESK == set(COMMANDS)


async def test_every_route_has_a_line(site: Site) -> None:
    lines = {
        (method, f"/api/{realm}{path}")
        for method, path in ROUTES
        for realm in REALMS
        if realm == "agent" or path not in policy.OF_AGENTS
    }

    assert set(walk(site.desk.api.routes)) == lines | policy.OPEN_TO_ALL


def test_every_operation_of_the_socket_has_a_line() -> None:
    operations = {each.__struct_config__.tag for each in get_args(frames.Up)}

    assert operations == set(policy.OPERATIONS)


def test_every_kind_of_stream_has_a_line() -> None:
    kinds = {
        re.sub(r"\{\w+\}", lambda found: "<group>" if "group" in found[0] else "<id>", stream)
        for stream, line in STREAMS.items()
        if line != policy.NOBODY
    }

    assert kinds == set(access.STREAMS)


@pytest.mark.parametrize("stage", STAGES)
async def test_every_command_is_answered_as_the_table_says(site: Site, stage: str) -> None:
    await peopled(site.office)
    matrix = Matrix(site, await staged(site, stage))
    matrix.put_back()

    await matrix.commands(stage)
    if stage == "active":
        await matrix.by_the_desk()

    assert not matrix.wrong, "\n" + "\n".join(matrix.wrong)
    assert matrix.asked >= 3 * sum(ask.stage == stage for ask in ASKS)


async def test_every_route_is_answered_as_the_table_says(site: Site) -> None:
    await peopled(site.office)
    matrix = Matrix(site, await staged(site, "active"))
    matrix.put_back()

    await matrix.routes()

    assert not matrix.wrong, "\n" + "\n".join(matrix.wrong)
    assert matrix.asked > 20 * len(ROUTES)


async def test_every_operation_of_the_socket_is_answered_as_the_table_says(
    office: Office,
) -> None:
    async with served(office) as site:
        await peopled(office)
        stage = await staged(site, "active")
        await asyncio.to_thread(office.database.put_back, stage.image)  # type: ignore[attr-defined]
        sockets = Sockets(site, stage)

        await sockets.ask_everybody()

    assert not sockets.wrong, "\n" + "\n".join(sockets.wrong)
