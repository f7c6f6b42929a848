"""The report's tables as rows of values, ready for the template."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tasks.benchmarks.scores import SHARE, Metric, Score, metric_order
from tasks.effects.matrix import EffectMatrix, Matrix
from tasks.interventions.intervention import BASELINE
from tasks.report.content import FINISHED, MEASURE, PLANNED_ONLY, PlantedEdges, ReportData, RunRow
from tasks.report.judged import in_order
from tasks.report.lettering import DASH, percent, plain
from tasks.report.planted import compare
from tasks.report.strongest import Cell, ranked
from tasks.taxonomy.taxonomy import Edge, Taxonomy
from tasks.validation.verdict import Verdict

LISTED_CELLS = 240


@dataclass(frozen=True)
class SourceRow:
    """One column of the effects with the runs behind it.

    Attributes:
        source: the category whose data it is about.
        anchor: id of this row in the document.
        amount: how much of it the baseline has more than the training sets it is compared with.
        own: its effect on itself; NaN where it is not measured.
        slope: its effect on itself per `EffectsTables.per` units; NaN likewise.
        slope_error: standard error of `slope`.
        mean: mean effect on the other targets.
        helped: other targets it is shown to help.
        hurt: other targets it is shown to hurt.
        runs: finished runs that change it alone; empty for a surface, which rests on all runs.
    """

    source: str
    anchor: str
    amount: float
    own: float
    slope: float
    slope_error: float
    mean: float
    helped: int
    hurt: int
    runs: tuple[RunRow, ...]


@dataclass(frozen=True)
class EffectsTables:
    """Effects of one name as tables.

    Attributes:
        arm: the name.
        effects: the matrix itself.
        sources: a row per source.
        baseline: finished baseline runs.
        cells: the listed cross cells, strongest first.
        complete: whether `cells` holds every cross cell.
        per: units of amount that slopes are given for: the power of ten that makes them readable.
        adaptive: finished runs chosen after a look at earlier results that these effects rest on.
    """

    arm: str
    effects: EffectMatrix
    sources: tuple[SourceRow, ...]
    baseline: tuple[RunRow, ...]
    cells: tuple[Cell, ...]
    complete: bool
    per: int
    adaptive: int

    @property
    def links(self) -> dict[str, str]:
        """Source → link to its row."""
        return {row.source: f"#{row.anchor}" for row in self.sources}

    @property
    def surface(self) -> bool:
        """Whether all runs together were fitted, so that no column has runs of its own."""
        return self.effects.estimator == "surface"


def effects_tables(report: ReportData, arm: str, effects: EffectMatrix, prefix: str) -> EffectsTables:
    """Tables of the effects of this name; anchors start with `prefix`."""
    per = slope_scale(effects)
    rows = tuple(_source_row(report, arm, effects, (j, f"{prefix}-{j}"), per) for j in range(len(effects.sources)))
    listed = ranked(effects, report.false_discovery_rate, LISTED_CELLS)
    cross = effects.delta.size - sum(t in effects.sources for t in effects.targets)
    later = 0 if arm.endswith(PLANNED_ONLY) else sum(run.state == FINISHED for run in report.adaptive)
    baseline = () if effects.estimator == "surface" else report.measured(None, arm)
    return EffectsTables(arm, effects, rows, baseline, listed, len(listed) == cross, per, later)


def _source_row(report: ReportData, arm: str, effects: EffectMatrix, place: tuple[int, str], per: int) -> SourceRow:
    j, anchor = place
    source = effects.sources[j]
    means = dict(report.main_effects.values) if report.main_effects and arm == report.arm else {}
    other = np.array([t != source for t in effects.targets])
    column, shown = effects.delta[:, j], effects.q_value[:, j] <= report.false_discovery_rate
    return SourceRow(
        source=source,
        anchor=anchor,
        amount=float(effects.amounts[j]),
        own=_only(column[~other]),
        slope=_only(effects.marginal[~other, j]) * per,
        slope_error=_only(effects.marginal_error[~other, j]) * per,
        mean=means.get(source, float(column[other].mean()) if other.any() else float("nan")),
        helped=int((shown & other & (column > 0)).sum()),
        hurt=int((shown & other & (column < 0)).sum()),
        runs=() if effects.estimator == "surface" else report.measured(source, arm),
    )


def _only(values: Matrix) -> float:
    return float(values[0]) if values.size else float("nan")


def slope_scale(effects: EffectMatrix) -> int:
    """1, 10, 100, … units of amount: the fewest for which the largest slope is at least 0.1."""
    largest = float(np.abs(effects.marginal[np.isfinite(effects.marginal)]).max(initial=0.0))
    return 10 ** min(max(math.ceil(math.log10(0.1 / largest)), 0), 6) if largest > 0 else 1


@dataclass(frozen=True)
class CategoryRow:
    """One category in the pool and the baseline.

    Attributes:
        category: its name.
        kept: examples in the pool.
        baseline: examples per epoch in the baseline, None where it is not part of it.
        scores: of the baseline, one per metric of `measured_metrics`, None where it was not measured.
    """

    category: str
    kept: int
    baseline: int | None
    scores: tuple[Score | None, ...]


def measured_metrics(report: ReportData) -> tuple[Metric, ...]:
    """What the baseline was measured with: loss, exact match, then the others by name."""
    found = {one.metric.name: one.metric for one in report.baseline_scores}
    return tuple(found[name] for name in metric_order(found))


def score_text(score: Score | None, metric: Metric) -> str:
    """A score with its standard error, e.g. "62.5% ± 17.1" or "1.234 ± 0.056"; a dash for None."""
    if score is None:
        return DASH
    error = score.standard_error
    if metric.unit == SHARE:
        return percent(score.value, 1) + ("" if error is None else f" ± {plain(100 * error, 1)}")
    return plain(score.value, 3) + ("" if error is None else f" ± {plain(error, 3)}")


def category_rows(report: ReportData) -> tuple[CategoryRow, ...]:
    """The pool's categories in its order, then any that only the baseline has."""
    kept, baseline = dict(report.pool.kept), dict(report.baseline_counts)
    scores = {(one.score.category, one.metric.name): one.score for one in report.baseline_scores}
    metrics = [metric.name for metric in measured_metrics(report)]
    names = [*kept, *(c for c in baseline if c not in kept)]
    return tuple(
        CategoryRow(c, kept.get(c, 0), baseline.get(c), tuple(scores.get((c, m)) for m in metrics)) for c in names
    )


