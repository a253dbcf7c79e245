"""Groups, categories, tags, canned replies and settings as stored. `records` saves them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.engine import Row

from deskwire.desk.office import (
    DEFAULTS,
    SETTINGS,
    CannedReply,
    Category,
    DeskSettings,
    Group,
    Hours,
    Pick,
    Routing,
    Scope,
    Tag,
)
from deskwire.desk.people import Actor, PersonId
from deskwire.storage import dialects
from deskwire.storage.engine import Transaction
from deskwire.storage.tables import (
    agent_group,
    canned_reply,
    category,
    group_member,
    setting,
    tag,
)

SAVED_ONCE = 1  # the version of what was made beside the rules; 0 would mean: there is nothing yet


async def save_group(conn: Transaction, group_id: str, *, name: str, queue_max: int = 200) -> None:
    """Insert the group, or bring the stored one up to date."""
    values = {"name": name, "queue_max": queue_max}
    new = {"group_id": group_id, "version": SAVED_ONCE}
    saving = dialects.insert(conn, agent_group).values(**new, **values)
    await conn.execute(
        saving.on_conflict_do_update(index_elements=[agent_group.c.group_id], set_=values)
    )


async def save_category(
    conn: Transaction, category_id: str, *, name_zh: str, name_en: str, group_id: str, order: int
) -> None:
    """Insert the category, or bring the stored one up to date. Its group must be stored."""
    values = {"name_zh": name_zh, "name_en": name_en, "group_id": group_id, "sort": order}
    new = {"category_id": category_id, "version": SAVED_ONCE}
    saving = dialects.insert(conn, category).values(**new, **values)
    await conn.execute(
        saving.on_conflict_do_update(index_elements=[category.c.category_id], set_=values)
    )


async def groups(conn: Transaction) -> list[Group]:
    rows = await conn.execute(select(agent_group).order_by(agent_group.c.group_id))
    return [_group(row) for row in rows]


async def group(conn: Transaction, group_id: str) -> Group | None:
    """The group with its settings, without its members."""
    found = await conn.execute(select(agent_group).where(agent_group.c.group_id == group_id))
    row = found.one_or_none()
    return _group(row) if row else None


async def members(
    conn: Transaction, group_ids: Collection[str]
) -> Mapping[str, tuple[PersonId, ...]]:
    """Who is in these groups, disabled ones too; a group without members is left out."""
    rows = await conn.execute(
        select(group_member)
        .where(group_member.c.group_id.in_(group_ids))
        .order_by(group_member.c.group_id, group_member.c.person_id)
    )
    found: dict[str, tuple[PersonId, ...]] = {}
    for row in rows:
        found[row.group_id] = (*found.get(row.group_id, ()), PersonId(row.person_id))
    return found


async def categories(conn: Transaction) -> list[Category]:
    """All categories with their groups, in the order in which they are shown."""
    by_group = {group.id: group for group in await groups(conn)}
    rows = await conn.execute(select(category).order_by(category.c.sort, category.c.category_id))
    return [
        Category(
            id=row.category_id,
            name_zh=row.name_zh,
            name_en=row.name_en,
            group=by_group[row.group_id],
            order=row.sort,
            parent_id=row.parent_id,
            skill=row.skill,
            is_archived=row.is_archived,
            version=row.version,
        )
        for row in rows
    ]


async def tags_in_use(conn: Transaction, ids: Collection[str]) -> frozenset[str]:
    """Those among the ids that are tags and not archived."""
    rows = await conn.execute(
        select(tag.c.tag_id).where(tag.c.tag_id.in_(ids), tag.c.is_archived.is_(False))
    )
    return frozenset(row.tag_id for row in rows)


async def tags(conn: Transaction) -> list[Tag]:
    """All tags, the archived ones too: conversations have them still."""
    rows = await conn.execute(select(tag).order_by(tag.c.name, tag.c.tag_id))
    return [_tag(row) for row in rows]


async def tag_of(conn: Transaction, tag_id: str) -> Tag | None:
    row = (await conn.execute(select(tag).where(tag.c.tag_id == tag_id))).one_or_none()
    return _tag(row) if row else None


async def canned_reply_of(conn: Transaction, reply_id: str) -> CannedReply | None:
    found = await conn.execute(select(canned_reply).where(canned_reply.c.reply_id == reply_id))
    row = found.one_or_none()
    return _reply(row) if row else None


async def canned_replies(conn: Transaction, who: Actor) -> list[CannedReply]:
    """What an agent may put into a message: their own, their groups', everybody's."""
    mine = canned_reply.c.owner_id == who.person.id
    shared = or_(
        canned_reply.c.scope == Scope.ALL.value, canned_reply.c.group_id.in_(sorted(who.groups))
    )
    rows = await conn.execute(
        select(canned_reply)
        .where(or_(mine, shared), canned_reply.c.is_archived.is_(False))
        .order_by(canned_reply.c.shortcut, canned_reply.c.reply_id)
    )
    return [_reply(row) for row in rows]


async def settings(conn: Transaction) -> DeskSettings:
    """What an administrator has turned, the rest at its default."""
    rows = await conn.execute(select(setting))
    return replace(DEFAULTS, **{row.name: row.value for row in rows if row.name in SETTINGS})


async def settings_version(conn: Transaction) -> int:
    """How often the settings have been saved."""
    return int(await conn.scalar(select(func.max(setting.c.version))) or 0)


def _group(row: Row[Any]) -> Group:
    hours = None
    if row.week is not None:
        days = (tuple((start, end) for start, end in day) for day in json.loads(row.week))
        hours = Hours(week=tuple(days), closed_days=frozenset(json.loads(row.closed_days)))
    return Group(
        id=row.group_id,
        name=row.name,
        queue_max=row.queue_max,
        routing=Routing(row.routing),
        pick=Pick(row.pick),
        offer_s=row.offer_s,
        first_answer_s=row.first_answer_s,
        hours=hours,
        version=row.version,
    )


def _tag(row: Row[Any]) -> Tag:
    return Tag(
        id=row.tag_id,
        name=row.name,
        colour=row.colour,
        is_archived=row.is_archived,
        version=row.version,
    )


def _reply(row: Row[Any]) -> CannedReply:
    return CannedReply(
        id=row.reply_id,
        scope=Scope(row.scope),
        shortcut=row.shortcut,
        text=row.text,
        owner=PersonId(row.owner_id) if row.owner_id is not None else None,
        group_id=row.group_id,
        is_archived=row.is_archived,
        version=row.version,
    )
