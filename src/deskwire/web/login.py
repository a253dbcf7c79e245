"""Logging in and out, who I am, and the two ends of the sign-in at WeCom."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.responses import RedirectResponse

from deskwire.desk.people import Realm
from deskwire.desk.refusals import Code, Refusal
from deskwire.flows.login import Identity, Logins, SigninFailed, Standing, WeComPage
from deskwire.storage.views import Views
from deskwire.web.auth import Cookies
from deskwire.web.errors import Refused
from deskwire.web.passwords import address_of
from deskwire.web.schemas import LoginBody, Nothing
from deskwire.web.security import Origins

TARGET_CHARS_MAX = 256
PERSON_CHARS_MAX = 64
HOMES: Final[Mapping[Realm, str]] = {Realm.EMPLOYEE: "/h5", Realm.AGENT: "/workbench"}
BELOW = re.compile(r"([/?][!$-\[\]^-~]*)?")  # visible ASCII but quotes, # and backslash
INSIDE_WECOM = "wxwork/"  # proves nothing: it only chooses which page asks who one is
DOTS = re.compile(r"(\.|%2e){1,2}", re.IGNORECASE)


def me_router(
    realm: Realm, identity: Any, logins: Logins, reads: Views, cookies: Cookies
) -> APIRouter:
    """`POST /me` and `/logout`, `GET /logins`, `DELETE /logins/{id}`, in both realms."""
    router = APIRouter(prefix=f"/api/{realm.value}")

    @router.post("/me")
    async def me(_body: Nothing, who: Annotated[Identity, Depends(identity)]) -> dict[str, Any]:
        return {"me": await _me(reads, who), "until": who.until}

    @router.post("/logout")
    async def logout(
        _body: Nothing, response: Response, who: Annotated[Identity, Depends(identity)]
    ) -> dict[str, Any]:
        await logins.end(who)
        cookies.forget(response, realm)
        return {}

    @router.get("/logins")
    async def standing(
        who: Annotated[Identity, Depends(identity)],
        person: Annotated[str | None, Query(min_length=1, max_length=PERSON_CHARS_MAX)] = None,
    ) -> dict[str, Any]:
        found = await logins.standing(who.principal, person)
        if isinstance(found, Refusal):
            raise Refused(found)
        return {"logins": [_login(each, who) for each in found]}

    @router.delete("/logins/{login_id}")
    async def revoke(
        login_id: str, response: Response, who: Annotated[Identity, Depends(identity)]
    ) -> dict[str, Any]:
        refusal = await logins.revoke(who.principal, login_id)
        if refusal is not None:
            raise Refused(refusal)
        if login_id == who.login_id:
            cookies.forget(response, realm)
        return {}

    return router


def _login(found: Standing, who: Identity) -> dict[str, Any]:
    return {
        "id": found.id,
        "realm": found.principal.realm.value,
        "browser": found.browser,
        "created": found.created,
        "seen": found.seen,
        "until": found.expires,
        "is_this": found.id == who.login_id,
    }


def agent_login_router(identity: Any, logins: Logins, reads: Views, cookies: Cookies) -> APIRouter:
    """`GET` and `POST /api/agent/login`, and `/renew`."""
    router = APIRouter(prefix="/api/agent")

    @router.get("/login")
    async def ways() -> dict[str, Any]:
        return {"wecom": logins.has_wecom}

    @router.post("/login")
    async def login(request: Request, body: LoginBody, response: Response) -> dict[str, Any]:
        signed_in = await logins.by_password(
            body.login_name,
            body.password,
            address=address_of(request),
            browser=_browser(request),
        )
        if isinstance(signed_in, Refusal):
            raise Refused(signed_in)
        cookies.set(response, Realm.AGENT, signed_in)
        return {
            "me": await _me(reads, signed_in.identity),
            "until": signed_in.identity.until,
        }

    @router.post("/renew")
    async def renew(_body: Nothing, who: Annotated[Identity, Depends(identity)]) -> dict[str, Any]:
        # Asking who it is has moved the end already.
        return {"until": who.until}

    return router


def signin_router(realm: Realm, logins: Logins, cookies: Cookies, origins: Origins) -> APIRouter:
    """`/login/<realm>` starts a sign-in at WeCom, `/login/<realm>/return` ends it."""
    router = APIRouter(prefix=f"/login/{realm.value}", include_in_schema=False)

    @router.get("")
    async def start(request: Request, to: str = "", lang: str = "") -> Response:
        target, language = local_path(to, realm), _language(lang)
        if request.headers.get("host") != origins.public_url.partition("://")[2]:
            # WeCom returns to the canonical address, and the cookie must have been set there.
            again = f"to={quote(target)}" + ("&lang=en" if language == "en" else "")
            return _to(f"{origins.public_url}/login/{realm.value}?{again}")
        page = _page(realm, _browser(request))
        started = await logins.start(realm, target, page=page, language=language)
        if isinstance(started, SigninFailed):
            return _failed(realm, started)
        response = _to(started.url)
        cookies.set_signin(response, realm, started.cookie)
        return response

    @router.get("/return")
    async def finish(request: Request, code: str = "", state: str = "") -> Response:
        cookie = request.cookies.get(cookies.signin_name(realm), "")
        done = await logins.finish(
            realm, code=code, state=state, cookie=cookie, browser=_browser(request)
        )
        if isinstance(done, SigninFailed):
            return await _not_signed_in(request, done)
        response = _to(done.target)
        cookies.set(response, realm, done.signed_in)
        cookies.forget_signin(response, realm)
        return response

    async def _not_signed_in(request: Request, failed: SigninFailed) -> Response:
        """A reload of the return address by a browser with a login goes on, not to an error."""
        known = await logins.identify(realm, request.cookies.get(cookies.name(realm)))
        if failed.why == "expired" and not isinstance(known, Refusal):
            return _to(HOMES[realm])
        return _failed(realm, failed)

    return router


def _page(realm: Realm, browser: str) -> WeComPage:
    """Employees come from inside WeCom; agents mostly from the browser of a desk."""
    is_inside = realm is Realm.EMPLOYEE or INSIDE_WECOM in browser.lower()
    return WeComPage.INSIDE if is_inside else WeComPage.QR_CODE


def _language(lang: str) -> Literal["zh", "en"]:
    return "en" if lang == "en" else "zh"


def _failed(realm: Realm, failed: SigninFailed) -> Response:
    # Of an agent's sign-in nobody learns why it failed: it would tell who is an agent.
    why = f"&why={failed.why}" if realm is Realm.EMPLOYEE else ""
    return _to(f"{HOMES[realm]}?login=failed{why}")


def _browser(request: Request) -> str:
    return request.headers.get("user-agent", "")


def local_path(to: str, realm: Realm) -> str:
    """A path on the realm's own page; anything else becomes the page's start."""
    home = HOMES[realm]
    is_below = to.startswith(home) and BELOW.fullmatch(to.removeprefix(home)) is not None
    is_plain = len(to) <= TARGET_CHARS_MAX and is_below
    # A browser resolves dots before it asks: behind them could stand any path.
    has_dots = any(DOTS.fullmatch(part) for part in to.partition("?")[0].split("/"))
    return to if is_plain and not has_dots else home


def _to(url: str) -> Response:
    # 303: code and state stay in no history, log or Referer.
    return RedirectResponse(url, status_code=303, headers={"Cache-Control": "no-store"})


async def _me(reads: Views, who: Identity) -> dict[str, Any]:
    found = await reads.me(who.principal)
    if found is None:
        raise Refused(Refusal(Code.LOGIN_REQUIRED))
    return found
