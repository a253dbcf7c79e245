"""Everything the desk holds, as plain values: a line for a row, from one moment of the database.

Left out is what is secret or of the hour (logins and sign-ins, password hashes and attempts,
drafts, answers kept for repeated commands, timers and waiting pushes), what was recalled, the
search's terms, which come from the messages, and uploads that no message names or that are
withdrawn. Must never know: where the lines go.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final

from sqlalchemy import Table, select, true
from sqlalchemy.engine import Row

from deskwire.storage.attachments import STANDING
from deskwire.storage.engine import Transaction
from deskwire.storage.tables import metadata

LEFT_OUT: Final = frozenset(
    {
        *("store", "command", "login", "signin", "password_attempt", "timer", "push", "draft"),
        *("withdrawn_original", "searchable"),
    }
)
SECRETS: Final = frozenset({"agent.password_hash"})
TEXTS_OF_JSON: Final = frozenset(
    {
        *("event.body", "rating.reasons", "message.mentions"),
        *("agent.skills", "agent_group.week", "agent_group.closed_days"),
    }
)

_TABLES: Final = {
    table.name: table for table in metadata.sorted_tables if table.name not in LEFT_OUT
}
NAMES: Final = tuple(sorted(_TABLES))


async def lines(conn: Transaction, name: str) -> AsyncGenerator[Mapping[str, Any], None]:
    """The rows of one of `NAMES` in the order of its key, without ever holding them all."""
    table = _TABLES[name]
    columns = [column for column in table.c if f"{name}.{column.name}" not in SECRETS]
    wanted = STANDING if name == "attachment" else true()
    found = await conn.stream(select(*columns).where(wanted).order_by(*table.primary_key))
    async for row in found:
        yield _line(table, row)


def _line(table: Table, row: Row[Any]) -> Mapping[str, Any]:
    return {
        key: _value(f"{table.name}.{key}", value)
        for key, value in row._mapping.items()  # noqa: SLF001  its public name
    }


def _value(column: str, value: Any) -> Any:
    if column in TEXTS_OF_JSON and value is not None:
        return json.loads(value)
    return value.hex() if isinstance(value, bytes) else value
