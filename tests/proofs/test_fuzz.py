from __future__ import annotations

import asyncio

from tests.flows.office import Office
from tests.kit.databases import Database
from tests.proofs.fuzz import Fuzz
from tests.web.conftest import database, of_module

__all__ = ["database", "of_module"]

EXAMPLES = 2


def test_what_the_description_of_the_api_allows_is_answered_as_it_says(
    database: Database,
) -> None:
    fuzz = Fuzz(asyncio.run(Office.at(database)))

    fuzz.ask(EXAMPLES, seed=0, shown=lambda _: None)
    fuzz.close()

    assert not fuzz.wrong, "\n\n".join(fuzz.wrong)
    assert fuzz.seen[200] > EXAMPLES
    assert {400, 403, 404, 422} & set(fuzz.seen)
