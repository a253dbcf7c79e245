"""A program in a process of its own whose output is read line by line, each wait with an end."""

from __future__ import annotations

import queue
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Self

SAYS_WITHIN_S = 40.0  # a killed server is back, and a client's longest delay is over
ENDS_WITHIN_S = 10.0


class Script:
    """Started on entry, killed on exit if it still runs. `lines` is all that it said so far."""

    def __init__(self, command: Sequence[str], where: Path, environment: dict[str, str]) -> None:
        self.lines: list[str] = []
        self._said: queue.Queue[str | None] = queue.Queue()
        self._process = subprocess.Popen(
            command, cwd=where, env=environment, text=True, encoding="utf-8",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._reader.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def wait_for(self, holds: Callable[[list[str]], object]) -> None:
        """Until what it said so far fulfils this; its words are the failure if it never does."""
        give_up = monotonic() + SAYS_WITHIN_S
        while not holds(self.lines):
            try:
                line = self._said.get(timeout=max(0.0, give_up - monotonic()))
            except queue.Empty:
                line = None
            assert line is not None, "it said only:\n" + "\n".join(self.lines)
            self.lines.append(line)

    def stop(self) -> int:
        """SIGTERM; its exit code."""
        self._process.terminate()
        return self._process.wait(ENDS_WITHIN_S)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._said.put(line.rstrip("\n"))
        self._said.put(None)
