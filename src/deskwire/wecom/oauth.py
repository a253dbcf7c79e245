"""The two addresses at which a WeCom login begins, and the base addresses one may set.

Pure. What comes back is `redirect_uri?code=…&state=…`; `WeComClient.identify` exchanges the code.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode, urlsplit

OPEN_URL: Final = "https://open.weixin.qq.com"
LOGIN_URL: Final = "https://login.work.weixin.qq.com"

_STATE: Final = re.compile(r"[a-zA-Z0-9]{1,128}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginStart:
    """One attempt to log in.

    `state` is 1–128 of `[a-zA-Z0-9]` (84025), unguessable and bound to this browser: the caller
    owes that. The host of `redirect_uri` must be the app's trusted domain, port included.
    """

    corp_id: str
    agent_id: int
    redirect_uri: str
    state: str

    def __post_init__(self) -> None:
        if not _STATE.fullmatch(self.state):
            raise ValueError("state must be 1 to 128 letters and figures")


def authorize_url(start: LoginStart, *, open_url: str = OPEN_URL) -> str:
    """For a browser inside WeCom, in both realms (D91022). Asks the member nothing."""
    query = urlencode(
        {
            "appid": start.corp_id,
            "redirect_uri": start.redirect_uri,
            "response_type": "code",
            "scope": "snsapi_base",
            "state": start.state,
            "agentid": start.agent_id,
        }
    )
    return f"{base_url(open_url)}/connect/oauth2/authorize?{query}#wechat_redirect"


def desktop_url(start: LoginStart, *, language: str = "zh", login_url: str = LOGIN_URL) -> str:
    """For an agent's desktop browser: WeCom shows its own page with a QR code (D98152)."""
    query = urlencode(
        {
            "login_type": "CorpApp",
            "appid": start.corp_id,
            "agentid": start.agent_id,
            "redirect_uri": start.redirect_uri,
            "state": start.state,
            "lang": language,
        }
    )
    return f"{base_url(login_url)}/wwlogin/sso/login?{query}"


def base_url(text: str) -> str:
    """A base address as an admin sets it, less its last slash: https, or http to this machine."""
    parts = urlsplit(text)
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("a base address has no user, query or fragment")
    if not parts.hostname:
        raise ValueError("a base address has a host")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
        raise ValueError("a base address is https, or http to loopback")
    return text.rstrip("/")


def is_loopback(host: str) -> bool:
    """This machine and no other: `localhost`, 127.0.0.0/8, ::1."""
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
