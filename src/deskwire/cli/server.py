"""The server under `demo` and `serve`: where it listens, uvicorn on our class, drain at a signal.

uvicorn alone would close every socket with 1012 at a signal, and let the kernel keep 4 MB for each
peer that has stopped reading.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Final

import uvicorn
from uvicorn.loops.auto import auto_loop_factory

from deskwire.app import Desk
from deskwire.realtime.signals import drain_on_signal
from deskwire.realtime.uvicorn_protocol import UvicornProtocol

BACKLOG: Final = 2048
SEND_BUFFER_BYTES: Final = 32 * 1024  # the kernel doubles it
USER_TIMEOUT_MS: Final = 20_000  # what a peer has not acknowledged by then, it never will
NOTSENT_LOWAT_BYTES: Final = 16 * 1024  # what waits longer waits here, where it is counted
MESSAGE_BYTES_MAX: Final = 64 * 1024
PING_S: Final = 30  # a second layer behind the heartbeat of streams
OPEN_FILES: Final = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """How a server ends, and how many it serves at once."""

    drain_s: float  # sockets are told to come back within this time
    shutdown_s: int  # then requests under way have so long
    concurrency_max: int | None = None  # sockets and requests together; over it 503
    proxies: str = ""  # addresses whose X-Forwarded-For is believed


def listen(host: str, port: int, *, share_port: bool = False) -> socket.socket:
    """A listening socket whose connections are bounded in the kernel too. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        _bound_buffers(listening)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if share_port:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening


def _bound_buffers(listening: socket.socket) -> None:
    """Inherited by every connection: without them the kernel hides some 4 MB per dead peer."""
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    for name, value in (
        ("TCP_NOTSENT_LOWAT", NOTSENT_LOWAT_BYTES),
        ("TCP_USER_TIMEOUT", USER_TIMEOUT_MS),
    ):
        if hasattr(socket, name):
            listening.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def run(serving: Coroutine[None, None, None]) -> None:
    """On the loop that uvicorn itself would choose: uvloop, where it is installed.

    A server that is awaited within `asyncio.run` has asyncio's own loop, whose writes cost twice.
    """
    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
        runner.run(serving)


def quiet_uvicorn() -> None:
    """Leave of uvicorn's lines what an operator can use."""
    logging.getLogger("uvicorn.error").addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    """uvicorn calls an upgrade refused by HTTP unfinished, and its own start-up is told by us."""
    return record.levelno > logging.INFO and "without completing handshake" not in record.msg


def allow_open_files() -> None:
    """As many as there may be sockets, as far as the system lets us."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Server(uvicorn.Server):
    """uvicorn, which says when it serves, and drains before it closes anything."""

    def __init__(
        self,
        desk: Desk,
        listening: socket.socket,
        serving: Serving,
        *,
        ready: Callable[[], None],
    ) -> None:
        host, port, *_ = listening.getsockname()
        super().__init__(
            uvicorn.Config(
                desk.asgi,
                host=host,
                port=port,
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=bool(serving.proxies),
                forwarded_allow_ips=serving.proxies or None,
                ws=UvicornProtocol,
                ws_max_size=MESSAGE_BYTES_MAX,
                ws_per_message_deflate=False,
                ws_ping_interval=PING_S,
                ws_ping_timeout=PING_S,
                limit_concurrency=serving.concurrency_max,
                timeout_graceful_shutdown=serving.shutdown_s,
            )
        )
        self._desk = desk
        self._ready = ready
        self._drain_s = serving.drain_s

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and not self.should_exit:
            drain_on_signal(self._desk.manager, window_s=self._drain_s)
            self._ready()
