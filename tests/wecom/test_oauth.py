from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from deskwire.wecom.oauth import LoginStart, authorize_url, base_url, desktop_url, is_loopback

START = LoginStart(
    corp_id="wwcorp",
    agent_id=1000002,
    redirect_uri="https://desk.example.com:8443/login/employee/return?a=1&b=2",
    state="0123456789abcdef0123456789abcdef",
)


def test_inside_wecom_a_login_begins_at_the_authorize_page() -> None:
    url = authorize_url(START)

    assert url == (
        "https://open.weixin.qq.com/connect/oauth2/authorize?appid=wwcorp"
        "&redirect_uri=https%3A%2F%2Fdesk.example.com%3A8443%2Flogin%2Femployee%2Freturn"
        "%3Fa%3D1%26b%3D2&response_type=code&scope=snsapi_base"
        "&state=0123456789abcdef0123456789abcdef&agentid=1000002#wechat_redirect"
    )


def test_on_a_desktop_a_login_begins_at_the_page_with_the_qr_code() -> None:
    parts = urlsplit(desktop_url(START, language="en"))

    assert (parts.scheme, parts.netloc) == ("https", "login.work.weixin.qq.com")
    assert parts.path == "/wwlogin/sso/login"
    assert parse_qs(parts.query) == {
        "login_type": ["CorpApp"],
        "appid": ["wwcorp"],
        "agentid": ["1000002"],
        "redirect_uri": [START.redirect_uri],
        "state": [START.state],
        "lang": ["en"],
    }


def test_a_proxy_may_stand_before_wecom() -> None:
    url = authorize_url(START, open_url="http://127.0.0.1:8000/_wecom/")

    assert url.startswith("http://127.0.0.1:8000/_wecom/connect/oauth2/authorize?")


@pytest.mark.parametrize("state", ["", "a" * 129, "has space", "dash-ed", "ä", "1\n"])
def test_a_state_that_wecom_would_refuse_is_our_bug(state: str) -> None:
    with pytest.raises(ValueError, match="state"):
        LoginStart(corp_id="wwcorp", agent_id=1, redirect_uri="https://a/", state=state)


@pytest.mark.parametrize(
    "text, base",
    [
        ("https://qyapi.weixin.qq.com", "https://qyapi.weixin.qq.com"),
        ("https://proxy.corp:8443/wecom/", "https://proxy.corp:8443/wecom"),
        ("http://localhost:8000/_wecom", "http://localhost:8000/_wecom"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_a_base_address_is_https_or_this_machine(text: str, base: str) -> None:
    assert base_url(text) == base


@pytest.mark.parametrize(
    "text",
    [
        "http://qyapi.weixin.qq.com",
        "http://127.0.0.1.example.com",
        "ftp://localhost",
        "https://",
        "https://user@host",
        "https://host?a=1",
        "https://host#a",
        "host",
    ],
)
def test_another_base_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="base address"):
        base_url(text)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.8.8.8", "::1"])
def test_these_are_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "10.0.0.1", "0.0.0.0", "::", "localhost.example.com", "::2"])
def test_these_are_not(host: str) -> None:
    assert not is_loopback(host)


def test_a_mapped_address_is_judged_by_what_it_maps() -> None:
    assert is_loopback("::ffff:127.0.0.1")
    assert not is_loopback("::ffff:10.0.0.1")
