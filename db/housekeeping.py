"""What the database still refers to on disk, and how a whole experiment is forgotten."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from sqlalchemy import ColumnElement, delete, select, text, union
from sqlalchemy.orm import Session

from db.base import Base, RunState
from db.columns import among
from db.conclusions import CurriculumRow
from db.landings import DatasetRerun
from db.models import (
    Analysis,
    AnalysisRun,
    DatasetEvent,
    Experiment,
    InterventionRow,
    PlannedRun,
    PoolCategory,
    PoolSnapshot,
    Run,
    ScoreRow,
)


@dataclass(frozen=True)
class References:
    """Names (last parts of paths) of everything in the artifact store that some experiment refers to.

    Attributes:
        runs: fingerprint → state of every run that has a row.
        planned: fingerprints in an experiment's plan.
        pools: folders below pools/.
        bases: folders below bases/.
        curricula: files below curricula/.
    """

    runs: dict[str, RunState]
    planned: frozenset[str]
    pools: frozenset[str]
    bases: frozenset[str]
    curricula: frozenset[str]


@dataclass(frozen=True)
class Forgotten:
    """What was removed with an experiment.

    Attributes:
        rows: rows removed, by table; tables without any are left out.
        shared: runs that stay because another experiment uses them.
    """

    rows: dict[str, int]
    shared: int


def references(session: Session) -> References:
    """Everything on disk that some experiment needs."""
    runs = {key: RunState(state) for key, state in session.execute(select(Run.fingerprint, Run.state))}
    planned = session.scalars(select(Run.fingerprint).join(PlannedRun).distinct())
    needed = select(Run.spec).join(PlannedRun).subquery()

    def of_specs(key: str) -> list[str]:
        return [path for path in session.scalars(select(needed.c.spec[key].as_string()).distinct()) if path]

    used = union(select(Experiment.snapshot_id), select(DatasetEvent.snapshot_id))
    pools = session.scalars(select(PoolSnapshot.path).where(PoolSnapshot.id.in_(used))).all()
    parts = [PurePath(path).parent.name for key in ("train_data", "held_out") for path in of_specs(key)]
    return References(
        runs,
        frozenset(planned),
        frozenset(parts) | {PurePath(path).name for path in pools},
        frozenset(PurePath(path).name for path in of_specs("base_model")),
        frozenset(PurePath(path).name for path in session.scalars(select(CurriculumRow.manifest_path))),
    )


def is_planned(session: Session, fingerprint: str) -> bool:
    """Whether a run is in some experiment's plan."""
    return (
        session.scalar(select(PlannedRun.run_id).join(Run).where(Run.fingerprint == fingerprint).limit(1)) is not None
    )


def runs_of(session: Session, name: str) -> dict[str, RunState]:
    """Fingerprint → state of every run that an experiment of this name plans."""
    rows = select(Run.fingerprint, Run.state).join(PlannedRun).join(InterventionRow).join(Experiment)
    return {key: RunState(state) for key, state in session.execute(rows.where(Experiment.name == name))}


def forget_experiment(session: Session, name: str) -> Forgotten:
    """Remove every configuration of this name with its plans, analyses and conclusions, and the runs only it used.

    Runs and scores that another experiment plans or has drawn conclusions from stay, and so do pools that landed.
    """
    session.execute(text("SET LOCAL beyond_iid.forget = 'on'"))
    experiments = list(session.scalars(select(Experiment.id).where(Experiment.name == name).with_for_update()))
    snapshots = list(session.scalars(select(Experiment.snapshot_id).where(Experiment.name == name).distinct()))
    analyses = list(session.scalars(select(Analysis.id).where(among(Analysis.experiment_id, experiments))))
    planned = select(PlannedRun.run_id).join(InterventionRow).where(among(InterventionRow.experiment_id, experiments))
    drawn = select(AnalysisRun.run_id).where(among(AnalysisRun.analysis_id, analyses))
    runs = list(session.scalars(union(planned, drawn)))
    gone: dict[str, int] = defaultdict(int)

    def remove(table: Any, condition: ColumnElement[bool]) -> None:
        gone[table.__tablename__] += session.execute(
            delete(table).where(condition).execution_options(synchronize_session=False)
        ).rowcount  # type: ignore[attr-defined]

    remove(DatasetRerun, DatasetRerun.experiment == name)
    remove(DatasetRerun, among(DatasetRerun.experiment_id, experiments))
    for table, count in _remove_conclusions(session, analyses).items():
        gone[table] += count
    remove(AnalysisRun, among(AnalysisRun.analysis_id, analyses))
    remove(InterventionRow, among(InterventionRow.experiment_id, experiments))
    remove(Analysis, among(Analysis.id, analyses))
    remove(Experiment, among(Experiment.id, experiments))
    shared = set(session.scalars(union(select(PlannedRun.run_id), select(AnalysisRun.run_id)))) & set(runs)
    unused = [run for run in runs if run not in shared]
    remove(ScoreRow, among(ScoreRow.run_id, unused))
    remove(Run, among(Run.id, unused))
    needed = union(select(Experiment.snapshot_id), select(DatasetEvent.snapshot_id))
    remove(PoolCategory, among(PoolCategory.snapshot_id, snapshots) & PoolCategory.snapshot_id.not_in(needed))
    remove(PoolSnapshot, among(PoolSnapshot.id, snapshots) & PoolSnapshot.id.not_in(needed))
    return Forgotten({table: count for table, count in gone.items() if count}, len(shared))


def _remove_conclusions(session: Session, analyses: Sequence[int]) -> dict[str, int]:
    """Delete all rows that hang on these analyses through foreign keys, dependents first; counts by table."""
    tables = Base.metadata.tables
    chosen: dict[str, Any] = {}
    for table in Base.metadata.sorted_tables:  # what is referred to comes first
        for key in table.foreign_keys:
            parent = key.column.table.name
            if parent == "analysis" and table.name not in ("analysis_run", "intervention"):
                chosen[table.name] = among(key.parent, analyses)
            elif parent in chosen and key.column.name == "id":
                chosen[table.name] = key.parent.in_(select(tables[parent].c.id).where(chosen[parent]))
    removed = {}
    for name in reversed(list(chosen)):
        removed[name] = session.execute(delete(tables[name]).where(chosen[name])).rowcount  # type: ignore[attr-defined]
    return removed
