"""A real `deskwire demo` or `serve` in a process of its own: started, killed, started again.

Blocking on purpose: tests of real processes are not tests of the event loop.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Self

START_S_MAX = 40.0  # two busy cores, first start with the schema and the seeded history
STOP_S_MAX = 15.0
LOOK_EVERY_S = 0.05
PORTS = range(15_000, 30_000)  # below those that systems give to outgoing connections


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoAgent:
    login_name: str
    password: str
    name: str


class ServerFault(AssertionError):
    """The server did not start or did not stop; the message ends with its log."""


class DeskServer:
    """Owns one data folder and one port; the folder outlives every kill.

    `run` is the console command. What is said below of the demo's people needs the demo.
    """

    def __init__(
        self, folder: Path, *, run: str = "demo", port: int | None = None, **environment: str
    ) -> None:
        self._run = run
        self.data = folder / "data"
        self.log = folder / "server.log"
        self.port = port or free_port()
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self.data.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<DeskServer {self.url} pid={self.pid} data={self.data}>"

    # --- life ---

    def start(self) -> None:
        """Start and wait until /health/ready says yes."""
        assert self._process is None, "already running"
        environment = os.environ | {
            "DESKWIRE_PORT": str(self.port),
            "DESKWIRE_DATA_DIR": str(self.data),
            "PYTHONUNBUFFERED": "1",
            **self._environment,
        }
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "deskwire", self._run],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            self.wait_until_ready()
        except ServerFault:
            self.kill()
            raise

    def kill(self) -> None:
        """SIGKILL: no farewell, no flush. Everything that was promised must be on disk."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> int | None:
        """SIGTERM, as an operator would; its exit code. Killed, loudly, when it does not go."""
        process, self._process = self._process, None
        if process is None:
            return None
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise ServerFault(self._with_log(f"not gone {STOP_S_MAX} s after SIGTERM")) from None

    def restart(self) -> None:
        """Kill and start again: the same port, the same data."""
        self.kill()
        self.start()

    def wait_until_ready(self) -> None:
        give_up = monotonic() + START_S_MAX
        while not is_ready(self.port):
            if self._ended_within(LOOK_EVERY_S):
                raise ServerFault(self._with_log("ended before it was ready"))
            if monotonic() > give_up:
                raise ServerFault(self._with_log(f"not ready after {START_S_MAX} s"))

    # --- what it says of itself ---

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def workbench(self) -> str:
        return str(self._demo()["workbench"])

    @property
    def phone(self) -> str:
        """The simulated phone; `?person=<userid>` picks its owner."""
        return str(self._demo()["phone"])

    @property
    def agents(self) -> list[DemoAgent]:
        fields = DemoAgent.__dataclass_fields__
        return [
            DemoAgent(**{name: agent[name] for name in fields}) for agent in self._demo()["agents"]
        ]

    def log_text(self) -> str:
        return self.log.read_text("utf-8", errors="replace") if self.log.exists() else ""

    def _demo(self) -> dict[str, Any]:
        demo: dict[str, Any] = json.loads((self.data / "demo.json").read_text("utf-8"))
        assert demo["url"] == self.url, (
            f"the demo moved to {demo['url']}: port {self.port} was taken"
        )
        return demo

    def _ended_within(self, seconds: float) -> bool:
        assert self._process is not None
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _with_log(self, what: str) -> str:
        tail = "\n".join(self.log_text().splitlines()[-60:])
        return f"{self!r} {what}; the end of its log:\n{tail}"


def is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def free_port() -> int:
    """A port that was free a moment ago, and that no outgoing connection is given meanwhile."""
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")
