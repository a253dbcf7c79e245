"""Persons and agents.

Found by id or by name of another system, saved, and loaded as the rules want them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import insert, select, update
from sqlalchemy.engine import Row

from deskwire.desk.people import Actor, PersonId, PersonRef, Principal, Realm, Role
from deskwire.storage import dialects
from deskwire.storage.engine import Transaction
from deskwire.storage.tables import agent, group_member, person

PASSWORD_CHARS_MIN: Final = 12
PASSWORD_CHARS_MAX: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonRecord:
    """A person as stored.

    `wecom_userid` is lower case; WeCom may change it once, so it is never a key.
    """

    id: str
    name: str
    wecom_userid: str | None = None
    department: str = ""
    avatar: str | None = None
    language: str | None = None
    disabled_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentRecord:
    """What makes a person an agent. The hash is argon2's; none means no login by password."""

    person: str
    login_name: str
    password_hash: str | None = None
    role: Literal["agent", "supervisor", "admin"] = "agent"
    availability: Literal["online", "busy", "break", "offline"] = "online"
    capacity: int = 5
    groups: tuple[str, ...] = ()


async def by_id(conn: Transaction, person_id: str) -> PersonRecord | None:
    row = (await conn.execute(select(person).where(person.c.person_id == person_id))).one_or_none()
    return _record(row) if row else None


async def remember_member(
    conn: Transaction, *, userid: str, name: str, department: str, new_id: str
) -> PersonId:
    """The person behind a WeCom user id (in lower case), brought up to date; a new one if need be.

    Whoever signs in for the first time twice at once is one person all the same.
    """
    saving = dialects.insert(conn, person).values(
        person_id=new_id, wecom_userid=userid, name=name, department=department
    )
    found = await conn.execute(
        saving.on_conflict_do_update(
            index_elements=[person.c.wecom_userid],
            set_={"name": saving.excluded.name, "department": saving.excluded.department},
        ).returning(person.c.person_id)
    )
    return PersonId(found.scalar_one())


async def by_wecom_userid(conn: Transaction, userid: str) -> PersonId | None:
    """Whom we know by this WeCom user id (in lower case), agent or not, enabled or not."""
    found = await conn.scalar(select(person.c.person_id).where(person.c.wecom_userid == userid))
    return PersonId(found) if found is not None else None


async def lose(conn: Transaction, person_id: PersonId, at: int) -> None:
    """WeCom takes no messages for this person (Unix ms): none is armed until they log in again."""
    await conn.execute(
        update(person).where(person.c.person_id == person_id).values(unreachable_at=at)
    )


async def find_again(conn: Transaction, person_id: PersonId) -> None:
    """They have logged in: messages may reach them as well."""
    await conn.execute(
        update(person)
        .where(person.c.person_id == person_id, person.c.unreachable_at.is_not(None))
        .values(unreachable_at=None)
    )


async def lock(conn: Transaction, person_id: PersonId) -> None:
    """Let what this person begins take turns, to the end of the transaction."""
    await conn.execute(
        select(person.c.person_id)
        .where(person.c.person_id == person_id)
        .with_for_update(key_share=True)  # rows that refer to the person are written all the same
    )


async def credentials(conn: Transaction, login_name: str) -> tuple[PersonId, str | None] | None:
    """The agent and the password hash behind a login name, enabled persons only."""
    row = (
        await conn.execute(
            select(agent.c.person_id, agent.c.password_hash)
            .join(person, person.c.person_id == agent.c.person_id)
            .where(agent.c.login_name == login_name.casefold(), person.c.disabled_at.is_(None))
        )
    ).one_or_none()
    return (PersonId(row.person_id), row.password_hash) if row else None


async def has_agent(conn: Transaction, login_name: str) -> bool:
    """Whether somebody has this login name, enabled or not."""
    found = await conn.execute(
        select(agent.c.person_id).where(agent.c.login_name == login_name.casefold())
    )
    return found.first() is not None


async def agent_named(conn: Transaction, login_name: str) -> PersonId | None:
    """Who has this login name, enabled or not."""
    found = await conn.scalar(
        select(agent.c.person_id).where(agent.c.login_name == login_name.casefold())
    )
    return PersonId(found) if found is not None else None


async def credentials_of(conn: Transaction, person_id: str) -> tuple[str, str | None] | None:
    """An agent's login name and password hash; none: no agent."""
    found = await conn.execute(
        select(agent.c.login_name, agent.c.password_hash).where(agent.c.person_id == person_id)
    )
    row = found.one_or_none()
    return (row.login_name, row.password_hash) if row else None


