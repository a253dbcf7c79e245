"""`deskwire serve` as an operator runs it: set up, several on one PostgreSQL, stopped, killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import ClientConnection

from tests.flows.office import PASSWORD, filled
from tests.kit.databases import PostgresDatabase, PostgresServer
from tests.kit.employee import (
    bodies,
    browser,
    command,
    heard,
    logged_in,
    opened,
    received,
    say,
    socket_of,
)
from tests.kit.postgres import NoPostgres, Postgres
from tests.kit.server import DeskServer, free_port, is_ready

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

CROWD = ("dora", "emma", "fay", "gus")
SOCKETS_EACH = 6
EACH_S = 0.55  # as fast as a person may for long
SAID_MAX = 15
KILLS = 4
BETWEEN = 4  # a person may send twenty messages in ten seconds
SEED = 20261128


def deskwire(
    folder: Path, *arguments: str, said: str = "", public_url: str = ""
) -> subprocess.CompletedProcess[str]:
    """One console command, ended."""
    settings = {"DESKWIRE_DATA_DIR": str(folder), "DESKWIRE_PUBLIC_URL": public_url}
    return subprocess.run(
        [sys.executable, "-m", "deskwire", *arguments],
        env=os.environ | settings,
        input=said,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# One machine, SQLite ------------------------------------------------------------------------------


def test_from_nothing_to_a_desk_that_has_its_file_to_itself(tmp_path: Path) -> None:
    port = free_port()
    server = DeskServer(
        tmp_path, run="serve", port=port, DESKWIRE_PUBLIC_URL=f"http://127.0.0.1:{port}"
    )
    deskwire(server.data, "migrate").check_returncode()
    who = ["--login-name", "boss", "--name", "老板"]
    deskwire(server.data, "admin", "create", *who, said=f"{PASSWORD}\n").check_returncode()

    with server, browser(server) as client:
        login = {"login_name": "boss", "password": PASSWORD}
        me = client.post("/api/agent/login", json=login).raise_for_status().json()["me"]
        boot = client.get("/api/agent/boot").raise_for_status()
        employee = client.get("/login/employee", follow_redirects=False)
        beside = deskwire(server.data, "serve", "--port", str(free_port()), public_url=server.url)
        changing = deskwire(server.data, "migrate")
        still = is_ready(port)

    assert (me["role"], me["name"]) == ("admin", "老板")
    assert "server" not in boot.headers
    assert boot.json()["categories"][0]["name_zh"] == "其他"
    assert employee.headers["location"] == "/h5?login=failed&why=no_wecom"
    assert "no_wecom" in server.log_text()
    assert still
    for refused in (beside, changing):
        assert refused.returncode == 1
        assert "in use by another deskwire process" in refused.stderr
        assert "Traceback" not in refused.stderr


# Several processes, PostgreSQL --------------------------------------------------------------------


class Nodes:
    """Two servers on one database, and people who are logged in."""

    def __init__(self, folder: Path, database: PostgresDatabase, clients: ExitStack) -> None:
        ports = free_port(), free_port()
        urls = [f"http://127.0.0.1:{port}" for port in ports]
        self.database = database
        self._clients = clients
        self.a, self.b = (
            DeskServer(
                folder / name,
                run="serve",
                port=port,
                DESKWIRE_PUBLIC_URL=urls[0],
                DESKWIRE_ORIGINS=urls[1],
                DESKWIRE_DATABASE_URL=database.url,
            )
            for name, port in zip("ab", ports, strict=True)
        )

    def employee(self, server: DeskServer, person: str) -> httpx.Client:
        """An employee's browser at this node; who is not there yet is hired."""
        self.database.write(
            "INSERT INTO person (person_id, name, department) VALUES (?, ?, '市场部')"
            " ON CONFLICT DO NOTHING",
            person, person.title(),
        )  # fmt: skip
        return self.client(server, "employee", person)

    def client(self, server: DeskServer, realm: str, person: str) -> httpx.Client:
        """Somebody's browser at this node, with a login as either road makes them."""
        client = self._clients.enter_context(browser(server))
        return logged_in(client, self.database, realm, person)

    def claim(self, conv_id: str, agent: str = "wang") -> httpx.Client:
        """An agent at the second node, who has taken this conversation."""
        client = self.client(self.b, "agent", agent)
        tell(client, "claim_conversation", conv_id)
        return client


