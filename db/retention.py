"""Whose weights stay after scoring: what the configurations of all experiments that use a run say together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, case, func, select, update
from sqlalchemy.orm import Session, aliased

from db.base import Phase, RunState
from db.columns import among
from db.models import Experiment, InterventionCategory, InterventionRow, MetricRow, PlannedRun, Run, ScoreRow
from tasks.interventions.intervention import BASELINE

_DEFAULT_KEEP = "none"
_DEFAULT_METRIC = "loss"


def may_be_wanted(session: Session, fingerprint: str) -> bool:
    """Whether some experiment may want the weights of a run that has just been scored.

    It does if it plans the run and keeps all weights, or keeps the best ones and plans the run for its validation.
    """
    return any(keep == "all" or _in_contest(keep, phase) for keep, phase in _plans_of(session, fingerprint))


def unwanted(session: Session, fingerprint: str) -> list[str]:
    """Fingerprints of the runs whose weights lost against others of a validation that this run is part of, sorted.

    Only validations of experiments that keep the best are looked at, and only runs with weights that no experiment
    wants: not as one of all, and not as the best so far.
    """
    contests = session.scalars(
        select(InterventionRow.experiment_id)
        .join(PlannedRun)
        .join(Run)
        .join(Experiment, Experiment.id == InterventionRow.experiment_id)
        .where(
            Run.fingerprint == fingerprint,
            InterventionRow.phase == Phase.VALIDATE.value,
            _keep(Experiment) == "best",
        )
        .distinct()
    ).all()
    entered = (
        select(Run.fingerprint)
        .join(PlannedRun)
        .join(InterventionRow)
        .where(
            among(InterventionRow.experiment_id, contests),
            InterventionRow.phase == Phase.VALIDATE.value,
            Run.state == RunState.FINISHED.value,
            Run.checkpoint != "",
        )
    )
    present = set(session.scalars(entered))
    return sorted(present - wanted(session, present))


def wanted(session: Session, fingerprints: Iterable[str]) -> set[str]:
    """Those of the runs whose weights some experiment keeps."""
    asked = set(fingerprints)
    rows = session.execute(
        select(Run.fingerprint, Experiment.id, _keep(Experiment).label("keep"), InterventionRow.phase)
        .join(PlannedRun, PlannedRun.run_id == Run.id)
        .join(InterventionRow, InterventionRow.id == PlannedRun.intervention_id)
        .join(Experiment, Experiment.id == InterventionRow.experiment_id)
        .where(among(Run.fingerprint, asked))
    ).all()
    kept = {row.fingerprint for row in rows if row.keep == "all"}
    contests = {row.id for row in rows if _in_contest(row.keep, row.phase)}
    for experiment_id in contests:
        kept |= best_runs(session, experiment_id) & asked
    return kept


def best_runs(session: Session, experiment_id: int) -> set[str]:
    """Runs of an experiment's validation whose weights could be, or are, the best: fingerprints.

    While a validation goes on: of each arm the best seed so far. Once all its runs are scored: of the arm with the
    highest mean performance the best seed. An earlier validation's best stays until the latest one is complete. The
    performance is the mean over categories, weighted by their examples in the validation's baseline.
    """
    found: set[str] = set()
    validations = session.scalars(
        select(InterventionRow.analysis_id)
        .where(InterventionRow.experiment_id == experiment_id, InterventionRow.phase == Phase.VALIDATE.value)
        .distinct()
        .order_by(InterventionRow.analysis_id.desc())
    ).all()
    for analysis_id in validations:
        arms, complete = _performances(session, experiment_id, analysis_id)
        if complete and arms:
            best = max(arms, key=lambda arm: sum(value for value, _ in arm) / len(arm))
            return found | {max(best)[1]}
        found |= {max(arm)[1] for arm in arms}
    return found


def clear_checkpoint(session: Session, fingerprint: str) -> None:
    """Note that a finished run's weights are gone; nothing else of it can change."""
    session.execute(
        update(Run)
        .where(Run.fingerprint == fingerprint, Run.state == RunState.FINISHED.value, Run.checkpoint != "")
        .values(checkpoint="")
        .execution_options(synchronize_session=False)
    )


def with_weights(session: Session) -> set[str]:
    """Fingerprints of the finished runs whose row names weights."""
    return set(
        session.scalars(select(Run.fingerprint).where(Run.state == RunState.FINISHED.value, Run.checkpoint != ""))
    )


def _keep(experiment: Any) -> ColumnElement[str]:
    """What an experiment's configuration says about weights; configurations without the key keep none."""
    return func.coalesce(experiment.config["resources"]["keep"].as_string(), _DEFAULT_KEEP)


def _in_contest(keep: str, phase: str) -> bool:
    return keep == "best" and phase == Phase.VALIDATE.value


def _plans_of(session: Session, fingerprint: str) -> list[tuple[str, str]]:
    rows = session.execute(
        select(_keep(Experiment).label("keep"), InterventionRow.phase)
        .join(InterventionRow, InterventionRow.experiment_id == Experiment.id)
        .join(PlannedRun)
        .join(Run)
        .where(Run.fingerprint == fingerprint)
        .distinct()
    )
    return [(row.keep, row.phase) for row in rows]


def _performances(
    session: Session, experiment_id: int, analysis_id: int | None
) -> tuple[list[list[tuple[float, str]]], bool]:
    """Per arm, in the plan's order, (performance, fingerprint) of its scored runs; and whether all runs are scored."""
    baseline = aliased(InterventionRow)
    weight = aliased(InterventionCategory)
    metric = func.coalesce(Experiment.config["analysis"]["metric"].as_string(), _DEFAULT_METRIC)
    value = case((MetricRow.higher_is_better, ScoreRow.value), else_=-ScoreRow.value)
    mean = func.sum(value * weight.examples) / func.sum(weight.examples)
    complete = func.count(ScoreRow.value) == func.count(weight.category)
    rows = session.execute(
        select(InterventionRow.id, Run.fingerprint, Run.state, case((complete, mean)))
        .join(PlannedRun, PlannedRun.intervention_id == InterventionRow.id)
        .join(Run, Run.id == PlannedRun.run_id)
        .join(Experiment, Experiment.id == InterventionRow.experiment_id)
        .join(
            baseline,
            (baseline.experiment_id == InterventionRow.experiment_id)
            & (baseline.phase == InterventionRow.phase)
            & baseline.analysis_id.is_not_distinct_from(InterventionRow.analysis_id)
            & (baseline.name == BASELINE),
        )
        .join(weight, (weight.intervention_id == baseline.id) & (weight.examples > 0))
        .outerjoin(
            ScoreRow,
            (ScoreRow.run_id == Run.id) & (ScoreRow.category == weight.category) & (ScoreRow.metric == metric),
        )
        .outerjoin(MetricRow, MetricRow.name == ScoreRow.metric)
        .where(
            InterventionRow.experiment_id == experiment_id,
            InterventionRow.phase == Phase.VALIDATE.value,
            InterventionRow.analysis_id.is_not_distinct_from(analysis_id),
        )
        .group_by(InterventionRow.id, InterventionRow.position, PlannedRun.seed, Run.fingerprint, Run.state)
        .order_by(InterventionRow.position, InterventionRow.id, PlannedRun.seed)
    ).all()
    arms: dict[int, list[tuple[float, str]]] = defaultdict(list)
    for arm, fingerprint, state, performance in rows:
        if state == RunState.FINISHED.value and performance is not None:
            arms[arm].append((float(performance), fingerprint))
    return list(arms.values()), all(row.state == RunState.FINISHED.value for row in rows)
