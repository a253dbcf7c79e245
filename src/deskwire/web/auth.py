"""Cookie → principal: one cookie per realm, and the secret nowhere but there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import Request, Response

from deskwire.desk.people import Realm
from deskwire.desk.refusals import Refusal
from deskwire.flows.login import Identity, Logins, SignedIn
from deskwire.web.errors import Refused

MAX_AGE_S = 12 * 3600
SIGNIN_AGE_S = 600


class Cookies:
    """Names and marks of our cookies. Over https they are `__Host-` and Secure."""

    def __init__(self, *, is_https: bool) -> None:
        self._is_https = is_https

    def name(self, realm: Realm) -> str:
        plain = f"deskwire-{realm.value}"
        return f"__Host-{plain}" if self._is_https else plain

    def signin_name(self, realm: Realm) -> str:
        return f"{self.name(realm)}-signin"

    def set(self, response: Response, realm: Realm, signed_in: SignedIn) -> None:
        self._set(response, self.name(realm), signed_in.secret, MAX_AGE_S)

    def set_signin(self, response: Response, realm: Realm, secret: str) -> None:
        self._set(response, self.signin_name(realm), secret, SIGNIN_AGE_S)

    def forget(self, response: Response, realm: Realm) -> None:
        self._forget(response, self.name(realm))

    def forget_signin(self, response: Response, realm: Realm) -> None:
        self._forget(response, self.signin_name(realm))

    def _set(self, response: Response, name: str, value: str, max_age_s: int) -> None:
        # Lax, not Strict: the way back from WeCom's sign-in and links in its cards are cross-site.
        response.set_cookie(
            name,
            value,
            max_age=max_age_s,
            path="/",
            secure=self._is_https,
            httponly=True,
            samesite="lax",
        )

    def _forget(self, response: Response, name: str) -> None:
        response.delete_cookie(name, path="/", secure=self._is_https, httponly=True, samesite="lax")


def identity_in(
    realm: Realm, logins: Logins, cookies: Cookies
) -> Callable[[Request], Awaitable[Identity]]:
    """A dependency: the identity behind this realm's cookie, or the refusal `login_required`."""

    async def identity(request: Request) -> Identity:
        found = await logins.identify(realm, request.cookies.get(cookies.name(realm)))
        if isinstance(found, Refusal):
            raise Refused(found)
        return found

    return identity
