"""`deskwire serve`: the desk in earnest, on SQLite or PostgreSQL, with a real WeCom or none.

One process each time; several are this command several times, on one PostgreSQL. Refuses to start
rather than run in a way that breaks a promise.
"""

from __future__ import annotations

import os
import socket
from functools import partial
from pathlib import Path
from typing import Final

import typer

from deskwire import telemetry
from deskwire.app import Configuration, Desk, WeComSettings
from deskwire.cli.console import DATA_DIR, database, fail, files, insist_on_schema, settings
from deskwire.cli.server import (
    Server,
    Serving,
    allow_open_files,
    listen,
    quiet_uvicorn,
    run,
)
from deskwire.settings import Settings, SettingsFault
from deskwire.storage import migrate
from deskwire.storage.engine import StoreInUse, StoreUnavailable

DRAIN_S: Final = 20.0
SHUTDOWN_S: Final = 30
CONCURRENCY_MAX: Final = 8_000  # 6,000 sockets a node, and room for the requests beside them

_log = telemetry.logger("cli")


def serve(
    port: int | None = typer.Option(None, min=1, max=65535, help="TCP port.  [8000]"),
    data_dir: Path | None = typer.Option(None, help=DATA_DIR),
) -> None:
    """Run the desk. DESKWIRE_PUBLIC_URL must say where people find it."""
    given = settings()
    telemetry.configure(as_json=given.log_json, others=["uvicorn"])
    quiet_uvicorn()
    os.umask(0o077)  # messages, notes and hashes are for the owner alone
    desk = _built(given, data_dir)
    try:
        _insist_on_one_process(given, desk)
        desk.store.hold()
        insist_on_schema(migrate.standing(desk.configuration.database_url))
        allow_open_files()
        with _listening(given, port) as listening:
            run(_run(given, desk, listening))
    except StoreInUse as fault:
        fail(f"{fault}. SQLite is for one process; several share a PostgreSQL.")
    except StoreUnavailable as fault:
        fail(f"The database does not answer: {fault}.")
    except OSError as fault:
        fail(f"Cannot use {fault.filename or data_dir or given.data_dir}: {fault.strerror}.")
    except KeyboardInterrupt:
        typer.echo("Stopped.")
    finally:
        desk.store.release()


def _built(given: Settings, data_dir: Path | None) -> Desk:
    try:
        return Desk(
            Configuration(
                database_url=database(given, data_dir),
                origins=given.allowed_origins(),
                wecom=_wecom(given),
                files=files(given, data_dir),
            )
        )
    except SettingsFault as fault:
        fail(str(fault))
    except ValueError as fault:  # an address that is none, to the room that uses it
        fail(f"A setting has no meaning: {fault}.")


def _wecom(given: Settings) -> WeComSettings | None:
    app = given.wecom()
    if app is None:
        return None
    return WeComSettings(
        corp_id=app.corp_id,
        agent_id=app.agent_id,
        secret=app.secret,
        api_url=app.api_url,
        open_url=app.open_url,
        login_url=app.login_url,
        seats=app.seats,
    )


def _insist_on_one_process(given: Settings, desk: Desk) -> None:
    if given.share_port and desk.store.is_for_one_process:
        fail(
            "DESKWIRE_SHARE_PORT is for several processes, and SQLite is for one. "
            "Name a PostgreSQL in DESKWIRE_DATABASE_URL."
        )
    if given.share_port and not hasattr(socket, "SO_REUSEPORT"):
        fail("DESKWIRE_SHARE_PORT: this system lets no two processes listen on one port.")


def _listening(given: Settings, port: int | None) -> socket.socket:
    at = port or given.port
    try:
        return listen(given.host, at, share_port=given.share_port)
    except OSError as fault:
        fail(f"Cannot listen on {given.host}:{at}: {fault.strerror}. See DESKWIRE_HOST and _PORT.")


async def _run(given: Settings, desk: Desk, listening: socket.socket) -> None:
    serving = Serving(
        drain_s=DRAIN_S,
        shutdown_s=SHUTDOWN_S,
        concurrency_max=CONCURRENCY_MAX,
        proxies=given.proxy,
    )
    try:
        if not await desk.store.is_durable():
            _log.warning("fsync_off", means="a power failure may lose what was accepted")
        server = Server(desk, listening, serving, ready=partial(_say, desk, listening))
        await server.serve(sockets=[listening])
    finally:  # the server has closed both, unless something stopped us before it began
        desk.logins.close()
        await desk.store.close()


def _say(desk: Desk, listening: socket.socket) -> None:
    host, port, *_ = listening.getsockname()
    _log.info("serving", host=host, port=port, url=desk.configuration.origins[0], pid=os.getpid())
    if desk.configuration.wecom is None:
        _log.warning("no_wecom", means="agents log in by password, employees not at all")
