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


def fold(events: Iterable[Json]) -> Json | None:
    """The row after these events of one stream; positions are those of `conv:<id>`."""
    row: Json | None = None
    head = 0
    for event in events:
        head += event["type"] not in {"rating.given", "reason.recorded", "note.posted"}
        if event["type"] == "conversation.opened":
            row = dict(event["data"]["row"])
            continue
        assert row is not None, "the first event of a conversation is its opening"
        row = {**row, **_changed(row, event, head)}
    return row


def _changed(row: Json, event: Json, head: int) -> Json:
    data = event["data"]
    versioned = {"version": data["version"]} if "version" in data else {}
    match event["type"]:
        case "message.posted":
            return _after_message(row, event, head)
        case "conversation.assigned":
            return {**versioned, "status": "active", "assignee": data["agent"]}
        case "conversation.resolved":
            return {**versioned, "status": "resolved", "assignee": None, "waiting_since": None}
        case "conversation.closed":
            return {**versioned, "status": "closed", "assignee": None, "waiting_since": None}
        case _:
            return versioned


def _after_message(row: Json, event: Json, head: int) -> Json:
    data, realm = event["data"], event["by"]["realm"]
    first = row["waiting_since"] if row["waiting_since"] is not None else event["at"]
    return {
        "turn": data["turn"],
        "waiting_since": first if realm == "employee" else None,
        "last_message": {
            "msg_id": data["msg_id"],
            "position": head,
            "kind": data["kind"],
            "realm": realm,
            "at": event["at"],
        },
    }
