"""Settings of a machine or a deployment: environment variables, all starting with BEYOND_IID_."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from infra.errors import ConfigurationError


class Settings(BaseSettings):
    """What differs between machines and never decides a number: places, addresses, credentials.

    Every field is read from the environment variable BEYOND_IID_<FIELD NAME>.
    """

    model_config = SettingsConfigDict(env_prefix="BEYOND_IID_", frozen=True, env_ignore_empty=True)

    home: Path = Field(Path(".beyond-iid"), description="State folder: database, checkpoints, reports, server state.")
    artifacts: Path | None = Field(
        None, description="Folder for pools, manifests and checkpoints; on a cluster one that every node sees."
    )
    database_url: SecretStr | None = Field(
        None, description="Postgres ≥ 14, e.g. postgresql+psycopg://user@host/db; default: embedded in the home folder."
    )
    ray_address: str | None = Field(
        None, description="Address of a running Ray cluster ('auto' or host:port); default: a local one for this run."
    )
    allow_insecure: bool = Field(
        False, description="Speak to Postgres, Prefect and Ray beyond this machine without secrets or encryption."
    )
    git_sha: str | None = Field(
        None, description="The commit an image was built from: its deployments' version. A checkout knows its own."
    )

    @field_validator("home", "artifacts", mode="before")
    @classmethod
    def _is_a_folder(cls, value: Any) -> Any:
        if "://" in str(value):
            raise ValueError(
                "is a URL; expected a folder, on a cluster one that every node sees under the same path. "
                "For a bucket, mount it on every node and give the mount's path"
            )
        return value

    @property
    def home_folder(self) -> Path:
        """The state folder, absolute."""
        return self.home.expanduser().resolve()

    @property
    def artifact_folder(self) -> Path:
        """The artifact store, absolute."""
        return (self.artifacts or self.home_folder / "artifacts").expanduser().resolve()


def load_settings() -> Settings:
    """Read the settings from the environment.

    Raises:
        ConfigurationError: naming each variable with a wrong value; values are not shown, they may be secret.
    """
    try:
        settings = Settings()
    except ValidationError as error:
        lines = [
            f"BEYOND_IID_{'_'.join(str(part) for part in item['loc']).upper()}: "
            + item["msg"].removeprefix("Value error, ")
            for item in error.errors(include_input=False)
        ]
        raise ConfigurationError("Wrong environment variables:\n" + "\n".join(lines)) from None
    for variable, folder in (
        ("BEYOND_IID_HOME", settings.home_folder),
        ("BEYOND_IID_ARTIFACTS", settings.artifact_folder),
    ):
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        if not existing.is_dir() or not os.access(existing, os.W_OK):
            raise ConfigurationError(
                f"{variable} is {folder}, but {existing} is no folder that can be written. Set it to one that can."
            )
    return settings
