"""The command line called in this process: a start of its own would take longer than what is tested."""

from __future__ import annotations

from dataclasses import dataclass

from typer.testing import CliRunner

from flows.cli.main import app
from tasks.errors import BeyondIIDError


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        code: exit code that the user would see.
        out: standard output.
        error: the one message, "" where there is none.
    """

    code: int
    out: str
    error: str


def invoke(*arguments: str) -> Ended:
    """Run a command; an error that was not made for users is raised."""
    result = CliRunner().invoke(app, list(arguments))
    if isinstance(result.exception, BeyondIIDError):
        return Ended(result.exception.exit_code, result.stdout, str(result.exception))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ended(result.exit_code, result.stdout, result.stderr)
