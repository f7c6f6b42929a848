"""`db-roles`: roles with least privilege on a PostgreSQL server of one's own."""

from __future__ import annotations

from typing import Annotated

import typer


def db_roles(
    prefect: Annotated[bool, typer.Option("--prefect", help="Also the Prefect server's role and database.")] = False,
) -> None:
    """Create roles and database, apply migrations, grant rights; safe to repeat, needed after every upgrade.

    Connects with BEYOND_IID_DATABASE_URL, which must be an administrator's here. Passwords come from
    BEYOND_IID_OWNER_PASSWORD, BEYOND_IID_WRITER_PASSWORD, BEYOND_IID_READER_PASSWORD and, with --prefect,
    BEYOND_IID_PREFECT_PASSWORD; a role without one keeps the password it has.
    """
    from db.roles import DATABASE, OWNER, PREFECT, READER, WRITER, prepare_database, prepare_prefect
    from infra.errors import ConfigurationError
    from infra.postgres import check_database
    from infra.role_passwords import RolePasswords
    from infra.security import require_secure_database
    from infra.settings import load_settings

    settings, given = load_settings(), RolePasswords()
    if settings.database_url is None:
        raise ConfigurationError(
            "BEYOND_IID_DATABASE_URL is unset; expected an administrator's URL of a PostgreSQL server. The embedded "
            "database needs no roles: only its own account reaches it."
        )
    url = settings.database_url.get_secret_value()
    require_secure_database(url, allow_insecure=settings.allow_insecure)
    url = check_database(url)
    secrets = {OWNER: given.owner_password, WRITER: given.writer_password, READER: given.reader_password}
    passwords = {role: secret.get_secret_value() for role, secret in secrets.items() if secret}
    prepare_database(url, passwords)
    print(f"Database {DATABASE}: owner {OWNER}, writer {WRITER}, reader {READER}")
    if prefect:
        prepare_prefect(url, given.prefect_password.get_secret_value() if given.prefect_password else None)
        print(f"Database {PREFECT}: owner {PREFECT}")
