from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.kit.databases import Database
from tests.proofs.stateful import machine
from tests.web.conftest import database, of_module

__all__ = ["database", "of_module"]

STEPS = 30
RUNS = {"sqlite": 20, "postgresql": 8}


@pytest.mark.parametrize("database", list(RUNS), indirect=True)
def test_whatever_happens_in_whatever_order_the_invariants_hold(database: Database) -> None:
    some = settings(
        max_examples=RUNS[database.kind],
        stateful_step_count=STEPS,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )

    run_state_machine_as_test(machine(database), settings=some)