@dataclass(frozen=True)
class TrainingSetRow:
    """One planned training set of the measuring phase.

    Attributes:
        label: its name.
        total: examples per epoch.
        changes: (category, examples more or fewer than in the baseline) where they differ, the largest first.
        runs: its planned runs.
        finished: how many of them are finished.
        adaptive: how many of them were chosen after a look at earlier results.
    """

    label: str
    total: int
    changes: tuple[tuple[str, int], ...]
    runs: tuple[RunRow, ...]
    finished: int
    adaptive: int


def training_sets(report: ReportData) -> tuple[TrainingSetRow, ...]:
    """The planned training sets in the plan's order; empty without a plan."""
    runs: dict[str, list[RunRow]] = {}
    for run in report.runs:
        if run.phase == MEASURE:
            runs.setdefault(run.label, []).append(run)
    before = next((dict(one.counts) for one in report.interventions if one.name == BASELINE), {})
    rows = []
    for one in report.interventions:
        changes = [(c, n - before.get(c, 0)) for c, n in one.counts if n != before.get(c, 0)]
        mine = tuple(runs.get(one.name, ()))
        rows.append(
            TrainingSetRow(
                one.name,
                one.total,
                tuple(sorted(changes, key=lambda change: (-abs(change[1]), change[0]))),
                mine,
                sum(run.state == FINISHED for run in mine),
                sum(run.adaptive for run in mine),
            )
        )
    return tuple(rows)


@dataclass(frozen=True)
class EdgeRow:
    """A dependency, or a candidate for one.

    Attributes:
        source: the preliminary category.
        target: the dependent one.
        edge: the evidence, None for a planted dependency that was missed.
        state: what became of it, in words.
        truth: how it compares with the planted world; empty where nothing is planted.
    """

    source: str
    target: str
    edge: Edge | None
    state: str
    truth: str


def edge_rows(taxonomy: Taxonomy, planted: PlantedEdges | None) -> tuple[EdgeRow, ...]:
    """Kept edges, candidates that were taken out, and planted edges that were missed, sorted by their ends."""
    states = [(e, _kept(e)) for e in taxonomy.edges]
    states += [(e, "taken out to break a cycle") for e in taxonomy.removed]
    states += [(e, f"taken out: {_unsure(e)}") for e in taxonomy.unconfirmed]
    truth = {(s, t): finding.value for s, t, finding in compare(taxonomy, planted).edges} if planted else {}
    rows = [EdgeRow(e.source, e.target, e, state, truth.get((e.source, e.target), "")) for e, state in states]
    known = {(row.source, row.target) for row in rows}
    rows += [EdgeRow(s, t, None, "not found", finding) for (s, t), finding in truth.items() if (s, t) not in known]
    return tuple(sorted(rows, key=lambda row: (row.source, row.target)))


def _kept(edge: Edge) -> str:
    return "kept" if edge.confirmed is None else f"kept, {_unsure(edge)}"


def _unsure(edge: Edge) -> str:
    """What runs without both categories say."""
    return {None: "no such runs", True: "confirmed", False: "not confirmed"}[edge.confirmed]


@dataclass(frozen=True)
class VerdictRow:
    """A verdict with the runs of its two arms."""

    verdict: Verdict
    arm_runs: tuple[RunRow, ...]
    control_runs: tuple[RunRow, ...]


def verdict_rows(report: ReportData) -> tuple[VerdictRow, ...]:
    """Verdicts, the headline arm's first."""
    return tuple(VerdictRow(v, report.validated(v.arm), report.validated(v.control)) for v in in_order(report))


def training_seconds(report: ReportData) -> float | None:
    """Summed training time of the runs that were trained for this experiment; None where none says."""
    known = [r.seconds for r in report.runs if r.seconds is not None and not r.reused]
    return sum(known) if known else None


def tokens(report: ReportData) -> int | None:
    """Tokens trained on over all finished runs; None where none says."""
    known = [r.tokens for r in report.runs if r.tokens is not None]
    return sum(known) if known else None
