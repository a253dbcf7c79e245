"""What every console command begins and ends with: the settings, or a sentence and status 1."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NoReturn

import typer

from deskwire.settings import Settings, SettingsFault
from deskwire.storage.engine import DatabaseUrl, Store, sqlite_at
from deskwire.storage.migrate import Standing

DATA_DIR = (
    "Folder for attachments, and for the database where no DESKWIRE_DATABASE_URL is set.  "
    "[./deskwire-data]"
)


def settings() -> Settings:
    """The settings of this process; a fault in them ends it with its sentence."""
    try:
        return Settings.read()
    except SettingsFault as fault:
        fail(str(fault))


def fail(sentence: str) -> NoReturn:
    """Say what is wrong and what to do, and end with status 1."""
    typer.echo(sentence, err=True)
    sys.exit(1)


def database(given: Settings, data_dir: Path | None) -> str | DatabaseUrl:
    """The database that the settings name: a file in the data folder, unless told otherwise.

    Holds a password: never print it.
    """
    if given.database_url is not None and data_dir is None:
        return given.database_url.get_secret_value()
    return sqlite_at((data_dir or given.data_dir).absolute() / "desk.db")


def opened(given: Settings, data_dir: Path | None) -> tuple[str | DatabaseUrl, Store]:
    """That database, and the desk's rows in it. What names no database ends the process."""
    try:
        url = database(given, data_dir)
        return url, Store(url)
    except ValueError as fault:
        fail(f"DESKWIRE_DATABASE_URL: {fault}.")


def files(given: Settings, data_dir: Path | None) -> Path:
    """The folder of attachments, also where the database is elsewhere."""
    return (data_dir or given.data_dir).absolute() / "files"


def insist_on_schema(found: Standing) -> None:
    """Ends the process with the command to run, unless the schema is this program's."""
    match found:
        case Standing.CURRENT:
            return
        case Standing.MISSING:
            fail("The database has no tables yet. Run: deskwire migrate")
        case Standing.BEHIND:
            fail("The database is of an older deskwire. Make a backup, then run: deskwire migrate")
        case Standing.FOREIGN:
            fail("The database is of a newer deskwire than this one. Run that one.")
