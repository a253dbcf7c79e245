"""What the OpenAPI allows, asked of the real application; what it does not say is a failure.

Schemathesis makes the requests from the schema, some that fit it and some that do not, and compares
the answers with it. Asked as an agent, a supervisor, an admin and an employee, by turns.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from deskwire.desk.people import Principal
from tests.flows.office import ANN, LINA, WANG, Office, agent
from tests.web.site import Browser, Site

_T = TypeVar("_T")

LATER_MS = 700_000  # beyond every rate
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
# What is refused before our own code sees it is the server's answer, and not the description's.
UNSENDABLE = {"cookie", "host", "content-length", "transfer-encoding", "connection"}


class Fuzz:
    """One desk, and everybody's browsers. `seen` counts the answers by status."""

    def __init__(self, office: Office) -> None:
        self._runner = asyncio.Runner()
        self._office = office
        self._site = self._run(Site.at(office))
        self._conv = self._run(self._talked())
        self.seen: Counter[int] = Counter()
        self.wrong: list[str] = []

    def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        return self._runner.run(work)

    async def _talked(self) -> str:
        conv = await self._office.claimed()
        await self._office.note(WANG, conv)
        return conv

    def ask(self, examples: int, seed: int, shown: Callable[[str], None]) -> None:
        """So many requests to each operation, of both kinds."""
        schema = schemathesis.openapi.from_dict(self._site.desk.api.openapi())
        for found in schema.get_all_operations():
            operation: Any = found.ok()  # type: ignore[union-attr]  # our schema is valid
            shown(f"{operation.method.upper()} {operation.path}")
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                try:
                    self._ask_one(operation, mode, examples, seed)
                except Unsatisfiable:
                    assert mode is GenerationMode.NEGATIVE, "every operation can be asked well"
                except (FailureGroup, AssertionError) as fault:
                    self.wrong.append(f"{operation.method.upper()} {operation.path}: {told(fault)}")

    def _ask_one(self, operation: Any, mode: GenerationMode, examples: int, seed: int) -> None:
        known = st.sampled_from([True, False])  # the ids that are there, or what the schema makes
        whose = st.integers(0, 2)

        @seeded(seed)
        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode), is_known=known, who=whose)
        def asking(case: Any, is_known: bool, who: int) -> None:
            self._check(case, is_known, who)

        asking()

    def _check(self, case: Any, is_known: bool, who: int) -> None:
        if is_known:
            self._name_what_is_there(case)
        persons = (WANG, LINA, agent("root")) if "/api/agent/" in case.path else (ANN,)
        self._office.now_ms += LATER_MS
        answer = self._run(self._sent(case, persons[who % len(persons)]))
        self.seen[answer.status_code] += 1
        case.validate_response(answer, checks=CHECKS)

    def _name_what_is_there(self, case: Any) -> None:
        if "conv_id" in case.path_parameters:
            case.path_parameters["conv_id"] = self._conv
        if "stream" in case.query:
            case.query["stream"] = f"conv:{self._conv}"
        if isinstance(case.body, dict) and "conv" in case.body:
            case.body["conv"] = self._conv

    async def _sent(self, case: Any, who: Principal) -> Response:
        """With a login of its own: the one before may have been ended by its request."""
        async with self._site.browser(who) as browser:
            return await self._from(case, browser)

    async def _from(self, case: Any, browser: Browser) -> Response:
        asked = case.as_transport_kwargs(base_url=self._site.url)
        usual = browser.usual() if case.method != "GET" else {}
        headers = {
            name: value
            for name, value in {**usual, **dict(asked.pop("headers"))}.items()
            if name.lower() not in UNSENDABLE
        }
        asked.pop("cookies", None)
        content = asked.pop("data", None)
        if isinstance(content, (str, bytes)):
            asked["content"] = content
        answer = await browser.request(**asked, headers=headers)
        return Response.from_httpx(answer, verify=False)

    def close(self) -> None:
        self._run(self._site.close())
        self._runner.close()


def told(fault: BaseException) -> str:
    if isinstance(fault, FailureGroup):
        return "; ".join(str(each) for each in fault.exceptions)
    return str(fault)
