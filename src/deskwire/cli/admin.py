"""`deskwire admin`: the first administrator; a lost password. Works on the database itself.

On SQLite the server must be stopped; beside a PostgreSQL it may run. Of what an office is, it makes
only what a first conversation cannot do without.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from typing import Final

import typer

from deskwire.app import Configuration, Desk, loopback_origins, new_id
from deskwire.cli.console import DATA_DIR, database, fail, insist_on_schema, settings
from deskwire.storage import migrate, office, people
from deskwire.storage.engine import StoreInUse, StoreUnavailable, Transaction
from deskwire.storage.people import (
    PASSWORD_CHARS_MAX,
    PASSWORD_CHARS_MIN,
    AgentRecord,
    PersonRecord,
)

NAME_CHARS_MAX: Final = 64
GROUP: Final = ("support", "IT 支持")
CATEGORY: Final = ("other", "其他", "Other")

admin = typer.Typer(
    name="admin",
    help="The first administrator; a lost password. On SQLite the server must be stopped.",
    no_args_is_help=True,
)


class Role(StrEnum):
    """What an agent may do."""

    ADMIN = "admin"
    SUPERVISOR = "supervisor"
    AGENT = "agent"


@admin.command()
def create(
    login_name: str = typer.Option(..., prompt=True, help="What they log in with."),
    name: str = typer.Option(..., prompt=True, help="What others see."),
    role: Role = typer.Option(Role.ADMIN, help="An agent or supervisor joins every group."),
    wecom_userid: str | None = typer.Option(
        None, help="Their user id at WeCom, so that the employee and the agent are one person."
    ),
    data_dir: Path | None = typer.Option(None, help=DATA_DIR),
) -> None:
    """Make an agent, an administrator unless told otherwise; the password is asked for.

    Where standard input is no terminal, the password is its first line.
    """
    for what, given in (("login name", login_name), ("name", name)):
        if not given.strip() or len(given) > NAME_CHARS_MAX:
            fail(f"A {what} has 1 to {NAME_CHARS_MAX} characters.")
    password = _password()

    async def make(desk: Desk) -> None:
        hashed = await asyncio.to_thread(desk.logins.hash, password)
        async with desk.store.writing() as conn:
            if await people.has_agent(conn, login_name):
                fail(f"There is an agent {login_name!r} already. See: deskwire admin password")
            await _save_office(conn)
            person = await _save_person(conn, name, wecom_userid)
            groups = () if role is Role.ADMIN else await _every_group(conn)
            record = AgentRecord(
                person=person,
                login_name=login_name,
                password_hash=hashed,
                role=role.value,
                groups=groups,
            )
            await people.save_agent(conn, record)
        typer.echo(f"{role.value.capitalize()} {login_name!r} can log in.")

    _on_the_desk(data_dir, make)


@admin.command()
def password(
    login_name: str = typer.Option(..., prompt=True, help="Whose password was lost."),
    data_dir: Path | None = typer.Option(None, help=DATA_DIR),
) -> None:
    """Give an agent another password, and end all their logins.

    Where standard input is no terminal, the password is its first line.
    """
    new = _password()

    async def change(desk: Desk) -> None:
        ended = await desk.logins.set_password(login_name, new)
        if ended is None:
            fail(f"There is no agent {login_name!r}.")
        typer.echo(f"{login_name!r} has a new password; {ended} logins have ended.")

    _on_the_desk(data_dir, change)


def _password() -> str:
    if sys.stdin.isatty():
        given: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        given = sys.stdin.readline().rstrip("\r\n")
    if not PASSWORD_CHARS_MIN <= len(given) <= PASSWORD_CHARS_MAX:
        fail(f"A password has {PASSWORD_CHARS_MIN} to {PASSWORD_CHARS_MAX} characters.")
    return given


async def _save_office(conn: Transaction) -> None:
    """Without a group and a category nobody could open a conversation."""
    if await office.groups(conn):
        return
    group_id, group = GROUP
    category_id, zh, en = CATEGORY
    await office.save_group(conn, group_id, name=group)
    await office.save_category(
        conn, category_id, name_zh=zh, name_en=en, group_id=group_id, order=0
    )
    typer.echo(f"Made a first group {group!r} with the category {zh!r}.")


async def _save_person(conn: Transaction, name: str, wecom_userid: str | None) -> str:
    if wecom_userid is not None:
        return await people.remember_member(
            conn, userid=wecom_userid.lower(), name=name, department="", new_id=new_id()
        )
    person = PersonRecord(id=new_id(), name=name)
    await people.save_person(conn, person)
    return person.id


async def _every_group(conn: Transaction) -> tuple[str, ...]:
    return tuple(group.id for group in await office.groups(conn))


def _on_the_desk(data_dir: Path | None, work: Callable[[Desk], Awaitable[None]]) -> None:
    """Run on the database that the settings name, with nobody else on it where it is a file."""
    try:
        desk = _desk(data_dir)
    except ValueError as fault:
        fail(f"DESKWIRE_DATABASE_URL: {fault}.")
    try:
        desk.store.hold()
        asyncio.run(_with(desk, work))
    except StoreInUse as fault:
        fail(f"{fault}. Stop it first.")
    except StoreUnavailable as fault:
        fail(f"The database does not answer: {fault}.")
    except OSError as fault:
        fail(f"Cannot use {fault.filename}: {fault.strerror}.")
    finally:
        desk.logins.close()


def _desk(data_dir: Path | None) -> Desk:
    url = database(settings(), data_dir)
    return Desk(Configuration(database_url=url, origins=loopback_origins(8000), wecom=None))


async def _with(desk: Desk, work: Callable[[Desk], Awaitable[None]]) -> None:
    try:
        standing = await asyncio.to_thread(migrate.standing, desk.configuration.database_url)
        insist_on_schema(standing)
        await work(desk)
    finally:
        await desk.store.close()
