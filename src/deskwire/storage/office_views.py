"""The office as the pages load it: settings, categories, groups, agents, tags, replies, drafts.

Reads only, in the caller's transaction. Invariant: what an employee is given says nothing of agents
but what a page of theirs must know.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import select

from deskwire.desk.messages import (
    ATTACHMENTS_MAX,
    FILE_BYTES_MAX,
    IMAGE_BYTES_MAX,
    TEXT_CHARS_MAX,
)
from deskwire.desk.office import Category, DeskSettings, Group
from deskwire.desk.people import Actor, PersonId
from deskwire.storage import agents, drafts, office
from deskwire.storage.engine import Transaction
from deskwire.storage.tables import agent, group_member, person

Json = dict[str, Any]


async def for_employees(conn: Transaction) -> Json:
    """The settings that a page obeys, and the categories that may be chosen."""
    return {
        "settings": _shared(await office.settings(conn)),
        "categories": [
            _category(found) for found in await office.categories(conn) if not found.is_archived
        ],
    }


async def for_agents(conn: Transaction, who: Actor, now: int) -> Json:
    """The whole office as of `now`, what is archived too: conversations have it still."""
    settings = await office.settings(conn)
    version = await office.settings_version(conn)
    return {
        "settings": {**_shared(settings), **asdict(settings), "version": version},
        "categories": [
            {
                **_category(found),
                "skill": found.skill,
                "is_archived": found.is_archived,
                "version": found.version,
            }
            for found in await office.categories(conn)
        ],
        "groups": await _groups(conn, who),
        "agents": await _agents(conn, who, settings.presence_grace_s, now),
        "tags": [asdict(found) for found in await office.tags(conn)],
        "canned_replies": await _replies(conn, who),
        "drafts": await _drafts(conn, who.person.id),
    }


def _shared(settings: DeskSettings) -> Json:
    return {
        "text_chars_max": TEXT_CHARS_MAX,
        "attachments_max": ATTACHMENTS_MAX,
        "image_bytes_max": IMAGE_BYTES_MAX,
        "file_bytes_max": FILE_BYTES_MAX,
        "recall_window_s": settings.recall_window_s,
        "auto_close_h": settings.auto_close_h,
    }


def _category(found: Category) -> Json:
    return {
        "id": found.id,
        "name_zh": found.name_zh,
        "name_en": found.name_en,
        "group_id": found.group.id,
        "order": found.order,
        "parent_id": found.parent_id,
    }


async def _groups(conn: Transaction, who: Actor) -> list[Json]:
    """Every group: a conversation may be handed to any of them."""
    groups = await office.groups(conn)
    members = await office.members(conn, [group.id for group in groups])
    return [_group(who, group, members.get(group.id, ())) for group in groups]


def _group(who: Actor, group: Group, members: Sequence[PersonId]) -> Json:
    hours = group.hours
    return {
        "id": group.id,
        "name": group.name,
        "is_mine": who.serves(group.id),
        "members": list(members),
        "routing": group.routing.value,
        "pick": group.pick.value,
        "offer_s": group.offer_s,
        "first_answer_s": group.first_answer_s,
        "queue_max": group.queue_max,
        "week": [[list(span) for span in day] for day in hours.week] if hours else None,
        "closed_days": sorted(hours.closed_days) if hours else [],
        "version": group.version,
    }


async def _agents(conn: Transaction, who: Actor, grace_s: int, now: int) -> list[Json]:
    """Colleagues who are not disabled. What only an administrator changes only they are told."""
    standing = await agents.present(conn, grace_s=grace_s, now=now)
    presence = {each.agent: each.presence.value for each in standing}
    groups: dict[str, list[str]] = {}
    order = (group_member.c.person_id, group_member.c.group_id)
    for row in await conn.execute(select(group_member).order_by(*order)):
        groups.setdefault(row.person_id, []).append(row.group_id)
    found = await conn.execute(
        select(agent, person.c.name, person.c.avatar)
        .join(person, person.c.person_id == agent.c.person_id)
        .where(person.c.disabled_at.is_(None))
        .order_by(agent.c.login_name)
    )
    return [
        {
            "id": row.person_id,
            "name": row.name,
            "avatar": row.avatar,
            "role": row.role,
            "availability": row.availability,
            "availability_reason": row.availability_reason,
            "availability_since": row.availability_since,
            "presence": presence[row.person_id],
            "load": row.load,
            "capacity": row.capacity,
            "groups": groups.get(row.person_id, []),
            "skills": json.loads(row.skills),
            **(_administered(row) if who.is_admin else {}),
        }
        for row in found
    ]


def _administered(row: Any) -> Json:
    return {"login_name": row.login_name, "pushes": row.pushes, "version": row.version}


async def _replies(conn: Transaction, who: Actor) -> list[Json]:
    return [
        {
            "id": found.id,
            "scope": found.scope.value,
            "shortcut": found.shortcut,
            "text": found.text,
            "group_id": found.group_id,
            "version": found.version,
        }
        for found in await office.canned_replies(conn, who)
    ]


async def _drafts(conn: Transaction, person_id: PersonId) -> list[Json]:
    return [
        {
            "conv_id": found.conv,
            "mode": found.mode,
            "text": found.text,
            "attachments": list(found.attachments),
            "rev": found.rev,
        }
        for found in await drafts.of_agent(conn, person_id)
    ]
