from __future__ import annotations

import re

import pytest

from deskwire.desk.commands import COMMANDS, name_of
from deskwire.desk.people import Realm
from tests.desk.cast import asked, command


@pytest.mark.parametrize("name", COMMANDS)
def test_a_wire_name_is_its_class_in_small(name: str) -> None:
    words = re.findall("[A-Z][a-z]+", COMMANDS[name].command.__name__)

    assert name == "_".join(word.lower() for word in words)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_knows_its_name(name: str) -> None:
    asking = asked() if name == "open_conversation" else command(name)

    assert name_of(asking) == name


def test_each_realm_has_its_commands() -> None:
    of = {realm: {n for n, line in COMMANDS.items() if realm in line.realms} for realm in Realm}

    assert of[Realm.AGENT] & of[Realm.EMPLOYEE] == {"post_message"}
    assert of[Realm.EMPLOYEE] - {"post_message"} == {
        "open_conversation",
        "cancel_conversation",
        "confirm_solved",
        "rate_conversation",
    }
