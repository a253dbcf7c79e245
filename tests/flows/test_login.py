from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from deskwire.desk.people import LOGIN_REALMS, Realm
from deskwire.desk.rates import PASSWORDS_OF_ADDRESS, PASSWORDS_OF_NAME
from deskwire.desk.refusals import Code, Refusal, invalid
from deskwire.flows.login import (
    HASHING_MAX,
    IDLE_MS,
    LOGIN_MS_MAX,
    PASSWORD_CHARS_MAX,
    SIGNIN_MS,
    Identity,
    Logins,
    SignedIn,
    SigninDone,
    SigninFailed,
    SigninStarted,
    WeComApp,
    WeComPage,
)
from deskwire.storage.attempts import Attempt
from deskwire.wecom.simulator.world import FaultKind, Kind, Person
from tests.flows.office import PASSWORD, START, Office
from tests.wecom.town import API, DOMAIN, Town

MINUTE_MS = 60_000


class Entrance:
    """The logins of an office, with a simulated WeCom behind them."""

    def __init__(self, office: Office, town: Town) -> None:
        self.office = office
        self.town = town
        self.client = town.client()
        self.ended: list[tuple[str, str]] = []
        self.logins = Logins(
            office.store,
            wecom=WeComApp(
                corp_id=town.world.corp_id,
                agent_id=town.world.app.agent_id,
                client=self.client,
                open_url=API,
                login_url=API,
                public_url=f"https://{DOMAIN}",
            ),
            now=lambda: office.now_ms,
            new_id=office.new_id,
            end_login=self._end,
        )

    async def _end(self, login: str, why: str) -> None:
        self.ended.append((login, why))

    async def start(self, target: str = "/h5", *, realm: Realm = Realm.EMPLOYEE) -> SigninStarted:
        page = WeComPage.INSIDE if realm is Realm.EMPLOYEE else WeComPage.QR_CODE
        started = await self.logins.start(realm, target, page=page)
        assert isinstance(started, SigninStarted)
        return started

    async def as_agent(self, name: str = "wang") -> SignedIn:
        signed_in = await self.logins.by_password(name, PASSWORD)
        assert isinstance(signed_in, SignedIn), signed_in
        return signed_in

    async def at_wecom(self, started: SigninStarted, userid: str) -> dict[str, str]:
        """What WeCom sends the browser back with."""
        async with self.town.browser() as browser:
            link = started.url.removesuffix("#wechat_redirect")
            answer = await browser.get(f"{link}&person={userid}")
        back = urlsplit(answer.headers["location"])
        assert f"{back.scheme}://{back.netloc}{back.path}" in {
            f"https://{DOMAIN}/login/{realm.value}/return" for realm in LOGIN_REALMS
        }
        found = parse_qs(back.query)
        return {"code": found["code"][0], "state": found["state"][0]}

    async def signed_in(self, userid: str, target: str = "/h5") -> SigninDone | SigninFailed:
        started = await self.start(target)
        back = await self.at_wecom(started, userid)
        return await self.logins.finish(Realm.EMPLOYEE, cookie=started.cookie, **back)

    async def scanned(self, userid: str) -> SigninDone | SigninFailed:
        """Somebody scans the code that the workbench's login leads to."""
        started = await self.start("/workbench", realm=Realm.AGENT)
        back = await self.at_wecom(started, userid)
        return await self.logins.finish(
            Realm.AGENT, cookie=started.cookie, browser="Firefox", **back
        )

    async def who(self, realm: Realm, secret: str | None) -> Identity | Refusal:
        return await self.logins.identify(realm, secret)


@pytest.fixture
async def entrance(office: Office) -> AsyncIterator[Entrance]:
    entrance = Entrance(office, Town(Person(userid="Wx-Ann", name="安安", department="法务部")))
    async with entrance.client:
        yield entrance
    entrance.logins.close()


NO_LOGIN = Refusal(Code.LOGIN_REQUIRED)


# By password --------------------------------------------------------------------------------------


