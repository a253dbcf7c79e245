"""One weighing: a server on one core, the load on the other, and what /proc says of the server.

Everything here waits with a deadline: a server that stands is a result, not a hang.
"""

from __future__ import annotations

import json
import os
import selectors
import statistics
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench import build
from bench.subjects import Subject

EVENT_BYTES: Final = 300
SETTLE_S: Final = 0.5
STALLED_SNDBUF: Final = 32 * 1024
STALLED_EVENT_BYTES: Final = 2_000


class Stands(Exception):
    """A program did not answer in time, or ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Processor time of a process and its threads."""

    total_s: float
    user_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How long each part of a round is."""

    connections: int
    flood_s: float = 2.0
    paced_s: float = 3.0
    paced_per_s: float = 10.0
    burst: int = 10


class Talker:
    """A child that takes lines and answers each with one line of JSON."""

    def __init__(self, command: Sequence[str], core: int | None) -> None:
        self._name = Path(command[0]).name
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115  closed by `end`
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            cwd=build.HERE.parent,
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
        return answer

    def end(self) -> None:
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


def cost_of(pid: int) -> Cost:
    """The scheduler's nanoseconds for the total; the ticks of /proc/PID/stat part it."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    tick = os.sysconf("SC_CLK_TCK")
    return Cost(total_s=total / 1e9, user_s=int(fields[11]) / tick)


def rss_kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise Stands("the server has ended")


@dataclass(slots=True)
class Weighing:
    """A server with its connections, ready to be told to send."""

    server: Talker
    load: Talker
    arrival: dict[str, float]
    connections: int

    def flood(self, seconds: float, burst: int = 1, *, join: bool = False) -> dict[str, Any]:
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
        line = f"pace {seconds} {per_s} {burst} {size} {int(join)}"
        return self._phase(line, seconds, times=True)

    def _phase(self, line: str, seconds: float, *, times: bool) -> dict[str, Any]:
        self.load.ask("begin", 10)
        before = cost_of(self.server.pid)
        sent = self.server.ask(line, seconds + 30)
        wait_ms = 1_000 if sent.get("stuck") else 15_000
        got = self.load.ask(f"end {sent['events']} {wait_ms} {int(times)}", 30)
        after = cost_of(self.server.pid)
        result = _per_delivery(sent, got, before, after)
        if times:
            result |= _lateness(sent["at"], got["last_ns"], sent["events"])
        return result


def _per_delivery(
    sent: dict[str, Any], got: dict[str, Any], before: Cost, after: Cost
) -> dict[str, Any]:
    deliveries = max(1, got["events"])
    total_us = (after.total_s - before.total_s) * 1e6 / deliveries
    user_us = min(total_us, (after.user_s - before.user_s) * 1e6 / deliveries)
    return {
        "events": sent["events"],
        "deliveries": got["events"],
        "complete": got["least"] == got["most"] == sent["events"] and not got["disordered"],
        "stuck": bool(sent.get("stuck")),
        "gone": got["gone"],
        "cpu_us": total_us,
        "user_us": user_us,
        "system_us": total_us - user_us,
        "per_s": got["events"] / sent["seconds"],
        "events_per_frame": got["events"] / max(1, got["frames"]),
        "bytes": got["bytes"] / deliveries,
        "acks": got["acks"],
        "load_us": got["cpu_s"] * 1e6 / deliveries,
    }


def _lateness(at: Sequence[int], last: Sequence[int], events: int) -> dict[str, Any]:
    """From before the first byte was written to when the last reader had it."""
    late_ms = sorted((b - a) / 1e6 for a, b in zip(at, last, strict=False) if b > a)
    if len(late_ms) < max(2, events // 2):
        return {"last_p50_ms": None, "last_p99_ms": None}
    p99 = statistics.quantiles(late_ms, n=100, method="inclusive")[98]
    return {"last_p50_ms": statistics.median(late_ms), "last_p99_ms": p99}


@contextmanager
def weighing(
    subject: Subject, connections: int, *, stalled: float = 0.0, sndbuf: int = 0
) -> Iterator[Weighing]:
    """The server started, its connections in; ended whatever happens."""
    server_core, load_core = cores()
    server = Talker(subject.command(sndbuf), server_core)
    load: Talker | None = None
    try:
        port = server.hear(30)["port"]
        _settle()
        rss_before, cost_before = rss_kib(server.pid), cost_of(server.pid)
        command = (
            str(build.program("load")), "--port", str(port), "--connections", str(connections),
            "--stalled", str(stalled), *subject.load,
        )  # fmt: skip
        load = Talker(command, load_core)
        entered = load.hear(90)
        cost_after = cost_of(server.pid)
        if entered["connected"] < connections:
            raise Stands(f"{entered['connected']} of {connections} connections got in")
        _settle()
        arrival = {
            "connects_per_s": connections / entered["seconds"],
            "connect_cpu_us": (cost_after.total_s - cost_before.total_s) * 1e6 / connections,
            "kib_per_connection": (rss_kib(server.pid) - rss_before) / connections,
        }
        yield Weighing(server=server, load=load, arrival=arrival, connections=connections)
    finally:
        if load is not None:
            load.end()
        server.end()


def _settle() -> None:
    """Lets what came with the start die away; nothing tells when it has."""
    with selectors.DefaultSelector() as selector:
        selector.select(SETTLE_S)


def fan_out(subject: Subject, plan: Plan, parts: Sequence[str]) -> dict[str, Any]:
    """One server, one round: storm and memory come with the connections, the rest is sent."""
    with weighing(subject, plan.connections) as scales:
        found: dict[str, Any] = {"arrival": scales.arrival}
        scales.flood(0.3)  # warm
        if "flood" in parts:
            found["flood"] = scales.flood(plan.flood_s)
        if "paced" in parts:
            found["paced"] = scales.pace(plan.paced_s, plan.paced_per_s)
        if "burst" in parts:
            found["burst"] = scales.flood(plan.flood_s / 2, plan.burst)
            if subject.name == "limit":
                found["burst_joined"] = scales.flood(plan.flood_s / 2, plan.burst, join=True)
        return found


def stalled(subject: Subject, plan: Plan) -> dict[str, Any]:
    """The others' lateness with a quarter that never reads, and without."""
    found: dict[str, Any] = {}
    readers = plan.connections - plan.connections // 4  # as many in both
    for name, count, share in (("without", readers, 0.0), ("with", plan.connections, 0.25)):
        with weighing(subject, count, stalled=share, sndbuf=STALLED_SNDBUF) as scales:
            # Past every buffer of those who do not read, slowly enough for those who do.
            scales.pace(3.0, 100, 1, STALLED_EVENT_BYTES)
            found[name] = scales.pace(plan.paced_s * 2, plan.paced_per_s)
    return found
