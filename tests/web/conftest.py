from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.flows.office import Office, template
from tests.web.site import Site


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


@pytest.fixture
async def site(office: Office) -> AsyncIterator[Site]:
    site = await Site.at(office)
    yield site
    await site.close()
