from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from deskwire.storage import export
from deskwire.storage.tables import metadata
from tests.flows.conftest import opened
from tests.flows.office import ANN, BO, LINA, WANG, Office


async def exported(office: Office) -> dict[str, list[Mapping[str, Any]]]:
    async with office.store.reading() as conn:
        return {name: [line async for line in export.lines(conn, name)] for name in export.NAMES}


async def live_a_day(office: Office) -> str:
    conv = await office.claimed(ANN)
    await office.post(WANG, conv, "在看 👩🏽‍💻")
    await office.note(LINA, conv, "内部：老板的电脑")
    await office.yes(WANG, "resolve_conversation", conv, note="换了证书")
    await office.yes(ANN, "rate_conversation", conv, score=5, reasons=["响应快"])
    await office.opened(BO)
    return conv


async def test_every_row_of_the_desk_is_a_line(office: Office) -> None:
    await live_a_day(office)

    found = await exported(office)

    assert {name: len(lines) for name, lines in found.items()} == {
        name: office.one(f"SELECT count(*) FROM {name}") for name in export.NAMES
    }
    assert len(found["event"]) > 5
    assert len(found["rating"]) == 1


async def test_bodies_come_out_as_values(office: Office) -> None:
    conv = await live_a_day(office)

    found = await exported(office)

    (note,) = [line for line in found["event"] if line["type"] == "note.posted"]
    assert note["body"]["data"]["body"] == "内部：老板的电脑"
    assert note["body"]["conv"] == conv
    assert found["rating"][0]["reasons"] == ["响应快"]
    assert "在看 👩🏽‍💻" in [line["body"] for line in found["message"]]
    json.dumps(found)  # nothing in it that a file could not hold


async def test_no_secret_and_nothing_of_the_hour_is_in_it(office: Office) -> None:
    login = (
        "INSERT INTO login VALUES"
        " (?, 'login-canary', 'agent', 'wang', 1, 1, 2, NULL, 'browser-canary', NULL)"
    )
    office.write(login, b"secret-hash-canary".ljust(32))

    text = json.dumps(await exported(office))

    assert "canary" not in text
    assert b"secret-hash-canary".hex() not in text
    assert "argon2" not in text
    assert "password" not in text


def test_a_new_table_is_exported_unless_somebody_decides_otherwise() -> None:
    assert set(export.NAMES) | export.LEFT_OUT == set(metadata.tables)


async def test_all_files_are_of_one_moment(office: Office) -> None:
    conv = await office.claimed(ANN)
    async with office.store.reading() as conn:
        events = [line async for line in export.lines(conn, "event")]
        await office.post(ANN, conv, "zwischendurch")
        places = [line async for line in export.lines(conn, "stream_event")]

    assert {line["event_id"] for line in places} == {line["event_id"] for line in events}


async def test_both_databases_give_the_same_lines(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    found = []
    for kind in ("sqlite", "postgresql"):
        (tmp_path / kind).mkdir()
        with opened(kind, request, tmp_path / kind) as database:
            office = await Office.at(database)
            await live_a_day(office)
            lines = await exported(office)
            epoch = office.one("SELECT epoch FROM store")
            found.append(json.dumps(lines, sort_keys=True).replace(epoch, "epoch"))
            await office.close()

    assert await asyncio.to_thread(lambda: found[0] == found[1])
