"""The same seeded desk as the flows' tests have, and the whole app over it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.flows.conftest import file, office
from tests.flows.office import Office
from tests.web.site import Site

__all__ = ["file", "office", "site"]


@pytest.fixture
async def site(office: Office) -> AsyncIterator[Site]:
    site = await Site.at(office)
    yield site
    await site.close()
