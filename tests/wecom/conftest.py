from __future__ import annotations

import pytest

from tests.wecom.town import Town


@pytest.fixture
def town() -> Town:
    return Town()
