"""The constraints that stand behind the rules: what a bug would write is not written."""

from __future__ import annotations

import pytest

from tests.flows.office import ANN, BO, WANG, Office
from tests.kit.databases import NotWritten

FORBIDDEN = {
    "I1: an assignee while it is queued": "UPDATE conversation SET status = 'queued'",
    "I1: active without an assignee": "UPDATE conversation SET assignee_id = NULL",
    "I1: resolved with an assignee": "UPDATE conversation SET status = 'resolved'",
    "I22: the requester as assignee": "UPDATE conversation SET assignee_id = requester_id",
    "I3: a load below zero": "UPDATE agent SET load = -1 WHERE person_id = 'chen'",
    "a capacity of 0": "UPDATE agent SET capacity = 0",
    "a capacity of 51": "UPDATE agent SET capacity = 51",
    "I9: read above delivered": (
        "INSERT INTO mark VALUES ('conv:x', 'agent', 'wang', 1, 2, 0)"
    ),
    "a negative mark": "INSERT INTO mark VALUES ('conv:x', 'agent', 'wang', 1, -1, 0)",
    "I6: two events at one place": (
        "INSERT INTO stream_event SELECT stream_id, position, event_id, NULL, NULL"
        " FROM stream_event"
    ),
    "an event in a stream that is not": (
        "INSERT INTO stream_event SELECT 'conv:none', 1, event_id, NULL, NULL FROM event LIMIT 1"
    ),
    "a head below the floor": "UPDATE stream SET head = -1",
    "I8: a command id twice": "INSERT INTO command SELECT * FROM command",
    "two conversations of one number": (
        "UPDATE conversation SET no = (SELECT min(no) FROM conversation)"
    ),
    "two messages at one place": (
        "INSERT INTO message (msg_id, conv_id, stream_id, position, realm, person_id, command_id,"
        " kind, body, at) SELECT msg_id || 'x', conv_id, stream_id, position, realm, person_id,"
        " command_id, kind, body, at FROM message"
    ),
    "a participant twice": "INSERT INTO participant SELECT * FROM participant",
    "a score of 6": "INSERT INTO rating SELECT conv_id, 1, 6, '[]', '', 0 FROM conversation",
    "I4: an end without its time": "INSERT INTO offer SELECT 'o', conv_id, 'wang', 'queue', 0, 0,"
    " NULL, false, 'expired', NULL FROM conversation LIMIT 1",
    "two agents who have one conversation in hand": (
        "INSERT INTO assignment (conv_id, agent_id, group_id, began_at, cause, over_capacity)"
        " SELECT conv_id, 'chen', group_id, 0, 'x', false FROM conversation"
    ),
    "an assignment that ended without a cause": "UPDATE assignment SET ended_at = 1",
    "a push from the last to the first": (
        "INSERT INTO push (push_id, realm, person, stream_id, first, last, since, newest, whys,"
        " state, due, lease_no, lease_until)"
        " VALUES ('p', 'employee', 'ann', 'conv:x', 2, 1, 0, 0, '[]', 'armed', 0, 0, 0)"
    ),
    "a tag that is none": (
        "INSERT INTO conversation_tag SELECT conv_id, 'none', 0 FROM conversation"
    ),
    "a conversation of nobody": "UPDATE conversation SET requester_id = 'nobody'",
    "a login name twice": "UPDATE agent SET login_name = 'wang'",
    "a WeCom user twice": "UPDATE person SET wecom_userid = 'wx-ann'",
}  # fmt: skip


async def test_the_database_refuses_what_no_rule_would_write(office: Office) -> None:
    await office.claimed(ANN)
    await office.claimed(BO)

    written = [name for name, statement in FORBIDDEN.items() if is_written(office, statement)]

    assert written == []


def is_written(office: Office, statement: str) -> bool:
    try:
        office.write(statement)
    except NotWritten:
        return False
    return True


async def test_the_database_refuses_a_second_unclosed_conversation_in_a_group(
    office: Office,
) -> None:
    """I5."""
    conv = await office.opened(ANN)
    await office.yes(ANN, "cancel_conversation", conv)
    await office.opened(ANN)

    with pytest.raises(NotWritten):
        office.write("UPDATE conversation SET status = 'queued' WHERE conv_id = ?", conv)


async def test_the_database_refuses_a_second_live_offer_on_either_side(office: Office) -> None:
    """I4."""
    first, second = await office.opened(ANN), await office.opened(BO)
    offering = "INSERT INTO offer VALUES (?, ?, ?, 'queue', 0, 0, NULL, false, NULL, NULL)"
    office.write(offering, "offer-1", first, "wang")

    for conv, asked in ((first, "chen"), (second, "wang")):
        with pytest.raises(NotWritten):
            office.write(offering, "offer-2", conv, asked)

    office.write("UPDATE offer SET outcome = 'expired', ended_at = 1")
    office.write(offering, "offer-2", second, "wang")


async def test_the_database_refuses_a_second_armed_push_of_one_key(office: Office) -> None:
    arming = (
        "INSERT INTO push (push_id, realm, person, stream_id, first, last, since, newest, whys,"
        " state, due, lease_no, lease_until)"
        " VALUES (?, 'employee', 'ann', 'conv:x', 1, 1, 0, 0, '[]', ?, 0, 0, 0)"
    )
    office.write(arming, "push-1", "armed")

    with pytest.raises(NotWritten):
        office.write(arming, "push-2", "armed")
    office.write(arming, "push-3", "notified")


async def test_the_database_refuses_a_second_rating_of_one_resolution(office: Office) -> None:
    """I19."""
    conv = await office.claimed(ANN)
    await office.yes(WANG, "resolve_conversation", conv)
    await office.yes(ANN, "rate_conversation", conv, score=5)

    with pytest.raises(NotWritten):
        office.write("INSERT INTO rating SELECT * FROM rating")
