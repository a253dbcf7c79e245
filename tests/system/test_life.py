"""A real server's life and death: what was accepted is kept, a farewell is said if it can be."""

from __future__ import annotations

import json
import random
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.kit.conversations import sample
from tests.kit.employee import (
    bodies,
    browser,
    command,
    heard,
    opened,
    say,
    signed_in,
    socket_of,
)
from tests.kit.server import DeskServer

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

KILLS = 5
BETWEEN = 3  # a person may send twenty messages in ten seconds
SEED = 20261123


@pytest.fixture
def server(tmp_path: Path) -> Iterator[DeskServer]:
    with DeskServer(tmp_path) as running:
        yield running


EmployeeAt = Callable[[DeskServer, str], httpx.Client]


@pytest.fixture
def employee_at() -> Iterator[EmployeeAt]:
    with ExitStack() as clients:
        yield lambda server, userid: signed_in(clients.enter_context(browser(server)), userid)


def test_every_accepted_message_outlives_sigkill_once_and_in_order(
    server: DeskServer, employee_at: EmployeeAt
) -> None:
    dice = random.Random(SEED)
    texts = [line.text for found in sample() for line in found.lines][: KILLS * BETWEEN]
    client = employee_at(server, "huangting")
    conv_id = opened(client, texts[0])
    said = [texts[0]]

    for start in range(1, len(texts), BETWEEN):
        killer = threading.Timer(dice.uniform(0, 0.08), server.kill)
        killer.start()
        for text in texts[start : start + BETWEEN]:
            said.append(text)
            _say_until_accepted(server, client, conv_id, text, killer)
        killer.join()
        if server.pid is None:  # killed after the last of them
            server.start()

    assert bodies(client, conv_id) == said


def _say_until_accepted(
    server: DeskServer, client: httpx.Client, conv_id: str, text: str, killer: threading.Thread
) -> None:
    """As the outbox does: the same id again until there is an answer."""
    command_id = str(uuid.uuid4())
    while True:
        try:
            args = {"kind": "text", "body": text}
            answer = command(client, command_id, "post_message", conv=conv_id, args=args)
        except httpx.TransportError:
            killer.join()
            server.start()
            continue
        assert answer.status_code == 200, answer.text
        return


def test_sigterm_tells_every_socket_to_come_back_and_loses_nothing(
    server: DeskServer, employee_at: EmployeeAt
) -> None:
    client = employee_at(server, "zhoujie")
    conv_id = opened(client, "开始")
    boot = client.get("/api/employee/boot").json()
    with ExitStack() as stack:
        opened_ones = [socket_of(server, client, boot["positions"], tab) for tab in "abc"]
        sockets = [stack.enter_context(one) for one in opened_ones]
        for socket in sockets:
            assert json.loads(str(socket.recv(timeout=10)))["op"] == "hello"

        server.stop()

        for socket in sockets:
            byes = [frame for frame in heard(socket) if frame["op"] == "bye"]
            assert [bye["code"] for bye in byes] == [4001]
            assert socket.close_code == 4001
    server.start()
    assert bodies(client, conv_id) == ["开始"]


def test_a_socket_resumes_on_a_server_started_anew(
    server: DeskServer, employee_at: EmployeeAt
) -> None:
    client = employee_at(server, "wujing")
    conv_id = opened(client, "第一条")
    stream = f"conv:{conv_id}"
    epoch, position = client.get("/api/employee/boot").json()["positions"][stream]

    server.restart()
    for text in ("第二条", "第三条"):
        say(client, conv_id, text)
    frames: list[dict[str, Any]] = []
    with socket_of(server, client, {stream: [epoch, position]}) as socket:
        while not frames or frames[-1]["op"] != "live":
            frames += [json.loads(line) for line in str(socket.recv(timeout=10)).split("\n")]

    events = [frame for frame in frames if frame["op"] == "event"]
    assert [frame["position"] for frame in events] == [position + 1, position + 2]
    assert [frame["event"]["data"]["body"] for frame in events] == ["第二条", "第三条"]
