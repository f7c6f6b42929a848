"""Errors of the database layer, and how its messages name a database."""

from __future__ import annotations

from sqlalchemy import URL

from tasks.errors import BeyondIIDError


class RecordError(BeyondIIDError):
    """What is to be recorded contradicts what the database already holds, or refers to what it does not hold."""


def shown(url: URL) -> str:
    """A database's address without its password, and without options: they may hold secrets too (sslpassword)."""
    return url.set(query={}).render_as_string(hide_password=True)
