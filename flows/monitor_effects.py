"""Effects as they come in: what the scores that are there already say, by the estimator that concludes in the end."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping

import numpy as np

from db.base import Phase
from db.measurements import MeasuredRun, table_of
from db.metrics import load_metrics
from db.monitoring import scores_of
from db.session import Database
from flows.monitor_markdown import escaped, table
from flows.planning import PlannedRun
from tasks.benchmarks.scores import HELD_OUT_METRICS, LOSS, Metric, Score, metric_order
from tasks.effects.matrix import EffectMatrix, RunTable
from tasks.effects.paired import effects_from_differences
from tasks.effects.pairing import pair_leave_one_out
from tasks.errors import BeyondIIDError
from tasks.interventions.intervention import BASELINE, Arm

_PAUSE_SECONDS = 10.0
_PAUSE_FACTOR = 50.0
"""A look pauses at least this many times as long as it took, so that it costs at most a fiftieth of a core."""
_MOST_COLUMNS, _MOST_CELLS = 12, 40
_SHADES = "░▒▓█"


class PreliminaryEffects:
    """The paired effects of a measuring fan-out, from the runs that have scores; one section per arm and metric.

    Designs whose runs cannot be paired (factorial, mixtures, several doses) have none.
    """

    def __init__(self, runs: Mapping[str, PlannedRun], database: Database) -> None:
        """Find the arms that can be paired; `runs` is the plan by fingerprint."""
        measured = {key: run for key, run in runs.items() if run.phase is Phase.MEASURE}
        self._database, self._scores = database, dict[str, tuple[Score, ...]]()
        arms = sorted({run.intervention.arm for run in measured.values() if run.intervention.arm is not None})
        self._arms = {arm: plan for arm in arms if _can_be_paired(plan := _of_arm(measured, arm))}
        self._next = 0.0

    @property
    def expected(self) -> bool:
        """Whether there will be any."""
        return bool(self._arms)

    def due(self, finished: Collection[str]) -> bool:
        """Whether there are new scores and the last look is long enough ago."""
        return self.expected and len(finished) > len(self._scores) and time.monotonic() >= self._next

    def text(self, finished: Collection[str]) -> str:
        """Markdown of the effects from the runs of these fingerprints."""
        start = time.monotonic()
        wanted = [key for key in finished if key not in self._scores]
        with self._database.session() as session:
            self._scores |= scores_of(session, wanted)
            known = load_metrics(session)
        measured = {score.metric for scores in self._scores.values() for score in scores}
        metrics = [known[name] for name in metric_order({*measured, *(metric.name for metric in HELD_OUT_METRICS)})]
        sections = [
            section(arm, metric, self._table(plan, metric)) for arm, plan in self._arms.items() for metric in metrics
        ]
        took = time.monotonic() - start
        self._next = start + max(_PAUSE_SECONDS, _PAUSE_FACTOR * took)
        return "\n\n".join([_preface(), *sections])

    def _table(self, plan: Mapping[str, PlannedRun], metric: Metric) -> RunTable:
        runs = []
        for key, run in plan.items():
            scores = {s.category: s for s in self._scores.get(key, ()) if s.metric == metric.name}
            if scores:
                runs.append(MeasuredRun(run.intervention, run.seed, scores))
        return table_of(runs, metric)


def section(arm: Arm, metric: Metric, runs: RunTable) -> str:
    """Markdown of one arm's effects on one metric, from the runs that are there."""
    title = f"### {arm.value}, {metric.name} ({runs.unit})"
    pairs, waiting = _with_two_seeds(runs)
    if pairs is None:
        return f"{title}\n\nNo intervention has scores of two seeds together with its baseline yet."
    try:
        effects = effects_from_differences(pair_leave_one_out(pairs, allow_missing=True), draws=0)
    except BeyondIIDError as error:
        return f"{title}\n\nNot computed: {escaped(str(error).splitlines()[-1])}"
    lines = [title, "", _grid(effects) if len(effects.sources) <= _MOST_COLUMNS else _strongest(effects)]
    if waiting:
        lines += ["", f"Waiting for a second seed: {', '.join(map(escaped, waiting))}."]
    return "\n".join(lines)


def _of_arm(runs: Mapping[str, PlannedRun], arm: Arm) -> dict[str, PlannedRun]:
    """The baseline and the arm's interventions that take out at most one category."""
    return {
        key: run
        for key, run in runs.items()
        if run.intervention.name == BASELINE or (run.intervention.arm is arm and len(run.intervention.removed) <= 1)
    }


def _can_be_paired(plan: Mapping[str, PlannedRun]) -> bool:
    """Whether the complete plan could be: asked of the pairing itself, with nothing measured yet."""
    if not plan:
        return False
    nothing = {"any": Score("any", LOSS, 0.0, 0)}
    planned = [MeasuredRun(run.intervention, run.seed, nothing) for run in plan.values()]
    try:
        pair_leave_one_out(table_of(planned, HELD_OUT_METRICS[0]), allow_missing=True)
    except BeyondIIDError:
        return False
    return True


def _with_two_seeds(runs: RunTable) -> tuple[RunTable | None, tuple[str, ...]]:
    """The runs of interventions with at least two seeds that their baseline has too, and the names of the others."""
    of_baseline = {seed for seed, arm in zip(runs.seeds, runs.arms, strict=True) if arm == BASELINE}
    seeds: dict[str, int] = {}
    for seed, arm in zip(runs.seeds, runs.arms, strict=True):
        seeds[arm] = seeds.get(arm, 0) + (seed in of_baseline)
    enough = {arm for arm, number in seeds.items() if number > 1}
    waiting = tuple(arm for arm in dict.fromkeys(runs.arms) if arm not in enough and arm != BASELINE)
    if not enough - {BASELINE}:
        return None, waiting
    keep = [arm in enough and seed in of_baseline for seed, arm in zip(runs.seeds, runs.arms, strict=True)]
    return runs.subset(keep), waiting


def _preface() -> str:
    return (
        "**Preliminary**: only the runs with scores so far. Mean paired difference P(baseline) − P(without the source) "
        "± its standard error; P is higher-is-better, so + means that the source's data help the target. "
        "Shades: size against the largest one (· where it is smaller than two standard errors)."
    )


def _grid(effects: EffectMatrix) -> str:
    limit = float(np.abs(effects.delta).max())
    rows = [
        [
            target,
            *(_cell(effects.delta[i, j], effects.standard_error[i, j], limit) for j in range(len(effects.sources))),
        ]
        for i, target in enumerate(effects.targets)
    ]
    return table(["target ↓ source →", *effects.sources], rows)


def _strongest(effects: EffectMatrix) -> str:
    limit = float(np.abs(effects.delta).max())
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.nan_to_num(np.abs(effects.delta / effects.standard_error), nan=0.0)
    order = np.argsort(-ratio, axis=None, kind="stable")[:_MOST_CELLS]
    places = [divmod(int(position), len(effects.sources)) for position in order]
    rows = [
        [effects.sources[j], effects.targets[i], _cell(effects.delta[i, j], effects.standard_error[i, j], limit)]
        for i, j in places
    ]
    return (
        f"The {len(rows)} of {ratio.size} cells that stand out most:\n\n{table(['source', 'target', 'effect'], rows)}"
    )


def _cell(delta: float, error: float, limit: float) -> str:
    shade = "·"
    if abs(delta) >= 2 * error and limit > 0 and delta:
        shade = _SHADES[min(len(_SHADES) - 1, int(len(_SHADES) * abs(delta) / limit))]
    return f"{shade} {delta:+.3f} ± {error:.3f}"
