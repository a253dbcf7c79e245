from __future__ import annotations

from typing import Any

import pytest

from deskwire.wecom.simulator.guard import LoopbackOnly, Message, Receive, Scope, Send

HERE = (b"host", b"127.0.0.1:8000")


async def inside(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"in"})


async def asked(
    *headers: tuple[bytes, bytes], method: str = "GET", peer: Any = ("127.0.0.1", 5000)
) -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError("the guard reads no body")

    scope = {"type": "http", "method": method, "path": "/", "headers": headers, "client": peer}
    await LoopbackOnly(inside)(scope, receive, send)
    return sent


async def is_let_in(*headers: tuple[bytes, bytes], **how: Any) -> bool:
    sent = await asked(*headers, **how)
    assert sent[0]["status"] in (200, 404)
    return bool(sent[0]["status"] == 200)


@pytest.mark.parametrize(
    "host", [b"127.0.0.1:8000", b"localhost:8000", b"LocalHost", b"[::1]:8000", b"127.9.9.9"]
)
async def test_this_machine_by_its_own_names_is_let_in(host: bytes) -> None:
    assert await is_let_in((b"host", host))


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.0.0.53", "::1", "::ffff:127.0.0.1"])
async def test_a_loopback_peer_is_let_in(peer: str) -> None:
    assert await is_let_in(HERE, peer=(peer, 5000))


@pytest.mark.parametrize("peer", [("10.0.0.7", 5000), ("fe80::1", 5000), ("testclient", 1), None])
async def test_another_peer_finds_nothing(peer: Any) -> None:
    assert not await is_let_in(HERE, peer=peer)


@pytest.mark.parametrize(
    "host",
    [b"desk.example.com", b"127.0.0.1.example.com", b"10.0.0.7:8000", b"", b"[::1", b"a@b:c@d"],
)
async def test_a_foreign_name_for_this_machine_finds_nothing(host: bytes) -> None:
    assert not await is_let_in((b"host", host))


async def test_no_host_and_two_hosts_find_nothing() -> None:
    assert not await is_let_in()
    assert not await is_let_in(HERE, HERE)


@pytest.mark.parametrize(
    "name",
    [
        b"forwarded",
        b"Forwarded",
        b"x-forwarded-for",
        b"X-Forwarded-Host",
        b"x-forwarded-proto",
        b"x-forwarded",
        b"x-real-ip",
        b"via",
    ],
)
async def test_what_came_through_a_proxy_finds_nothing(name: bytes) -> None:
    assert not await is_let_in(HERE, (name, b"127.0.0.1"))


async def test_a_page_of_this_origin_may_post_and_a_program_without_one() -> None:
    assert await is_let_in(HERE, (b"origin", b"http://127.0.0.1:8000"), method="POST")
    assert await is_let_in(HERE, method="POST")


@pytest.mark.parametrize("origin", [b"https://evil.example", b"null", b"http://127.0.0.1:9000"])
async def test_a_page_of_another_origin_may_not_post(origin: bytes) -> None:
    assert not await is_let_in(HERE, (b"origin", origin), method="POST")
    assert not await is_let_in(HERE, (b"origin", origin), method="DELETE")


async def test_nothing_to_find_looks_like_a_path_that_is_not_there() -> None:
    start, body = await asked((b"host", b"desk.example.com"))

    assert start["status"] == 404
    assert body["body"] == b"Not Found"


async def test_a_socket_finds_nothing() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    scope = {"type": "websocket", "headers": [HERE], "client": ("127.0.0.1", 5000)}
    await LoopbackOnly(inside)(scope, receive, send)

    assert [message["type"] for message in sent] == ["websocket.close"]
