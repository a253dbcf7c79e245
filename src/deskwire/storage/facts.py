"""The facts behind a decision, read in the deciding transaction: what a command needs, no more."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import select
from sqlalchemy.engine import Row

from deskwire.desk import commands as ask
from deskwire.desk import events as ev
from deskwire.desk.conversation import Conversation, Status
from deskwire.desk.decide import NEEDS
from deskwire.desk.decision import Facts, Offer
from deskwire.desk.messages import Posted, Reply, Withdrawn
from deskwire.desk.office import DEFAULTS, DeskSettings
from deskwire.desk.people import Actor, Agent, PersonId, PersonRef, Principal, Realm
from deskwire.desk.posting import STALE_MAX
from deskwire.desk.routing import cooling_off
from deskwire.storage import agents, attachments, offers, office, people
from deskwire.storage.engine import Transaction
from deskwire.storage.tables import conversation, message, person

_POSITION_MAX = 2**62  # a client may say what it likes; the column cannot hold more


async def read(
    conn: Transaction,
    actor: Actor,
    state: Conversation,
    command: ask.OfConversation,
    now: int,
) -> Facts:
    """What `NEEDS` names for this command. The conversation is locked by then."""
    needs = NEEDS[type(command)]
    settings = await office.settings(conn) if "settings" in needs else DEFAULTS
    offer = await _offer(conn, state) if "offer" in needs else None
    found: dict[str, Any] = {"settings": settings, "offer": offer}
    if "agents" in needs:
        found["agents"] = await _agents(conn, state, command, offer, settings, now)
    if "cooling" in needs:
        turned = await offers.turned_away(conn, [state.conv_id], now)
        found["cooling"] = cooling_off(turned.get(state.conv_id, ()), now)
    if "unclosed" in needs:
        found["unclosed"] = await _unclosed(conn, state, command)
    return Facts(**found, **await _named(conn, actor, state, command))


async def _offer(conn: Transaction, state: Conversation) -> Offer | None:
    return (await offers.live(conn, [state.conv_id])).get(state.conv_id)


async def _agents(
    conn: Transaction,
    state: Conversation,
    command: ask.OfConversation,
    offer: Offer | None,
    settings: DeskSettings,
    now: int,
) -> tuple[Agent, ...]:
    """Assignee, last agent, whoever the command or the live offer names."""
    ids: set[str | None] = {state.last_agent, state.assignee.id if state.assignee else None}
    ids.add(offer.agent if offer else None)
    match command:
        case (
            ask.TransferToAgent(agent=agent)
            | ask.AssignConversation(agent=agent)
            | ask.MakeOffer(agent=agent)
            | ask.LoseAgent(agent=agent)
        ):
            ids.add(agent)
    known = {each for each in ids if each is not None}
    grace_s = settings.presence_grace_s
    return tuple(await agents.read(conn, known, grace_s=grace_s, now=now)) if known else ()


async def _unclosed(
    conn: Transaction, state: Conversation, command: ask.OfConversation
) -> str | None:
    group_id = command.group if isinstance(command, ask.TransferToGroup) else state.group.id
    found = await conn.scalar(
        select(conversation.c.conv_id).where(
            conversation.c.requester_id == state.requester.id,
            conversation.c.group_id == group_id,
            conversation.c.status != Status.CLOSED.value,
            conversation.c.conv_id != state.conv_id,
        )
    )
    return str(found) if found is not None else None


async def _named(
    conn: Transaction, actor: Actor, state: Conversation, command: ask.OfConversation
) -> dict[str, Any]:
    """What the command names: a message, a group, a category, tags, people."""
    match command:
        case ask.PostMessage():
            return {
                "message": await _message(conn, state, command.reply_to),
                "replies": await _replies(conn, actor, state, command.seen),
                "attachments": await attachments.named(conn, command.attachments),
            }
        case ask.RecallMessage(msg_id=msg_id) | ask.RedactMessage(msg_id=msg_id):
            return {"message": await _message(conn, state, msg_id)}
        case ask.TransferToGroup(group=group_id):
            return {"group": await office.group(conn, group_id)}
        case ask.SetCategory(category_id=category_id):
            known = (each for each in await office.categories(conn) if each.id == category_id)
            return {"category": next(known, None)}
        case ask.SetTags(tags=tags):
            return {"tags": await office.tags_in_use(conn, tags)}
        case ask.PostNote(mentions=mentions):
            return {
                "mentioned": await people.colleagues(conn, state.group.id, mentions),
                "attachments": await attachments.named(conn, command.attachments),
            }
        case ask.InviteParticipant() | ask.RemoveParticipant():
            who = Principal(Realm(command.realm), PersonId(command.person))
            return {"person": await people.enabled_in(conn, who)}
        case _:
            return {}


async def _message(conn: Transaction, state: Conversation, msg_id: str | None) -> Posted | None:
    if msg_id is None:
        return None
    named = message.c.msg_id == msg_id, message.c.conv_id == state.conv_id
    row = (await conn.execute(select(message).where(*named))).one_or_none()
    return _posted(row, await attachments.of_message(conn, msg_id)) if row else None


def _posted(row: Row[Any], attached: tuple[str, ...]) -> Posted:
    return Posted(
        msg_id=row.msg_id,
        is_note=row.stream_id == ev.staff_stream(row.conv_id),
        author=Principal(Realm(row.realm), PersonId(row.person_id)),
        position=row.position,
        at=row.at,
        withdrawn=Withdrawn(row.withdrawn) if row.withdrawn else None,
        mentions=tuple(PersonId(each) for each in json.loads(row.mentions)),
        attachments=attached,
    )


async def _replies(
    conn: Transaction, actor: Actor, state: Conversation, seen: int | None
) -> tuple[Reply, ...]:
    """Other agents' standing public messages above what the writer has seen, the newest."""
    if seen is None or not actor.is_agent:
        return ()
    rows = await conn.execute(
        select(message, person.c.name, person.c.avatar)
        .join(person, person.c.person_id == message.c.person_id)
        .where(
            message.c.stream_id == ev.conv_stream(state.conv_id),
            message.c.position > min(max(seen, 0), _POSITION_MAX),
            message.c.realm == Realm.AGENT.value,
            message.c.person_id != actor.person.id,
            message.c.withdrawn.is_(None),
        )
        .order_by(message.c.position.desc())
        .limit(STALE_MAX)
    )
    return tuple(
        Reply(
            msg_id=row.msg_id,
            position=row.position,
            author=PersonRef(id=PersonId(row.person_id), name=row.name, avatar=row.avatar),
            kind=row.kind,
            body=row.body,
            at=row.at,
        )
        for row in rows
    )
