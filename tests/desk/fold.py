"""What a client makes of written events, told once more and independently of `evolve`.

Reads the bytes that are sent, by the rules that the protocol names: so `fold(events)` must equal a
fresh row (I7).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from deskwire.desk.events import Event, encode

Json = dict[str, Any]


def read(event: Event) -> Json:
    plain: Json = json.loads(encode(event))
    return plain


def fold(events: Iterable[tuple[Json, int]]) -> Json | None:
    """The row after these events of one stream, each with its position on `conv:<id>`.

    Where a stream does not say that position, it is 0.
    """
    row: Json | None = None
    for event, position in events:
        if "row" in event["data"]:
            row = dict(event["data"]["row"])
            continue
        assert row is not None, "the first event of a conversation brings its row"
        row = {**row, **_changed(row, event, position)}
    return row


def _changed(row: Json, event: Json, position: int) -> Json:
    data = event["data"]
    versioned = {"version": data["version"]} if "version" in data else {}
    match event["type"]:
        case "message.posted":
            return _after_message(row, event, position)
        case "conversation.queued":
            since = data["waiting_since"]
            return {**versioned, "status": "queued", "assignee": None, "waiting_since": since}
        case "conversation.assigned":
            return {**versioned, "status": "active", "assignee": data["agent"]}
        case "conversation.held":
            return {**versioned, "status": "on_hold", "assignee": None}
        case "conversation.resolved":
            return {**versioned, "status": "resolved", "assignee": None, "waiting_since": None}
        case "conversation.closed":
            return {**versioned, "status": "closed", "assignee": None, "waiting_since": None}
        case "conversation.categorised":
            return {**versioned, "category": {**row["category"], "id": data["category_id"]}}
        case _:
            return versioned


def _after_message(row: Json, event: Json, position: int) -> Json:
    data, realm = event["data"], event["by"]["realm"]
    first = row["waiting_since"] if row["waiting_since"] is not None else event["at"]
    return {
        "turn": data["turn"],
        "waiting_since": first if realm == "employee" else None,
        "last_message": {
            "msg_id": data["msg_id"],
            "position": position,
            "kind": data["kind"],
            "realm": realm,
            "at": event["at"],
        },
    }
