"""The frames of desk.v1 as a client sees them: JSON, unknown fields and all. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeAlias

# What is inside an event or a sign is carried unread.
Frame: TypeAlias = Mapping[str, Any]


def parsed(line: str) -> Frame | None:
    """One line of a message; None if it is no frame."""
    try:
        frame = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return frame if isinstance(frame, dict) and isinstance(frame.get("op"), str) else None
