"""Everybody the desk knows, page by page, as an administrator saves them: what to save anew."""

from __future__ import annotations

import json
from typing import Any, Final

from sqlalchemy import or_, select
from sqlalchemy.engine import Row

from deskwire.storage.engine import Transaction
from deskwire.storage.tables import agent, group_member, person

PAGE_MAX: Final = 100

Json = dict[str, Any]
_OF_AGENT = [
    agent.c[name]
    for name in ("login_name", "password_hash", "role", "capacity", "skills", "pushes")
]


async def people(conn: Transaction, *, q: str | None, after: str | None, limit: int) -> Json:
    """People by id, disabled ones too. `next` goes into `after` for the following page.

    `q` is part of a name, a department, a WeCom user id or a login name, in whatever case, or a
    whole id.
    """
    statement = (
        select(person, *_OF_AGENT, agent.c.version.label("agent_version"))
        .select_from(person.outerjoin(agent, agent.c.person_id == person.c.person_id))
        .order_by(person.c.person_id)
        .limit(limit + 1)
    )
    if after is not None:
        statement = statement.where(person.c.person_id > after)
    if q is not None:
        # SQLite's LIKE ends at a NUL, and what is left of the pattern would match everything.
        part = q.replace("\0", "\ufffd").strip()
        columns = (person.c.name, person.c.department, person.c.wecom_userid, agent.c.login_name)
        named = [column.icontains(part, autoescape=True) for column in columns]
        statement = statement.where(or_(*named, person.c.person_id == part))
    rows = (await conn.execute(statement)).all()
    page = rows[:limit]
    groups = await _groups(conn, [row.person_id for row in page])
    return {
        "people": [_person(row, groups.get(row.person_id, [])) for row in page],
        "next": page[-1].person_id if len(rows) > limit else None,
    }


async def _groups(conn: Transaction, ids: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    rows = await conn.execute(
        select(group_member)
        .where(group_member.c.person_id.in_(ids))
        .order_by(group_member.c.person_id, group_member.c.group_id)
    )
    for row in rows:
        found.setdefault(row.person_id, []).append(row.group_id)
    return found


def _person(row: Row[Any], groups: list[str]) -> Json:
    return {
        "id": row.person_id,
        "name": row.name,
        "avatar": row.avatar,
        "wecom_userid": row.wecom_userid,
        "department": row.department,
        "language": row.language,
        "is_disabled": row.disabled_at is not None,
        "version": row.version,
        "agent": _agent(row, groups) if row.login_name is not None else None,
    }


def _agent(row: Row[Any], groups: list[str]) -> Json:
    return {
        "login_name": row.login_name,
        "role": row.role,
        "capacity": row.capacity,
        "skills": json.loads(row.skills),
        "pushes": row.pushes,
        "groups": groups,
        "has_password": row.password_hash is not None,
        "version": row.agent_version,
    }
