"""Alembic's environment: runs on the connection that `db.migrate` hands over, inside its transaction."""

from __future__ import annotations

from alembic import context

from db.migrate import TARGET_METADATA

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=TARGET_METADATA, compare_type=True)
with context.begin_transaction():
    context.run_migrations()