async def test_the_right_password_makes_a_login_of_the_agent_realm(entrance: Entrance) -> None:
    signed_in = await entrance.as_agent()

    found = await entrance.who(Realm.AGENT, signed_in.secret)

    assert isinstance(found, Identity)
    assert found.principal == (Realm.AGENT, "wang")
    assert found.until == START + IDLE_MS[Realm.AGENT]


@pytest.mark.parametrize(
    "name, password",
    [
        ("wang", "wrong"),
        ("wang", ""),
        ("wang", PASSWORD + " "),
        ("wang", PASSWORD.upper()),
        ("nobody", PASSWORD),
        ("ann", PASSWORD),  # no agent
        ("", ""),
        ("wang\0", PASSWORD),
        ("wang", "x" * (PASSWORD_CHARS_MAX + 1)),
    ],
)
async def test_a_wrong_name_and_a_wrong_password_get_the_same_answer(
    entrance: Entrance, name: str, password: str
) -> None:
    answer = await entrance.logins.by_password(name, password)

    assert answer == NO_LOGIN
    assert entrance.office.one("SELECT count(*) FROM login") == 0


async def test_an_unknown_name_costs_a_hash_as_well(entrance: Entrance) -> None:
    verified: list[str] = []
    honest = entrance.logins._verify

    def counting(stored: str, password: str) -> bool:
        verified.append(stored)
        return honest(stored, password)

    entrance.logins._verify = counting  # type: ignore[method-assign]
    for name in ("nobody", "wang"):
        await entrance.logins.by_password(name, "wrong")

    assert len(verified) == 2
    parameters = [stored.split("$")[1:4] for stored in verified]
    assert parameters[0] == parameters[1] == ["argon2id", "v=19", "m=19456,t=2,p=1"]


@pytest.mark.parametrize("name", ["mei", "wang"])
async def test_a_disabled_agent_cannot_log_in(entrance: Entrance, name: str) -> None:
    entrance.office.write("UPDATE person SET disabled_at = 1 WHERE person_id = ?", name)

    assert await entrance.logins.by_password(name, PASSWORD) == NO_LOGIN


async def test_an_agent_without_a_password_has_none_that_fits(entrance: Entrance) -> None:
    entrance.office.write("UPDATE agent SET password_hash = NULL WHERE person_id = 'wang'")

    for password in ("", PASSWORD):
        assert await entrance.logins.by_password("wang", password) == NO_LOGIN


async def test_passwords_are_kept_as_argon2id(entrance: Entrance) -> None:
    hashed = await asyncio.to_thread(entrance.logins.hash, "secret")

    assert hashed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert "secret" not in hashed


async def test_more_logins_at_once_than_there_is_memory_for_are_told_to_come_later(
    entrance: Entrance,
) -> None:
    entrance.logins._places = 0
    full = await entrance.logins.by_password("wang", PASSWORD)
    entrance.logins._places = 1
    room = await entrance.logins.by_password("wang", PASSWORD)

    assert full == Refusal(Code.TRY_LATER, {"retry_after_s": 1})
    assert isinstance(room, SignedIn)


async def test_every_place_is_given_back(entrance: Entrance) -> None:
    await asyncio.gather(
        *(entrance.logins.by_password(name, "wrong") for name in ("wang", "nobody") for _ in "ab")
    )

    assert entrance.logins._places == HASHING_MAX


# A login ------------------------------------------------------------------------------------------


async def test_only_the_hash_of_a_secret_is_kept(entrance: Entrance) -> None:
    signed_in = await entrance.as_agent()

    assert entrance.office.sql("SELECT secret_hash FROM login") == [
        (hashlib.sha256(signed_in.secret.encode()).digest(),)
    ]
    assert len(signed_in.secret) == 43  # 256 bits


async def test_every_sign_in_is_another_login(entrance: Entrance) -> None:
    first, second = await entrance.as_agent(), await entrance.as_agent()

    assert first.secret != second.secret
    assert first.identity.login_id != second.identity.login_id


