"""Every setting, typed, with its unit, its bound and its reason.

Read from the environment (`DESKWIRE_…`). Settings reach a room as constructor arguments, never by
import.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

Port = Annotated[int, Field(ge=1, le=65535)]


class SettingsFault(Exception):
    """A setting has no meaning; the message names it and says why."""


class Settings(BaseSettings):
    """What can be set from outside. `repr` shows no secret."""

    model_config = SettingsConfigDict(env_prefix="DESKWIRE_", extra="ignore")

    port: Port = Field(
        default=8000,
        description="TCP port to listen on. If it is taken, the demo takes the next free one.",
    )
    data_dir: Path = Field(
        default=Path("deskwire-data"),
        description="Folder for the database and what belongs to it. Made if missing.",
    )
    log_json: bool = Field(
        default=False, description="Write log lines as JSON, for a collector; else for a person."
    )
    wecom_corp_id: str | None = Field(
        default=None, description="The corp id of a real WeCom. The demo refuses to start with it."
    )
    wecom_secret: SecretStr | None = Field(
        default=None, description="The app's secret. The demo refuses to start with it."
    )

    @classmethod
    def read(cls) -> Settings:
        """The settings of this process. Raises SettingsFault."""
        try:
            return cls()
        except ValidationError as fault:
            first = fault.errors()[0]
            name = f"DESKWIRE_{first['loc'][0]}".upper()
            raise SettingsFault(f"{name}={first['input']!r}: {first['msg']}.") from None

    @property
    def names_a_real_wecom(self) -> bool:
        """Whether any setting of a real WeCom is given, be it one that nothing reads yet."""
        return any(name.upper().startswith("DESKWIRE_WECOM_") for name in os.environ)
