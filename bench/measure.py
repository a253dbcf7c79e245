"""One weighing: a server on one core, the load on the other, and what /proc says of the server.

Everything here waits with a deadline: a server that stands is a result, not a hang.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import statistics
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench import build
from bench.subjects import Order, Subject

EVENT_BYTES: Final = 300
SETTLE_S: Final = 0.5
ARRIVE_S: Final = 310  # load.c gives up after 300


class Stands(Exception):
    """A program did not answer in time, or ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Processor time of a server's processes and their threads."""

    total_s: float
    user_s: float


class Talker:
    """A child that takes lines and answers each with one line of JSON. Ends with all it started."""

    def __init__(self, command: Sequence[str], core: int | None) -> None:
        self._name = Path(command[0]).name
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115  closed by `end`
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            cwd=build.HERE.parent,
            start_new_session=True,
        )
        self.pid = self._process.pid
        if core is not None:
            os.sched_setaffinity(self.pid, {core})
        self._lines = b""

    def ask(self, line: str, wait_s: float) -> dict[str, Any]:
        assert self._process.stdin is not None, "opened with a pipe"
        try:
            self._process.stdin.write(f"{line}\n".encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._stands("has ended") from None
        return self.hear(wait_s)

    def hear(self, wait_s: float) -> dict[str, Any]:
        assert self._process.stdout is not None, "opened with a pipe"
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._lines:
                if not selector.select(wait_s):
                    raise self._stands(f"did not answer within {wait_s:.0f} s")
                data = os.read(self._process.stdout.fileno(), 1 << 20)
                if not data:
                    raise self._stands("has ended")
                self._lines += data
        line, _, self._lines = self._lines.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        if "unknown" in answer:
            raise self._stands(f"does not know what was asked: {answer['unknown']}")
        return answer

    def end(self) -> None:
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait()
        self._complaints.close()

    def _stands(self, how: str) -> Stands:
        self._complaints.seek(0)
        last = self._complaints.read()[-500:].decode(errors="replace").strip()
        return Stands(f"{self._name} {how}. {last}".strip())


def cores() -> tuple[int | None, int | None]:
    """One for the server, another for the load; None and None where there is only one."""
    allowed = sorted(os.sched_getaffinity(0))
    return (allowed[0], allowed[1]) if len(allowed) > 1 else (None, None)


def cost_of(*pids: int) -> Cost:
    """The scheduler's nanoseconds for the total; the ticks of /proc/PID/stat part it."""
    total = ticks = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):  # a thread that has ended since
                total += int((task / "schedstat").read_text().split()[0])
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11])
    return Cost(total_s=total / 1e9, user_s=ticks / os.sysconf("SC_CLK_TCK"))


def rss_kib(*pids: int) -> int:
    found = [
        int(line.split()[1])
        for pid in pids
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("VmRSS:")
    ]
    if len(found) < len(pids):
        raise Stands("the server has ended")
    return sum(found)


@dataclass(slots=True)
class Weighing:
    """A server with its connections, ready to be told what to do."""

    server: Talker
    pids: tuple[int, ...]  # whose processor time and memory are the server's
    load: Talker
    arrival: dict[str, float]
    connections: int

    def flood(self, seconds: float, burst: int = 1, *, join: bool = False) -> dict[str, Any]:
        """As fast as it goes, one turn of the server's loop between bursts."""
        line = f"flood {seconds} {burst} {EVENT_BYTES} {int(join)}"
        return self._phase(line, seconds, times=False)

    def pace(
        self,
        seconds: float,
        per_s: float,
        burst: int = 1,
        size: int = EVENT_BYTES,
        *,
        join: bool = False,
    ) -> dict[str, Any]:
        """So many bursts a second; also how late deliveries were."""
        line = f"pace {seconds} {per_s} {burst} {size} {int(join)}"
        return self._phase(line, seconds, times=True)

    def push(self, seconds: float) -> dict[str, Any]:
        """Each event to one client by name, at random, as fast as it goes."""
        line = f"push {seconds} {EVENT_BYTES} {self.connections}"
        return self._phase(line, seconds, times=False, to_one=True)

    def begin(self) -> None:
        self.load.ask("begin", 10)

    def count(self, events: int, wait_ms: int = 15_000) -> dict[str, Any]:
        """What every reader has had since `begin`, once all have had `events` of them."""
        got = self.load.ask(f"end {events} {wait_ms} 0", wait_ms / 1_000 + 15)
        return got | {"complete": _is_complete(got, events)}

    def send(self, events: int) -> None:
        """So many events, to whoever is there."""
        self.server.ask(f"send {events} {EVENT_BYTES}", 60)

    def more(self, count: int, *, stalled: bool) -> None:
        """Further connections. The stalled ones stop reading once they are in."""
        entered = self.load.ask(f"more {count} {int(stalled)}", ARRIVE_S)
        _insist_on_all(entered, count)

    def cut(self, first: int, count: int) -> None:
        self.load.ask(f"cut {first} {count}", 30)

    def back(self, first: int, count: int, window_ms: int, wait_s: int = 60) -> dict[str, Any]:
        """These come back from their places, spread over the window."""
        before = cost_of(*self.pids)
        line = f"back {first} {count} {window_ms} {wait_s * 1_000}"
        got = self.load.ask(line, wait_s + 15)
        spent = cost_of(*self.pids).total_s - before.total_s
        return got | {"cpu_us": spent * 1e6 / count, "load_us": got["cpu_s"] * 1e6 / count}

    def drain(self, wait_ms: int) -> dict[str, Any]:
        """The stalled look at last: what had been said to them, and how each was closed."""
        return self.load.ask(f"drain {wait_ms}", wait_ms / 1_000 + 15)

    def stats(self) -> dict[str, Any]:
        """What the server says of its connections: how many, and closed with which code."""
        return self.server.ask("stats", 30)

    def rss_kib(self) -> int:
        return rss_kib(*self.pids)

    @contextmanager
    def looking_at_the_loop(self, found: dict[str, Any]) -> Iterator[None]:
        """How long the server's loop kept a callback waiting meanwhile, ms."""
        self.server.ask("lag 1", 10)
        yield
        found |= self.server.ask("lag 0", 30)

    def _phase(
        self, line: str, seconds: float, *, times: bool, to_one: bool = False
    ) -> dict[str, Any]:
        self.load.ask("begin each" if to_one else "begin", 10)
        before = cost_of(*self.pids)
        sent = self.server.ask(line, seconds + 40)
        wait_ms = 1_000 if sent.get("stuck") else 30_000
        got = self.load.ask(f"end {sent['events']} {wait_ms} {int(times)}", 45)
        after = cost_of(*self.pids)
        got["complete"] = _is_complete(got, sent["events"], to_one=to_one)
        result = _per_delivery(sent, got, before, after)
        if times and not sent.get("stuck"):  # who stands has no lateness, but no end
            result |= _lateness(sent, got)
        return result


