"""Every setting, typed, with its unit, its bound and its reason.

Read from the environment (`DESKWIRE_…`). Settings reach a room as constructor arguments, never by
import.
"""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

Port = Annotated[int, Field(ge=1, le=65535)]

WECOM: Final = ("wecom_corp_id", "wecom_agent_id", "wecom_secret")
ORIGIN: Final = re.compile(r"https?://([a-z0-9.\-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?")


class SettingsFault(Exception):
    """A setting has no meaning; the message names it and says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeComApp:
    """The app at a real WeCom: all of it is set, or none."""

    corp_id: str
    agent_id: int
    secret: str = field(repr=False)
    api_url: str
    open_url: str
    login_url: str
    seats: int


class Settings(BaseSettings):
    """What can be set from outside. `repr` shows no secret."""

    model_config = SettingsConfigDict(env_prefix="DESKWIRE_", extra="ignore")

    host: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="Address that `serve` listens on: behind a proxy on the same machine the "
        "loopback, in a container `0.0.0.0`. The demo knows no other than the loopback.",
    )
    port: Port = Field(
        default=8000,
        description="TCP port to listen on. If it is taken, the demo takes the next free one.",
    )
    share_port: bool = Field(
        default=False,
        description="Let several processes listen on the same port (SO_REUSEPORT, Linux); the "
        "system deals connections out. Needs PostgreSQL.",
    )
    public_url: str | None = Field(
        default=None,
        description="The address that people open, `https://desk.example.com`: the pages' one "
        "canonical origin. `serve` needs it; plain http only for this machine itself.",
    )
    origins: str = Field(
        default="",
        description="Further origins under which the desk is reached, separated by commas. "
        "Compared exactly, port and all; their hosts and the public one are the only ones "
        "answered. Pages lead from there to the public one.",
    )
    proxy: str = Field(
        default="",
        description="Address of the proxy in front, or several separated by commas. Its "
        "`X-Forwarded-For` is believed, nobody else's.",
    )
    database_url: SecretStr | None = Field(
        default=None,
        description="`postgresql://user:password@host/name` for several processes. Without it: "
        "SQLite in the data folder, for one.",
    )
    data_dir: Path = Field(
        default=Path("deskwire-data"),
        description="Folder for the database and what belongs to it. Made if missing.",
    )
    log_json: bool = Field(
        default=False, description="Write log lines as JSON, for a collector; else for a person."
    )
    wecom_corp_id: str | None = Field(
        default=None,
        min_length=1,
        description="The corp id of a real WeCom. The demo refuses to start with it.",
    )
    wecom_agent_id: int | None = Field(
        default=None,
        ge=1,
        description="The app's AgentId. Corp id, agent id and secret are set together or not at "
        "all: without them only agents can log in, by password.",
    )
    wecom_secret: SecretStr | None = Field(
        default=None,
        min_length=1,
        description="The app's secret. The demo refuses to start with it.",
    )
    wecom_seats: int = Field(
        default=100,
        ge=1,
        le=1_000_000,
        description="The corp's account limit at WeCom (账号上限). An app may send 200 messages a "
        "day for each; at nine tenths of that cards wait for midnight in China.",
    )
    wecom_api_url: str = Field(
        default="https://qyapi.weixin.qq.com",
        description="Where WeCom's API is: another address for a relay that WeCom's IP list knows.",
    )
    wecom_open_url: str = Field(
        default="https://open.weixin.qq.com",
        description="Where a sign-in at WeCom begins, as the employee's browser sees it.",
    )
    wecom_login_url: str = Field(
        default="https://login.work.weixin.qq.com",
        description="Where WeCom shows agents the QR code, as their browser sees it.",
    )

    @classmethod
    def read(cls) -> Settings:
        """The settings of this process. Raises SettingsFault."""
        try:
            return cls()
        except ValidationError as fault:
            first = fault.errors()[0]
            name = str(first["loc"][0])
            given = "" if _is_secret(name) else f"={first['input']!r}"
            raise SettingsFault(f"DESKWIRE_{name.upper()}{given}: {first['msg']}.") from None

    @staticmethod
    def names_a_real_wecom() -> bool:
        """Whether any setting of a real WeCom is given, be it one that nothing reads yet."""
        return any(name.upper().startswith("DESKWIRE_WECOM_") for name in os.environ)

    def allowed_origins(self) -> tuple[str, ...]:
        """The origins of our pages, the canonical one first. Raises SettingsFault."""
        further = [part.strip() for part in self.origins.split(",") if part.strip()]
        if self.public_url is None:
            raise SettingsFault(
                "DESKWIRE_PUBLIC_URL is not set: without an origin nobody is let in. "
                "Set it to the address that people open, https://desk.example.com."
            )
        named = [("PUBLIC_URL", self.public_url), *(("ORIGINS", part) for part in further)]
        return tuple(dict.fromkeys(_origin(f"DESKWIRE_{name}", url) for name, url in named))

    def wecom(self) -> WeComApp | None:
        """The app at WeCom, or none where none of it is set. Raises SettingsFault."""
        corp_id, agent_id, secret = self.wecom_corp_id, self.wecom_agent_id, self.wecom_secret
        if corp_id is None and agent_id is None and secret is None:
            return None
        if corp_id is None or agent_id is None or secret is None:
            missing = [f"DESKWIRE_{name.upper()}" for name in WECOM if getattr(self, name) is None]
            raise SettingsFault(
                f"{' and '.join(missing)} not set: a WeCom app is set as a whole or not at all."
            )
        return WeComApp(
            corp_id=corp_id,
            agent_id=agent_id,
            secret=secret.get_secret_value(),
            api_url=_machine_or_https("DESKWIRE_WECOM_API_URL", self.wecom_api_url),
            open_url=_machine_or_https("DESKWIRE_WECOM_OPEN_URL", self.wecom_open_url),
            login_url=_machine_or_https("DESKWIRE_WECOM_LOGIN_URL", self.wecom_login_url),
            seats=self.wecom_seats,
        )


def _is_secret(name: str) -> bool:
    return name in Settings.model_fields and "SecretStr" in str(
        Settings.model_fields[name].annotation
    )


def _origin(setting: str, url: str) -> str:
    if not ORIGIN.fullmatch(url):
        raise SettingsFault(
            f"{setting}={url!r} is no origin: http or https, a host in lower case, perhaps a port, "
            "and nothing behind it."
        )
    return _machine_or_https(setting, url)


def _machine_or_https(setting: str, url: str) -> str:
    """A password must not travel in the clear, nor be asked for by a page that anybody altered."""
    parts = urlsplit(url)
    is_local = parts.scheme == "http" and _is_this_machine(parts.hostname or "")
    if parts.scheme != "https" and not is_local:
        raise SettingsFault(f"{setting}={url!r}: only https leaves this machine.")
    return url


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