async def test_a_login_of_one_realm_is_unknown_in_the_other(entrance: Entrance) -> None:
    as_agent = await entrance.as_agent("mei")
    as_employee = await entrance.signed_in("Wx-Ann")
    assert isinstance(as_employee, SigninDone)

    assert await entrance.who(Realm.EMPLOYEE, as_agent.secret) == NO_LOGIN
    assert await entrance.who(Realm.AGENT, as_employee.signed_in.secret) == NO_LOGIN


@pytest.mark.parametrize("secret", [None, "", "x", "秘密", "\udcff", "a" * 10_000])
async def test_a_secret_that_is_none_is_nobodys(entrance: Entrance, secret: str | None) -> None:
    await entrance.as_agent()

    assert await entrance.who(Realm.AGENT, secret) == NO_LOGIN


async def test_an_idle_agent_is_logged_out_after_half_an_hour(entrance: Entrance) -> None:
    signed_in = await entrance.as_agent()
    entrance.office.now_ms += IDLE_MS[Realm.AGENT] - 1
    last = await entrance.who(Realm.AGENT, signed_in.secret)
    entrance.office.now_ms += IDLE_MS[Realm.AGENT]

    assert isinstance(last, Identity)
    assert await entrance.who(Realm.AGENT, signed_in.secret) == NO_LOGIN


async def test_a_busy_agent_stays_logged_in_for_twelve_hours_and_no_longer(
    entrance: Entrance,
) -> None:
    signed_in = await entrance.as_agent()
    until = 0
    while entrance.office.now_ms < START + LOGIN_MS_MAX - 1:
        found = await entrance.who(Realm.AGENT, signed_in.secret)
        assert isinstance(found, Identity)
        until = found.until
        step = min(20 * MINUTE_MS, START + LOGIN_MS_MAX - 1 - entrance.office.now_ms)
        entrance.office.now_ms += step
    entrance.office.now_ms += 1

    assert until == START + LOGIN_MS_MAX
    assert await entrance.who(Realm.AGENT, signed_in.secret) == NO_LOGIN


async def test_being_used_is_written_down_at_most_once_a_minute(entrance: Entrance) -> None:
    signed_in = await entrance.as_agent()
    expires = []
    for _ in range(4):
        await entrance.who(Realm.AGENT, signed_in.secret)
        expires.append(entrance.office.one("SELECT expires FROM login"))
        entrance.office.now_ms += MINUTE_MS // 2

    first = START + IDLE_MS[Realm.AGENT]
    assert expires == [first, first, first + MINUTE_MS, first + MINUTE_MS]


async def test_logging_out_ends_that_login_alone_and_closes_its_sockets(
    entrance: Entrance,
) -> None:
    first, second = await entrance.as_agent(), await entrance.as_agent()

    await entrance.logins.end(first.identity)

    assert await entrance.who(Realm.AGENT, first.secret) == NO_LOGIN
    assert isinstance(await entrance.who(Realm.AGENT, second.secret), Identity)
    assert entrance.ended == [(first.identity.login_id, "logged_out")]
    assert entrance.office.sql("SELECT n, login_id, why FROM access") == [
        (1, first.identity.login_id, "logged_out")
    ]


async def test_a_disabled_persons_logins_are_worth_nothing(entrance: Entrance) -> None:
    signed_in = await entrance.as_agent()
    entrance.office.write("UPDATE person SET disabled_at = 1")

    assert await entrance.who(Realm.AGENT, signed_in.secret) == NO_LOGIN


# By WeCom -----------------------------------------------------------------------------------------


async def test_a_sign_in_at_wecom_makes_a_login_of_the_employee_realm(
    entrance: Entrance,
) -> None:
    done = await entrance.signed_in("Wx-Ann", target="/h5/c/1")

    assert isinstance(done, SigninDone)
    assert done.target == "/h5/c/1"
    assert done.signed_in.identity.principal == (Realm.EMPLOYEE, "ann")
    assert done.signed_in.identity.until == START + IDLE_MS[Realm.EMPLOYEE]


