"""`deskwire bench`: measures this machine with what the package has.

A server and its load, each a process on a core of its own, real sockets on the loopback. No peers
and no compiler: those are in the repository's `bench/`. The load is Python too, and says what it
costs, for where it comes near the server's cost the wall-clock figures are the load's.
"""

from __future__ import annotations

import asyncio
import os
import platform
import socket
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Annotated, NoReturn

import typer
import uvicorn
from rich.console import Console
from rich.table import Table

from deskwire.bench import children, fanout, machine, memory, serving, storm
from deskwire.bench.fanout import FanOut
from deskwire.bench.memory import Memory
from deskwire.bench.storm import Storm
from deskwire.realtime.uvicorn_protocol import UvicornProtocol

CONNECTIONS_MAX = 20_000
NEAR = 0.7  # of the server's cost: from there on the load may be what is slow
PARTS = {
    "fanout": "one event to each: cost, deliveries a second, lateness",
    "storm": "connects a second, with hello and first watch",
    "memory": "resident memory per idle connection",
}


@dataclass(slots=True)
class Found:
    """What the rounds gave."""

    storms: list[Storm] = field(default_factory=list)
    memories: list[Memory] = field(default_factory=list)
    floods: list[FanOut] = field(default_factory=list)
    paced: list[FanOut] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was asked for."""

    parts: frozenset[str]
    connections: int
    rounds: int
    seconds: float
    event_bytes: int


def bench(
    what: Annotated[
        list[str] | None,
        typer.Argument(help="fanout, storm, memory; all of them if none is named.", metavar="WHAT"),
    ] = None,
    connections: int = typer.Option(1_000, min=1, max=CONNECTIONS_MAX, help="How many."),
    rounds: int = typer.Option(3, min=1, max=20, help="Each with a server of its own."),
    seconds: float = typer.Option(2.0, min=0.2, max=30, help="Of each flood and paced run."),
    event_bytes: int = typer.Option(300, min=100, max=16_000, help="JSON of one event."),
) -> None:
    """Measure the connection manager on this machine: fan-out, storm, memory."""
    if sys.platform == "win32":
        _fail("This needs Linux or macOS: the server's loop cannot wait for a pipe on Windows.")
    unknown = sorted(set(what or ()) - set(PARTS))
    if unknown:
        _fail(f"There is no {', '.join(unknown)}. There is: {', '.join(PARTS)}.")
    asked = Asked(
        parts=frozenset(what or PARTS),
        connections=connections,
        rounds=rounds,
        seconds=seconds,
        event_bytes=event_bytes,
    )
    _check_room(connections)
    console = Console(soft_wrap=True)
    try:
        found = _rounds(console, asked)
    except children.Stands as fault:
        _fail(f"{fault} Try fewer with --connections.")
    except KeyboardInterrupt:
        typer.echo("Stopped.")
        raise typer.Exit(130) from None
    console.print(_table(asked, found))
    for line in _notes(found):
        console.print(line, markup=False, highlight=False)
    if not all(each.is_whole for each in (*found.floods, *found.paced)):
        _fail("Not every client had every event once and in order: these figures say nothing.")


def _check_room(connections: int) -> None:
    room = machine.connections_max()
    if connections > room:
        _fail(
            f"A process may hold {room:,} connections here, and {connections:,} were asked for."
            " Raise the limit of open files (ulimit -n) or ask for fewer: --connections."
        )


def _fail(sentence: str) -> NoReturn:
    typer.echo(sentence, err=True)
    sys.exit(1)


# --- running -------------------------------------------------------------------------------------


def serves(pipe: Connection, core: int | None) -> None:
    """The server's process. Public because a fresh process finds it by its name."""
    serving.run(_serve, pipe, core)


def _serve(app: serving.App, door: socket.socket, work: serving.Work) -> None:
    config = uvicorn.Config(
        app,
        ws=UvicornProtocol,
        ws_per_message_deflate=False,
        interface="asgi3",
        lifespan="off",
        log_config=None,
        access_log=False,
    )
    server = uvicorn.Server(config)

    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(server.serve(sockets=[door]))
            await work()
            server.should_exit = server.force_exit = True

    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(main())


