"""Logins and sign-ins under way, as hashes: the secrets themselves are only in browsers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import delete, insert, select, update
from sqlalchemy.engine import Row

from deskwire.desk.people import LOGIN_REALMS, PersonId, Principal, Realm
from deskwire.storage import log
from deskwire.storage.engine import Transaction
from deskwire.storage.tables import access, login, person, signin

STANDING_MAX = 100
KICKED = "kicked"  # ended by an administrator; the browser is told so


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginRecord:
    """A signed-in browser. `id` is no secret; times are Unix ms.

    `browser` is how it calls itself; `why` is said of one that was ended: logged_out, password,
    kicked.
    """

    id: str
    principal: Principal
    created: int
    expires: int
    revoked: int | None = None
    is_disabled: bool = False
    browser: str = ""
    why: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingLogin:
    """A login that may be used. `seen` is when its end was last moved, or when it was made."""

    id: str
    principal: Principal
    browser: str
    created: int
    seen: int
    expires: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Somebody has lost sight of something. None stands for everybody, or everything."""

    n: int
    principal: Principal | None
    login_id: str | None
    stream: str | None
    why: str


class LoginEnd(NamedTuple):
    """Times are Unix ms; `why` as in LoginRecord."""

    expires: int
    revoked: int | None
    why: str | None
    disabled_at: int | None  # the person


async def create(conn: Transaction, secret_hash: bytes, record: LoginRecord) -> None:
    await conn.execute(
        insert(login).values(
            secret_hash=secret_hash,
            login_id=record.id,
            realm=record.principal.realm.value,
            person=record.principal.person,
            created=record.created,
            seen=record.created,
            expires=record.expires,
            browser=record.browser or None,
        )
    )


async def by_secrets(
    conn: Transaction, secret_hashes: Collection[bytes]
) -> Mapping[bytes, LoginRecord]:
    """By the hash of their secrets, whatever has become of them; unknown ones are left out."""
    rows = await conn.execute(
        select(login, person.c.disabled_at)
        .join(person, person.c.person_id == login.c.person)
        .where(login.c.secret_hash.in_(secret_hashes))
    )
    return {bytes(row.secret_hash): _record(row) for row in rows}


async def by_ids(conn: Transaction, ids: Collection[str]) -> Mapping[str, LoginRecord]:
    return await _records(conn, login.c.login_id.in_(ids))


async def ends(conn: Transaction, ids: Collection[str]) -> Mapping[str, LoginEnd]:
    """When and how these end, as far as that is known: a light look at thousands of them."""
    rows = await conn.execute(
        select(
            login.c.login_id, login.c.expires, login.c.revoked, login.c.why, person.c.disabled_at
        )
        .join(person, person.c.person_id == login.c.person)
        .where(login.c.login_id.in_(ids))
    )
    return {login_id: LoginEnd(*how) for login_id, *how in rows}


async def extend(conn: Transaction, login_id: str, *, now: int, expires: int) -> None:
    """The browser was used: move the end of its login."""
    await conn.execute(
        update(login).where(login.c.login_id == login_id).values(seen=now, expires=expires)
    )


async def revoke(conn: Transaction, login_id: str, why: str, now: int) -> None:
    """End a login and record the loss, so that no node hands it anything committed after this."""
    changed = await conn.execute(
        update(login)
        .where(login.c.login_id == login_id, login.c.revoked.is_(None))
        .values(revoked=now, why=why)
    )
    if changed.rowcount:
        n = await log.next_access(conn)
        await conn.execute(insert(access).values(n=n, login_id=login_id, why=why, at=now))


async def standing(
    conn: Transaction, *, person_id: PersonId, realms: Collection[Realm], now: int
) -> list[StandingLogin]:
    """The person's logins in these realms that may be used, the newest first; at most 100."""
    rows = await conn.execute(
        select(login)
        .where(login.c.person == person_id, login.c.realm.in_([each.value for each in realms]))
        .where(login.c.revoked.is_(None), login.c.expires > now)
        .order_by(login.c.created.desc(), login.c.login_id.desc())
        .limit(STANDING_MAX)
    )
    return [
        StandingLogin(
            id=row.login_id,
            principal=Principal(Realm(row.realm), PersonId(row.person)),
            browser=row.browser or "",
            created=row.created,
            seen=row.seen,
            expires=row.expires,
        )
        for row in rows
    ]


