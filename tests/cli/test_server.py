from __future__ import annotations

import logging
import socket
import sys
from pathlib import Path

import pytest

from deskwire.app import Configuration, Desk, loopback_origins
from deskwire.cli.server import Server, Serving, _is_news, allow_open_files, listen
from deskwire.realtime.uvicorn_protocol import UvicornProtocol


def test_a_connection_inherits_the_bounds_of_the_listening_socket() -> None:
    with (
        listen("127.0.0.1", 0) as listening,
        socket.create_connection(listening.getsockname()),
        listening.accept()[0] as accepted,
    ):
        send_buffer = accepted.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        tcp = {
            name: accepted.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
            for name in ("TCP_NOTSENT_LOWAT", "TCP_USER_TIMEOUT")
            if hasattr(socket, name)
        }

    assert send_buffer <= 64 * 1024
    if sys.platform == "linux":
        assert tcp == {"TCP_NOTSENT_LOWAT": 16 * 1024, "TCP_USER_TIMEOUT": 20_000}


def test_a_port_is_shared_only_by_those_who_ask_for_it() -> None:
    with listen("127.0.0.1", 0, share_port=True) as first:
        port = first.getsockname()[1]
        with listen("127.0.0.1", port, share_port=True) as second:
            shared = second.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            listen("127.0.0.1", port)

    assert shared == port


def test_both_families_of_addresses_are_listened_on() -> None:
    if not socket.has_ipv6:
        pytest.skip("optional: this machine has no IPv6")
    with listen("::1", 0) as listening:
        assert listening.family is socket.AF_INET6


def test_uvicorn_is_set_as_our_bounds_say(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'desk.db'}"
    desk = Desk(Configuration(database_url=url, origins=loopback_origins(1), wecom=None))
    serving = Serving(drain_s=20, shutdown_s=30, concurrency_max=8_000, proxies="10.0.0.1")
    with listen("127.0.0.1", 0) as listening:
        config = Server(desk, listening, serving, ready=lambda: None).config

    desk.logins.close()
    assert config.ws is UvicornProtocol
    assert (config.ws_max_size, config.ws_per_message_deflate) == (65_536, False)
    assert (config.ws_ping_interval, config.ws_ping_timeout) == (30, 30)
    assert (config.limit_concurrency, config.timeout_graceful_shutdown) == (8_000, 30)
    assert (config.server_header, config.access_log) == (False, False)
    assert (config.proxy_headers, config.forwarded_allow_ips) == (True, "10.0.0.1")


def test_without_a_proxy_nobodys_word_on_addresses_is_taken(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'desk.db'}"
    desk = Desk(Configuration(database_url=url, origins=loopback_origins(1), wecom=None))
    with listen("127.0.0.1", 0) as listening:
        serving = Serving(drain_s=20, shutdown_s=30)
        config = Server(desk, listening, serving, ready=lambda: None).config

    desk.logins.close()
    assert not config.proxy_headers


@pytest.mark.parametrize(
    "level, text, is_news",
    [
        (logging.INFO, "Uvicorn running on %s", False),
        (logging.ERROR, "ASGI callable returned without completing handshake.", False),
        (logging.ERROR, "Exception in ASGI application", True),
    ],
)
def test_of_uvicorns_lines_an_operator_sees_the_useful_ones(
    level: int, text: str, is_news: bool
) -> None:
    record = logging.LogRecord("uvicorn.error", level, "", 0, text, (), None)

    assert _is_news(record) is is_news


def test_the_bound_on_open_files_is_raised_as_far_as_allowed() -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, soft), hard))

    allow_open_files()

    found, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert found == (65_536 if hard == resource.RLIM_INFINITY else min(65_536, hard))
