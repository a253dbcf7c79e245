"""What people really write to an IT desk, to drive it with: bursts, long pastes, odd bytes.

The project's own sample is always there. A larger set in the same form is played as well where
DESKWIRE_TEST_CONVERSATIONS names one, or one lies beside the checkout (`BESIDE`).
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

SAMPLE = Path(__file__).with_name("sample_conversations.jsonl")
BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data" / "it_support_chats.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    minute: int  # after the first message
    by: str  # "employee", "agent1", "agent2", … in order of appearance
    text: str  # as written, to the byte


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    name: str  # sample-3: for a test's id and for the log
    lines: tuple[Line, ...]

    @property
    def agents(self) -> tuple[str, ...]:
        """Those who answered, in order of appearance."""
        return tuple(dict.fromkeys(line.by for line in self.lines if line.by != "employee"))


def load(path: Path, prefix: str) -> list[Conversation]:
    """One JSON object a line: id, day, start_minute, messages of minute, by, text."""
    found = []
    with path.open(encoding="utf-8", newline="\n") as file:
        for row in map(json.loads, file):
            lines = tuple(Line(**message) for message in row["messages"])
            found.append(Conversation(name=f"{prefix}-{row['id']}", lines=lines))
    return found


def sample() -> list[Conversation]:
    return load(SAMPLE, "sample")


def beside() -> list[Conversation]:
    """The larger set, where there is one; empty where there is none."""
    named = os.environ.get("DESKWIRE_TEST_CONVERSATIONS")
    path = Path(named) if named else BESIDE
    if named or path.is_file():
        return load(path, "real")
    return []
