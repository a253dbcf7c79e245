"""An employee in front of a real server: signed in as a browser does it, asking, listening."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from deskwire.app import now_ms
from tests.kit.databases import Database
from tests.kit.server import DeskServer


def browser(server: DeskServer) -> httpx.Client:
    headers = {"Origin": server.url, "Deskwire-Client": "tests/1"}
    return httpx.Client(
        base_url=server.url, headers=headers, follow_redirects=True, timeout=5, trust_env=False
    )


def signed_in(client: httpx.Client, userid: str) -> httpx.Client:
    """The login of the simulated WeCom, gone through as a browser does."""
    client.post("/_wecom/_sim/person", json={"userid": userid}).raise_for_status()
    client.get("/login/employee", params={"to": "/h5"}).raise_for_status()
    assert "deskwire-employee" in client.cookies
    return client


def logged_in(client: httpx.Client, database: Database, realm: str, person: str) -> httpx.Client:
    """With a login of either realm, as both roads make them."""
    secret, now, hour_ms = uuid.uuid4().hex, now_ms(), 3600 * 1000
    database.write(
        "INSERT INTO login VALUES (?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL)",
        hashlib.sha256(secret.encode()).digest(),
        uuid.uuid4().hex,
        realm,
        person,
        now,
        now,
        now + hour_ms,
    )
    client.cookies.set(f"deskwire-{realm}", secret)
    return client


def cookie(client: httpx.Client) -> str:
    """What its login is sent as, where no cookie jar does it."""
    return f"deskwire-employee={client.cookies['deskwire-employee']}"


def command(client: httpx.Client, command_id: str, name: str, **body: Any) -> httpx.Response:
    return client.post(
        "/api/employee/commands",
        json={"name": name, **body},
        headers={"Command-Id": command_id},
    )


def opened(client: httpx.Client, text: str) -> str:
    """A conversation that begins with this; its id."""
    args = {"category_id": "network", "kind": "text", "body": text}
    answer = command(client, str(uuid.uuid4()), "open_conversation", args=args)
    conv_id: str = answer.raise_for_status().json()["result"]["conv_id"]
    return conv_id


def say(client: httpx.Client, conv_id: str, text: str) -> None:
    args = {"kind": "text", "body": text}
    answer = command(client, str(uuid.uuid4()), "post_message", conv=conv_id, args=args)
    answer.raise_for_status()


def bodies(client: httpx.Client, conv_id: str) -> list[str]:
    page = client.get("/api/employee/events", params={"stream": f"conv:{conv_id}", "limit": 500})
    events = page.raise_for_status().json()["events"]
    assert [event["position"] for event in events] == list(range(1, len(events) + 1))
    posted = (e["event"] for e in events if e["event"]["type"] == "message.posted")
    return [event["data"]["body"] for event in posted]


@contextmanager
def socket_of(
    server: DeskServer, client: httpx.Client, streams: dict[str, Any], tab: str = "a"
) -> Iterator[ClientConnection]:
    """A socket that has identified itself."""
    opening = connect(
        f"ws://127.0.0.1:{server.port}/ws/employee",
        origin=Origin(server.url),
        subprotocols=[Subprotocol("desk.v1")],
        additional_headers={"Cookie": cookie(client)},
        proxy=None,
    )
    identify = {"op": "identify", "protocol": 1, "client": "tests/1", "visible": True}
    ids = {"device": "d-12345678", "tab": f"t-1234567-{tab}", "watch": streams}
    with opening as socket:
        socket.send(json.dumps({**identify, **ids}))
        yield socket


def received(socket: ClientConnection) -> list[dict[str, Any]]:
    """The frames of the next message."""
    return [json.loads(line) for line in str(socket.recv(timeout=15)).split("\n")]


def heard(socket: ClientConnection) -> list[dict[str, Any]]:
    """Every frame up to the close."""
    frames: list[dict[str, Any]] = []
    try:
        for message in socket:
            frames += [json.loads(line) for line in str(message).split("\n")]
    except ConnectionClosed:
        pass
    return frames
