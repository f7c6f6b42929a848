"""Roles with least privilege: an owner who migrates, a writer for drivers, a reader for dashboards.

`prepare_database` may run as often as one likes, and must run again after an upgrade of the product: it applies
migrations as the owner and grants what new tables need.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psycopg
from psycopg import sql
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.engine import URL, make_url

from db.errors import shown
from db.session import open_database
from tasks.errors import InputError

OWNER = "beyond_iid_owner"
"""Owns database and tables; used by migrations alone."""
WRITER = "beyond_iid_writer"
"""Drivers: adds results, moves runs through their states, replaces plans; changes no table and no result."""
READER = "beyond_iid_reader"
"""Dashboards: reads."""
ROLES = (OWNER, WRITER, READER)
DATABASE = "beyond_iid"
"""The product's database."""
PREFECT = "prefect"
"""Role and database of the Prefect server."""

# What the writer may do beside SELECT and INSERT: table -> privileges, with the columns where not all.
_CHANGES = {
    "pool_snapshot": "UPDATE (path)",
    "experiment": "UPDATE (recorded, config)",
    "run": "UPDATE (state, attempts, started, finished, error, host, device, engine, steps, tokens, seconds,"
    " evaluation_seconds, checkpoint, record, record_hash, score_count)",
    "intervention": "DELETE",
    "planned_run": "DELETE",
    "dataset_event": "UPDATE (processed)",
    "dataset_rerun": "UPDATE",
    "watched_file": "UPDATE",
}
_READ_ONLY = ("alembic_version",)
"""Written by migrations alone."""


def prepare_database(admin_url: str, passwords: Mapping[str, str], database: str = DATABASE) -> None:
    """Have the roles, the database, its tables in this version's state, and the grants.

    Args:
        admin_url: SQLAlchemy URL of a superuser, or of a role with CREATEROLE and CREATEDB, to any database.
        passwords: by role; a role that is not in it keeps its password, or has none where it is new.
        database: name of the product's database.

    Raises:
        InputError: the server refuses, with its reason and without any password.
    """
    url = make_url(admin_url)
    with _connected(url) as connection:
        for role in ROLES:
            _ensure_role(connection, role, passwords.get(role))
        _ensure_database(connection, database, OWNER)
        for role in (WRITER, READER):
            connection.execute(_statement("GRANT CONNECT ON DATABASE {} TO {}", database, role))
    owned = url.set(drivername="postgresql+psycopg", database=database).update_query_dict(
        {"options": f"-c role={OWNER}"}
    )
    open_database(owned.render_as_string(hide_password=False)).close()
    with _connected(owned) as connection, connection.transaction():
        _grant(connection)


def prepare_prefect(admin_url: str, password: str | None) -> None:
    """Have the Prefect server's own role and database, with the extension its migrations need.

    Raises:
        InputError: the server refuses, or lacks pg_trgm.
    """
    url = make_url(admin_url)
    with _connected(url) as connection:
        _ensure_role(connection, PREFECT, password)
        _ensure_database(connection, PREFECT, PREFECT)
    with _connected(url.set(database=PREFECT)) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")


def _ensure_role(connection: psycopg.Connection, role: str, password: str | None) -> None:
    known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone()
    if not known:
        connection.execute(_statement("CREATE ROLE {}", role))
    connection.execute(_statement("ALTER ROLE {} LOGIN", role))
    if password is not None:
        # The verifier, not the password: statements end in server logs and pg_stat_activity.
        verifier = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
        connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(verifier)))


def _ensure_database(connection: psycopg.Connection, database: str, owner: str) -> None:
    superuser = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
    if superuser != (True,):  # others may act as the owner only as its members
        connection.execute(_statement("GRANT {} TO CURRENT_USER", owner))
    known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,)).fetchone()
    template = "ALTER DATABASE {} OWNER TO {}" if known else "CREATE DATABASE {} OWNER {}"
    connection.execute(_statement(template, database, owner))
    connection.execute(_statement("REVOKE ALL ON DATABASE {} FROM PUBLIC", database))


def _grant(connection: psycopg.Connection) -> None:
    """Run as the owner of the tables."""
    connection.execute(_statement("GRANT USAGE ON SCHEMA public TO {}, {}", WRITER, READER))
    connection.execute(_statement("REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {}, {}", WRITER, READER))
    connection.execute(_statement("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {}, {}", WRITER, READER))
    tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    for (table,) in tables:
        if table not in _READ_ONLY:
            connection.execute(_statement("GRANT INSERT ON {} TO {}", table, WRITER))
    for table, privileges in _CHANGES.items():
        connection.execute(
            sql.SQL("GRANT {} ON {} TO {}").format(
                sql.SQL(privileges),
                sql.Identifier(table),
                sql.Identifier(WRITER),
            )
        )


def _statement(template: str, *names: str) -> sql.Composed:
    return sql.SQL(template).format(*map(sql.Identifier, names))


@contextmanager
def _connected(url: URL) -> Iterator[psycopg.Connection]:
    _, options = PGDialect_psycopg().create_connect_args(url)
    try:
        with psycopg.connect(**{**options, "connect_timeout": 10}, autocommit=True) as connection:
            yield connection
    except psycopg.Error as error:
        raise InputError(
            f"The database server refuses to be prepared ({shown(url)}): "
            f"{str(error).strip().splitlines()[0]}. Expected in BEYOND_IID_DATABASE_URL: a superuser, or a role with "
            "CREATEROLE and CREATEDB, of a stock PostgreSQL 14 or newer."
        ) from error
