"""Groups, categories, tags and settings as stored."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.engine import Row

from deskwire.desk.office import DEFAULTS, Category, DeskSettings, Group, Hours, Pick, Routing
from deskwire.storage import dialects
from deskwire.storage.engine import Transaction
from deskwire.storage.tables import agent_group, category, setting, tag


async def save_group(conn: Transaction, group_id: str, *, name: str, queue_max: int = 200) -> None:
    """Insert the group, or bring the stored one up to date."""
    values = {"name": name, "queue_max": queue_max}
    saving = dialects.insert(conn, agent_group).values(group_id=group_id, **values)
    await conn.execute(
        saving.on_conflict_do_update(index_elements=[agent_group.c.group_id], set_=values)
    )


async def save_category(
    conn: Transaction, category_id: str, *, name_zh: str, name_en: str, group_id: str, order: int
) -> None:
    """Insert the category, or bring the stored one up to date. Its group must be stored."""
    values = {"name_zh": name_zh, "name_en": name_en, "group_id": group_id, "sort": order}
    saving = dialects.insert(conn, category).values(category_id=category_id, **values)
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


async def settings(conn: Transaction) -> DeskSettings:
    """What an administrator has turned, the rest at its default."""
    rows = await conn.execute(select(setting))
    return replace(DEFAULTS, **{row.name: row.value for row in rows})


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
