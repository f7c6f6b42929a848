"""Everything known about one experiment as plain JSON: for `show --json` and the report."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from datetime import datetime
from enum import Enum
from typing import Any

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.base import AnalysisKind, Phase, RunState
from db.curricula import curriculum_names, load_curriculum
from db.effects import effect_arms, load_effects
from db.experiments import analysis_runs, get_experiment, latest_analysis, validation_of
from db.interventions import load_interventions, of_plan
from db.measurements import deltas
from db.models import Analysis, Experiment, InterventionRow, PlannedRun, PoolSnapshot, Run
from db.pools import snapshot_counts
from db.proposals import load_proposal, proposal_names
from db.runs import missing
from db.taxonomies import load_taxonomy, taxonomy_names
from db.verdicts import load_verdicts

_RUN_FIELDS = (
    "fingerprint", "state", "attempts", "planned", "started", "finished", "seconds", "evaluation_seconds", "host",
    "device", "engine", "steps", "tokens", "checkpoint", "error",
)  # fmt: skip


def experiment_overview(session: Session, name: str) -> dict[str, Any]:
    """What the database holds about the experiment recorded last under this name.

    Validation and conclusions are those of its latest analysis. Numbers that are not identified are None; times are
    ISO 8601; empty where a stage has not been reached.

    Raises:
        InputError: there is no experiment of this name.
    """
    experiment = get_experiment(session, name)
    analysis = latest_analysis(session, experiment.id, AnalysisKind.OPTIMIZE)
    of_analysis = None if analysis is None else analysis.id
    validation = validation_of(session, experiment.id, of_analysis)
    phases = {Phase.MEASURE: _phase(session, experiment, Phase.MEASURE, None)}
    if of_analysis is not None:
        phases[Phase.VALIDATE] = _phase(session, experiment, Phase.VALIDATE, of_analysis)
    overview = {
        "experiment": experiment.name,
        "id": experiment.id,
        "created": experiment.created,
        "recorded": experiment.recorded,
        "config": experiment.config,
        "config_hash": experiment.config_hash,
        "pool": _pool(session, experiment.snapshot_id),
        "phases": {phase.value: content for phase, content in phases.items()},
        "analyses": session.scalar(select(func.count()).where(Analysis.experiment_id == experiment.id)),
        "analysis": _analysis(session, analysis),
        "validation": _analysis(session, validation),
        "verdicts": [] if validation is None else load_verdicts(session, validation.id),
        **_conclusions(session, of_analysis),
    }
    plain: dict[str, Any] = as_json(overview)
    return plain


def as_json(value: Any) -> Any:
    """Value types, arrays, enums and times as plain JSON; what is not a finite number becomes None."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    return _scalar(value)


def _scalar(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _pool(session: Session, snapshot_id: int) -> dict[str, Any]:
    snapshot = session.get_one(PoolSnapshot, snapshot_id)
    return {
        "name": snapshot.name,
        "content_hash": snapshot.content_hash,
        "path": snapshot.path,
        "rejected": snapshot.rejected,
        "counts": snapshot_counts(session, snapshot_id),
    }


def _phase(session: Session, experiment: Experiment, phase: Phase, analysis_id: int | None) -> dict[str, Any]:
    place = (experiment.id, phase, analysis_id)
    rows = session.execute(
        select(InterventionRow.name, InterventionRow.arm, PlannedRun.seed, PlannedRun.adaptive, Run)
        .join(PlannedRun, PlannedRun.intervention_id == InterventionRow.id)
        .join(Run, Run.id == PlannedRun.run_id)
        .where(*of_plan(*place))
        .order_by(InterventionRow.position, InterventionRow.id, PlannedRun.seed)
    ).all()
    counts = Counter(RunState(run.state) for *_, run in rows)
    return {
        "states": {state.value: counts[state] for state in RunState},
        "adaptive": sum(adaptive for _, _, _, adaptive, _ in rows),
        "missing": [str(one) for one in missing(session, *place)],
        "interventions": load_interventions(session, *place),
        "runs": [
            {"intervention": name, "arm": arm, "seed": seed, "adaptive": adaptive, "run_id": run.id}
            | {field: getattr(run, field) for field in _RUN_FIELDS}
            for name, arm, seed, adaptive, run in rows
        ],
        "deltas": deltas(session, *place),
    }


def _analysis(session: Session, analysis: Analysis | None) -> dict[str, Any] | None:
    if analysis is None:
        return None
    return {
        "id": analysis.id,
        "kind": analysis.kind,
        "created": analysis.created,
        "parameters": analysis.parameters,
        "inputs_hash": analysis.inputs_hash,
        "runs": analysis_runs(session, analysis.id),
    }


def _conclusions(session: Session, analysis_id: int | None) -> dict[str, Any]:
    if analysis_id is None:
        return {"effects": [], "proposals": {}, "taxonomies": {}, "curricula": {}}
    return {
        "effects": [
            {"metric": metric, "arm": arm, "matrix": load_effects(session, analysis_id, metric, arm)}
            for metric, arm in effect_arms(session, analysis_id)
        ],
        "proposals": {n: load_proposal(session, analysis_id, n) for n in proposal_names(session, analysis_id)},
        "taxonomies": {n: load_taxonomy(session, analysis_id, n) for n in taxonomy_names(session, analysis_id)},
        "curricula": {n: load_curriculum(session, analysis_id, n) for n in curriculum_names(session, analysis_id)},
    }
