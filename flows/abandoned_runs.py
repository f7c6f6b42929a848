"""Runs whose driver was killed: their rows stay `running` until somebody sets them right."""

from __future__ import annotations

from db import runs
from db.experiment_locks import abandoned_runs
from flows.housekeeping_files import unlocked
from flows.workspace import Workspace

_REASON = "DriverDiedError: the command or flow run that waited for it was killed, or lost its database"


def fail_abandoned(opened: Workspace, experiment: str) -> tuple[str, ...]:
    """Set to failed what an earlier start of the experiment left as running; call with the experiment's lock.

    A run that a worker is still at, or that another experiment waits for, is left alone.

    Returns:
        Their fingerprints.
    """
    found = []
    with opened.database.session() as session:
        for identity in abandoned_runs(session, experiment):
            folder = opened.artifacts / "runs" / identity
            with unlocked(folder) as free:
                if free or not folder.exists():
                    runs.mark_failed(session, identity, _REASON)
                    found.append(identity)
    return tuple(found)
