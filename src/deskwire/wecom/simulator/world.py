"""A WeCom that runs here: people, apps, codes, tokens, and the rules of the real one.

Pure: the clock is passed in, chance is seeded, nothing waits. Each rule names its source: Dnnnnn is
a page of WeCom's documentation, § a section of wecom.md, *inf* our guess. Must never know the desk:
it answers calls and shows phones.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from deskwire.wecom.errors import HIDDEN, SECRET_NAMES
from deskwire.wecom.simulator.chance import Chance
from deskwire.wecom.simulator.faults import ERRCODES, FaultKind, Faults
from deskwire.wecom.simulator.mailbox import Answer, Card, Mailbox
from deskwire.wecom.simulator.people import DEMO_PEOPLE, Kind, Person

__all__ = ["DEMO_PEOPLE", "Ask", "FaultKind", "Kind", "Person", "Reply", "Rules", "World"]

TOKEN_LIFETIME_S: Final = 7200  # D91039
CODE_LIFETIME_MS: Final = 300_000  # D91023
CODE_LENGTH: Final = 43
TOKEN_LENGTH: Final = 214
MSGID_LENGTH: Final = 64
WRONG_SECRETS_MAX: Final = 20  # our figure; D90313 names none
BAN_MS: Final = 3_600_000  # D90313
CALLS_KEPT: Final = 500
CODES_KEPT: Final = 10_000
LINKED_CORP: Final = "wwlinked0000000000"

Reply = dict[str, Any]
"""A reply's JSON. `errcode` is always there; the door leaves it out when a rule says so."""