async def set_password_hash(conn: Transaction, person_id: PersonId, password_hash: str) -> None:
    """An agent's password is another from now on."""
    await conn.execute(
        update(agent).where(agent.c.person_id == person_id).values(password_hash=password_hash)
    )


async def save_person(conn: Transaction, record: PersonRecord) -> None:
    """Insert the person, or bring the stored one up to date."""
    values = {
        "wecom_userid": record.wecom_userid,
        "name": record.name,
        "department": record.department,
        "avatar": record.avatar,
        "language": record.language,
        "disabled_at": record.disabled_at,
    }
    saving = dialects.insert(conn, person).values(person_id=record.id, **values)
    await conn.execute(
        saving.on_conflict_do_update(index_elements=[person.c.person_id], set_=values)
    )


async def save_agent(conn: Transaction, record: AgentRecord) -> None:
    """Make a person an agent with these groups. Their load is kept if they were one before."""
    values = {
        "login_name": record.login_name.casefold(),
        "password_hash": record.password_hash,
        "role": record.role,
        "availability": record.availability,
        "capacity": record.capacity,
    }
    saving = dialects.insert(conn, agent).values(person_id=record.person, load=0, **values)
    await conn.execute(
        saving.on_conflict_do_update(index_elements=[agent.c.person_id], set_=values)
    )
    await conn.execute(group_member.delete().where(group_member.c.person_id == record.person))
    for group_id in record.groups:
        await conn.execute(insert(group_member).values(group_id=group_id, person_id=record.person))


async def actor(conn: Transaction, principal: Principal) -> Actor | None:
    """The principal with today's rights.

    None if there is no such person in that realm or they are disabled.
    """
    return (await actors(conn, [principal])).get(principal)


async def actors(conn: Transaction, principals: Collection[Principal]) -> Mapping[Principal, Actor]:
    """Several at once, for the permits of everybody who arrives together."""
    ids = {who.person for who in principals}
    people = {
        row.person_id: _record(row)
        for row in await conn.execute(
            select(person).where(person.c.person_id.in_(ids), person.c.disabled_at.is_(None))
        )
    }
    agents = {
        row.person_id: row
        for row in await conn.execute(select(agent).where(agent.c.person_id.in_(ids)))
    }
    groups = await _groups_of(conn, ids)
    found: dict[Principal, Actor] = {}
    for who in principals:
        record = people.get(who.person)
        if record is None or (who.realm is Realm.AGENT and who.person not in agents):
            continue
        found[who] = _actor(
            who, record, agents.get(who.person), groups.get(who.person, frozenset())
        )
    return found


async def _groups_of(
    conn: Transaction, ids: Collection[PersonId]
) -> Mapping[PersonId, frozenset[str]]:
    found: dict[PersonId, set[str]] = {}
    rows = await conn.execute(select(group_member).where(group_member.c.person_id.in_(ids)))
    for row in rows:
        found.setdefault(row.person_id, set()).add(row.group_id)
    return {person_id: frozenset(groups) for person_id, groups in found.items()}


def _actor(
    who: Principal, record: PersonRecord, as_agent: Row[Any] | None, groups: frozenset[str]
) -> Actor:
    ref = PersonRef(id=PersonId(record.id), name=record.name, avatar=record.avatar)
    if who.realm is Realm.EMPLOYEE or as_agent is None:
        return Actor(principal=who, person=ref, department=record.department)
    return Actor(
        principal=who,
        person=ref,
        department=record.department,
        role=Role(as_agent.role),
        groups=groups,
        capacity=as_agent.capacity,
        load=as_agent.load,
    )


async def enabled_in(conn: Transaction, who: Principal) -> PersonRef | None:
    """The person by this name in this realm, if they may log in to it."""
    found = await actor(conn, who)
    return found.person if found else None


async def colleagues(conn: Transaction, group_id: str, ids: Collection[str]) -> frozenset[PersonId]:
    """The enabled agents of the group among these people."""
    rows = await conn.execute(
        select(group_member.c.person_id)
        .join(person, person.c.person_id == group_member.c.person_id)
        .where(
            group_member.c.group_id == group_id,
            group_member.c.person_id.in_(ids),
            person.c.disabled_at.is_(None),
        )
    )
    return frozenset(PersonId(row.person_id) for row in rows)


def _record(row: Row[Any]) -> PersonRecord:
    return PersonRecord(
        id=row.person_id,
        name=row.name,
        wecom_userid=row.wecom_userid,
        department=row.department,
        avatar=row.avatar,
        language=row.language,
        disabled_at=row.disabled_at,
    )
