"""Groups and categories as stored."""

from __future__ import annotations

from sqlalchemy import select

from deskwire.desk.office import Category, Group
from deskwire.storage import dialects
from deskwire.storage.engine import Transaction
from deskwire.storage.tables import agent_group, category


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
    return [Group(id=row.group_id, name=row.name, queue_max=row.queue_max) for row in rows]


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
        )
        for row in rows
    ]