class Grants(StrEnum):
    """What a second gettoken gives. Which of them WeCom does is not documented (D91039)."""

    SAME = "same"
    NEW = "new"
    NEW_KILLS_OLD = "new_kills_old"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How this WeCom behaves where the pages are silent or differ: `world.rules = Rules(…)`."""

    grants: Grants = Grants.SAME
    token_lifetime_s: int = TOKEN_LIFETIME_S
    expired_code: int = 42001  # some apps see 40014 for an expired token as well
    names_success: bool = True  # some good replies carry no errcode
    trusted_ips: frozenset[str] | None = (
        None  # 企业可信IP, D90664; None: an app older than the rule
    )
    shows_private_fields: bool = False  # an app made before 2022-06-20 20:00, D90196


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request of our server's, as it reached WeCom."""

    path: str
    query: Mapping[str, str]
    ip: str
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What was asked and answered, for the log on the phone page. Holds no secret."""

    number: int
    at_ms: int
    method: str
    path: str
    query: dict[str, str]
    errcode: int | None
    errmsg: str
    fault: FaultKind | None


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    agent_id: int
    secret: str = field(repr=False)
    trusted_domain: str
    name: str = "IT服务台"


@dataclass(slots=True, kw_only=True)
class _Token:
    agent_id: int
    until_ms: int


@dataclass(slots=True, kw_only=True)
class _Code:
    agent_id: int
    userid: str
    until_ms: int
    is_domain_exact: bool
    is_used: bool = False


@dataclass(slots=True, kw_only=True)
class _Guesses:
    count: int = 0
    banned_until_ms: int = 0


class World:
    """`clock` gives Unix ms. `faults`, `rules` and `calls` are for tests and for the phone page."""

    def __init__(
        self,
        *,
        clock: Callable[[], int],
        seed: int = 0,
        corp_id: str = "wwdemo00000000000",
        agent_id: int = 1000002,
        secret: str,
        trusted_domain: str,
        people: Iterable[Person] = DEMO_PEOPLE,
    ) -> None:
        self.corp_id = corp_id
        self.rules = Rules()
        self.faults = Faults()
        self.calls: deque[Call] = deque(maxlen=CALLS_KEPT)
        self._clock = clock
        self._chance = Chance(seed)
        self._apps: dict[int, App] = {}
        self._people: dict[str, Person] = {}
        self._departments: dict[str, int] = {}
        self._tokens: dict[str, _Token] = {}
        self._codes: dict[str, _Code] = {}
        self._guesses: dict[str, _Guesses] = {}
        self.calls_made = 0
        self.mailbox = Mailbox(person=self.person, msgid=lambda: self._chance.text(MSGID_LENGTH))
        self.app = self.add_app(agent_id=agent_id, secret=secret, trusted_domain=trusted_domain)
        for person in people:
            self.add(person)

    def __repr__(self) -> str:
        return (
            f"<World {self.corp_id} people={len(self._people)} apps={sorted(self._apps)} "
            f"calls={self.calls_made} {self.faults}>"
        )

    # --- people and apps -------------------------------------------------------------------------

    @property
    def people(self) -> list[Person]:
        return list(self._people.values())

    def person(self, userid: str) -> Person | None:
        return self._people.get(userid.casefold())

    def inbox(self, userid: str) -> list[Card]:
        """What that member's phone shows, the oldest first."""
        return self.mailbox.shown(userid)

    def add(self, person: Person) -> None:
        """A person joins, or changes."""
        self._people[person.userid.casefold()] = person
        self._departments.setdefault(person.department, len(self._departments) + 2)

    def add_app(self, *, agent_id: int, secret: str, trusted_domain: str) -> App:
        """Another app of the corp: its own secret, tokens and scope of codes."""
        app = App(agent_id=agent_id, secret=secret, trusted_domain=trusted_domain)
        self._apps[agent_id] = app
        return app

    def leave_scope(self, userid: str) -> None:
        person = self._people[userid.casefold()]
        self.add(replace(person, is_in_scope=False))

    def rename(self, userid: str, new: str) -> None:
        """A UserID may be changed once; codes given before name the new one (*inf*)."""
        person = self._people.pop(userid.casefold())
        self.add(replace(person, userid=new))
        for code in self._codes.values():
            if code.userid.casefold() == userid.casefold():
                code.userid = new

    def change_secret(self, agent_id: int | None = None) -> str:
        """An admin makes a new secret: the old one and its tokens are dead. The new one."""
        app = self._apps[agent_id or self.app.agent_id]
        changed = replace(app, secret=self._chance.text(43))
        self._apps[app.agent_id] = changed
        self.app = self._apps[self.app.agent_id]
        self._drop_tokens(app.agent_id)
        return changed.secret

    def revoke_tokens(self, agent_id: int | None = None) -> None:
        """WeCom may end a token before its time (D91039)."""
        self._drop_tokens(agent_id or self.app.agent_id)

    def _drop_tokens(self, agent_id: int) -> None:
        self._tokens = {k: v for k, v in self._tokens.items() if v.agent_id != agent_id}

    # --- logging in ------------------------------------------------------------------------------

    def refusal(self, query: Mapping[str, str]) -> str | None:
        """Why an authorize page shows an error instead of asking who one is (D91022, D98152)."""
        app = self._app_of(query)
        state = query.get("state", "")
        if query.get("appid") != self.corp_id or app is None:
            return "appid"
        if not state.isascii() or not state.isalnum() or len(state) > 128:
            return "state"  # 84025
        target = _authority(query.get("redirect_uri", ""))
        trusted = _authority(f"https://{app.trusted_domain}")
        if target is None or trusted is None or target[0] != trusted[0]:
            return "redirect_uri"
        return None

    def code_for(self, query: Mapping[str, str], userid: str) -> str:
        """The person has agreed: where their browser goes now, with a fresh code."""
        app = self._app_of(query)
        assert app is not None
        target = urlsplit(query["redirect_uri"])
        code = self._chance.text(CODE_LENGTH)
        self._codes[code] = _Code(
            agent_id=app.agent_id,
            userid=userid,
            until_ms=self._clock() + CODE_LIFETIME_MS,
            # Another port passes the page and fails at the exchange: 50001 (*inf* from §6.1).
            is_domain_exact=_authority(query["redirect_uri"])
            == _authority(f"{target.scheme}://{app.trusted_domain}"),
        )
        while len(self._codes) > CODES_KEPT:
            del self._codes[next(iter(self._codes))]
        back = urlencode({"code": code, "state": query.get("state", "")})
        return target._replace(query="&".join(filter(None, [target.query, back]))).geturl()

    def _app_of(self, query: Mapping[str, str]) -> App | None:
        agent_id = query.get("agentid", "")
        if not agent_id:
            return self.app  # optional with snsapi_base
        return self._apps.get(int(agent_id)) if agent_id.isdecimal() else None

    # --- calls -----------------------------------------------------------------------------------

    def strike(self, ask: Ask) -> FaultKind | None:
        """The fault this call meets. What changes the world changes it here, before the call."""
        kind = self.faults.strike(ask.path, ask.query)
        match kind:
            case FaultKind.TOKEN_REVOKED:
                self.revoke_tokens()
            case FaultKind.SECRET_CHANGED:
                self.change_secret()
            case FaultKind.LEAVES_SCOPE:
                if person := self._about(ask):
                    self.leave_scope(person.userid)
            case FaultKind.RENAMED:
                if person := self._about(ask):
                    self.rename(person.userid, f"{person.userid}.new")
            case _:
                pass
        return kind

    def answer(self, ask: Ask, kind: FaultKind | None = None) -> Reply:
        """The reply to a call, with what `strike` said of it."""
        if kind is not None and kind in ERRCODES:
            return self._no(ask, ERRCODES[kind])
        if ask.path == "gettoken":
            return self._gettoken(ask)
        found = self._agent_of(ask)
        if isinstance(found, dict):
            return found
        if ask.path == "message/send":
            is_lost = kind is FaultKind.SILENT_DISCARD
            sent = self.mailbox.send(ask.body, found, self._clock(), is_lost=is_lost)
            return self._reply(ask, sent)
        return self._ANSWERS[ask.path](self, ask, found)

    def note(self, method: str, ask: Ask, reply: Reply | None, kind: FaultKind | None) -> None:
        """Into the log that the phone page shows. `reply` is None when none was made."""
        self.calls_made += 1
        self.calls.append(
            Call(
                number=self.calls_made,
                at_ms=self._clock(),
                method=method,
                path=ask.path,
                query={k: HIDDEN if k in SECRET_NAMES else v for k, v in ask.query.items()},
                errcode=None if reply is None else reply["errcode"],
                errmsg="" if reply is None else reply["errmsg"],
                fault=kind,
            )
        )

    def _gettoken(self, ask: Ask) -> Reply:
        """D91039, and the ban of D90313."""
        guesses = self._guesses.setdefault(ask.ip, _Guesses())
        if self._clock() < guesses.banned_until_ms:
            return self._no(ask, 45009)
        for name, missing in (("corpid", 41002), ("corpsecret", 41004)):
            if not ask.query.get(name):
                return self._no(ask, missing)
        if ask.query["corpid"] != self.corp_id:
            return self._no(ask, 40013)
        secret = ask.query["corpsecret"]
        app = next((app for app in self._apps.values() if app.secret == secret), None)
        if app is None:
            return self._wrong_secret(ask, guesses)
        return self._yes(
            access_token=self._granted(app), expires_in=self._seconds_left(app.agent_id)
        )

    def _wrong_secret(self, ask: Ask, guesses: _Guesses) -> Reply:
        guesses.count += 1
        if guesses.count >= WRONG_SECRETS_MAX:
            guesses.count, guesses.banned_until_ms = 0, self._clock() + BAN_MS
        return self._no(ask, 40001)

    def _granted(self, app: App) -> str:
        now_ms = self._clock()
        self._tokens = {k: v for k, v in self._tokens.items() if now_ms < v.until_ms + BAN_MS}
        living = self._living(app.agent_id)
        if living and self.rules.grants is Grants.SAME:
            return living
        if self.rules.grants is Grants.NEW_KILLS_OLD:
            self._drop_tokens(app.agent_id)
        value = self._chance.text(TOKEN_LENGTH)
        until_ms = now_ms + self.rules.token_lifetime_s * 1000
        self._tokens[value] = _Token(agent_id=app.agent_id, until_ms=until_ms)
        return value

    def _living(self, agent_id: int) -> str | None:
        """The newest token of the app that is still good."""
        good = (
            value
            for value, token in reversed(self._tokens.items())
            if token.agent_id == agent_id and self._clock() < token.until_ms
        )
        return next(good, None)

    def _seconds_left(self, agent_id: int) -> int:
        value = self._living(agent_id)
        assert value is not None
        return max(1, (self._tokens[value].until_ms - self._clock()) // 1000)

    def _agent_of(self, ask: Ask) -> int | Reply:
        """Whose token this is, or the refusal that every call gives without a good one (D90313)."""
        value = ask.query.get("access_token")
        if not value:
            return self._no(ask, 41001)
        token = self._tokens.get(value)
        if token is None:
            return self._no(ask, 40014)
        if self._clock() >= token.until_ms:
            return self._no(ask, self.rules.expired_code)
        if self.rules.trusted_ips is not None and ask.ip not in self.rules.trusted_ips:
            return self._no(ask, 60020)  # D90664
        return token.agent_id

    def _getuserinfo(self, ask: Ask, agent_id: int) -> Reply:
        """D91023, D98176. For a member also when outside the app's scope."""
        code = self._codes.get(ask.query.get("code", ""))
        if code is None or code.agent_id != agent_id:
            return self._no(ask, 40029)
        if code.is_used:
            return self._no(ask, 42022)
        if self._clock() >= code.until_ms:
            return self._no(ask, 42003)
        if not code.is_domain_exact:
            return self._no(ask, 50001)
        code.is_used = True
        return self._identity(code.userid)

    def _identity(self, userid: str) -> Reply:
        person = self.person(userid)
        if person is None or person.kind is Kind.EXTERNAL:
            return self._yes(openid=f"o{userid.casefold():_<27}")
        if person.kind is Kind.LINKED:
            return self._yes(userid=f"{LINKED_CORP}/{person.userid}")
        return self._yes(userid=person.userid)

    def _user(self, ask: Ask, _agent_id: int) -> Reply:
        """D90196, with the privacy rule of 2022-06-20."""
        userid = ask.query.get("userid", "")
        person = self.person(userid)
        if person is None or person.kind is not Kind.MEMBER:
            return self._no(ask, 60111)
        if not person.is_in_scope:
            return self._no(ask, 60011)
        department = self._departments[person.department]
        private = {"mobile": "13800000000", "gender": "0", "email": "", "avatar": ""}
        return self._yes(
            userid=person.userid,
            name=person.name,
            department=[department],
            main_department=department,
            position=person.position,
            status=person.status,
            **(private if self.rules.shows_private_fields else {}),
        )

    def _department(self, ask: Ask, _agent_id: int) -> Reply:
        """D95351. Seen by the app when any member of it is in scope (*inf*)."""
        wanted = ask.query.get("id", "")
        for name, number in self._departments.items():
            if str(number) == wanted and any(
                person.department == name and person.is_in_scope for person in self.people
            ):
                return self._yes(
                    department={"id": number, "name": name, "parentid": 1, "order": number}
                )
        return self._no(ask, 60011)

    def _recall(self, ask: Ask, _agent_id: int) -> Reply:
        return self._reply(ask, self.mailbox.recall(ask.body, self._clock()))

    def _reply(self, ask: Ask, answer: Answer) -> Reply:
        return self._no(ask, answer) if isinstance(answer, int) else self._yes(**answer)

    _ANSWERS: Final[dict[str, Callable[[World, Ask, int], Reply]]] = {
        "auth/getuserinfo": _getuserinfo,
        "user/get": _user,
        "department/get": _department,
        "message/recall": _recall,
    }

    def _about(self, ask: Ask) -> Person | None:
        code = self._codes.get(ask.query.get("code", ""))
        return self.person(code.userid if code else ask.query.get("userid", ""))

    def _yes(self, **fields: Any) -> Reply:
        return {"errcode": 0, "errmsg": "ok", **fields}

    def _no(self, ask: Ask, code: int) -> Reply:
        """With the tail that D90930 shows."""
        hint = f"{self._clock() // 1000}_{self._chance.text(2)}_{self._chance.text(32)}"
        return {
            "errcode": code,
            "errmsg": f"{MEANINGS.get(code, 'error')}, hint: [{hint}], from ip: {ask.ip}, "
            f"more info at https://open.work.weixin.qq.com/devtool/query?e={code}",
        }


MEANINGS: Final[Mapping[int, str]] = {
    -1: "system busy",
    40001: "invalid credential",
    40013: "invalid corpid",
    40014: "invalid access_token",
    40029: "invalid code",
    41001: "access_token missing",
    41002: "corpid missing",
    40008: "invalid message type",
    40056: "invalid agentid",
    40058: "invalid parameter",
    41004: "corpsecret missing",
    41016: "missing title",
    41033: "missing description",
    42001: "access_token expired",
    42003: "oauth_code expired",
    42022: "code has been used",
    42052: "message is too old to be recalled",
    45009: "api freq out of limit",
    45033: "api concurrent out of limit",
    45034: "invalid url",
    50001: "redirect_url unauthorized",
    60011: "no privilege to access/modify contact/party/agent",
    60020: "not allow to access from your ip",
    60111: "userid not found",
    81013: "user & party & tag all invalid",
    82001: "missing receiver",
}
"""For a person who reads the log; our client never looks at them (D90664)."""


def _authority(url: str) -> tuple[str, int] | None:
    """Host and port, the scheme's own port where none is named."""
    try:
        parts = urlsplit(url)
        own = {"https": 443, "http": 80}.get(parts.scheme)
        port = parts.port or own
    except ValueError:
        return None
    return (parts.hostname, port) if own and port and parts.hostname else None