def _is_complete(got: dict[str, Any], events: int, *, to_one: bool = False) -> bool:
    """Whether every reader, or the one it was for, has had every event once and in order."""
    if got["disordered"] or got["gaps"] or got["repeats"]:
        return False
    if to_one:
        return bool(got["events"] == got["once"] == events)
    return bool(got["least"] == got["most"] == events)


def _per_delivery(
    sent: dict[str, Any], got: dict[str, Any], before: Cost, after: Cost
) -> dict[str, Any]:
    deliveries = max(1, got["events"])
    total_us = (after.total_s - before.total_s) * 1e6 / deliveries
    user_us = min(total_us, (after.user_s - before.user_s) * 1e6 / deliveries)
    return {
        "events": sent["events"],
        "deliveries": got["events"],
        "complete": got["complete"],
        "least": got["least"],
        "most": got["most"],
        "stuck": bool(sent.get("stuck")),
        "gone": got["gone"],
        "codes": got["codes"],
        "cpu_us": total_us,
        "user_us": user_us,
        "system_us": total_us - user_us,
        "per_s": got["events"] / sent["seconds"],
        "events_per_frame": got["events"] / max(1, got["frames"]),
        "events_per_read": got["events"] / max(1, got["reads"]),
        "bytes": got["bytes"] / deliveries,
        "acks": got["acks"],
        "acks_per_event": got["acks"] / deliveries,
        "load_us": got["cpu_s"] * 1e6 / deliveries,
    }


def _lateness(sent: dict[str, Any], got: dict[str, Any]) -> dict[str, Any]:
    """From before the first byte was written to when the readers had it: each, the first, the last.

    What the first waits for is the server alone; the last waits for all who are served before.
    """
    found = {name: got.get(name) for name in ("late_p50_ms", "late_p99_ms", "late_max_ms")}
    for name in ("first", "last"):
        late_ms = sorted(
            (b - a) / 1e6 for a, b in zip(sent["at"], got[f"{name}_ns"], strict=False) if b > a
        )
        if len(late_ms) < max(2, sent["events"] // 2):
            continue
        p99 = statistics.quantiles(late_ms, n=100, method="inclusive")[98]
        found |= {f"{name}_p50_ms": statistics.median(late_ms), f"{name}_p99_ms": p99}
        found[f"{name}_max_ms"] = late_ms[-1]
    return found


@contextmanager
def weighing(
    subject: Subject, connections: int, *, further: int = 0, sndbuf: int = 0
) -> Iterator[Weighing]:
    """The server started, its connections in, ended whatever happens. `further` come later."""
    server_core, load_core = cores()
    with tempfile.TemporaryDirectory(prefix="deskwire-bench-") as folder:
        order = Order(people=connections + further, sndbuf=sndbuf, folder=Path(folder))
        server = Talker(subject.command(order), server_core)
        load: Talker | None = None
        try:
            ready = server.hear(60)
            pids = tuple(ready.get("pids", (server.pid,)))
            _settle()
            rss_before, cost_before = rss_kib(*pids), cost_of(*pids)
            command = (
                str(build.program("load")), "--port", str(ready["port"]),
                "--connections", str(connections), *subject.load,
            )  # fmt: skip
            load = Talker(command, load_core)
            entered = load.hear(ARRIVE_S)
            cost_after = cost_of(*pids)
            _insist_on_all(entered, connections)
            _settle()
            arrival = {
                "connects_per_s": connections / entered["seconds"],
                "connect_cpu_us": (cost_after.total_s - cost_before.total_s) * 1e6 / connections,
                "turned_away": entered["turned_away"],
                "connect_load_us": entered["cpu_s"] * 1e6 / connections,
                "kib_per_connection": (rss_kib(*pids) - rss_before) / connections,
            }
            yield Weighing(
                server=server, pids=pids, load=load, arrival=arrival, connections=connections
            )
        finally:
            if load is not None:
                load.end()
            server.end()


def _insist_on_all(entered: dict[str, Any], count: int) -> None:
    if entered["connected"] < count:
        why = ", ".join(f"{code} × {n}" for code, n in entered["refusals"].items())
        raise Stands(f"{entered['connected']} of {count} connections got in; refused: {why or '–'}")


def _settle() -> None:
    """Lets what came with the start die away; nothing tells when it has."""
    with selectors.DefaultSelector() as selector:
        selector.select(SETTLE_S)
