"""What the finished runs of a plan say: the run table for the effects stage, and the deltas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import column, select, table
from sqlalchemy.orm import Session

from db.base import Phase
from db.interventions import load_interventions, of_plan
from db.metrics import load_metrics
from db.models import InterventionRow, PlannedRun, Run, ScoreRow
from db.runs import SCORE_COLUMNS, missing, score_of
from tasks.benchmarks.scores import Metric, Score
from tasks.effects.matrix import RunTable
from tasks.errors import EvidenceError
from tasks.interventions.intervention import BASELINE, Arm, Intervention

_DELTA_COLUMNS = (
    "intervention", "arm", "seed", "category", "metric", "baseline", "value", "delta", "n", "run_id", "baseline_run_id",
    "standard_error", "baseline_standard_error",
)  # fmt: skip
_DELTA = table(
    "benchmark_delta", *map(column, _DELTA_COLUMNS), column("experiment_id"), column("phase"), column("analysis_id")
)


@dataclass(frozen=True)
class Delta:
    """One row of the view `benchmark_delta`: a run against the baseline of the same seed.

    Attributes:
        intervention: its name.
        arm: what happened to the freed budget; None for mixtures.
        seed: the pair's seed.
        category: the evaluated category.
        metric: the name of what was measured.
        baseline: the baseline's value, in the metric's own direction.
        value: the intervention's value, likewise.
        delta: P(baseline) − P(intervention), P higher is better: positive = what was taken away had helped.
        n: held-out examples behind `value`.
        run_id: the intervention's run.
        baseline_run_id: the baseline's run.
        standard_error: of `value`, over examples; None where it is not known.
        baseline_standard_error: of `baseline`, likewise. The two runs share their examples: their errors do not add.
    """

    intervention: str
    arm: str | None
    seed: int
    category: str
    metric: str
    baseline: float
    value: float
    delta: float
    n: int
    run_id: int
    baseline_run_id: int
    standard_error: float | None
    baseline_standard_error: float | None


@dataclass(frozen=True)
class MeasuredRun:
    """A run with its scores of one metric.

    Attributes:
        intervention: what it was trained on.
        seed: its repetition.
        scores: by category.
        adaptive: whether it was chosen after looking at earlier results.
    """

    intervention: Intervention
    seed: int
    scores: Mapping[str, Score]
    adaptive: bool = False

    @property
    def name(self) -> str:
        """What it is called in a run table."""
        return f"{self.intervention.name}, seed {self.seed}"


def deltas(
    session: Session, experiment_id: int, phase: Phase = Phase.MEASURE, analysis_id: int | None = None
) -> list[Delta]:
    """All deltas of a plan, sorted by metric, intervention, seed, category."""
    v = _DELTA.c
    rows = session.execute(
        select(*(v[name] for name in _DELTA_COLUMNS)).where(
            v.experiment_id == experiment_id,
            v.phase == Phase(phase).value,
            v.analysis_id.is_not_distinct_from(analysis_id),
        )
    )
    found = [Delta(**row) for row in rows.mappings()]
    return sorted(found, key=lambda d: (d.metric, d.intervention, d.seed, d.category))


def scores_of_arm(session: Session, experiment_id: int, phase: Phase, name: str) -> tuple[Score, ...]:
    """All scores of an intervention's finished runs, every seed's, sorted by category, metric and seed."""
    rows = session.execute(
        select(*SCORE_COLUMNS)
        .join(Run, Run.id == ScoreRow.run_id)
        .join(PlannedRun, PlannedRun.run_id == Run.id)
        .join(InterventionRow, PlannedRun.intervention_id == InterventionRow.id)
        .where(*of_plan(experiment_id, phase, None), InterventionRow.name == name)
        .order_by(ScoreRow.category, ScoreRow.metric, PlannedRun.seed)
    )
    return tuple(map(score_of, rows))


def run_table(
    session: Session,
    experiment_id: int,
    phase: Phase,
    metric: str,
    arm: Arm | None = None,
    analysis_id: int | None = None,
) -> RunTable:
    """The runs of a complete plan as the effects stage takes them.

    Seeds may differ between interventions.

    Args:
        session: the transaction.
        experiment_id: whose.
        phase: measure or validate.
        metric: which score.
        arm: only this arm's interventions beside the baseline; None = all, whatever the design.
        analysis_id: the analysis a validation belongs to.

    Raises:
        EvidenceError: nothing is planned, or some of it has no scores yet; they are named.
    """
    absent = missing(session, experiment_id, phase, analysis_id)
    if absent:
        names = "".join(f"\n  {one}" for one in absent)
        raise EvidenceError(f"{len(absent)} planned runs have no scores yet:{names}")
    interventions = {
        i.name: i
        for i in load_interventions(session, experiment_id, phase, analysis_id)
        if arm is None or i.arm is arm or i.name == BASELINE
    }
    rows = session.execute(
        select(InterventionRow.name, PlannedRun.seed, PlannedRun.adaptive, *SCORE_COLUMNS)
        .join(PlannedRun, PlannedRun.intervention_id == InterventionRow.id)
        .join(Run, Run.id == PlannedRun.run_id)
        .join(ScoreRow, ScoreRow.run_id == Run.id)
        .where(*of_plan(experiment_id, phase, analysis_id), ScoreRow.metric == metric)
    ).all()
    scores: dict[tuple[str, int, bool], dict[str, Score]] = {}
    for row in rows:
        if row.name in interventions:
            scores.setdefault((row.name, row.seed, row.adaptive), {})[row.category] = score_of(row)
    position = {name: place for place, name in enumerate(interventions)}
    order = sorted(scores, key=lambda key: (position[key[0]], key[1]))
    runs = [MeasuredRun(interventions[key[0]], key[1], scores[key], key[2]) for key in order]
    if not runs:
        raise EvidenceError(f"The experiment has no scores of the metric {metric!r} in the phase {phase}.")
    return table_of(runs, load_metrics(session)[metric])


def table_of(runs: Sequence[MeasuredRun], metric: Metric) -> RunTable:
    """These runs, in their order, as the effects stage takes them; named "<intervention>, seed <seed>".

    Its performance is higher-is-better: a metric that is not enters with its sign changed. `adaptive` is empty where no
    run was chosen adaptively.

    Args:
        runs: of one plan, all scored on the same categories.
        metric: what their scores mean.

    Raises:
        EvidenceError: runs were scored on different categories; what is missing is named.
    """
    targets = tuple(sorted({category for run in runs for category in run.scores}))
    if holes := [f"{run.name}: {target}" for run in runs for target in targets if target not in run.scores]:
        raise EvidenceError(f"Runs of one plan were scored on different categories; missing: {'; '.join(holes)}")
    sources = tuple(category for category, _ in runs[0].intervention.counts) if runs else ()
    counts = [dict(run.intervention.counts) for run in runs]
    shape = (len(runs), len(targets))
    values = np.array([[run.scores[t].value for t in targets] for run in runs], dtype=np.float64)
    return RunTable(
        runs=tuple(run.name for run in runs),
        seeds=tuple(run.seed for run in runs),
        arms=tuple(run.intervention.name for run in runs),
        sources=sources,
        amounts=np.array([[of[s] for s in sources] for of in counts], dtype=np.float64).reshape(
            len(runs), len(sources)
        ),
        targets=targets,
        performance=metric.sign * values.reshape(shape),
        n=np.array([[run.scores[t].n for t in targets] for run in runs], dtype=np.int64).reshape(shape),
        unit=metric.unit,
        adaptive=tuple(run.adaptive for run in runs) if any(run.adaptive for run in runs) else (),
    )
