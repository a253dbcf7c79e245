"""An employee of the demo, over HTTP: signed in as a browser does it, asking for help."""

from __future__ import annotations

import uuid
from typing import Any

import httpx

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