async def test_what_wecom_says_of_a_person_is_remembered(entrance: Entrance) -> None:
    await entrance.signed_in("Wx-Ann")

    assert entrance.office.sql(
        "SELECT person_id, name, department FROM person WHERE wecom_userid = 'wx-ann'"
    ) == [("ann", "安安", "法务部")]


async def test_somebody_new_becomes_one_person_however_often_they_come(
    entrance: Entrance,
) -> None:
    before = entrance.office.one("SELECT count(*) FROM person")

    done = await asyncio.gather(*(entrance.signed_in("zhangwei") for _ in range(3)))

    assert all(isinstance(answer, SigninDone) for answer in done)
    assert entrance.office.one("SELECT count(*) FROM person") == before + 1


async def test_a_state_is_spent_once(entrance: Entrance) -> None:
    started = await entrance.start()
    back = await entrance.at_wecom(started, "Wx-Ann")
    again = await entrance.at_wecom(started, "Wx-Ann")

    first = await entrance.logins.finish(Realm.EMPLOYEE, cookie=started.cookie, **back)
    second = await entrance.logins.finish(Realm.EMPLOYEE, cookie=started.cookie, **again)

    assert isinstance(first, SigninDone)
    assert second == SigninFailed(why="expired")


@pytest.mark.parametrize("what", ["other browser", "no cookie", "other state", "other realm"])
async def test_a_sign_in_ends_only_in_the_browser_that_began_it(
    entrance: Entrance, what: str
) -> None:
    own, other = [await entrance.start() for _ in range(2)]
    back = await entrance.at_wecom(own, "Wx-Ann")
    asked: dict[str, Any] = {"realm": Realm.EMPLOYEE, "cookie": own.cookie, **back}
    changes: dict[str, dict[str, Any]] = {
        "other browser": {"cookie": other.cookie},
        "no cookie": {"cookie": ""},
        "other state": {"state": "0" * 32},
        "other realm": {"realm": Realm.AGENT},
    }
    asked |= changes[what]

    answer = await entrance.logins.finish(asked.pop("realm"), **asked)

    assert answer == SigninFailed(why="expired")
    assert entrance.office.one("SELECT count(*) FROM login") == 0


@pytest.mark.parametrize("late_ms, is_late", [(SIGNIN_MS, False), (SIGNIN_MS + 1, True)])
async def test_a_sign_in_has_ten_minutes(entrance: Entrance, late_ms: int, is_late: bool) -> None:
    started = await entrance.start()
    back = await entrance.at_wecom(started, "Wx-Ann")
    entrance.office.now_ms += late_ms

    answer = await entrance.logins.finish(Realm.EMPLOYEE, cookie=started.cookie, **back)

    assert (answer == SigninFailed(why="expired")) == is_late


@pytest.mark.parametrize("code", ["", "forged", "x" * 600, "\ud800"])
async def test_a_code_that_wecom_did_not_give_is_no_login(entrance: Entrance, code: str) -> None:
    started = await entrance.start()
    back = await entrance.at_wecom(started, "Wx-Ann")

    answer = await entrance.logins.finish(
        Realm.EMPLOYEE, cookie=started.cookie, code=code, state=back["state"]
    )

    assert answer == SigninFailed(why="code")


async def test_a_code_buys_one_login(entrance: Entrance) -> None:
    one, two = [await entrance.start() for _ in range(2)]
    back = await entrance.at_wecom(one, "Wx-Ann")
    states = [(await entrance.at_wecom(s, "Wx-Ann"))["state"] for s in (one, two)]

    answers = [
        await entrance.logins.finish(
            Realm.EMPLOYEE, cookie=started.cookie, code=back["code"], state=state
        )
        for started, state in zip((one, two), states, strict=True)
    ]

    assert isinstance(answers[0], SigninDone)
    assert answers[1] == SigninFailed(why="code")


