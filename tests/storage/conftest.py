"""The same seeded desk as the flows' tests have."""

from __future__ import annotations

from tests.flows.conftest import database, of_module, office

__all__ = ["database", "of_module", "office"]
