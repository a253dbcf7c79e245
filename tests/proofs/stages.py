"""Conversations brought to a stage of their life, kept, and put back before each question.

The stage is a copy of the database; putting it back is SQLite's own backup into the file that the
desk has open.
"""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from deskwire.desk.messages import Attachment
from deskwire.desk.people import SYSTEM, PersonId, Principal, Realm
from deskwire.storage import office as records
from deskwire.storage import people
from tests.flows.office import Office, agent, agent_record, employee, person
from tests.kit.databases import SqliteFile
from tests.proofs.policy import CATEGORIES, IDENTITIES, THINGS, Thing
from tests.web.site import Site

HOUR_MS = 3600 * 1000
CANARY = "金丝雀-only-staff"
STAGES = ("active", "queued", "offered", "absent", "on_hold", "resolved", "closed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A copy of the database and what stands in it, by the name of the thing."""

    image: sqlite3.Connection
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def secret_of(name: str, realm: str) -> str:
    """The secret of an identity's login; every stage holds it."""
    return f"secret of {name} among {realm}"


async def peopled(office: Office) -> None:
    """The same groups as always, and as many around the other conversation as around the first."""
    async with office.store.writing() as conn:
        await records.save_category(
            conn, "scanner", name_zh="扫描", name_en="scanner", group_id="facilities", order=9
        )
        for name in ("dai", "eve", "zhao"):
            await people.save_person(conn, person(name))
        await people.save_agent(conn, agent_record("zhao", "agent", ("facilities",), ""))
    for name, who in IDENTITIES.items():
        # On a thread: a served desk on this loop may hold the lock that a writer waits for.
        await asyncio.to_thread(_login, office, name, who.cookie, who.realm, who.person)


def _login(office: Office, name: str, cookie: str, realm: str, person_id: str | None) -> None:
    other = {"agent": "employee", "employee": "agent"}[realm]
    of = {"good": realm, "revoked": realm, "other realm": other}.get(cookie)
    if of is None:
        return
    office.write(
        "INSERT INTO login (secret_hash, login_id, realm, person, created, seen, expires, revoked)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        hashlib.sha256(secret_of(name, realm).encode()).digest(),
        f"login of {name}"[:36],
        of,
        person_id or {"agent": "wang", "employee": "ann"}[of],
        office.now_ms,
        office.now_ms,
        office.now_ms + HOUR_MS,
        office.now_ms if cookie == "revoked" else None,
    )


async def staged(site: Site, stage: str) -> Stage:
    """Both things on this stage, from the database as it was before."""
    database = site.office.database
    assert isinstance(database, SqliteFile)
    before = database.copied()
    facts = {name: await _brought(site, thing, stage) for name, thing in THINGS.items()}
    made = Stage(image=database.copied(), facts=facts)
    database.put_back(before)
    return made


async def _brought(site: Site, thing: Thing, stage: str) -> dict[str, Any]:
    """One conversation with everybody around it, and messages, a note and files of theirs."""
    office = site.office
    asker, mine = employee(thing.requester), agent(thing.assignee)
    conv = await office.opened(asker, "打不开", CATEGORIES[thing.group])
    await office.yes(mine, "claim_conversation", conv)
    await office.yes(
        mine,
        "invite_participant",
        conv,
        realm="employee",
        person=thing.invited,
        share_history=True,
    )
    await office.yes(agent(thing.participant), "join_conversation", conv)
    files = [await uploaded(site, mine, f"{CANARY} {which}") for which in ("file", "note")]
    said = await office.yes(
        mine, "post_message", conv, kind="file", body="在看", attachments=(files[0],)
    )
    await office.yes(mine, "post_note", conv, body=f"{CANARY} {conv}", attachments=(files[1],))
    gone = await office.post(mine, conv, "发错了")
    await office.yes(mine, "recall_message", conv, msg_id=gone.result["msg_id"])
    await _to(office, thing, conv, stage)
    versions = "SELECT version, label_version FROM conversation WHERE conv_id = ?"
    version, labels = office.sql(versions, conv)[0]
    offer = office.offer_of(conv)
    return {
        "conv": conv,
        "msg_id": said.result["msg_id"],
        "gone": gone.result["msg_id"],
        "version": version,
        "labels": labels,
        "offer_id": offer[0] if offer else "none",
        "files": files,
    }


async def _to(office: Office, thing: Thing, conv: str, stage: str) -> None:
    mine = agent(thing.assignee)
    system = Principal(Realm.SYSTEM, PersonId(SYSTEM.principal.person))
    match stage:
        case "queued" | "offered":
            await office.yes(mine, "requeue_conversation", conv, reason="x")
            if stage == "offered":
                office.here(agent(thing.participant))
                await office.yes(
                    agent(thing.participant), "set_availability", availability="online"
                )
                office.offering()
                await office.yes(system, "make_offer", conv, agent=thing.participant)
        case "absent":
            await office.yes(system, "lose_agent", conv, agent=thing.assignee)
        case "on_hold":
            until = office.now_ms + HOUR_MS
            await office.yes(mine, "hold_conversation", conv, until=until, reason="x")
        case "resolved" | "closed":
            await office.yes(mine, "resolve_conversation", conv)
            if stage == "closed":
                await office.yes(employee(thing.requester), "confirm_solved", conv)


async def uploaded(site: Site, who: Principal, words: str) -> str:
    """A file on its way into a message; its id."""

    async def body() -> AsyncIterator[bytes]:
        yield words.encode()

    answer = await site.desk.files.upload(who, "a.txt", body())
    assert isinstance(answer, Attachment), answer
    return answer.id
