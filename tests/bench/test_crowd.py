"""The load counts what was sent: what is missing, comes twice or in pieces shows."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from deskwire.bench.crowd import STREAM, Crowd

pytestmark = pytest.mark.system
UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"


def frame(opcode: int, value: Any) -> bytes:
    body = value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()
    if len(body) < 126:
        return bytes((0x80 | opcode, len(body))) + body
    return bytes((0x80 | opcode, 126)) + len(body).to_bytes(2, "big") + body


def event(position: int) -> bytes:
    body = {"n": position - 1, "at": 1, "body": "x" * 200}
    return frame(1, {"op": "event", "stream": STREAM, "position": position, "event": body})


def greeting() -> bytes:
    watched = {"op": "watched", "stream": STREAM, "epoch": "e", "position": 0, "head": 0}
    live = {"op": "live", "stream": STREAM, "position": 0, "signs": []}
    return frame(1, watched) + frame(1, live)


def counted(data: Sequence[bytes], events: int) -> dict[str, Any]:
    """What one client says of these bytes, each piece sent by itself."""
    with _server(data) as (port, go), _crowd() as crowd:
        assert crowd.obey({"do": "open", "port": port, "count": 1})["connected"] == 1
        crowd.obey({"do": "begin", "is_timed": False})
        go()
        return crowd.obey({"do": "end", "events": events, "wait_s": 1.0})


def test_what_comes_once_and_in_order_is_whole() -> None:
    found = counted([event(1) + event(2), event(3)], 3)

    assert (found["deliveries"], found["is_whole"]) == (3, True)


@pytest.mark.parametrize(
    "positions", [[1, 3], [1, 1], [2, 1], [1]], ids=["a gap", "twice", "out of order", "missing"]
)
def test_what_did_not_come_as_it_was_sent_is_not_whole(positions: list[int]) -> None:
    found = counted([b"".join(map(event, positions))], 2)

    assert not found["is_whole"]


def test_a_frame_that_comes_in_pieces_is_read_as_one() -> None:
    whole = event(1)

    found = counted([whole[:1], whole[1:3], whole[3:50], whole[50:]], 1)

    assert found["is_whole"]


def test_pings_of_both_kinds_between_events_are_answered_and_not_counted() -> None:
    pings = frame(9, b"still?") + frame(1, {"op": "ping", "now": 1})

    found = counted([event(1) + pings + event(2)], 2)

    assert found["is_whole"]


def test_a_connection_that_is_closed_while_counting_is_not_whole() -> None:
    found = counted([event(1) + frame(8, b"\x03\xe8")], 1)

    assert not found["is_whole"]


@contextmanager
def _crowd() -> Iterator[Crowd]:
    asked, other = os.pipe()
    crowd = Crowd(asked)
    try:
        yield crowd
    finally:
        crowd.close()
        os.close(asked)
        os.close(other)


@contextmanager
def _server(data: Sequence[bytes]) -> Iterator[tuple[int, Callable[[], object]]]:
    """One connection that is greeted, and gets the data once told to."""
    go = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as door:

        def serve() -> None:
            peer, _ = door.accept()
            with peer:
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                peer.recv(4096)
                peer.sendall(UPGRADED)
                peer.recv(4096)
                peer.sendall(greeting())
                go.wait(10)
                for piece in data:
                    peer.sendall(piece)
                while peer.recv(4096):  # acks and pongs, until the client is gone
                    pass

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield door.getsockname()[1], go.set
        finally:
            go.set()
            thread.join(10)
