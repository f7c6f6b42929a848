"""Errors of the database layer."""

from __future__ import annotations

from tasks.errors import BeyondIIDError


class RecordError(BeyondIIDError):
    """What is to be recorded contradicts what the database already holds, or refers to what it does not hold."""