def _rounds(console: Console, asked: Asked) -> Found:
    found = Found()
    for number in range(1, asked.rounds + 1):
        console.print(f"round {number} of {asked.rounds} …", highlight=False)
        with children.pair(serves) as pair:
            _round(pair, asked, found)
    return found


def _round(pair: children.Pair, asked: Asked, found: Found) -> None:
    before = pair.standing()
    found.storms.append(storm.arrive(pair, asked.connections))
    found.memories.append(memory.held(before, pair.standing(), asked.connections))
    if "fanout" in asked.parts:
        how = {"seconds": asked.seconds, "size": asked.event_bytes}
        found.floods.append(fanout.flood(pair, asked.connections, **how))  # type: ignore[arg-type]
        found.paced.append(fanout.paced(pair, asked.connections, **how))  # type: ignore[arg-type]


# --- telling -------------------------------------------------------------------------------------


def _table(asked: Asked, found: Found) -> Table:
    table = Table(
        title=f"{asked.connections:,} connections, events of {asked.event_bytes:,} bytes",
        title_justify="left",
    )
    table.add_column("what")
    table.add_column("median", justify="right")
    table.add_column("range", justify="right")
    for part, lines in (
        ("fanout", _fan_out(found)),
        ("storm", _storm(found)),
        ("memory", _memory(found)),
    ):
        if part in asked.parts:
            table.add_section()
            for line in lines:
                table.add_row(*line)
    return table


def _fan_out(found: Found) -> list[tuple[str, str, str]]:
    floods, paced = found.floods, found.paced
    late = [each.late_ms for each in paced if each.late_ms]
    last = [each.last_ms for each in paced if each.last_ms]
    return [
        _line("CPU per delivery, µs", [each.cpu_us for each in floods], 1),
        _line("  of it in user space", [each.user_us for each in floods], 1),
        _line("  the load's, on its own core", [each.load_us for each in floods], 1),
        _line("deliveries a second", [each.per_s for each in floods], 0),
        _line("at 10 events a second: late, median, ms", [each[0] for each in late], 1),
        _line("  p99", [each[1] for each in late], 1),
        _line("  until the last client has it, median", [each[0] for each in last], 1),
        _line("  p99", [each[1] for each in last], 1),
    ]


def _storm(found: Found) -> list[tuple[str, str, str]]:
    storms = found.storms
    return [
        _line("connects a second", [each.connects_per_s for each in storms], 0),
        _line("CPU per connect, µs", [each.cpu_us for each in storms], 0),
        _line("  the load's, on its own core", [each.load_us for each in storms], 0),
    ]


def _memory(found: Found) -> list[tuple[str, str, str]]:
    values = [each.kib_per_connection for each in found.memories]
    known = [value for value in values if value is not None]
    return [_line("KiB per idle connection", known, 1)]


def _line(what: str, values: Sequence[float], digits: int) -> tuple[str, str, str]:
    if not values:
        return what, "not measured", ""
    middle = f"{statistics.median(values):,.{digits}f}"
    return what, middle, f"{min(values):,.{digits}f}–{max(values):,.{digits}f}"


def _notes(found: Found) -> list[str]:
    system = f"{platform.system()} {platform.release()}, {os.cpu_count()} cores"
    notes = [f"{system}, Python {platform.python_version()}, uvicorn {uvicorn.__version__}."]
    if machine.rss_kib() is None:
        notes.append("Memory is not measured: there is no Linux /proc here.")
    if machine.cores() == (None, None):
        notes.append("Server and load could not be kept on cores of their own.")
    near = [each for each in found.floods if each.load_us > NEAR * each.cpu_us]
    if near:
        notes.append(
            "The load costs nearly as much as the server or more: deliveries a second and lateness"
            " are then the load's. The server's CPU figures stand."
        )
    return notes
