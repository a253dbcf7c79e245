"""WeCom code or password → a login in one realm; and back: which login a secret stands for.

A login is an opaque secret in a cookie, stored as its hash. Invariant: the realm of a login is
decided by the road by which it was made; no value that a browser sends can change it.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias, assert_never

import argon2

from deskwire import telemetry
from deskwire.desk.access import Duty, has_duty, may_end_login
from deskwire.desk.people import LOGIN_REALMS, PersonId, Principal, Realm
from deskwire.desk.rates import PASSWORDS_OF_ADDRESS, PASSWORDS_OF_NAME, one_more
from deskwire.desk.refusals import Code, Refusal, invalid
from deskwire.storage import attempts, logins, people
from deskwire.storage.attempts import Attempt
from deskwire.storage.engine import Store
from deskwire.storage.gathering import Gathering
from deskwire.storage.logins import LoginRecord, StandingLogin
from deskwire.wecom.client import WeComClient
from deskwire.wecom.errors import Invisible, LoginCode, WeComFault
from deskwire.wecom.messages import Member, MemberStatus, UserId
from deskwire.wecom.oauth import LoginStart, authorize_url, desktop_url

HOUR_MS = 3600 * 1000
LOGIN_MS_MAX = 12 * HOUR_MS
IDLE_MS = {Realm.AGENT: HOUR_MS // 2, Realm.EMPLOYEE: LOGIN_MS_MAX}
EXTEND_STEP_MS = 60_000
SIGNIN_MS = 10 * 60 * 1000
HASHING_MAX = 16  # waiting and running; each takes 19 MiB, so memory must not be the attack
PASSWORD_CHARS_MIN = people.PASSWORD_CHARS_MIN
PASSWORD_CHARS_MAX = people.PASSWORD_CHARS_MAX
BROWSER_CHARS_MAX = 200
LOGGED_OUT = "logged_out"

Standing: TypeAlias = StandingLogin

_log = telemetry.logger("flows")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who a request speaks for, and until when (Unix ms)."""

    principal: Principal
    login_id: str
    until: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """A new login. The secret leaves in a cookie and is kept nowhere here."""

    secret: str
    identity: Identity


class WeComPage(StrEnum):
    """Which of WeCom's two pages a sign-in begins at."""

    INSIDE = "inside"  # for a browser inside WeCom, which knows who it is
    QR_CODE = "qr_code"  # for any other: a phone scans what the page shows


@dataclass(frozen=True, slots=True, kw_only=True)
class SigninStarted:
    """Where to send the browser, and what its pre-login cookie must hold."""

    url: str
    cookie: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SigninDone:
    """A sign-in that came back from WeCom well, and where the person wanted to go."""

    signed_in: SignedIn
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SigninFailed:
    """Why a sign-in at WeCom did not become a login: a word the page has a sentence for."""

    why: str  # expired, code, scope, unreachable, no_wecom


@dataclass(frozen=True, slots=True, kw_only=True)
class WeComApp:
    """The app behind the sign-in, and the addresses that a browser meets."""

    corp_id: str
    agent_id: int
    client: WeComClient
    open_url: str
    login_url: str
    public_url: str


