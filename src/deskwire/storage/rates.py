"""How often somebody has lately done something: the one time that decides, for each limit."""

from __future__ import annotations

from sqlalchemy import ColumnElement, select

from deskwire.desk.people import Principal
from deskwire.desk.rates import COMMANDS, MESSAGES, MESSAGES_A_DAY, OPENINGS, Rate
from deskwire.storage.engine import Transaction
from deskwire.storage.tables import command, conversation, message


async def oldest_that_counts(conn: Transaction, who: Principal, rate: Rate) -> int | None:
    """When the `rate.most`-th newest was (Unix ms); none: there are not that many.

    What was refused has left no row and does not count. Of commands the newest is the one that
    asks: its id has been taken by then.
    """
    nth = rate.most if rate == COMMANDS else rate.most - 1
    at, of = _times(who, rate)
    found = await conn.scalar(select(at).where(*of).order_by(at.desc()).offset(nth).limit(1))
    return int(found) if found is not None else None


def _times(
    who: Principal, rate: Rate
) -> tuple[ColumnElement[int], tuple[ColumnElement[bool], ...]]:
    realm, person = who
    if rate == COMMANDS:
        return command.c.at, (command.c.realm == realm.value, command.c.person == person)
    if rate in (MESSAGES, MESSAGES_A_DAY):
        return message.c.at, (message.c.realm == realm.value, message.c.person_id == person)
    assert rate == OPENINGS, "uploads are counted where they are kept"
    return conversation.c.opened_at, (conversation.c.requester_id == person,)
