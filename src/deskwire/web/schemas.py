"""Request bodies, parsed once at the edge: unknown fields are refused, nothing is converted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from deskwire.desk.commands import WIRE, Command
from deskwire.desk.people import Realm
from deskwire.desk.refusals import Code, Refusal, invalid

NAME_CHARS_MAX = 64
CONV_CHARS_MAX = 36


class Body(BaseModel):
    """What every request body has in common."""

    model_config = ConfigDict(extra="forbid", strict=True)


class CommandBody(Body):
    """`POST /commands`: the command's name, the conversation it is about, its arguments."""

    name: str = Field(max_length=NAME_CHARS_MAX)
    conv: str | None = Field(default=None, max_length=CONV_CHARS_MAX)
    args: dict[str, Any] = Field(default_factory=dict)


class LoginBody(Body):
    """`POST /api/agent/login`."""

    login_name: str = Field(max_length=64)
    password: str = Field(max_length=256)


class Nothing(Body):
    """A body without fields."""


_ADAPTERS: Mapping[str, TypeAdapter[Command]] = {
    name: TypeAdapter(line.command) for name, line in WIRE.items()
}


def parse_command(body: CommandBody, realm: Realm) -> Command | Refusal:
    """The typed command, or what is wrong with it."""
    line = WIRE.get(body.name)
    if line is None:
        return invalid("name")
    if realm not in line.realms:
        return Refusal(Code.NOT_ALLOWED)
    known = {found.name for found in fields(line.command)} - line.without
    unknown = sorted(set(body.args) - (known - {"conv"}))
    if unknown:
        return invalid(unknown[0])
    arguments = dict(body.args)
    if ("conv" in known) is not (body.conv is not None):
        return invalid("conv")
    if body.conv is not None:
        arguments["conv"] = body.conv
    try:
        # By way of JSON, whose strict reading takes an array for a tuple and nothing else for
        # anything.
        return _ADAPTERS[body.name].validate_json(json.dumps(arguments), strict=True)
    except RecursionError:  # read, as it happens, with a few frames to spare: too deep to write
        return invalid("args")
    except ValidationError as fault:
        where = fault.errors()[0]["loc"]
        return invalid(str(where[0]) if where else "args")
