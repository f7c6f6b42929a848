"""Advisory locks of experiments: whose driver lives, and which runs are marked as running though none does."""

from __future__ import annotations

import hashlib
from collections.abc import Collection

from sqlalchemy import ColumnElement, and_, select, text
from sqlalchemy.orm import Session

from db.base import RunState
from db.columns import among
from db.models import Experiment, InterventionRow, PlannedRun, Run

_HELD = text(
    "SELECT (classid::bigint << 32) | objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 "
    "AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


def lock_key(name: str) -> int:
    """The key of the advisory lock that whoever works on the experiment holds."""
    return int.from_bytes(hashlib.sha256(f"experiment {name}".encode()).digest()[:8], signed=True)


def abandoned(session: Session, but: Collection[str] = ()) -> ColumnElement[bool]:
    """Condition on `Run`: marked as running, though nobody works on an experiment that plans it.

    Its driver was killed, or lost the database: nobody was there to note it.

    Args:
        session: the transaction.
        but: names of experiments that count as if nobody worked on them.
    """
    keys = set(session.scalars(_HELD))
    names = session.scalars(select(Experiment.name).distinct())
    held = [name for name in names if lock_key(name) in keys and name not in but]
    driven = (
        select(PlannedRun.run_id)
        .join(InterventionRow, InterventionRow.id == PlannedRun.intervention_id)
        .join(Experiment, Experiment.id == InterventionRow.experiment_id)
        .where(among(Experiment.name, held))
    )
    return and_(Run.state == RunState.RUNNING.value, Run.id.not_in(driven))


def abandoned_runs(session: Session, experiment: str) -> list[str]:
    """Fingerprints of the experiment's runs that are marked as running from before its lock was taken now."""
    planned = (
        select(PlannedRun.run_id)
        .join(InterventionRow, InterventionRow.id == PlannedRun.intervention_id)
        .join(Experiment, Experiment.id == InterventionRow.experiment_id)
        .where(Experiment.name == experiment)
    )
    wanted = select(Run.fingerprint).where(Run.id.in_(planned), abandoned(session, but=[experiment]))
    return sorted(session.scalars(wanted))
