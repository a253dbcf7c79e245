"""`deskwire demo` as a process: it starts, survives being killed, and stops when asked."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.server import DeskServer, is_ready

pytestmark = pytest.mark.system


def test_it_says_where_to_open_it_and_keeps_the_passwords_to_its_owner(tmp_path: Path) -> None:
    with DeskServer(tmp_path) as server:
        said = server.log_text()

        assert server.workbench in said
        assert server.phone in said
        assert all(agent.login_name in said for agent in server.agents)
        assert stat.S_IMODE((server.data / "demo.json").stat().st_mode) == 0o600


def test_a_killed_server_comes_back_on_its_port_with_the_same_accounts(tmp_path: Path) -> None:
    with DeskServer(tmp_path) as server:
        before = (server.url, server.agents)

        server.restart()

        assert (server.url, server.agents) == before


def test_it_stops_cleanly_when_asked(tmp_path: Path) -> None:
    server = DeskServer(tmp_path)
    server.start()

    code = server.stop()

    # uvicorn shuts down and then passes the signal on, so that its parent sees why it ended
    assert code in (0, -signal.SIGTERM), server.log_text()
    assert "Traceback" not in server.log_text()


def test_a_taken_port_is_said_and_ctrl_c_stops_it(tmp_path: Path) -> None:
    with DeskServer(tmp_path / "first") as first:
        settings = {
            "DESKWIRE_PORT": str(first.port),
            "DESKWIRE_DATA_DIR": str(tmp_path / "second"),
            "PYTHONUNBUFFERED": "1",
        }
        with subprocess.Popen(
            [sys.executable, "-m", "deskwire", "demo"],
            env=os.environ | settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as second:
            try:
                assert second.stdout is not None
                said = second.stdout.readline()
                addresses = next(line for line in second.stdout if "/workbench" in line)
                while not is_ready(int(re.findall(r":([0-9]+)/workbench", addresses)[0])):
                    assert second.poll() is None
                second.send_signal(signal.SIGINT)
                rest = second.stdout.read()
                code = second.wait()
            finally:
                second.kill()

    assert f"Port {first.port} is taken" in said
    assert f":{first.port}/" not in addresses
    assert (code, "Traceback" in rest) == (0, False), rest
