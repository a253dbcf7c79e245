"""The two processes of a weighing: a server and its load, each asked by messages with a deadline.

They are started afresh, so that neither's memory nor processor time holds anything of the other or
of the console. Invariant: both are gone when the block ends, however it ends.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Final, TypeAlias

from deskwire.bench import crowd, machine

START_S: Final = 60.0
Answer: TypeAlias = dict[str, Any]
# What a server process runs: a pipe to obey, and the core to stay on. Importable by its name.
Serves: TypeAlias = Callable[[Connection, int | None], None]


class Stands(Exception):
    """A process did not answer in time, or ended; the message says which."""


class Child:
    """A process that answers each message with one."""

    def __init__(self, name: str, target: Serves, core: int | None) -> None:
        context = multiprocessing.get_context("spawn")
        self._name = name
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=target, args=(theirs, core), daemon=True)
        self._process.start()
        theirs.close()

    def hear(self, wait_s: float) -> Answer:
        try:
            if not self._pipe.poll(wait_s):
                raise Stands(f"The {self._name} did not answer within {wait_s:.0f} s.")
            answer: Answer = self._pipe.recv()
        except (EOFError, OSError):
            raise Stands(f"The {self._name} has ended.") from None
        return answer

    def ask(self, answer_s: float, /, **message: Any) -> Answer:
        try:
            self._pipe.send(message)
        except OSError:
            raise Stands(f"The {self._name} has ended.") from None
        return self.hear(answer_s)

    def end(self) -> None:
        self._pipe.close()
        self._process.kill()
        self._process.join()
        self._process.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A server that listens, and a load that has no connections yet."""

    server: Child
    load: Child
    port: int

    def standing(self) -> machine.Standing:
        """The server's processor time and memory."""
        return machine.Standing(**self.server.ask(10, do="stand"))

    def load_cpu_s(self) -> float:
        found: Mapping[str, Any] = self.load.ask(10, do="stand")
        return float(found["cpu_s"])


@contextmanager
def pair(serves: Serves) -> Iterator[Pair]:
    """A server on one core and its load on another. Raises Stands."""
    server_core, load_core = machine.cores()
    load = Child("load", crowd.run, load_core)
    try:
        server = Child("server", serves, server_core)
        try:
            port = int(server.hear(START_S)["port"])
            load.ask(START_S, do="stand")
            yield Pair(server=server, load=load, port=port)
        finally:
            server.end()
    finally:
        load.end()