async def revoke_all(
    conn: Transaction, who: Principal, why: str, now: int, *, but: str | None = None
) -> list[str]:
    """End every login of a principal that stands, `but` one. Returns their ids."""
    return await _revoke(conn, who.person, (who.realm,), why, now, but)


async def revoke_everywhere(
    conn: Transaction, person_id: PersonId, why: str, now: int
) -> list[str]:
    """The same for a person, in whatever realm."""
    return await _revoke(conn, person_id, LOGIN_REALMS, why, now, None)


async def _revoke(
    conn: Transaction,
    person_id: PersonId,
    realms: Collection[Realm],
    why: str,
    now: int,
    but: str | None,
) -> list[str]:
    """All rows first, then their numbers: who logs out meanwhile holds a row and waits for one."""
    ended = await conn.scalars(
        update(login)
        .where(login.c.person == person_id, login.c.realm.in_([each.value for each in realms]))
        .where(login.c.revoked.is_(None), login.c.expires > now)
        .where(login.c.login_id != (but or ""))
        .values(revoked=now, why=why)
        .returning(login.c.login_id)
    )
    ids = sorted(ended)
    for login_id in ids:
        n = await log.next_access(conn)
        await conn.execute(insert(access).values(n=n, login_id=login_id, why=why, at=now))
    return ids


async def losses_since(conn: Transaction, n: int) -> list[Loss]:
    """Who has lost sight of what after the `access` number `n`, in order."""
    rows = await conn.execute(select(access).where(access.c.n > n).order_by(access.c.n))
    return [
        Loss(
            n=row.n,
            principal=Principal(Realm(row.realm), PersonId(row.person)) if row.realm else None,
            login_id=row.login_id,
            stream=row.stream_id,
            why=row.why,
        )
        for row in rows
    ]


async def start_signin(
    conn: Transaction,
    *,
    state_hash: bytes,
    cookie_hash: bytes,
    realm: Realm,
    target: str,
    now: int,
    expires: int,
) -> None:
    """Remember a sign-in that a browser has begun; those past their time are swept here."""
    await conn.execute(delete(signin).where(signin.c.expires < now))
    await conn.execute(
        insert(signin).values(
            state_hash=state_hash,
            cookie_hash=cookie_hash,
            realm=realm.value,
            target=target,
            expires=expires,
        )
    )


async def spend_signin(
    conn: Transaction, *, state_hash: bytes, cookie_hash: bytes, realm: Realm, now: int
) -> str | None:
    """Where the browser wanted to go, once.

    State and cookie must belong together and be in time.
    """
    row = (
        await conn.execute(
            delete(signin)
            .where(
                signin.c.state_hash == state_hash,
                signin.c.cookie_hash == cookie_hash,
                signin.c.realm == realm.value,
                signin.c.expires >= now,
            )
            .returning(signin.c.target)
        )
    ).one_or_none()
    return str(row.target) if row else None


async def _records(conn: Transaction, condition: object) -> dict[str, LoginRecord]:
    rows = await conn.execute(
        select(login, person.c.disabled_at)
        .join(person, person.c.person_id == login.c.person)
        .where(condition)  # type: ignore[arg-type]  # SQLAlchemy's conditions share no public type
    )
    return {row.login_id: _record(row) for row in rows}


def _record(row: Row[Any]) -> LoginRecord:
    return LoginRecord(
        id=row.login_id,
        principal=Principal(Realm(row.realm), PersonId(row.person)),
        created=row.created,
        expires=row.expires,
        revoked=row.revoked,
        is_disabled=row.disabled_at is not None,
        browser=row.browser or "",
        why=row.why,
    )
