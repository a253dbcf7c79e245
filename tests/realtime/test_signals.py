"""Drain at the signal, then pass it on."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Iterator
from types import FrameType

import pytest

from deskwire import ConnectionManager
from deskwire.realtime.signals import drain_on_signal
from tests.realtime.serving import until
from tests.realtime.sockets import Server


@pytest.fixture
def server_heard() -> Iterator[list[int]]:
    """What a server's own handler was told, as uvicorn's would be."""
    heard: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        heard.append(number)

    before = signal.signal(signal.SIGTERM, handle)
    yield heard
    signal.signal(signal.SIGTERM, before)


async def test_everybody_is_told_before_the_signal_is_passed_on(server_heard: list[int]) -> None:
    desk, server = ConnectionManager(), Server()
    await desk.connect("li", server.websocket)
    drain_on_signal(desk, window_s=1, signals=[signal.SIGTERM])

    signal.raise_signal(signal.SIGTERM)

    assert server_heard == []
    await until(lambda: server_heard)
    assert server.close_codes == [4001]
    assert not desk.is_agent_online("li")


async def test_a_second_signal_tells_the_rest_and_waits_for_nobody(server_heard: list[int]) -> None:
    desk, servers = ConnectionManager(), [Server() for _ in range(60)]  # more than one slice
    for number, server in enumerate(servers):
        await desk.connect(f"agent-{number}", server.websocket)
    drain_on_signal(desk, signals=[signal.SIGTERM])

    signal.raise_signal(signal.SIGTERM)
    await until(lambda: servers[0].close_codes)
    assert not servers[-1].close_codes
    signal.raise_signal(signal.SIGTERM)
    await until(lambda: server_heard)

    assert all(server.close_codes == [4001] for server in servers)
    await until(lambda: len(server_heard) == 2)


async def test_a_signal_that_the_loop_hears_is_left_to_its_server_and_said_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loop, heard = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, heard.set)
    try:
        with caplog.at_level(logging.ERROR, "deskwire.realtime"):
            drain_on_signal(ConnectionManager(), signals=[signal.SIGTERM])
        signal.raise_signal(signal.SIGTERM)
        async with asyncio.timeout(5):
            await heard.wait()
    finally:
        loop.remove_signal_handler(signal.SIGTERM)

    assert "signal_is_the_loops" in caplog.text
