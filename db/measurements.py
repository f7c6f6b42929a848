"""What the finished runs of a plan say: the run table for the effects stage, and the deltas."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sqlalchemy import column, select, table
from sqlalchemy.orm import Session

from db.base import Phase
from db.interventions import load_interventions, of_plan
from db.models import InterventionRow, PlannedRun, Run, ScoreRow
from db.runs import missing
from tasks.benchmarks.scores import HIGHER_IS_BETTER, Metric
from tasks.effects.matrix import RunTable
from tasks.errors import EvidenceError
from tasks.interventions.intervention import BASELINE, Arm

UNITS = {Metric.LOSS: "nats per token", Metric.EXACT_MATCH: "share"}

_DELTA_COLUMNS = (
    "intervention", "arm", "seed", "category", "metric", "baseline", "value", "delta", "n", "run_id", "baseline_run_id"
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
        metric: what was measured.
        baseline: the baseline's value, in the metric's own direction.
        value: the intervention's value, likewise.
        delta: P(baseline) − P(intervention), P higher is better: positive = what was taken away had helped.
        n: held-out examples behind `value`.
        run_id: the intervention's run.
        baseline_run_id: the baseline's run.
    """

    intervention: str
    arm: str | None
    seed: int
    category: str
    metric: Metric
    baseline: float
    value: float
    delta: float
    n: int
    run_id: int
    baseline_run_id: int


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
    found = [Delta(**{**row, "metric": Metric(row["metric"])}) for row in rows.mappings()]
    return sorted(found, key=lambda d: (d.metric.value, d.intervention, d.seed, d.category))


def run_table(
    session: Session,
    experiment_id: int,
    phase: Phase,
    metric: Metric,
    arm: Arm | None = None,
    analysis_id: int | None = None,
) -> RunTable:
    """The runs of a complete plan as the effects stage takes them; runs are named "<intervention>, seed <seed>".

    Args:
        session: the transaction.
        experiment_id: whose.
        phase: measure or validate.
        metric: which score.
        arm: only this arm's interventions beside the baseline; None = all.
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
    scores = session.execute(
        select(InterventionRow.name, PlannedRun.seed, ScoreRow.category, ScoreRow.value, ScoreRow.n)
        .join(PlannedRun, PlannedRun.intervention_id == InterventionRow.id)
        .join(Run, Run.id == PlannedRun.run_id)
        .join(ScoreRow, ScoreRow.run_id == Run.id)
        .where(*of_plan(experiment_id, phase, analysis_id), ScoreRow.metric == metric.value)
    ).all()
    cells = {(r.name, r.seed, r.category): (r.value, r.n) for r in scores if r.name in interventions}
    if not cells:
        raise EvidenceError(f"The experiment has no scores of the metric {metric.value!r} in the phase {phase}.")
    order = list(interventions)
    rows = sorted({(order.index(name), seed) for name, seed, _ in cells})
    targets = tuple(sorted({category for _, _, category in cells}))
    sources = tuple(category for category, _ in interventions[order[rows[0][0]]].counts)
    sign = 1.0 if HIGHER_IS_BETTER[metric] else -1.0
    holes = [f"{order[i]}, seed {seed}: {t}" for i, seed in rows for t in targets if (order[i], seed, t) not in cells]
    if holes:
        raise EvidenceError(f"Runs of one plan were scored on different categories; missing: {'; '.join(holes)}")
    values = [[cells[order[i], seed, t] for t in targets] for i, seed in rows]
    return RunTable(
        runs=tuple(f"{order[i]}, seed {seed}" for i, seed in rows),
        seeds=tuple(seed for _, seed in rows),
        arms=tuple(order[i] for i, _ in rows),
        sources=sources,
        amounts=np.array(
            [[dict(interventions[order[i]].counts)[s] for s in sources] for i, _ in rows], dtype=np.float64
        ),
        targets=targets,
        performance=sign * np.array([[v for v, _ in row] for row in values], dtype=np.float64),
        n=np.array([[n for _, n in row] for row in values], dtype=np.int64),
        unit=UNITS[metric],
    )
