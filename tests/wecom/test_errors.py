from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deskwire.wecom.errors import (
    CULPRITS,
    HIDDEN,
    SECRET_NAMES,
    AuthConfig,
    Busy,
    Invisible,
    Limited,
    LoginCode,
    Permanent,
    Recipient,
    TokenInvalid,
    WeComFault,
    fault_of,
    redact,
)

SECRET = "s3cr3t-VALUE_of.it"


@pytest.mark.parametrize(
    "code, culprit",
    [
        (40014, TokenInvalid),
        (42001, TokenInvalid),
        (40001, AuthConfig),
        (60020, AuthConfig),
        (43012, AuthConfig),
        (45009, Limited),
        (45036, Limited),
        (60111, Invisible),
        (-1, Busy),
        (42022, LoginCode),
        (50001, LoginCode),
        (81013, Recipient),
        (40058, Permanent),
        (999999, Permanent),
    ],
)
def test_a_code_names_the_one_who_is_at_fault(code: int, culprit: type[WeComFault]) -> None:
    fault = fault_of("user/get", code, "whatever it says")

    assert type(fault) is culprit
    assert fault.code == code


def test_no_code_has_two_culprits() -> None:
    codes = [code for listed in CULPRITS.values() for code in listed]

    assert len(codes) == len(set(codes))


def test_a_refused_token_is_handled_as_a_wrong_setting() -> None:
    assert issubclass(TokenInvalid, AuthConfig)


def test_the_words_of_errmsg_decide_nothing_but_the_hint_is_kept() -> None:
    errmsg = "invalid code, hint: [1576065934_28_e0f], from ip: 10.0.0.1"

    fault = fault_of("auth/getuserinfo", 45009, errmsg)

    assert isinstance(fault, Limited)
    assert fault.hint == "1576065934_28_e0f"
    assert str(fault) == "auth/getuserinfo, Limited, errcode 45009, hint 1576065934_28_e0f"


@pytest.mark.parametrize("name", sorted(SECRET_NAMES))
@pytest.mark.parametrize(
    "form",
    [
        "GET https://qyapi.weixin.qq.com/cgi-bin/x?{name}={value}&a=1 failed",
        "GET https://qyapi.weixin.qq.com/cgi-bin/x?a=1&{name}={value}",
        "GET https://qyapi.weixin.qq.com/cgi-bin/x?a=1&{name}={value}#top",
        "https://open.weixin.qq.com/?redirect_uri=https%3A%2F%2Fa%3F{name}%3D{value}%26b%3D1",
        '{{"{name}":"{value}","errcode":0}}',
        '{{"{name}": "{value}"}}',
        '"{{\\"{name}\\":\\"{value}\\",\\"a\\":1}}"',
        "{{'{name}': '{value}'}}",
        "QueryParams([('{name}', '{value}')])",
        "{name}='{value}' call=x",
        "{name}: {value}",
        "{{{name}={value}}}",
        "?A=1&{name}={value}",
    ],
)
def test_a_secret_is_taken_out_of_every_form_of_text(name: str, form: str) -> None:
    text = form.format(name=name, value=SECRET)

    clean = redact(text)

    assert SECRET not in clean
    assert HIDDEN in clean
    assert clean.replace(HIDDEN, "").count("s3cr3t") == 0


def test_names_are_found_whatever_their_case() -> None:
    assert redact("ACCESS_TOKEN=abc Code=def") == f"ACCESS_TOKEN={HIDDEN} Code={HIDDEN}"


@pytest.mark.parametrize(
    "text",
    [
        "errcode=40029",
        '{"errcode":40029,"errmsg":"invalid code"}',
        "decode=5 keyboard=1 monkey: 2",
        "the code has run out",
        "",
    ],
)
def test_what_is_no_secret_is_left_alone(text: str) -> None:
    assert redact(text) == text


def test_an_escaped_quote_does_not_end_a_secret() -> None:
    assert redact(r'{"code":"one\"two","a":1}') == f'{{"code":{HIDDEN},"a":1}}'


@given(st.text(max_size=200))
def test_cleaning_twice_changes_nothing_more(text: str) -> None:
    once = redact(text)

    assert redact(once) == once


@given(st.text(alphabet=st.characters(codec="ascii", categories=["L", "N"]), min_size=8))
def test_no_secret_survives_as_a_fault(value: str) -> None:
    secret = f"s3cr3t{value}"

    fault = fault_of("gettoken", 40001, f"bad, hint: [corpsecret={secret}]")

    assert secret not in str(fault)
    assert secret not in repr(fault)


def test_a_reason_is_cleaned_whoever_gave_it() -> None:
    assert str(Busy("user/get", "GET /?access_token=abc failed")) == (
        f"user/get, GET /?access_token={HIDDEN} failed"
    )
