"""The invariants of the desk, looked for in its rows and its log after whatever has happened.

Each is told by its number. What needs a memory (nothing falls, nothing ends twice) is compared with
the look before.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from deskwire.desk.people import PersonId, Principal, Realm
from tests.desk.fold import fold
from tests.flows.office import Office, agent

RECALL_MS = 120_000
SWEEP_MS = 15_000
OUTCOMES = {"accepted", "declined", "expired", "withdrawn"}

# The transitions once more: from and to, and by which commands.
BY_TIMER = {"lose_agent", "miss_first_answer", "return_from_hold", "auto_resolve", "close_resolved"}
MOVES: dict[tuple[str | None, str], set[str]] = {
    (None, "queued"): {"open_conversation"},
    ("queued", "queued"): {"transfer_to_group", "requeue_conversation"},
    ("queued", "active"): {
        "accept_offer", "claim_conversation", "take_over", "assign_conversation",
    },
    ("queued", "closed"): {"cancel_conversation", "close_conversation"},
    ("active", "active"): {"accept_offer", "take_over", "assign_conversation"},
    ("active", "queued"): {
        "transfer_to_agent", "transfer_to_group", "lose_agent", "miss_first_answer",
        "post_message", "requeue_conversation",
    },
    ("active", "on_hold"): {"hold_conversation"},
    ("active", "resolved"): {"resolve_conversation", "auto_resolve"},
    ("active", "closed"): {"close_conversation"},
    ("on_hold", "active"): {
        "resume_conversation", "return_from_hold", "post_message", "take_over",
        "assign_conversation",
    },
    ("on_hold", "queued"): {
        "resume_conversation", "return_from_hold", "post_message", "requeue_conversation",
    },
    ("on_hold", "resolved"): {"resolve_conversation"},
    ("on_hold", "closed"): {"close_conversation"},
    ("resolved", "active"): {"post_message", "reopen_conversation", "assign_conversation"},
    ("resolved", "queued"): {"post_message", "reopen_conversation", "requeue_conversation"},
    ("resolved", "closed"): {
        "confirm_solved", "rate_conversation", "close_resolved", "close_conversation",
    },
    ("closed", "queued"): {"reopen_conversation"},
}  # fmt: skip

NEVER = {
    "I1": "SELECT conv_id FROM conversation WHERE (assignee_id IS NOT NULL) <> (status = 'active')",
    "I2": "SELECT conv_id FROM assignment WHERE ended_at IS NULL GROUP BY conv_id"
    " HAVING count(*) > 1",
    "I2, in nobody's hands": "SELECT conv_id FROM conversation c WHERE status = 'active' AND NOT"
    " EXISTS (SELECT 1 FROM assignment a WHERE a.conv_id = c.conv_id AND a.ended_at IS NULL"
    " AND a.agent_id = c.assignee_id)",
    "I2, in hands that let go": "SELECT a.conv_id FROM assignment a, conversation c"
    " WHERE a.conv_id = c.conv_id AND a.ended_at IS NULL AND c.status <> 'active'",
    "I3, the load": "SELECT person_id FROM agent WHERE load <> (SELECT count(*) FROM conversation"
    " WHERE assignee_id = agent.person_id AND status = 'active')",
    "I3, an excess": "SELECT person_id FROM agent WHERE load > capacity + (SELECT count(*)"
    " FROM assignment WHERE agent_id = agent.person_id AND ended_at IS NULL AND over_capacity)",
    "I4, of a conversation": "SELECT conv_id FROM offer WHERE outcome IS NULL GROUP BY conv_id"
    " HAVING count(*) > 1",
    "I4, of an agent": "SELECT agent_id FROM offer WHERE outcome IS NULL GROUP BY agent_id"
    " HAVING count(*) > 1",
    "I4, of what cannot be had": "SELECT o.conv_id FROM offer o, conversation c"
    " WHERE o.conv_id = c.conv_id AND outcome IS NULL AND c.status NOT IN ('queued', 'active')",
    "I5": "SELECT requester_id FROM conversation WHERE status <> 'closed'"
    " GROUP BY requester_id, group_id HAVING count(*) > 1",
    "I6": "SELECT s.stream_id FROM stream s LEFT JOIN stream_event e ON e.stream_id = s.stream_id"
    " GROUP BY s.stream_id, s.head HAVING count(e.position) <> s.head"
    " OR coalesce(max(e.position), 0) <> s.head",
    "I8": "SELECT command_id FROM command GROUP BY realm, person, command_id HAVING count(*) > 1",
    "I9": "SELECT m.person FROM mark m JOIN stream s ON s.stream_id = m.stream_id"
    " WHERE m.read > m.delivered OR m.delivered > s.head",
    "I19": "SELECT conv_id FROM rating GROUP BY conv_id, resolution_no HAVING count(*) > 1",
    "I22": "SELECT p.conv_id FROM participant p, conversation c WHERE p.conv_id = c.conv_id"
    " AND p.realm = 'agent' AND p.person_id = c.requester_id",
}


class Laws:
    """Looks again and again; `broken` is what does not hold."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._marks: dict[tuple[Any, ...], tuple[int, int]] = {}
        self._offers: dict[str, str] = {}
        self._streams: dict[str, int] = {}
        self.states: dict[str, tuple[Any, ...]] = {}

    def look(self) -> list[str]:
        """What the rows say now."""
        office = self._office
        broken = [f"{law}: {rows}" for law, query in NEVER.items() if (rows := office.sql(query))]
        return [*broken, *self._falls(), *self._ends(), *self._waits()]

    def _falls(self) -> Iterator[str]:
        """I6, I9: heads and marks only rise."""
        for *key, delivered, read in self._office.sql(
            "SELECT stream_id, realm, person, delivered, read FROM mark"
        ):
            before = self._marks.get(tuple(key), (0, 0))
            if delivered < before[0] or read < before[1]:
                yield f"I9: the mark of {key} fell from {before} to {delivered, read}"
            self._marks[tuple(key)] = (delivered, read)
        for stream, head in self._office.sql("SELECT stream_id, head FROM stream"):
            if head < self._streams.get(stream, 0):
                yield f"I6: the head of {stream} fell to {head}"
            self._streams[stream] = head

    def _ends(self) -> Iterator[str]:
        """I4: each offer ends once."""
        for offer_id, outcome in self._office.sql(
            "SELECT offer_id, outcome FROM offer WHERE outcome IS NOT NULL"
        ):
            if outcome not in OUTCOMES or self._offers.setdefault(offer_id, outcome) != outcome:
                yield f"I4: the offer {offer_id} ended as {outcome}"

    def _waits(self) -> Iterator[str]:
        """I16."""
        for conv, group in self._office.sql(
            "SELECT conv_id, group_id FROM conversation c WHERE status = 'queued'"
            " AND waiting_reason IS NULL AND NOT EXISTS"
            " (SELECT 1 FROM offer o WHERE o.conv_id = c.conv_id AND o.outcome IS NULL)"
        ):
            due = self._office.armed("dispatch").get(group)
            if due is None or due > self._office.now_ms + SWEEP_MS:
                yield f"I16: {conv} waits, and nobody will look at it"

    # Moves ----------------------------------------------------------------------------------------

    def moved(self, command: str | None) -> Iterator[str]:
        """I18, after one command, or none: after timers, which may have moved it several times."""
        for conv, *now in self._office.sql(
            "SELECT conv_id, status, assignee_id, group_id FROM conversation"
        ):
            before, self.states[conv] = self.states.get(conv), tuple(now)
            reasons = self._reasons(conv)
            if before == tuple(now) and command is not None:
                continue
            change = (before[0] if before else None, now[0])
            if command is None:
                yield from self._by_itself(conv, reasons)
            elif command not in MOVES.get(change, set()):
                yield f"I18: {command} moved {conv} from {before} to {now}"
            elif [each["command"] for each in reasons] != [command]:
                yield f"I18: {command} moved {conv}, and its reasons are {reasons}"

    def _by_itself(self, conv: str, reasons: list[dict[str, Any]]) -> Iterator[str]:
        for reason in reasons:
            if reason["command"] not in {*BY_TIMER, "expire_offer"}:
                yield f"I18: a timer moved {conv} by {reason}"

    def _reasons(self, conv: str) -> list[dict[str, Any]]:
        """Those that were recorded of moves since the last look."""
        stream = f"conv:{conv}:staff"
        seen = self._streams.get(f"reasons of {conv}", 0)
        rows = self._office.sql(
            "SELECT position, body FROM stream_event JOIN event USING (event_id)"
            " WHERE stream_id = ? AND position > ? AND type = 'reason.recorded'"
            " ORDER BY position", stream, seen,
        )  # fmt: skip
        if rows:
            self._streams[f"reasons of {conv}"] = rows[-1][0]
        found = [json.loads(body)["data"] for _, body in rows]
        moves = {name for names in MOVES.values() for name in names}
        return [each for each in found if each["command"] in moves]

    # The log told once more -----------------------------------------------------------------------

    async def fold(self) -> list[str]:
        """I7, I10 and I23 of every conversation: the log, folded, is what the reads say."""
        broken: list[str] = []
        for conv, first, requester in self._office.sql(
            "SELECT conv_id, first_answered_at, requester_id FROM conversation"
        ):
            told = (await self._office.log.read(f"conv:{conv}", 0)).events
            events = [(json.loads(each.body), each.position) for each in told]
            view = await self._office.views.snapshot(agent("root"), conv)
            assert view is not None
            row, shown = fold(events), view["conversation"]
            assert row is not None
            differs = {name: (row[name], shown[name]) for name in row if row[name] != shown[name]}
            if differs:
                broken.append(f"I7, I23: of {conv} the log and the row say {differs}")
            answers = [
                event["at"]
                for event, _ in events
                if event["type"] == "message.posted" and event["by"]["realm"] == "agent"
            ]
            if first != (answers[0] if answers else None):
                broken.append(f"I23: {conv} was first answered at {first}, by the log {answers}")
            broken += await self._unread(conv, events, requester)
        return broken

    async def _unread(
        self, conv: str, events: list[tuple[dict[str, Any], int]], requester: str
    ) -> list[str]:
        """I10, for everybody who takes part."""
        broken = []
        for realm, person, visible_from, left_at in self._office.sql(
            "SELECT realm, person_id, visible_from, left_at FROM participant WHERE conv_id = ?",
            conv,
        ):
            if left_at is not None:
                continue
            who = Principal(Realm(realm), PersonId(person))
            view = await self._office.views.snapshot(who, conv)
            read = self._marks.get((f"conv:{conv}", realm, person), (0, 0))[1]
            gone = {
                event["data"]["msg_id"]
                for event, _ in events
                if event["type"] in {"message.recalled", "message.redacted"}
            }
            count = sum(
                position > max(read, visible_from - 1)
                and event["type"] == "message.posted"
                and (event["by"]["realm"], event["by"]["id"]) != (realm, person)
                and event["data"]["msg_id"] not in gone
                for event, position in events
            )
            shown = view["conversation"]["unread"] if view else None
            if shown != count:
                broken.append(f"I10: {realm} {person} has {count} unread in {conv}, told {shown}")
        return broken


def counts(office: Office) -> Counter[str]:
    """How many rows each table has: what a repeat must not change."""
    return Counter(office.counts())