def tell(client: httpx.Client, name: str, conv_id: str, **args: Any) -> None:
    """A command of an agent."""
    client.post(
        "/api/agent/commands",
        json={"name": name, "conv": conv_id, "args": args},
        headers={"Command-Id": str(uuid.uuid4())},
    ).raise_for_status()


@pytest.fixture(scope="module")
def both(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    database = PostgresDatabase(postgres, postgres.template("office", filled))
    with ExitStack() as clients:
        found = Nodes(tmp_path_factory.mktemp("nodes"), database, clients)
        with found.a, found.b:
            yield found
    database.drop()


@pytest.fixture
def nodes(both: Nodes) -> Nodes:
    """Both running, whatever the test before did to the first."""
    if both.a.pid is None:
        both.a.start()
    return both


def until_live(socket: ClientConnection, stream: str) -> list[dict[str, Any]]:
    """Frames up to the one that says the replay of this stream is over."""
    frames: list[dict[str, Any]] = []
    while not any(f["op"] == "live" and f["stream"] == stream for f in frames):
        frames += received(socket)
    return frames


def texts(frames: list[dict[str, Any]], stream: str) -> list[tuple[int, str]]:
    return [
        (frame["position"], frame["event"]["data"]["body"])
        for frame in frames
        if frame["op"] == "event"
        and frame["stream"] == stream
        and frame["event"]["type"] == "message.posted"
    ]


def test_a_client_cut_from_one_node_gets_on_another_what_it_missed(nodes: Nodes) -> None:
    ann = nodes.employee(nodes.a, "ann")
    conv_id = opened(ann, "VPN 连不上")
    wang = nodes.claim(conv_id)
    stream = f"conv:{conv_id}"
    epoch, position = ann.get("/api/employee/boot").json()["positions"][stream]
    with socket_of(nodes.a, ann, {stream: [epoch, position]}) as socket:
        until_live(socket, stream)
        tell(wang, "post_message", conv_id, kind="text", body="一")  # at the other node
        live: list[dict[str, Any]] = []
        while not texts(live, stream):  # no bus: the next look at the heads finds it
            live += received(socket)
        nodes.a.kill()
        heard(socket)
    position = texts(live, stream)[-1][0]

    for body in ("二", "三", "四"):
        tell(wang, "post_message", conv_id, kind="text", body=body)
    elsewhere = nodes.employee(nodes.b, "ann")
    with socket_of(nodes.b, elsewhere, {stream: [epoch, position]}) as socket:
        frames = until_live(socket, stream)

    assert [body for _, body in texts(live, stream)] == ["一"]
    assert texts(frames, stream) == [
        (position + n, body) for n, body in enumerate(("二", "三", "四"), start=1)
    ]
    assert not any(frame["op"] == "reset" for frame in frames)


def test_a_logout_at_one_node_ends_the_sockets_at_the_other(nodes: Nodes) -> None:
    bo = nodes.employee(nodes.a, "bo")
    there = nodes._clients.enter_context(browser(nodes.b))
    there.cookies = bo.cookies
    with socket_of(nodes.b, there, {"employee:bo": None}) as socket:
        received(socket)

        bo.post("/api/employee/logout", json={}).raise_for_status()

        heard(socket)
        assert socket.close_code == 4507


def test_sigterm_under_load_sends_every_client_away_by_its_own_code(nodes: Nodes) -> None:
    convs, stop = [], threading.Event()
    with ExitStack() as stack, ThreadPoolExecutor(64) as threads:
        sockets = []
        for name in CROWD:
            client = nodes.employee(nodes.a, name)
            convs.append(opened(client, "开始"))
            positions = client.get("/api/employee/boot").json()["positions"]
            sockets += [
                stack.enter_context(socket_of(nodes.a, client, positions, tab))
                for tab in "abcdefghij"[:SOCKETS_EACH]
            ]
        for socket in sockets:
            assert received(socket)[0]["op"] == "hello"
        listening = [threads.submit(heard, socket) for socket in sockets]
        talking = [
            threads.submit(_talk, nodes.employee(nodes.b, name), conv_id, stop)
            for name, conv_id in zip(CROWD, convs, strict=True)
        ]

        code = nodes.a.stop()
        frames = [each.result() for each in listening]
        stop.set()
        said = [each.result() for each in talking]

    assert code in (0, -signal.SIGTERM), nodes.a.log_text()
    assert "Traceback" not in nodes.a.log_text()
    byes = [[frame["code"] for frame in each if frame["op"] == "bye"] for each in frames]
    assert byes == [[4001]] * len(sockets)
    assert [socket.close_code for socket in sockets] == [4001] * len(sockets)
    for name, conv_id, theirs in zip(CROWD, convs, said, strict=True):
        assert bodies(nodes.employee(nodes.b, name), conv_id) == ["开始", *theirs]


def _talk(client: httpx.Client, conv_id: str, stop: threading.Event) -> list[str]:
    said: list[str] = []
    while not stop.is_set():
        said.append(f"{len(said)}")
        say(client, conv_id, said[-1])
        stop.wait(EACH_S)
    return said


def test_what_a_killed_node_accepted_is_kept_once_and_in_order(nodes: Nodes) -> None:
    dice = random.Random(SEED)
    here = nodes.employee(nodes.a, "cy")
    there = nodes.employee(nodes.b, "cy")
    conv_id = opened(there, "0")
    said = ["0"]

    for start in range(KILLS):
        killer = threading.Timer(dice.uniform(0, 0.15), nodes.a.kill)
        killer.start()
        for n in range(BETWEEN):
            said.append(f"{start}.{n}")
            _accepted_by_either((here, there), conv_id, said[-1])
        killer.join()
        nodes.a.start()

    assert bodies(there, conv_id) == said


def _accepted_by_either(
    clients: tuple[httpx.Client, httpx.Client], conv_id: str, text: str
) -> None:
    """As the outbox does behind a proxy: the same id again, at the node that answers."""
    command_id = str(uuid.uuid4())
    for client in clients:
        try:
            args = {"kind": "text", "body": text}
            answer = command(client, command_id, "post_message", conv=conv_id, args=args)
        except httpx.TransportError:
            continue
        assert answer.status_code == 200, answer.text
        return
    raise AssertionError("neither node answered")


def test_a_database_killed_under_load_keeps_what_was_accepted_and_sockets_stay(
    tmp_path: Path,
) -> None:
    try:
        own = Postgres(is_durable=True)
    except NoPostgres as missing:
        pytest.skip(str(missing))
    with own, PostgresServer(own) as server, ExitStack() as clients:
        database = PostgresDatabase(server, server.template("office", filled))
        nodes = Nodes(tmp_path, database, clients)
        with nodes.b:
            _keeps_what_was_accepted(nodes, own)
            database.close()


def _keeps_what_was_accepted(nodes: Nodes, own: Postgres) -> None:
    client = nodes.employee(nodes.b, "ann")
    conv_id = opened(client, "0")
    stream = f"conv:{conv_id}"
    positions = client.get("/api/employee/boot").json()["positions"]
    said, refused = ["0"], 0
    with socket_of(nodes.b, client, positions) as socket:
        until_live(socket, stream)
        killer = threading.Timer(0.2, own.kill)
        killer.start()
        while not refused:
            if len(said) == SAID_MAX:
                killer.join()
            said.append(str(len(said)))
            refused += _until_accepted(client, conv_id, said[-1], lambda: _again(killer, own))

        frames: list[dict[str, Any]] = []
        while [body for _, body in texts(frames, stream)] != said[1:]:
            frames += received(socket)

    assert bodies(client, conv_id) == said
    assert "fsync_off" not in nodes.b.log_text()


def _again(killer: threading.Timer, own: Postgres) -> None:
    killer.join()
    own.start()


def _until_accepted(client: httpx.Client, conv_id: str, text: str, mend: Callable[[], None]) -> int:
    """The same id until there is an answer. How often it was told to come later."""
    command_id, later = str(uuid.uuid4()), 0
    args = {"kind": "text", "body": text}
    while True:
        try:
            answer = command(client, command_id, "post_message", conv=conv_id, args=args)
        except httpx.TransportError:  # an idle connection, closed just as it was taken up again
            continue
        if answer.status_code == 200:
            return later
        assert answer.status_code == 503, answer.text
        assert answer.json()["refusal"]["code"] == "try_later"
        if not later:
            mend()
        later += 1
