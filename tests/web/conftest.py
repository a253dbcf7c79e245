"""The same seeded desk as the flows' tests have, and the whole app over it.

On SQLite, unless a file asks for both: most of the door knows nothing of the database.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.flows.conftest import of_module, office, opened
from tests.flows.office import Office
from tests.kit.databases import Database
from tests.web.site import Site

__all__ = ["of_module", "office", "site"]


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    with opened(getattr(request, "param", "sqlite"), request, tmp_path) as found:
        yield found


@pytest.fixture
async def site(office: Office) -> AsyncIterator[Site]:
    site = await Site.at(office)
    yield site
    await site.close()