@pytest.mark.parametrize("userid", ["dengchao", "gone"])
async def test_a_member_outside_the_apps_scope_or_not_active_is_not_let_in(
    entrance: Entrance, userid: str
) -> None:
    entrance.town.world.add(Person(userid="gone", name="已离职", department="", status=5))

    answer = await entrance.signed_in(userid)

    assert answer == SigninFailed(why="scope")
    assert entrance.office.one("SELECT count(*) FROM login") == 0


async def test_a_disabled_person_is_not_let_in_by_wecom(entrance: Entrance) -> None:
    entrance.office.write("UPDATE person SET disabled_at = 1 WHERE person_id = 'ann'")

    answer = await entrance.signed_in("Wx-Ann")

    assert answer == SigninFailed(why="scope")
    assert entrance.office.one("SELECT disabled_at FROM person WHERE person_id = 'ann'") == 1


async def test_a_wecom_that_cannot_be_reached_is_said(entrance: Entrance) -> None:
    started = await entrance.start()
    back = await entrance.at_wecom(started, "Wx-Ann")
    entrance.town.world.faults.add("auth/getuserinfo", FaultKind.REFUSED, times=10)

    answer = await entrance.logins.finish(Realm.EMPLOYEE, cookie=started.cookie, **back)

    assert answer == SigninFailed(why="unreachable")


async def test_without_a_wecom_app_no_sign_in_begins_or_ends(office: Office) -> None:
    logins = Logins(
        office.store, wecom=None, now=lambda: START, new_id=office.new_id, end_login=_nobody
    )

    begun = await logins.start(Realm.EMPLOYEE, "/h5")
    ended = await logins.finish(Realm.EMPLOYEE, code="code", state="state", cookie="cookie")

    logins.close()
    assert begun == ended == SigninFailed(why="no_wecom")


async def _nobody(_login: str, _why: str) -> None:
    return None


# An agent's, by WeCom's QR code -------------------------------------------------------------------


async def test_an_agent_who_scans_the_code_has_a_login_among_their_others(
    entrance: Entrance,
) -> None:
    entrance.town.world.add(Person(userid="WX-Wang", name="王", department="", is_in_scope=False))
    before = entrance.office.sql("SELECT * FROM person ORDER BY person_id")

    done = await entrance.scanned("WX-Wang")
    by_password = await entrance.as_agent()
    standing = await entrance.logins.standing(by_password.identity.principal, None)

    assert isinstance(done, SigninDone)
    assert done.target == "/workbench"
    assert done.signed_in.identity.principal == (Realm.AGENT, "wang")
    assert done.signed_in.identity.until == START + IDLE_MS[Realm.AGENT]
    assert await entrance.who(Realm.AGENT, done.signed_in.secret) == done.signed_in.identity
    assert await entrance.who(Realm.EMPLOYEE, done.signed_in.secret) == NO_LOGIN
    assert not isinstance(standing, Refusal)
    assert {each.browser for each in standing} == {"Firefox", ""}
    # In our table they are what we call them, and being an agent needs no place in WeCom's scope.
    assert entrance.office.sql("SELECT * FROM person ORDER BY person_id") == before


async def test_whoever_is_no_enabled_agent_is_refused_alike_and_leaves_no_trace(
    entrance: Entrance,
) -> None:
    entrance.office.write("UPDATE person SET disabled_at = 1 WHERE person_id = 'chen'")
    for userid, kind in (
        ("wx-chen", Kind.MEMBER),  # a disabled agent
        ("wx-wang", Kind.LINKED),  # a namesake of an agent's
        ("wx-lina", Kind.EXTERNAL),
    ):
        entrance.town.world.add(Person(userid=userid, name="某", department="", kind=kind))
    before = entrance.office.one("SELECT count(*) FROM person")

    answers = [
        await entrance.scanned(userid)
        for userid in ("Wx-Ann", "zhangwei", "wx-chen", "wx-wang", "wx-lina")
    ]

    assert answers == [SigninFailed(why="scope")] * 5
    assert entrance.office.one("SELECT count(*) FROM login") == 0
    assert entrance.office.one("SELECT count(*) FROM person") == before


