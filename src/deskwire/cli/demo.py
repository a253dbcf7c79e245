"""`deskwire demo`: SQLite, a simulated WeCom, seeded people; prints the addresses.

Listens on 127.0.0.1 only, for the simulator lets whoever reaches it choose who to be. A second
start finds everything as it was left: the database, the people and their passwords lie in the data
folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import secrets
import socket
import sys
from functools import partial
from pathlib import Path

import typer

from deskwire import telemetry
from deskwire.app import Configuration, Desk, WeComSettings, loopback_origins, now_ms
from deskwire.cli.console import fail, settings
from deskwire.cli.demo_office import AGENTS, DemoPerson, seed_history, seed_office
from deskwire.cli.server import Server, Serving, listen, quiet_uvicorn, run
from deskwire.settings import Settings
from deskwire.storage import migrate
from deskwire.storage.engine import StoreInUse, StoreUnavailable, sqlite_at
from deskwire.wecom.simulator.asgi import simulator_app
from deskwire.wecom.simulator.world import DEMO_PEOPLE, World

HOST = "127.0.0.1"
PORTS_TRIED = 50
CORP_ID = "wwdemo00000000000"
AGENT_ID = 1000002
SERVING = Serving(drain_s=2, shutdown_s=10)


class _AccountsUnreadable(Exception):
    """The file with the demo accounts is damaged; the message names it."""


def demo(
    port: int | None = typer.Option(
        None, min=1, max=65535, help="Port on 127.0.0.1; if taken, the next free one.  [8000]"
    ),
    data_dir: Path | None = typer.Option(
        None, help="Folder for the database and the demo accounts.  [./deskwire-data]"
    ),
) -> None:
    """Run the desk with a simulated WeCom, on this machine only."""
    if Settings.names_a_real_wecom():
        fail(
            "The demo simulates WeCom and does not start while a DESKWIRE_WECOM_… setting is given."
        )
    given = settings()
    telemetry.configure(as_json=given.log_json, others=["uvicorn"])
    quiet_uvicorn()
    folder = (data_dir or given.data_dir).absolute()
    try:
        with _listen(port or given.port) as listening:
            os.umask(0o077)  # messages, notes and hashes are for the owner alone
            folder.mkdir(parents=True, exist_ok=True)
            run(_run(folder, listening))
    except StoreInUse as fault:
        fail(f"{fault}. Stop it, or give this one a folder of its own: --data-dir.")
    except (StoreUnavailable, _AccountsUnreadable) as fault:
        fail(f"{folder} cannot be used: {fault}. Mend it, or choose another: --data-dir.")
    except OSError as fault:
        where = fault.filename or folder
        fail(f"Cannot use {where}: {fault.strerror}. Choose another folder with --data-dir.")
    except KeyboardInterrupt:
        typer.echo("Stopped.")


def _listen(wanted: int) -> socket.socket:  # noqa: RET503  fail() does not return
    """A listening socket on the wanted port or the next free one; says so when it is another."""
    for port in range(wanted, min(wanted + PORTS_TRIED, 65536)):
        listening = _bound(port)
        if listening is not None:
            if port != wanted:
                typer.echo(f"Port {wanted} is taken; using {port}.")
            return listening
    fail(f"No free port from {wanted} on. Name another with DESKWIRE_PORT or --port.")


def _bound(port: int) -> socket.socket | None:
    try:
        return listen(HOST, port)
    except OSError as fault:
        if fault.errno == errno.EADDRINUSE:
            return None
        fail(f"Cannot listen on port {port}: {fault.strerror}. Name another with DESKWIRE_PORT.")


async def _run(folder: Path, listening: socket.socket) -> None:
    configuration = _configuration(folder, listening.getsockname()[1])
    desk = Desk(configuration)
    try:
        desk.store.hold()
        await asyncio.to_thread(migrate.upgrade, configuration.database_url)
        accounts = await _accounts(folder, desk, configuration)
        announce = partial(_announce, folder, configuration.origins[0], accounts)
        await Server(desk, listening, SERVING, ready=announce).serve(sockets=[listening])
    finally:  # the server has closed both, unless something stopped us before it began
        desk.logins.close()
        await desk.store.close()


def _configuration(folder: Path, port: int) -> Configuration:
    origins = loopback_origins(port)
    url = origins[0]
    secret = secrets.token_urlsafe(32)
    world = World(
        clock=now_ms,
        seed=secrets.randbits(32),
        corp_id=CORP_ID,
        agent_id=AGENT_ID,
        secret=secret,
        trusted_domain=f"{HOST}:{port}",
    )
    wecom_url = f"{url}/_wecom"
    return Configuration(
        database_url=sqlite_at(folder / "desk.db"),
        origins=origins,
        files=folder / "files",
        framed_by_self=True,
        wecom=WeComSettings(
            corp_id=CORP_ID,
            agent_id=AGENT_ID,
            secret=secret,
            api_url=wecom_url,
            open_url=wecom_url,
            login_url=wecom_url,
        ),
        mounts={"/_wecom": simulator_app(world, public_url=url)},
    )


async def _accounts(folder: Path, desk: Desk, configuration: Configuration) -> list[dict[str, str]]:
    """The demo agents with their passwords: made at the first start, read at every later one."""
    path = folder / "demo.json"
    with contextlib.suppress(FileNotFoundError):
        return _read_accounts(path)
    passwords = {agent.login_name: secrets.token_urlsafe(9) for agent in AGENTS}
    hashes = {
        name: await asyncio.to_thread(desk.logins.hash, password)
        for name, password in passwords.items()
    }
    everybody = [
        DemoPerson(userid=found.userid, name=found.name, department=found.department)
        for found in DEMO_PEOPLE
    ]
    await seed_office(desk.store, everybody, hashes)
    await seed_history(configuration, everybody)
    return [
        {
            "login_name": agent.login_name,
            "password": passwords[agent.login_name],
            "name": agent.name,
        }
        for agent in AGENTS
    ]


def _read_accounts(path: Path) -> list[dict[str, str]]:
    try:
        accounts: list[dict[str, str]] = json.loads(path.read_text(encoding="utf-8"))["agents"]
    except (ValueError, KeyError, TypeError) as fault:
        raise _AccountsUnreadable(
            f"{path.name} is damaged; without it there are new ones"
        ) from fault
    return accounts


def _announce(folder: Path, url: str, accounts: list[dict[str, str]]) -> None:
    facts = {"url": url, "workbench": f"{url}/workbench", "phone": f"{url}/_wecom/"}
    _write_private(folder / "demo.json", json.dumps({**facts, "agents": accounts}, indent=2))
    lines = [
        "",
        f"  Workbench (agents)          {facts['workbench']}",
        f"  Phone (employees, 演示)     {facts['phone']}",
        "",
        *(
            f"  {found['login_name']:<10} {found['password']:<14} {found['name']}"
            for found in accounts
        ),
        "",
        f"  Data: {folder}    Stop: Ctrl-C",
        "",
    ]
    typer.echo("\n".join(lines))
    sys.stdout.flush()


def _write_private(path: Path, text: str) -> None:
    """Replace the file in one step; only its owner may read it, for it holds passwords."""
    new = path.with_name(path.name + ".new")
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text + "\n")
    new.replace(path)
