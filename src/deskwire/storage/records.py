"""The office's records: the facts behind saving one, and saving it.

Whoever saves takes turns, so what was read still stands when it is written: a version, a name that
nobody else has. Invariant: a record is replaced whole, and nothing is deleted but a membership.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any, assert_never

from sqlalchemy import ColumnElement, Table, delete, exc, func, insert, select

from deskwire.desk import office_commands as ask
from deskwire.desk.administration import (
    MEMBERS_MAX,
    OfficeFacts,
    Record,
    SavedAgent,
    SavedPerson,
    SavedSettings,
)
from deskwire.desk.office import CannedReply, Category, Group, Scope, Tag
from deskwire.desk.people import Actor, Availability
from deskwire.storage import dialects, office
from deskwire.storage.engine import StoreBusy, Transaction
from deskwire.storage.tables import (
    agent,
    agent_group,
    canned_reply,
    category,
    group_member,
    person,
    setting,
    tag,
)

OFFICE = 0x6F666663  # "offc"


async def take_turns(conn: Transaction) -> None:
    """The first thing in a transaction that saves a record, before rights and facts are read."""
    await dialects.take_turns(conn, OFFICE)


# Facts --------------------------------------------------------------------------------------------


async def facts(conn: Transaction, who: Actor, command: ask.OfOffice) -> OfficeFacts:
    """What is known of the record that the command names."""
    match command:
        case ask.SaveGroup():
            return await _of_group(conn, command)
        case ask.SaveCategory() | ask.ArchiveCategory():
            return await _of_category(conn, command)
        case ask.SaveTag() | ask.ArchiveTag():
            found = await office.tag_of(conn, command.tag_id)
            return OfficeFacts(
                version=found.version if found else 0,
                stored=found,
                beside=await _count(conn, tag, tag.c.is_archived.is_(False)),
            )
        case ask.SaveCannedReply() | ask.ArchiveCannedReply():
            return await _of_reply(conn, who, command)
        case ask.SaveAgent():
            return await _of_agent(conn, command)
        case ask.SavePerson():
            return await _of_person(conn, command)
        case ask.SaveSettings():
            return OfficeFacts(
                version=await office.settings_version(conn), settings=await office.settings(conn)
            )
        case _:
            assert_never(command)


async def _of_group(conn: Transaction, command: ask.SaveGroup) -> OfficeFacts:
    stored = await office.group(conn, command.group_id)
    members = (await office.members(conn, [command.group_id])).get(command.group_id, ())
    return OfficeFacts(
        version=stored.version if stored else 0,
        members=frozenset(members),
        known=await _agents_among(conn, command.members[:MEMBERS_MAX]),
        beside=await _count(conn, agent_group),
    )


async def _of_category(
    conn: Transaction, command: ask.SaveCategory | ask.ArchiveCategory
) -> OfficeFacts:
    by_id = {found.id: found for found in await office.categories(conn)}
    stored = by_id.get(command.category_id)
    saving = command if isinstance(command, ask.SaveCategory) else None
    return OfficeFacts(
        version=stored.version if stored else 0,
        stored=stored,
        group=await office.group(conn, saving.group_id) if saving else None,
        parent=by_id.get(saving.parent_id or "") if saving else None,
        has_children=any(found.parent_id == command.category_id for found in by_id.values()),
        beside=sum(not found.is_archived for found in by_id.values()),
    )


async def _of_reply(
    conn: Transaction, who: Actor, command: ask.SaveCannedReply | ask.ArchiveCannedReply
) -> OfficeFacts:
    stored = await office.canned_reply_of(conn, command.reply_id)
    version = stored.version if stored else 0
    if isinstance(command, ask.ArchiveCannedReply):
        return OfficeFacts(version=version, stored=stored)
    group_id = command.group_id or ""
    owner = who.person.id if Scope(command.scope) is Scope.MINE else None
    beside = (
        canned_reply.c.is_archived.is_(False),
        canned_reply.c.scope == command.scope,
        canned_reply.c.owner_id.is_not_distinct_from(owner),
        canned_reply.c.group_id.is_not_distinct_from(command.group_id),
        canned_reply.c.reply_id != command.reply_id,
    )
    taken = await _count(conn, canned_reply, *beside, canned_reply.c.shortcut == command.shortcut)
    return OfficeFacts(
        version=version,
        stored=stored,
        known=frozenset({group_id} if await office.group(conn, group_id) else ()),
        is_taken=taken > 0,
        beside=await _count(conn, canned_reply, *beside),
    )


async def _of_agent(conn: Transaction, command: ask.SaveAgent) -> OfficeFacts:
    named = agent.c.person_id == command.person
    others = agent.c.login_name == command.login_name.casefold(), ~named
    groups = await conn.scalars(
        select(group_member.c.group_id).where(group_member.c.person_id == command.person)
    )
    is_known = await _count(conn, person, person.c.person_id == command.person)
    return OfficeFacts(
        version=await _version(conn, agent, named),
        known=frozenset({command.person} if is_known else ()),
        groups=frozenset(groups),
        is_taken=await _count(conn, agent, *others) > 0,
    )


async def _of_person(conn: Transaction, command: ask.SavePerson) -> OfficeFacts:
    named = person.c.person_id == command.person
    others = person.c.wecom_userid == command.wecom_userid, ~named
    return OfficeFacts(
        version=await _version(conn, person, named),
        is_taken=command.wecom_userid is not None and await _count(conn, person, *others) > 0,
    )


async def _agents_among(conn: Transaction, ids: Collection[str]) -> frozenset[str]:
    found = await conn.scalars(select(agent.c.person_id).where(agent.c.person_id.in_(ids)))
    return frozenset(found)


async def _version(conn: Transaction, of: Table, *which: ColumnElement[bool]) -> int:
    return int(await conn.scalar(select(of.c.version).where(*which)) or 0)


async def _count(conn: Transaction, of: Table, *which: ColumnElement[bool]) -> int:
    found = await conn.scalar(select(func.count()).select_from(of).where(*which))
    return int(found or 0)


# Saving -------------------------------------------------------------------------------------------


async def save(conn: Transaction, record: Record, now: int) -> None:
    """Insert the record, or replace the stored one. Raises StoreBusy."""
    match record:
        case Group():
            await _upsert(conn, agent_group, {"group_id": record.id}, _group_values(record))
            await _save_members(conn, record)
        case Category():
            await _upsert(conn, category, {"category_id": record.id}, _category_values(record))
        case Tag():
            await _upsert(conn, tag, {"tag_id": record.id}, _tag_values(record))
        case CannedReply():
            await _upsert(conn, canned_reply, {"reply_id": record.id}, _reply_values(record))
        case SavedPerson():
            await _save_person(conn, record, now)
        case SavedAgent():
            await _save_agent(conn, record, now)
        case SavedSettings():
            for known in fields(record.settings):
                value = getattr(record.settings, known.name)
                values = {"value": value, "version": record.version}
                await _upsert(conn, setting, {"name": known.name}, values)
        case _:
            assert_never(record)


async def _upsert(
    conn: Transaction,
    into: Table,
    key: Mapping[str, str],
    values: Mapping[str, Any],
    at_first: Mapping[str, Any] | None = None,
) -> None:
    """`at_first` is written with a new row only."""
    saving = dialects.insert(conn, into).values(**key, **values, **(at_first or {}))
    columns = [into.c[name] for name in key]
    await conn.execute(saving.on_conflict_do_update(index_elements=columns, set_=dict(values)))


def _group_values(record: Group) -> dict[str, Any]:
    hours = record.hours
    return {
        "name": record.name,
        "queue_max": record.queue_max,
        "routing": record.routing.value,
        "pick": record.pick.value,
        "offer_s": record.offer_s,
        "first_answer_s": record.first_answer_s,
        "week": json.dumps(hours.week) if hours else None,
        "closed_days": json.dumps(sorted(hours.closed_days) if hours else []),
        "version": record.version,
    }


async def _save_members(conn: Transaction, record: Group) -> None:
    of_this = group_member.c.group_id == record.id
    stood = set(await conn.scalars(select(group_member.c.person_id).where(of_this)))
    gone = stood - set(record.members)
    if gone:
        await conn.execute(delete(group_member).where(of_this, group_member.c.person_id.in_(gone)))
    new = [each for each in record.members if each not in stood]
    if new:
        rows = [{"group_id": record.id, "person_id": each} for each in new]
        await conn.execute(insert(group_member), rows)


def _category_values(record: Category) -> dict[str, Any]:
    return {
        "name_zh": record.name_zh,
        "name_en": record.name_en,
        "group_id": record.group.id,
        "sort": record.order,
        "parent_id": record.parent_id,
        "skill": record.skill,
        "is_archived": record.is_archived,
        "version": record.version,
    }


def _tag_values(record: Tag) -> dict[str, Any]:
    return {
        "name": record.name,
        "colour": record.colour,
        "is_archived": record.is_archived,
        "version": record.version,
    }


def _reply_values(record: CannedReply) -> dict[str, Any]:
    return {
        "scope": record.scope.value,
        "shortcut": record.shortcut,
        "text": record.text,
        "owner_id": record.owner,
        "group_id": record.group_id,
        "is_archived": record.is_archived,
        "version": record.version,
    }


async def _save_person(conn: Transaction, record: SavedPerson, now: int) -> None:
    """Who was disabled before stays so since then."""
    since = await conn.scalar(select(person.c.disabled_at).where(person.c.person_id == record.id))
    values = {
        "name": record.name,
        "wecom_userid": record.wecom_userid,
        "department": record.department,
        "avatar": record.avatar,
        "language": record.language,
        "disabled_at": (since or now) if record.is_disabled else None,
        "version": record.version,
        "unreachable_at": None,  # perhaps under another user id from now on
    }
    try:
        await _upsert(conn, person, {"person_id": record.id}, values)
    except exc.IntegrityError:
        # Whom WeCom calls so has just come in for the first time: those take no turns with us.
        raise StoreBusy("a WeCom user id was given to somebody else meanwhile") from None


async def _save_agent(conn: Transaction, record: SavedAgent, now: int) -> None:
    """A new agent is offline until they say otherwise, and has no password yet."""
    values = {
        "login_name": record.login_name,
        "role": record.role.value,
        "capacity": record.capacity,
        "skills": json.dumps(record.skills, ensure_ascii=False),
        "pushes": record.pushes,
        "version": record.version,
    }
    at_first = {"availability": Availability.OFFLINE.value, "availability_since": now, "load": 0}
    await _upsert(conn, agent, {"person_id": record.person}, values, at_first)
