from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.flows.office import Office, template


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "desk.db"
    path.write_bytes(template())
    return path


@pytest.fixture
async def office(file: Path) -> AsyncIterator[Office]:
    office = await Office.at(file)
    yield office
    await office.close()