@pytest.mark.parametrize(
    "what, why",
    [
        ("code late", "code"), ("code forged", "code"), ("state late", "expired"),
        ("state forged", "expired"), ("WeCom down", "unreachable"),
    ],
)  # fmt: skip
async def test_an_agents_sign_in_that_went_wrong_is_no_login_and_the_log_says_why(
    entrance: Entrance, caplog: pytest.LogCaptureFixture, what: str, why: str
) -> None:
    caplog.set_level("INFO", "deskwire.flows")
    entrance.town.world.add(Person(userid="wx-wang", name="王", department=""))
    started = await entrance.start(realm=Realm.AGENT)
    back = await entrance.at_wecom(started, "wx-wang")
    match what:
        case "code late":
            entrance.town.clock.advance(300)
        case "state late":
            entrance.office.now_ms += SIGNIN_MS + 1
        case "WeCom down":
            entrance.town.world.faults.add("auth/getuserinfo", FaultKind.REFUSED, times=10)
        case _:
            back[what.partition(" ")[0]] = "0" * 32

    answer = await entrance.logins.finish(Realm.AGENT, cookie=started.cookie, **back)

    assert answer == SigninFailed(why=why)
    assert f"signin_refused realm='agent' why='{why}'" in caplog.text
    assert entrance.office.one("SELECT count(*) FROM login") == 0


@pytest.mark.parametrize("began, ended", [LOGIN_REALMS, LOGIN_REALMS[::-1]])
async def test_a_sign_in_ends_in_the_realm_in_which_it_began(
    entrance: Entrance, began: Realm, ended: Realm
) -> None:
    started = await entrance.start(realm=began)
    back = await entrance.at_wecom(started, "lina")

    answer = await entrance.logins.finish(ended, cookie=started.cookie, **back)

    assert answer == SigninFailed(why="expired")
    assert entrance.office.one("SELECT count(*) FROM login") == 0


# Too many wrong ones ------------------------------------------------------------------------------

WAIT = Refusal(Code.TOO_MANY, {"retry_after_s": PASSWORDS_OF_NAME.window_s})


@pytest.mark.parametrize("name", ["wang", "nobody"])
async def test_a_name_that_was_guessed_at_too_often_waits_known_or_not(
    entrance: Entrance, name: str
) -> None:
    answers = [
        await entrance.logins.by_password(name.upper() if n % 2 else name, "wrong", address=str(n))
        for n in range(PASSWORDS_OF_NAME.most + 1)
    ]
    right = await entrance.logins.by_password(name, PASSWORD)
    other = await entrance.as_agent("chen")
    entrance.office.now_ms += 1_000 * PASSWORDS_OF_NAME.window_s
    later = await entrance.logins.by_password(name, "wrong")

    assert answers == [NO_LOGIN] * PASSWORDS_OF_NAME.most + [WAIT]
    assert (right, later) == (WAIT, NO_LOGIN)
    assert isinstance(other, SignedIn)
    assert entrance.office.one("SELECT count(*) FROM password_attempt") == 1


async def test_an_address_that_guesses_at_many_names_waits_and_others_do_not(
    entrance: Entrance,
) -> None:
    for n in range(PASSWORDS_OF_ADDRESS.most):
        entrance.office.write(
            "INSERT INTO password_attempt VALUES (?, ?, ?, ?)",
            f"attempt-{n}",
            bytes([n]) * 32,
            Attempt("x", "10.0.0.1").address_hash,
            START,
        )

    from_there = await entrance.logins.by_password("wang", PASSWORD, address="10.0.0.1")
    from_here = await entrance.logins.by_password("wang", PASSWORD, address="10.0.0.2")

    assert from_there == WAIT
    assert isinstance(from_here, SignedIn)


