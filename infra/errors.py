"""Errors of the infrastructure that reach a user; a root of its own, since infra imports nothing of the project."""

from __future__ import annotations


class InfraError(Exception):
    """Root of every error infra raises on purpose; its text is shown without a traceback."""

    exit_code = 1


class ConfigurationError(InfraError):
    """A setting or a machine that cannot work: names it, what was expected, and the fix."""

    exit_code = 2


class ServerLostError(InfraError):
    """The Prefect server stopped answering: what it has not been told yet cannot be told, and is not worth waiting."""
