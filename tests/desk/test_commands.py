from __future__ import annotations

import re
from dataclasses import fields
from typing import get_args

import pytest

from deskwire.desk.commands import (
    COMMANDS,
    NAMES,
    WIRE,
    Command,
    OfConversation,
    OpenConversation,
    Source,
    name_of,
)
from deskwire.desk.people import LOGIN_REALMS, Realm
from tests.desk.cast import ARGUMENTS, asked, command

# desk.md §6: the commands and their arguments beside `conv`.
WRITTEN = """
open_conversation: category_id kind body attachments previous_id
post_message: kind body attachments reply_to seen send_anyway
recall_message: msg_id
redact_message: msg_id reason
cancel_conversation:
confirm_solved:
reopen_conversation: kind body
rate_conversation: score reasons comment
claim_conversation:
join_conversation:
leave_conversation:
take_over: reason
accept_offer: offer_id
decline_offer: offer_id reason
transfer_to_agent: agent note stay if_absent
transfer_to_group: group note stay
hold_conversation: until reason
resume_conversation:
resolve_conversation: note
requeue_conversation: reason
assign_conversation: agent reason
close_conversation: reason
post_note: body attachments mentions
invite_participant: realm person share_history
remove_participant: realm person
set_category: category_id version
set_priority: priority version
set_tags: tags version
set_availability: availability reason agent
save_draft: mode text attachments rev
drop_draft: mode
"""
FROM_THE_DESK = {
    "make_offer", "expire_offer", "lose_agent", "miss_first_answer", "drop_preference",
    "return_from_hold", "remind_requester", "auto_resolve", "close_resolved", "record_push",
    "regain_agent",
}  # fmt: skip
OF_THE_OFFICE = {
    "save_group", "save_category", "save_tag", "save_canned_reply", "save_agent", "save_person",
    "save_settings", "archive_category", "archive_tag", "archive_canned_reply",
}  # fmt: skip


def lines() -> dict[str, set[str]]:
    pairs = (line.split(":") for line in WRITTEN.strip().splitlines())
    return {name: set(arguments.split()) for name, arguments in pairs}


def test_the_commands_of_clients_have_the_arguments_of_their_lines() -> None:
    found = {
        name: {each.name for each in fields(line.command)} - {"conv"}
        for name, line in COMMANDS.items()
        if line.source is Source.CLIENT and name not in OF_THE_OFFICE
    }

    assert found == lines()


def test_there_is_no_other_command() -> None:
    assert set(COMMANDS) == {*lines(), *FROM_THE_DESK, *OF_THE_OFFICE, "record_inspection"}
    assert set(NAMES) == set(get_args(Command))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_wire_name_is_its_class_in_small(name: str) -> None:
    words = re.findall("[A-Z][a-z]+", COMMANDS[name].command.__name__)

    assert name == "_".join(word.lower() for word in words)


@pytest.mark.parametrize("name", ["open_conversation", *ARGUMENTS])
def test_a_command_knows_its_name(name: str) -> None:
    asking = asked() if name == "open_conversation" else command(name)

    assert name_of(asking) == name


def test_each_realm_has_its_commands() -> None:
    of = {realm: {n for n, line in COMMANDS.items() if realm in line.realms} for realm in Realm}

    assert of[Realm.AGENT] & of[Realm.EMPLOYEE] == {
        "post_message",
        "recall_message",
        "leave_conversation",
    }
    assert of[Realm.EMPLOYEE] - of[Realm.AGENT] == {
        "open_conversation",
        "cancel_conversation",
        "confirm_solved",
        "reopen_conversation",
        "rate_conversation",
    }
    assert of[Realm.SYSTEM] == FROM_THE_DESK


def test_a_client_sends_what_is_open_and_nothing_else() -> None:
    of_clients = {name for name, line in COMMANDS.items() if line.source is Source.CLIENT}

    assert set(WIRE) == of_clients
    assert all(set(LOGIN_REALMS) >= line.realms for line in WIRE.values())
    assert all(line.without <= {f.name for f in fields(line.command)} for line in WIRE.values())


def test_every_command_but_those_of_no_conversation_names_its_conversation() -> None:
    without = {name for name, line in COMMANDS.items() if "conv" not in names(line.command)}

    assert without == {"open_conversation", "set_availability", *OF_THE_OFFICE}
    assert OpenConversation not in get_args(OfConversation)


def names(of: type[Command]) -> set[str]:
    return {each.name for each in fields(of)}
