from __future__ import annotations

import asyncio

from deskwire.desk.people import LOGIN_REALMS, Principal, Realm
from deskwire.storage import log, logins
from deskwire.storage.logins import LoginRecord
from tests.flows.office import ANN, CHEN, MEI, START, WANG, Office, agent, employee

AS_EMPLOYEE = employee("wang")
SIGNIN = {
    "state_hash": b"s" * 32,
    "cookie_hash": b"c" * 32,
    "realm": Realm.EMPLOYEE,
    "target": "/h5",
    "now": START,
    "expires": START + 10,
}


def record(number: int, who: Principal = WANG) -> LoginRecord:
    return LoginRecord(id=f"login-{number}", principal=who, created=START, expires=START + 10)


async def created(office: Office, *records: LoginRecord) -> None:
    async with office.store.writing() as conn:
        for found in records:
            await logins.create(conn, found.id.encode().ljust(32), found)


async def test_a_login_is_found_by_its_secrets_hash_and_by_its_id(office: Office) -> None:
    await created(office, record(1), record(2, ANN))

    async with office.store.reading() as conn:
        known, unknown = b"login-1".ljust(32), b"nobody"
        by_secret = await logins.by_secrets(conn, {known, unknown})
        by_ids = await logins.by_ids(conn, ["login-1", "login-2", "login-3"])

    assert by_secret == {known: record(1)}
    assert by_ids == {"login-1": record(1), "login-2": record(2, ANN)}


async def test_the_realm_of_a_login_is_the_one_it_was_made_in(office: Office) -> None:
    await created(office, record(1, MEI), record(2, agent("mei")))

    async with office.store.reading() as conn:
        found = await logins.by_ids(conn, ["login-1", "login-2"])

    assert found["login-1"].principal.realm is Realm.EMPLOYEE
    assert found["login-2"].principal.realm is Realm.AGENT


async def test_a_disabled_persons_login_says_so(office: Office) -> None:
    await created(office, record(1))
    office.write("UPDATE person SET disabled_at = 1 WHERE person_id = 'wang'")

    async with office.store.reading() as conn:
        found = await logins.by_ids(conn, ["login-1"])

    assert found["login-1"].is_disabled


async def test_each_login_that_ends_is_one_loss_numbered_without_a_gap(office: Office) -> None:
    await created(office, record(1), record(2))
    for login_id in ("login-1", "login-1", "login-2", "login-9"):
        async with office.store.writing() as conn:
            await logins.revoke(conn, login_id, "logged_out", START + 1)

    async with office.store.reading() as conn:
        number = await log.access_number(conn)
        losses = await logins.losses_since(conn, 0)
        later = await logins.losses_since(conn, 1)

    assert number == 2
    assert [(loss.n, loss.login_id, loss.why) for loss in losses] == [
        (1, "login-1", "logged_out"),
        (2, "login-2", "logged_out"),
    ]
    assert later == losses[1:]


async def test_losses_are_numbered_in_the_order_of_commits_however_many_at_once(
    office: Office,
) -> None:
    await created(office, *(record(n) for n in range(12)))

    async def revoke(number: int) -> None:
        async with office.store.writing() as conn:
            await logins.revoke(conn, f"login-{number}", "logged_out", START + 1)
            if number % 3 == 0:
                await conn.rollback()  # an abort gives its number back

    await asyncio.gather(*(revoke(number) for number in range(12)))

    assert [row[0] for row in office.sql("SELECT n FROM access ORDER BY n")] == list(range(1, 9))
    assert office.one("SELECT access FROM store") == 8


async def test_a_sign_in_is_spent_once(office: Office) -> None:
    async with office.store.writing() as conn:
        await logins.start_signin(conn, **SIGNIN)  # type: ignore[arg-type]

    spent = [await spend(office) for _ in range(2)]

    assert spent == ["/h5", None]


async def test_a_sign_in_needs_its_state_its_cookie_its_realm_and_its_time(
    office: Office,
) -> None:
    async with office.store.writing() as conn:
        await logins.start_signin(conn, **SIGNIN)  # type: ignore[arg-type]

    refused = [
        await spend(office, state_hash=b"x" * 32),
        await spend(office, cookie_hash=b"x" * 32),
        await spend(office, realm=Realm.AGENT),
        await spend(office, now=START + 11),
    ]
    in_time = await spend(office, now=START + 10)

    assert refused == [None] * 4
    assert in_time == "/h5"


async def spend(office: Office, **changed: object) -> str | None:
    usual = {name: SIGNIN[name] for name in ("state_hash", "cookie_hash", "realm", "now")}
    async with office.store.writing() as conn:
        return await logins.spend_signin(conn, **(usual | changed))  # type: ignore[arg-type]


async def test_a_new_sign_in_sweeps_those_past_their_time(office: Office) -> None:
    async with office.store.writing() as conn:
        await logins.start_signin(conn, **SIGNIN)  # type: ignore[arg-type]
        later = SIGNIN | {"state_hash": b"t" * 32, "now": START + 11, "expires": START + 21}
        await logins.start_signin(conn, **later)  # type: ignore[arg-type]

    assert office.sql("SELECT state_hash FROM signin") == [(b"t" * 32,)]


async def test_the_logins_that_stand_are_listed_the_newest_first(office: Office) -> None:
    late = LoginRecord(
        id="login-3", principal=WANG, created=START + 1, expires=START + 20, browser="Firefox"
    )
    await created(office, record(1), late, record(4), record(5, CHEN), record(6, AS_EMPLOYEE))
    async with office.store.writing() as conn:
        await logins.revoke(conn, "login-4", "logged_out", START)

    async with office.store.reading() as conn:
        found = [
            await logins.standing(conn, person_id=WANG.person, realms=realms, now=now)
            for realms, now in (
                ([Realm.AGENT], START),
                (LOGIN_REALMS, START),
                (LOGIN_REALMS, START + 10),
            )
        ]

    assert [[each.id for each in some] for some in found] == [
        ["login-3", "login-1"],
        ["login-3", "login-6", "login-1"],
        ["login-3"],
    ]
    assert (found[0][0].browser, found[0][1].browser) == ("Firefox", "")
