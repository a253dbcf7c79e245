"""Where a list goes on: the sort key of the last row, in a form that only we read.

Invariant: what no list of this order has given out is no such place.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import sqlalchemy as sql
from sqlalchemy import and_, or_

from deskwire.storage.tables import conversation

Key: TypeAlias = tuple[int | str, ...]

_INT_MAX: Final = 2**63 - 1
_CHARS_MAX: Final = 64


class NoCursor(ValueError):
    """An `after` that no list has given out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order of rows: columns that are never null, the last of them unique.

    `falls` says of each column whether its highest value comes first.
    """

    name: str
    columns: tuple[sql.ColumnElement[Any], ...]
    falls: tuple[bool, ...]

    @property
    def by(self) -> list[sql.ColumnElement[Any]]:
        pairs = zip(self.columns, self.falls, strict=True)
        return [column.desc() if falls else column.asc() for column, falls in pairs]

    def follows(self, key: Key) -> sql.ColumnElement[bool]:
        """The rows behind the one with this key."""
        behind = []
        for n, (column, falls) in enumerate(zip(self.columns, self.falls, strict=True)):
            equal = [self.columns[i] == key[i] for i in range(n)]
            behind.append(and_(*equal, column < key[n] if falls else column > key[n]))
        return or_(*behind)

    def written(self, key: Sequence[int | str]) -> str:
        """The key for a client to bring back."""
        text = json.dumps([self.name, *key], separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode()

    def read(self, after: str) -> Key:
        """The key in an `after`. Raises NoCursor."""
        try:
            name, *key = json.loads(base64.urlsafe_b64decode(after))
        except (ValueError, TypeError, RecursionError):
            raise NoCursor(after) from None
        types = [column.type.python_type for column in self.columns]
        is_ours = name == self.name and [type(each) for each in key] == types
        if not is_ours or not all(map(_fits, key)) or self.written(key) != after:
            raise NoCursor(after)
        return tuple(key)


def _fits(value: int | str) -> bool:
    return 0 <= value <= _INT_MAX if isinstance(value, int) else len(value) <= _CHARS_MAX


NEWEST: Final = Order(
    name="newest",
    columns=(conversation.c.opened_at, conversation.c.conv_id),
    falls=(True, True),
)

# As the dispatcher takes them: who waits longest among the most urgent is first.
DISPATCH: Final = Order(
    name="dispatch",
    columns=(
        conversation.c.priority,
        sql.func.coalesce(conversation.c.waiting_since, 0, type_=conversation.c.opened_at.type),
        conversation.c.no,
    ),
    falls=(True, False, False),
)


def order_of(view: str) -> Order:
    """The order of a view's rows."""
    return DISPATCH if view == "queue" else NEWEST
