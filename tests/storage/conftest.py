"""The same seeded desk as the flows' tests have."""

from __future__ import annotations

from tests.flows.conftest import file, office

__all__ = ["file", "office"]
