"""Bring a database to this version's tables with Alembic, configured in code; safe for several starts at once."""

from __future__ import annotations

import threading
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import ProgrammingError

import db.conclusions
import db.landings
import db.models
from db.base import Base
from db.errors import shown
from tasks.errors import InputError

TABLE_MODULES = (db.models, db.conclusions, db.landings)
"""Importing them fills the metadata."""
TARGET_METADATA = Base.metadata
"""All tables."""

MIGRATION_LOCK = 0x6265796F6E64
"""Key of the advisory lock: "beyond" in ASCII, so that no other program's key is likely to be the same."""

_ALEMBIC = threading.Lock()
"""Alembic's context is global to the process."""


def upgrade(engine: Engine) -> None:
    """Apply the missing migrations, all or none; a second start waits for the first and finds nothing to do.

    Raises:
        InputError: the database is newer than this version, or its user may not create tables.
    """
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        present = present_revision(connection)
        if present == revisions()[-1]:
            return
        if present is not None and present not in revisions():
            raise InputError(
                f"The database {shown(engine.url)} is at revision {present!r}, which this version of beyond-iid does "
                "not know: a newer one has been here. Upgrade beyond-iid, or use another database."
            )
        try:
            upgrade_to(connection, "head")
        except ProgrammingError as error:
            if getattr(error.orig, "sqlstate", None) != "42501":
                raise
            raise InputError(
                f"The user of the database {shown(engine.url)} may not create tables: {error.orig}. "
                "Fix: GRANT CREATE ON SCHEMA public, or make the user the database's owner."
            ) from error


def upgrade_to(connection: Connection, revision: str) -> None:
    """Apply the migrations up to a revision within the connection's transaction; the caller holds the lock."""
    config = _config()
    config.attributes["connection"] = connection
    with _ALEMBIC:
        command.upgrade(config, revision)


def present_revision(connection: Connection) -> str | None:
    """The revision a database is at; None where no migration was applied."""
    return MigrationContext.configure(connection).get_current_revision()


def revisions() -> tuple[str, ...]:
    """All revisions this version knows, oldest first."""
    scripts = ScriptDirectory.from_config(_config())
    return tuple(script.revision for script in scripts.walk_revisions())[::-1]


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config