async def test_guesses_at_once_and_on_several_nodes_are_counted_one_by_one(
    entrance: Entrance,
) -> None:
    other = Entrance(entrance.office, entrance.town)
    nodes = (entrance, other)

    answers = await asyncio.gather(
        *(
            nodes[n % 2].logins.by_password("wang", "wrong", address=str(n))
            for n in range(2 * PASSWORDS_OF_NAME.most)
        )
    )
    other.logins.close()

    assert answers.count(NO_LOGIN) == answers.count(WAIT) == PASSWORDS_OF_NAME.most


async def test_the_right_password_is_no_guess(entrance: Entrance) -> None:
    for _ in range(PASSWORDS_OF_NAME.most + 1):
        await entrance.as_agent()

    assert entrance.office.one("SELECT count(*) FROM password_attempt") == 0
    assert b"wang" not in Attempt("wang", "10.0.0.1").name_hash


# Another one --------------------------------------------------------------------------------------

NEW = "another one, as long"


async def test_an_agent_changes_their_own_with_the_one_they_have_and_stays_logged_in(
    entrance: Entrance,
) -> None:
    here, there = await entrance.as_agent(), await entrance.as_agent()

    async def change(current: str | None) -> int | Refusal:
        return await entrance.logins.change_password(
            here.identity, "wang", NEW, current=current, address=None
        )

    wrong = [await change(current) for current in (None, "", "wrong")]
    changed = await change(PASSWORD)

    assert wrong == [invalid("current")] * 3
    assert changed == 1
    assert entrance.ended == [(there.identity.login_id, "password")]
    assert isinstance(await entrance.who(Realm.AGENT, here.secret), Identity)
    assert await entrance.who(Realm.AGENT, there.secret) == NO_LOGIN
    assert isinstance(await entrance.logins.by_password("wang", NEW), SignedIn)
    assert entrance.office.sql("SELECT login_id, why FROM access") == [
        (there.identity.login_id, "password")
    ]


async def test_guesses_at_the_current_one_are_counted_with_those_at_the_door(
    entrance: Entrance,
) -> None:
    here = await entrance.as_agent()
    for _ in range(PASSWORDS_OF_NAME.most):
        await entrance.logins.by_password("wang", "wrong")

    answer = await entrance.logins.change_password(
        here.identity, "wang", NEW, current=PASSWORD, address=None
    )

    assert answer == WAIT


async def test_an_admin_sets_anybodys_and_ends_all_their_logins(entrance: Entrance) -> None:
    root, wang = await entrance.as_agent("root"), await entrance.as_agent()

    async def change(by: SignedIn, person: str, current: str | None = None) -> int | Refusal:
        return await entrance.logins.change_password(
            by.identity, person, NEW, current=current, address=None
        )

    assert await change(wang, "chen") == Refusal(Code.NOT_ALLOWED)
    assert await change(wang, "nowhere") == Refusal(Code.NOT_ALLOWED)
    assert await change(root, "ann") == Refusal(Code.NOT_FOUND)
    assert await change(root, "wang", current=PASSWORD) == invalid("current")
    assert await change(root, "root") == invalid("current")
    assert await change(root, "wang") == 1
    assert await entrance.who(Realm.AGENT, wang.secret) == NO_LOGIN
    assert isinstance(await entrance.logins.by_password("wang", NEW), SignedIn)


async def test_a_new_password_ends_the_logins_made_with_the_old(entrance: Entrance) -> None:
    signed_in = await entrance.as_agent("wang")
    other = await entrance.as_agent("chen")

    ended = await entrance.logins.set_password("Wang", "another one, as long")

    assert ended == 1
    assert await entrance.who(Realm.AGENT, signed_in.secret) == NO_LOGIN
    assert isinstance(await entrance.who(Realm.AGENT, other.secret), Identity)
    assert isinstance(await entrance.logins.by_password("wang", "another one, as long"), SignedIn)
    assert await entrance.logins.by_password("wang", PASSWORD) == NO_LOGIN
    assert await entrance.logins.set_password("nobody", "whatever it may be") is None
