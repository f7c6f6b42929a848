"""Store of experiments and of the analyses made in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Select, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.base import AnalysisKind, Phase
from db.columns import among
from db.errors import RecordError
from db.interventions import of_plan
from db.models import Analysis, AnalysisRun, Experiment, InterventionRow, PlannedRun, Run
from tasks.errors import InputError
from tasks.fingerprint import fingerprint


def record_experiment(
    session: Session, name: str, config: Mapping[str, Any], config_hash: str, snapshot_id: int
) -> Experiment:
    """Record a configuration on a snapshot once, and make it the one that `name` now means.

    Recorded again, it takes over what decides no number and is not in its hash: resources, weights to keep.
    """
    row = {"name": name, "config": dict(config), "config_hash": config_hash, "snapshot_id": snapshot_id}
    made = insert(Experiment).values(row)
    again = made.on_conflict_do_update(
        index_elements=["name", "config_hash", "snapshot_id"],
        set_={"recorded": func.clock_timestamp(), "config": made.excluded.config},
    )
    return session.scalars(again.returning(Experiment), execution_options={"populate_existing": True}).one()


def recall_experiment(session: Session, experiment_id: int) -> None:
    """Make this configuration the one that its name means again."""
    session.execute(update(Experiment).where(Experiment.id == experiment_id).values(recorded=func.clock_timestamp()))


def find_experiment(session: Session, name: str) -> Experiment | None:
    """The experiment recorded last under this name."""
    return session.scalars(current_experiments().where(Experiment.name == name)).one_or_none()


def current_experiments() -> Select[Experiment]:
    """The experiment that each name means: the one recorded last."""
    latest_first = (Experiment.name, Experiment.recorded.desc(), Experiment.id.desc())
    return select(Experiment).distinct(Experiment.name).order_by(*latest_first)


def get_experiment(session: Session, name: str) -> Experiment:
    """`find_experiment`, or an error that names the known ones.

    Raises:
        InputError: there is none of this name.
    """
    found = find_experiment(session, name)
    if found is None:
        known = experiment_names(session)
        raise InputError(
            f"There is no experiment named {name!r} in the database. "
            + (f"Known: {', '.join(known)}." if known else "It holds none: start one with `beyond-iid run`.")
        )
    return found


def experiment_names(session: Session) -> list[str]:
    """All names, sorted."""
    return sorted(session.scalars(select(Experiment.name).distinct()))


def record_analysis(
    session: Session,
    experiment_id: int,
    kind: AnalysisKind,
    parameters: Mapping[str, Any],
    inputs_hash: str,
    fingerprints: Iterable[str] = (),
) -> Analysis:
    """The analysis of these inputs with these parameters: found if it was made before, else added.

    Args:
        session: the transaction.
        experiment_id: whose.
        kind: which flow draws the conclusions.
        parameters: plain data that decides the result beside the inputs.
        inputs_hash: SHA-256 of everything read (runs and their scores).
        fingerprints: the finished runs whose scores were read, for provenance.

    Raises:
        RecordError: a fingerprint has no run.
    """
    key = {
        "experiment_id": experiment_id,
        "kind": AnalysisKind(kind).value,
        "parameters_hash": fingerprint(dict(parameters)),
        "inputs_hash": inputs_hash,
    }
    made = insert(Analysis).values(parameters=dict(parameters), **key).on_conflict_do_nothing().returning(Analysis.id)
    identifier = session.scalar(made)
    wanted = sorted(set(fingerprints))
    if identifier is not None and wanted:
        runs = session.scalars(select(Run.id).where(among(Run.fingerprint, wanted))).all()
        if len(runs) != len(wanted):
            raise RecordError(f"{len(wanted) - len(runs)} of the {len(wanted)} runs of an analysis are not recorded.")
        session.execute(insert(AnalysisRun), [{"analysis_id": identifier, "run_id": run} for run in runs])
    return session.scalars(select(Analysis).filter_by(**key)).one()


def latest_analysis(session: Session, experiment_id: int, kind: AnalysisKind) -> Analysis | None:
    """The analysis of this kind added last."""
    found = select(Analysis).where(Analysis.experiment_id == experiment_id, Analysis.kind == AnalysisKind(kind).value)
    return session.scalars(found.order_by(Analysis.id.desc()).limit(1)).one_or_none()


def validation_of(session: Session, experiment_id: int, analysis_id: int | None) -> Analysis | None:
    """The latest validation, where it judged this analysis' proposal; None where it judged an earlier one's."""
    judged = latest_analysis(session, experiment_id, AnalysisKind.VALIDATE)
    return judged if judged is not None and judged.parameters["optimize"] == analysis_id else None


def plan_fingerprints(session: Session, experiment_id: int, phase: Phase, analysis_id: int | None = None) -> list[str]:
    """Fingerprints of the runs a phase's plan consists of, sorted."""
    runs = (
        select(Run.fingerprint)
        .join(PlannedRun)
        .join(InterventionRow)
        .where(*of_plan(experiment_id, phase, analysis_id))
        .distinct()
    )
    return sorted(session.scalars(runs))


def analysis_runs(session: Session, analysis_id: int) -> list[str]:
    """Fingerprints of the runs an analysis was drawn from, sorted."""
    runs = select(Run.fingerprint).join(AnalysisRun).where(AnalysisRun.analysis_id == analysis_id)
    return sorted(session.scalars(runs))
