"""Passwords of the database's roles, from environment variables; read by `beyond-iid db-roles` alone."""

from __future__ import annotations

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class RolePasswords(BaseSettings):
    """Every field is read from the environment variable BEYOND_IID_<FIELD NAME>."""

    model_config = SettingsConfigDict(env_prefix="BEYOND_IID_", frozen=True, env_ignore_empty=True)

    owner_password: SecretStr | None = Field(None, description="Password of beyond_iid_owner.")
    writer_password: SecretStr | None = Field(None, description="Password of beyond_iid_writer.")
    reader_password: SecretStr | None = Field(None, description="Password of beyond_iid_reader.")
    prefect_password: SecretStr | None = Field(None, description="Password of the Prefect server's role.")
