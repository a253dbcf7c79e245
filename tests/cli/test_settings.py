from __future__ import annotations

from pathlib import Path

import pytest

from deskwire.settings import Settings, SettingsFault

NAMES = ("PORT", "DATA_DIR", "LOG_JSON", "WECOM_CORP_ID", "WECOM_SECRET")


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(f"DESKWIRE_{name}", raising=False)


def test_nothing_needs_to_be_set() -> None:
    found = Settings.read()

    assert (found.port, found.data_dir, found.names_a_real_wecom) == (
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

    assert found.names_a_real_wecom
    assert "s3cr3t" not in repr(found) or name == "WECOM_CORP_ID"


def test_every_setting_says_what_it_is_for() -> None:
    assert all(field.description for field in Settings.model_fields.values())
