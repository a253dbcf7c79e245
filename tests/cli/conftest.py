"""A console without settings, and an umask that a console command may change."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in list(os.environ):
        if name.startswith("DESKWIRE_") and not name.startswith("DESKWIRE_TEST_"):
            monkeypatch.delenv(name)
    before = os.umask(0o022)
    yield
    os.umask(before)
