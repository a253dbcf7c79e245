"""Drain at the signal, then pass it on."""

from __future__ import annotations

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


async def test_a_second_signal_skips_the_drain(server_heard: list[int]) -> None:
    desk, server = ConnectionManager(), Server()
    await desk.connect("li", server.websocket)
    drain_on_signal(desk, signals=[signal.SIGTERM])

    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)

    assert server_heard == [signal.SIGTERM]
    await until(lambda: len(server_heard) == 2)
