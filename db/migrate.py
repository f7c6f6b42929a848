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
import db.models
from db.base import Base
from tasks.errors import InputError

TABLE_MODULES = (db.models, db.conclusions)
"""Importing them fills the metadata."""
TARGET_METADATA = Base.metadata
"""All tables."""

_LOCK = 0x6265796F6E64
"""Key of the advisory lock: "beyond" in ASCII, so that no other program's key is likely to be the same."""

_ALEMBIC = threading.Lock()
"""Alembic's context is global to the process."""


def upgrade(engine: Engine) -> None:
    """Apply the missing migrations, all or none; a second start waits for the first and finds nothing to do.

    Raises:
        InputError: the database is newer than this version, or its user may not create tables.
    """
    with _ALEMBIC, engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        config = _config(connection)
        scripts = ScriptDirectory.from_config(config)
        present = MigrationContext.configure(connection).get_current_revision()
        if present == scripts.get_current_head():
            return
        if present is not None and present not in {script.revision for script in scripts.walk_revisions()}:
            raise InputError(
                f"The database {_name(engine)} is at revision {present!r}, which this version of beyond-iid does not "
                "know: a newer one has been here. Upgrade beyond-iid, or use another database."
            )
        try:
            command.upgrade(config, "head")
        except ProgrammingError as error:
            if getattr(error.orig, "sqlstate", None) != "42501":
                raise
            raise InputError(
                f"The user of the database {_name(engine)} may not create tables: {error.orig}. "
                "Fix: GRANT CREATE ON SCHEMA public, or make the user the database's owner."
            ) from error


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _name(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=True)
