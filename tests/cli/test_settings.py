from __future__ import annotations

from pathlib import Path

import pytest

from deskwire.settings import Settings, SettingsFault


def test_nothing_needs_to_be_set() -> None:
    found = Settings.read()

    assert (found.port, found.data_dir, found.names_a_real_wecom()) == (
        8000,
        Path("deskwire-data"),
        False,
    )


@pytest.mark.parametrize("value", ["0", "65536", "http", "-1", "80.5", ""])
def test_a_port_that_is_none_is_named_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("DESKWIRE_PORT", value)

    with pytest.raises(SettingsFault, match=f"^DESKWIRE_PORT='{value}': .+\\.$"):
        Settings.read()


@pytest.mark.parametrize("value, port", [("1", 1), ("65535", 65535)])
def test_a_port_at_its_bound_is_taken(
    monkeypatch: pytest.MonkeyPatch, value: str, port: int
) -> None:
    monkeypatch.setenv("DESKWIRE_PORT", value)

    assert Settings.read().port == port


@pytest.mark.parametrize("name", ["WECOM_CORP_ID", "WECOM_SECRET"])
def test_a_real_wecom_is_noticed_and_its_secret_shown_to_nobody(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(f"DESKWIRE_{name}", "s3cr3t")

    found = Settings.read()

    assert found.names_a_real_wecom()
    assert "s3cr3t" not in repr(found) or name == "WECOM_CORP_ID"


def test_every_setting_says_what_it_is_for() -> None:
    assert all(field.description for field in Settings.model_fields.values())


# Where the pages are ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    ["https://desk.example.com", "https://desk.example.com:8443", "http://127.0.0.1:8000",
     "http://localhost:8000", "http://[::1]:8000"],
)  # fmt: skip
def test_the_public_address_is_the_one_origin(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("DESKWIRE_PUBLIC_URL", url)

    assert Settings.read().allowed_origins() == (url,)


def test_further_origins_stand_behind_the_public_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESKWIRE_PUBLIC_URL", "https://desk.example.com")
    monkeypatch.setenv("DESKWIRE_ORIGINS", "https://it.example.com, https://desk.example.com,")

    assert Settings.read().allowed_origins() == (
        "https://desk.example.com",
        "https://it.example.com",
    )


def test_without_a_public_address_nobody_is_let_in_and_it_is_said() -> None:
    with pytest.raises(SettingsFault, match="DESKWIRE_PUBLIC_URL is not set"):
        Settings.read().allowed_origins()


@pytest.mark.parametrize(
    "url, why",
    [
        ("http://desk.example.com", "only https leaves this machine"),
        ("http://10.0.0.5:8000", "only https leaves this machine"),
        ("http://localhost.example.com", "only https leaves this machine"),
        ("https://desk.example.com/", "is no origin"),
        ("https://desk.example.com/workbench", "is no origin"),
        ("https://Desk.example.com", "is no origin"),
        ("https://me@desk.example.com", "is no origin"),
        ("desk.example.com", "is no origin"),
        ("ftp://desk.example.com", "is no origin"),
        ("*", "is no origin"),
        ("null", "is no origin"),
        ("", "is no origin"),
    ],
)
@pytest.mark.parametrize("name", ["PUBLIC_URL", "ORIGINS"])
def test_an_address_that_is_no_origin_or_in_the_clear_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, url: str, why: str
) -> None:
    monkeypatch.setenv("DESKWIRE_PUBLIC_URL", "https://ours.example.com")
    monkeypatch.setenv(f"DESKWIRE_{name}", url)

    if name == "ORIGINS" and not url:  # none is none
        assert len(Settings.read().allowed_origins()) == 1
        return
    with pytest.raises(SettingsFault, match=f"^DESKWIRE_{name}=.*{why}"):
        Settings.read().allowed_origins()


# WeCom --------------------------------------------------------------------------------------------

APP = {"CORP_ID": "ww1", "AGENT_ID": "7", "SECRET": "s3cr3t"}


def test_a_wecom_app_is_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in APP.items():
        monkeypatch.setenv(f"DESKWIRE_WECOM_{name}", value)

    app = Settings.read().wecom()

    assert app is not None
    assert (app.corp_id, app.agent_id, app.secret) == ("ww1", 7, "s3cr3t")
    assert app.api_url == "https://qyapi.weixin.qq.com"
    assert "s3cr3t" not in repr(app)


def test_no_wecom_is_none() -> None:
    assert Settings.read().wecom() is None


@pytest.mark.parametrize("left_out", APP)
def test_a_wecom_app_in_part_is_refused_with_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, left_out: str
) -> None:
    for name, value in APP.items():
        if name != left_out:
            monkeypatch.setenv(f"DESKWIRE_WECOM_{name}", value)

    with pytest.raises(SettingsFault, match=f"^DESKWIRE_WECOM_{left_out} not set"):
        Settings.read().wecom()


@pytest.mark.parametrize("name", ["API_URL", "OPEN_URL", "LOGIN_URL"])
def test_wecom_is_not_asked_in_the_clear(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for known, value in APP.items():
        monkeypatch.setenv(f"DESKWIRE_WECOM_{known}", value)
    monkeypatch.setenv(f"DESKWIRE_WECOM_{name}", "http://relay.example.com")

    with pytest.raises(SettingsFault, match="only https"):
        Settings.read().wecom()


# Secrets ------------------------------------------------------------------------------------------


def test_the_databases_password_is_shown_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESKWIRE_DATABASE_URL", "postgresql://desk:s3cr3t@db/desk")

    found = Settings.read()

    assert "s3cr3t" not in repr(found)
    assert found.database_url is not None
    assert "s3cr3t" in found.database_url.get_secret_value()


def test_a_secret_without_a_meaning_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESKWIRE_WECOM_SECRET", "")

    with pytest.raises(SettingsFault, match=r"^DESKWIRE_WECOM_SECRET: .+\.$"):
        Settings.read()
