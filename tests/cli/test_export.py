from __future__ import annotations

import asyncio
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from deskwire.cli import app
from deskwire.desk.decision import Binding
from deskwire.desk.events import Stream
from deskwire.desk.messages import Attachment, AttachmentKind
from deskwire.storage import attachments, export
from deskwire.storage.engine import Store
from deskwire.storage.files import LocalFiles
from tests.flows.conftest import database, of_module
from tests.flows.office import ANN, START, Office
from tests.kit.databases import Database, SqliteFile

__all__ = ["database", "of_module"]


def run(on: Database, folder: Path) -> Any:
    url = {"DESKWIRE_DATABASE_URL": on.url, "DESKWIRE_DATA_DIR": str(on.folder)}
    return CliRunner().invoke(app, ["export", str(folder)], env=url)


def test_there_is_a_file_for_each_kind_and_the_manifest_counts_them(
    database: Database, tmp_path: Path
) -> None:
    out = tmp_path / "out"

    said = run(database, out)

    manifest = json.loads((out / "manifest.json").read_text("utf-8"))
    lines = {name: (out / f"{name}.jsonl").read_text("utf-8") for name in export.NAMES}
    assert said.exit_code == 0
    assert manifest["format"] == 1
    assert manifest["lines"] == {name: text.count("\n") for name, text in lines.items()}
    assert manifest["lines"]["person"] == len(database.sql("SELECT person_id FROM person"))
    assert [json.loads(line)["name"] for line in lines["agent_group"].splitlines()] == [
        "办公设备",
        "IT 支持",
    ]
    assert f"{sum(manifest['lines'].values())} lines in" in said.output


def test_its_files_are_their_owners_alone(database: Database, tmp_path: Path) -> None:
    run(database, tmp_path / "out")

    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "out").iterdir()}
    assert modes == {0o600}


def test_it_may_run_beside_a_server(database: Database, tmp_path: Path) -> None:
    store = Store(database.url)
    store.hold()

    said = run(database, tmp_path / "out")

    asyncio.run(store.close())
    assert said.exit_code == 0


def test_a_folder_with_something_in_it_is_left_alone(database: Database, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine").write_text("x")

    said = run(database, out)

    assert (said.exit_code, said.output) == (1, f"{out} is not empty.\n")
    assert [path.name for path in out.iterdir()] == ["mine"]


@pytest.mark.parametrize("url", ["postgresql://desk:s3cr3t@127.0.0.1:9/desk"])
def test_a_database_that_does_not_answer_is_said(url: str, tmp_path: Path) -> None:
    settings = {"DESKWIRE_DATABASE_URL": url}
    said = CliRunner().invoke(app, ["export", str(tmp_path / "out")], env=settings)

    assert said.exit_code == 1
    assert "does not answer" in said.output
    assert "s3cr3t" not in said.output
    assert not (tmp_path / "out").exists()


def test_an_empty_database_is_answered_with_the_command_to_run(tmp_path: Path) -> None:
    said = run(SqliteFile(tmp_path, None), tmp_path / "out")

    assert said.exit_code == 1
    assert "Run: deskwire migrate" in said.output


async def _attach(on: Database) -> None:
    """To Ann's conversation: one that stands, one withdrawn, one without a file; one staged."""
    office = await Office.at(on)
    files = LocalFiles(on.folder / "files", free_bytes_min=0)
    conv = await office.opened(ANN)
    msg_id = office.one("SELECT msg_id FROM message")
    for name in ("stands", "withdrawn", "missing", "staged"):
        async with files.receiving(name) as incoming:
            await incoming.write(f"bytes of {name}".encode())
            await incoming.finish()
            if name != "missing":
                await incoming.keep()
        upload = Attachment(
            id=name,
            owner=ANN,
            kind=AttachmentKind.FILE,
            name=f"{name}.txt",
            bytes=1,
            type="application/octet-stream",
        )
        async with office.store.writing() as conn:
            await attachments.stage(conn, upload, START)
            if name != "staged":
                stream = Stream(f"conv:{conv}")
                binding = Binding(attachment_id=name, msg_id=msg_id, stream=stream)
                await attachments.bind(conn, [binding])
    async with office.store.writing() as conn:
        await attachments.withdraw(conn, ["withdrawn"], at=START, destroy_at=None)
    await office.close()


def test_attachments_that_stand_are_copied_and_missing_ones_named(
    database: Database, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    asyncio.run(_attach(database))

    said = run(database, out)

    manifest = json.loads((out / "manifest.json").read_text("utf-8"))
    lines = (out / "attachment.jsonl").read_text("utf-8").splitlines()
    copied = {path.name: path.read_bytes() for path in (out / "attachments").iterdir()}
    assert said.exit_code == 0
    assert copied == {"stands": b"bytes of stands"}
    assert {json.loads(line)["attachment_id"] for line in lines} == {"stands", "missing"}
    assert (manifest["attachments"], manifest["attachments_missing"]) == (1, ["missing"])
    assert "1 attachments have no file" in said.stderr