class Logins:
    """Makes, finds, extends and ends logins. Passwords are hashed on two threads of its own.

    `end_login(login_id, why)` closes a login's sockets after the COMMIT that ended it.
    """

    def __init__(
        self,
        store: Store,
        *,
        wecom: WeComApp | None,
        now: Callable[[], int],
        new_id: Callable[[], str],
        end_login: Callable[[str, str], Awaitable[None]],
    ) -> None:
        self._store = store
        self._wecom = wecom
        self._now = now
        self._new_id = new_id
        self._end_login = end_login
        self._hasher = argon2.PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="argon2")
        self._places = HASHING_MAX
        self._secrets = Gathering(self._records_of)
        # Checked when there is no such agent, so that both answers take the same time.
        self._nobody = self._hasher.hash(secrets.token_urlsafe(16))

    @property
    def has_wecom(self) -> bool:
        """Whether one can sign in at WeCom at all."""
        return self._wecom is not None

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def hash(self, password: str) -> str:
        """The form in which a password is stored. Blocks for some 30 ms: not for the event loop."""
        return self._hasher.hash(password)

    async def set_password(self, login_name: str, password: str) -> int | None:
        """Give an agent another password, and end their logins: who has the old one is not asked.

        Returns how many logins have ended, or none where nobody has the login name. Sockets close
        when their nodes look again.
        """
        async with self._store.reading() as conn:
            person = await people.agent_named(conn, login_name)
        if person is None:
            return None
        return len(await self._replace_password(person, password, but=None))

    async def change_password(
        self, who: Identity, person: str, password: str, *, current: str | None, address: str | None
    ) -> int | Refusal:
        """Give an agent another password: an administrator anybody, an agent themselves.

        Oneself one has to know the `current` one, administrators too: who finds a browser open must
        not be able to keep it. Returns how many other logins of theirs have ended; their sockets
        are closed.
        """
        is_own = person == who.principal.person
        async with self._store.reading() as conn:
            actor = await people.actor(conn, who.principal)
            found = await people.credentials_of(conn, person)
        if actor is None or not (is_own or has_duty(actor, Duty.ADMINISTER)):
            return Refusal(Code.NOT_ALLOWED)
        if found is None:
            return Refusal(Code.NOT_FOUND)
        if is_own is (current is None):
            return invalid("current")
        login_name, stored = found
        if is_own and (
            refusal := await self._check(Attempt(login_name, address), stored, current or "")
        ):
            return invalid("current") if refusal.code is Code.LOGIN_REQUIRED else refusal
        but = who.login_id if is_own else None
        ended = await self._replace_password(PersonId(person), password, but=but)
        _log.info("password_changed", person=person, by=who.principal.person)
        for login in ended:
            await self._end_login(login, "password")
        return len(ended)

    async def _replace_password(
        self, person: PersonId, password: str, *, but: str | None
    ) -> list[str]:
        hashed = await asyncio.get_running_loop().run_in_executor(
            self._threads, self._hasher.hash, password
        )
        async with self._store.writing() as conn:
            await people.set_password_hash(conn, person, hashed)
            who = Principal(Realm.AGENT, person)
            return await logins.revoke_all(conn, who, "password", self._now(), but=but)

    async def by_password(
        self, login_name: str, password: str, *, address: str | None = None, browser: str = ""
    ) -> SignedIn | Refusal:
        """An agent's login. A wrong name and a wrong password cannot be told apart.

        `address` is where it comes from; too many wrong ones from there, or for one name, are
        refused for a time. `browser` is how the browser calls itself.
        """
        if len(password) > PASSWORD_CHARS_MAX:
            return Refusal(Code.LOGIN_REQUIRED)
        async with self._store.reading() as conn:
            found = await people.credentials(conn, login_name)
        stored = found[1] if found else None
        refusal = await self._check(Attempt(login_name, address), stored, password)
        if refusal is not None or found is None:
            return refusal or Refusal(Code.LOGIN_REQUIRED)
        return await self._sign_in(Principal(Realm.AGENT, found[0]), browser)

    async def _check(self, attempt: Attempt, stored: str | None, password: str) -> Refusal | None:
        """Whether this is the password; none stored costs the same and never is."""
        if self._places == 0:
            return Refusal(Code.TRY_LATER, {"retry_after_s": 1})
        self._places -= 1
        try:
            begun = await self._begin(attempt)
            if isinstance(begun, Refusal):
                return begun
            is_right = await asyncio.get_running_loop().run_in_executor(
                self._threads, self._verify, stored or self._nobody, password
            )
        finally:
            self._places += 1
        if not is_right or stored is None:
            return Refusal(Code.LOGIN_REQUIRED)
        async with self._store.writing() as conn:
            await attempts.take_back(conn, begun)
        return None

    async def _begin(self, attempt: Attempt) -> str | Refusal:
        """Count the attempt as a wrong one until it turns out otherwise. Returns its id."""
        attempt_id, now = self._new_id(), self._now()
        async with self._store.writing() as conn:
            await attempts.take_turns(conn, attempt)
            for rate in (PASSWORDS_OF_NAME, PASSWORDS_OF_ADDRESS):
                oldest = await attempts.oldest_that_counts(conn, attempt, rate)
                refusal = one_more(rate, oldest, now) if oldest is not None else None
                if refusal is not None:
                    return refusal
            await attempts.begin(conn, attempt, attempt_id, now)
        return attempt_id

    def _verify(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except argon2.exceptions.VerificationError:
            return False

    async def start(
        self,
        realm: Realm,
        target: str,
        *,
        page: WeComPage = WeComPage.INSIDE,
        language: Literal["zh", "en"] = "zh",
    ) -> SigninStarted | SigninFailed:
        """Begin a sign-in at WeCom; `target` is a local path, checked by the caller.

        `language` is that of the page with the QR code.
        """
        app = self._wecom
        if app is None:
            return SigninFailed(why="no_wecom")
        state, cookie, now = secrets.token_hex(16), secrets.token_urlsafe(32), self._now()
        async with self._store.writing() as conn:
            await logins.start_signin(
                conn,
                state_hash=_hashed(state),
                cookie_hash=_hashed(cookie),
                realm=realm,
                target=target,
                now=now,
                expires=now + SIGNIN_MS,
            )
        back = f"{app.public_url}/login/{realm.value}/return"
        start = LoginStart(
            corp_id=app.corp_id, agent_id=app.agent_id, redirect_uri=back, state=state
        )
        return SigninStarted(url=_url_of(app, start, page, language), cookie=cookie)

    async def finish(
        self, realm: Realm, *, code: str, state: str, cookie: str, browser: str = ""
    ) -> SigninDone | SigninFailed:
        """End a sign-in: the state must be this browser's and unspent, the code WeCom's."""
        done = await self._finish(realm, code, state, cookie, browser)
        if isinstance(done, SigninFailed):
            # An agent's browser is not told why; whoever runs the desk can find it here.
            _log.info("signin_refused", realm=realm.value, why=done.why)
        return done

    async def _finish(
        self, realm: Realm, code: str, state: str, cookie: str, browser: str
    ) -> SigninDone | SigninFailed:
        if self._wecom is None:
            return SigninFailed(why="no_wecom")
        async with self._store.writing() as conn:
            target = await logins.spend_signin(
                conn,
                state_hash=_hashed(state),
                cookie_hash=_hashed(cookie),
                realm=realm,
                now=self._now(),
            )
        if target is None:
            return SigninFailed(why="expired")
        person = await self._identify(realm, self._wecom.client, code)
        if isinstance(person, SigninFailed):
            return person
        signed_in = await self._sign_in(Principal(realm, person), browser)
        if isinstance(signed_in, Refusal):
            return SigninFailed(why="scope")
        return SigninDone(signed_in=signed_in, target=target)

    async def _identify(
        self, realm: Realm, wecom: WeComClient, code: str
    ) -> PersonId | SigninFailed:
        """The person behind a code. Being a member is not being entitled.

        An employee the app must see, an agent we must know: a stranger's try leaves no person.
        """
        try:
            member = await wecom.identify(code)
            if not isinstance(member, Member):
                return SigninFailed(why="scope")
            if realm is Realm.AGENT:
                return await self._known(member.userid)
            record = await wecom.member(member.userid)
        except LoginCode:
            return SigninFailed(why="code")
        except Invisible:
            return SigninFailed(why="scope")
        except WeComFault as fault:
            _log.warning("signin_failed", fault=str(fault))
            return SigninFailed(why="unreachable")
        if record.status is not MemberStatus.ACTIVE:
            return SigninFailed(why="scope")
        return await self._remember(record.userid, record.name, record.department)

    async def _known(self, userid: UserId) -> PersonId | SigninFailed:
        async with self._store.reading() as conn:
            person = await people.by_wecom_userid(conn, userid)
        return person or SigninFailed(why="scope")

    async def _remember(self, userid: str, name: str, department: str) -> PersonId:
        async with self._store.writing() as conn:
            return await people.remember_member(
                conn, userid=userid, name=name, department=department, new_id=self._new_id()
            )

    async def _sign_in(self, who: Principal, browser: str) -> SignedIn | Refusal:
        secret, now = secrets.token_urlsafe(32), self._now()
        record = LoginRecord(
            id=self._new_id(),
            principal=who,
            created=now,
            expires=now + IDLE_MS[who.realm],
            browser=_printable(browser),
        )
        async with self._store.writing() as conn:
            if await people.actor(conn, who) is None:
                return Refusal(Code.LOGIN_REQUIRED)
            await people.find_again(conn, who.person)
            await logins.create(conn, _hashed(secret), record)
        return SignedIn(secret=secret, identity=_identity(record))

    async def identify(self, realm: Realm, secret: str | None) -> Identity | Refusal:
        """Whom a cookie of this realm speaks for. Being used keeps an agent's login alive."""
        if not secret:
            return Refusal(Code.LOGIN_REQUIRED)
        record = await self._secrets.ask(_hashed(secret))
        if record is None or not self._is_good(record, realm):
            return Refusal(Code.LOGIN_REQUIRED)
        return await self.extend(record)

    async def _records_of(self, hashes: Sequence[bytes]) -> Sequence[LoginRecord | None]:
        async with self._store.reading() as conn:
            found = await logins.by_secrets(conn, set(hashes))
        return [found.get(each) for each in hashes]

    async def extend(self, record: LoginRecord) -> Identity:
        """Move the end of a login that is in use, by steps that are worth a write."""
        now = self._now()
        latest = record.created + LOGIN_MS_MAX
        expires = min(now + IDLE_MS[record.principal.realm], latest)
        if expires - record.expires < EXTEND_STEP_MS:
            return _identity(record)
        async with self._store.writing() as conn:
            await logins.extend(conn, record.id, now=now, expires=expires)
        return Identity(principal=record.principal, login_id=record.id, until=expires)

    async def end(self, identity: Identity) -> None:
        """Log out: its sockets close, here at once and elsewhere when they look again."""
        async with self._store.writing() as conn:
            await logins.revoke(conn, identity.login_id, LOGGED_OUT, self._now())
        await self._end_login(identity.login_id, LOGGED_OUT)

    async def standing(self, who: Principal, person: str | None) -> Sequence[Standing] | Refusal:
        """One's own logins in this realm, or all those of a person, where one may see them."""
        async with self._store.reading() as conn:
            actor = await people.actor(conn, who)
            if actor is None:
                return Refusal(Code.LOGIN_REQUIRED)
            if person is not None and not has_duty(actor, Duty.OTHERS_LOGINS):
                return Refusal(Code.NOT_ALLOWED)
            of, realms = (who.person, [who.realm]) if person is None else (person, LOGIN_REALMS)
            if await people.by_id(conn, of) is None:
                return Refusal(Code.NOT_FOUND)
            return await logins.standing(
                conn, person_id=PersonId(of), realms=realms, now=self._now()
            )

    async def revoke(self, who: Principal, login_id: str) -> Refusal | None:
        """End a login of one's own, or anybody's where one may; again changes nothing.

        Its sockets close, here at once and elsewhere when they look again.
        """
        async with self._store.writing() as conn:
            record = (await logins.by_ids(conn, [login_id])).get(login_id)
            actor = await people.actor(conn, who)
            if record is None or actor is None or not may_end_login(actor, record.principal):
                return Refusal(Code.NOT_FOUND)
            why = LOGGED_OUT if record.principal == who else logins.KICKED
            await logins.revoke(conn, login_id, why, self._now())
        await self._end_login(login_id, why)
        return None

    def _is_good(self, record: LoginRecord, realm: Realm) -> bool:
        return (
            record.principal.realm is realm
            and record.revoked is None
            and not record.is_disabled
            and record.expires > self._now()
        )


def _url_of(
    app: WeComApp, start: LoginStart, page: WeComPage, language: Literal["zh", "en"]
) -> str:
    match page:
        case WeComPage.INSIDE:
            return authorize_url(start, open_url=app.open_url)
        case WeComPage.QR_CODE:
            return desktop_url(start, language=language, login_url=app.login_url)
    assert_never(page)


def _identity(record: LoginRecord) -> Identity:
    return Identity(principal=record.principal, login_id=record.id, until=record.expires)


def _printable(browser: str) -> str:
    """As it was said, without what no line of text has."""
    return "".join(each for each in browser if each.isprintable())[:BROWSER_CHARS_MAX]


def _hashed(secret: str) -> bytes:
    """256 random bits need no slow hash."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
