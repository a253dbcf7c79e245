"""python3 dev.py prove WHAT [options]: what the desk promises, at full size.

Each prints its progress, and at its end what it has shown or how to see the failure again. CI runs
a small size of each as tests beside these files.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from deskwire.app import now_ms
from tests.flows.office import Office, filled, template
from tests.kit.conversations import Conversation, beside, sample
from tests.kit.databases import Database, PostgresDatabase, PostgresServer, SqliteFile
from tests.kit.postgres import NoPostgres, Postgres
from tests.kit.server import DeskServer, free_port
from tests.proofs.claims import Race, hired
from tests.proofs.replay import Replay
from tests.proofs.stateful import machine

SHOWN_EVERY_S = 10.0
KINDS = ("sqlite", "postgresql")
PREFIX = "deskwire-proof-"
BATCH = 50  # runs

HERE = Path(__file__).parent


def matrix(_options: argparse.Namespace) -> int:
    """Every door × every kind of identity × one's own and another's; the table is policy.py."""
    return int(pytest.main(["-q", "-n0", "--timeout=600", str(HERE / "test_matrix.py")]))


def claims(options: argparse.Namespace) -> int:
    """50 agents claim one conversation at once, before several processes on one PostgreSQL."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=PREFIX)))
        database = stack.enter_context(opened("postgresql", folder))
        servers = nodes(options.processes, folder, database, stack)
        return asyncio.run(_raced(options.rounds, database, [each.url for each in servers]))


async def _raced(rounds: int, database: Database, urls: list[str]) -> int:
    race = Race(database, await hired(database.url), now_ms())
    async with AsyncExitStack() as stack:
        await race.start(stack, [{"base_url": url} for url in urls])
        shown = progress("rounds", rounds)
        for number in range(rounds):
            await race.round(number)
            shown(number + 1, len(race.wrong))
            if race.wrong:
                break
    print(", ".join(f"{what} {times}" for what, times in sorted(race.seen.items())))
    return told(race.wrong, f"{rounds} rounds before {len(urls)} processes: one winner each")


def replay(options: argparse.Namespace) -> int:
    """All conversations through the API and sockets, killed at random moments; no canary leaks."""
    conversations = ((beside() or []) + sample())[: options.conversations or None]
    codes = []
    for kind in KINDS if options.database == "both" else [options.database]:
        print(f"{len(conversations)} conversations on {kind}, killed {options.kills} times")
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=PREFIX)))
            codes.append(_replayed(options, conversations, kind, folder, stack))
    return max(codes)


def _replayed(
    options: argparse.Namespace,
    conversations: list[Conversation],
    kind: str,
    folder: Path,
    stack: ExitStack,
) -> int:
    port = free_port()
    named = {"DESKWIRE_PUBLIC_URL": f"http://127.0.0.1:{port}"}
    server = DeskServer(folder, run="serve", port=port, **named)
    database = stack.enter_context(opened(kind, server.data))
    if kind == "postgresql":
        named["DESKWIRE_DATABASE_URL"] = database.url
        server = DeskServer(folder, run="serve", port=port, **named)

    async def played() -> Replay:
        found = Replay(database, server, options.seed)
        await found.hired(conversations)
        await asyncio.to_thread(server.start)
        shown = progress("conversations", len(conversations))
        await found.play(conversations, options.kills, lambda done: shown(done, len(found.wrong)))
        return found

    try:
        found = asyncio.run(played())
    finally:
        server.kill()
    print(", ".join(f"{what} {times}" for what, times in sorted(found.seen.items())))
    again = f"again: python3 dev.py prove replay --database {kind} --seed {options.seed}"
    return told(
        [*found.wrong, again] if found.wrong else [], f"{found.acks} acknowledged, all kept"
    )


def stateful(options: argparse.Namespace) -> int:
    """Random commands, connections, marks, timers and clock jumps; the invariants after each."""
    codes = []
    for kind in KINDS if options.database == "both" else [options.database]:
        print(f"{options.runs} runs × {options.steps} steps on {kind}", flush=True)
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=PREFIX)))
            codes.append(_driven(options, kind, stack.enter_context(opened(kind, folder))))
    return max(codes)


