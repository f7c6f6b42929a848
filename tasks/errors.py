"""Errors that reach a user: one root, one class per exit code of the command line."""

from __future__ import annotations


class BeyondIIDError(Exception):
    """Root of every error this product raises on purpose; its text is shown without a traceback."""

    exit_code = 1


class InputError(BeyondIIDError):
    """Bad input or configuration: names the file, line or key, what was expected, and the fix."""

    exit_code = 2


class EvidenceError(BeyondIIDError):
    """Refused on the evidence: limits that contradict each other, or nothing measurable."""

    exit_code = 3


class RunError(BeyondIIDError):
    """A fine-tune or its benchmark failed on a worker; names the run and where its log is."""

    exit_code = 1