def _driven(options: argparse.Namespace, kind: str, database: Database) -> int:
    """In batches, each with a seed of its own: a failing one is seen again by that alone."""
    driven, shown, batch = machine(database), progress("runs", options.runs), BATCH
    for number in range(0, options.runs, batch):
        seed_of_batch = options.seed + number // batch
        some = settings(
            max_examples=min(batch, options.runs - number),
            stateful_step_count=options.steps,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        try:
            run_state_machine_as_test(seed(seed_of_batch)(driven), settings=some)
        except Exception as fault:  # noqa: BLE001  whatever it is, it is the run's failure
            again = f"--database {kind} --seed {seed_of_batch} --runs {batch}"
            notes = "\n".join(getattr(fault, "__notes__", ()))
            steps = f"--steps {options.steps}"
            return told([f"{fault}\n{notes}\nagain: dev.py prove stateful {again} {steps}"], "")
        shown(number + some.max_examples, 0)
    return told([], f"{options.runs} runs × {options.steps} steps on {kind}: no invariant broken")


def fuzz(options: argparse.Namespace) -> int:
    """What the OpenAPI allows, and what it does not, asked of every operation by schemathesis."""
    from tests.proofs.fuzz import Fuzz  # not loaded for the others

    codes = []
    for kind in KINDS if options.database == "both" else [options.database]:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=PREFIX)))
            database = stack.enter_context(opened(kind, folder))
            asked = Fuzz(asyncio.run(Office.at(database)))
            asked.ask(options.examples, options.seed, shown=lambda name: print(name, flush=True))
            asked.close()
        found = ", ".join(f"{status}: {times}" for status, times in sorted(asked.seen.items()))
        codes.append(told(asked.wrong, f"nothing undocumented on {kind}; answers {found}"))
    return max(codes)


# --- what they share ------------------------------------------------------------------------------


@contextmanager
def opened(kind: str, folder: Path) -> Iterator[Database]:
    """A database of this kind, migrated and with the tests' office in it."""
    if kind == "sqlite":
        file = SqliteFile(folder, template())
        yield file
        file.close()
        return
    # As in earnest: what it has committed outlives a kill.
    with Postgres(is_durable=True) as own, PostgresServer(own) as server:
        database = PostgresDatabase(server, server.template("office", filled))
        database.folder = folder
        yield database
        database.drop()


def nodes(processes: int, folder: Path, database: Database, stack: ExitStack) -> list[DeskServer]:
    """Started `deskwire serve` on this database, stopped with the stack."""
    ports = [free_port() for _ in range(processes)]
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    servers = [
        DeskServer(
            folder / f"node{port}",
            run="serve",
            port=port,
            DESKWIRE_PUBLIC_URL=urls[0],
            DESKWIRE_ORIGINS=",".join(urls[1:]),
            DESKWIRE_DATABASE_URL=database.url,
        )
        for port in ports
    ]
    return [stack.enter_context(server) for server in servers]


def progress(what: str, of: int) -> Callable[[int, int], None]:
    """Says now and then how far it is."""
    began = shown_at = time.monotonic()

    def shown(done: int, failed: int) -> None:
        nonlocal shown_at
        if time.monotonic() - shown_at > SHOWN_EVERY_S:
            shown_at = time.monotonic()
            rate = done / (shown_at - began)
            print(f"{done}/{of} {what}, {rate:.2f}/s, {failed} failed", flush=True)

    return shown


def told(wrong: list[str], shown: str) -> int:
    """The last word; the exit code."""
    print("\n".join(wrong) if wrong else f"held: {shown}", flush=True)
    return 1 if wrong else 0


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python3 dev.py prove", description=__doc__)
    whats = parser.add_subparsers(dest="what", required=True)
    whats.add_parser("matrix", help=matrix.__doc__).set_defaults(run=matrix)
    racing = whats.add_parser("claims", help=claims.__doc__)
    racing.add_argument("--rounds", type=int, default=200)
    racing.add_argument("--processes", type=int, default=3)
    racing.set_defaults(run=claims)
    playing = whats.add_parser("replay", help=replay.__doc__)
    playing.add_argument("--conversations", type=int, default=0, help="how many (all)")
    playing.add_argument("--kills", type=int, default=50)
    playing.add_argument("--seed", type=int, default=0)
    playing.add_argument("--database", choices=["both", *KINDS], default="both")
    playing.set_defaults(run=replay)
    driving = whats.add_parser("stateful", help=stateful.__doc__)
    driving.add_argument("--runs", type=int, default=2_000)
    driving.add_argument("--steps", type=int, default=60)
    driving.add_argument("--seed", type=int, default=0, help="of the first batch of 50 runs")
    driving.add_argument("--database", choices=["both", *KINDS], default="both")
    driving.set_defaults(run=stateful)
    fuzzing = whats.add_parser("fuzz", help=fuzz.__doc__)
    fuzzing.add_argument("--examples", type=int, default=100, help="of each kind, each operation")
    fuzzing.add_argument("--seed", type=int, default=0)
    fuzzing.add_argument("--database", choices=["both", *KINDS], default="both")
    fuzzing.set_defaults(run=fuzz)
    options = parser.parse_args(arguments)
    try:
        return int(options.run(options))
    except NoPostgres as missing:
        print(missing)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
