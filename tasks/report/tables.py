"""The report's tables as rows of values, ready for the template."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tasks.effects.matrix import EffectMatrix
from tasks.report.content import ReportData, RunRow
from tasks.report.strongest import Cell, ranked
from tasks.validation.verdict import Verdict

LISTED_CELLS = 240


@dataclass(frozen=True)
class SourceRow:
    """One column of the effects with the runs behind it.

    Attributes:
        source: the category left out.
        anchor: id of this row in the document.
        amount: examples removed (the effects' unit of amount).
        own: its effect on itself; NaN where it is not measured.
        mean: mean effect on the other targets.
        helped: other targets it is shown to help.
        hurt: other targets it is shown to hurt.
        runs: finished runs without it.
    """

    source: str
    anchor: str
    amount: float
    own: float
    mean: float
    helped: int
    hurt: int
    runs: tuple[RunRow, ...]


@dataclass(frozen=True)
class EffectsTables:
    """An arm's effects as tables.

    Attributes:
        arm: which arm.
        effects: the matrix itself.
        sources: a row per source.
        baseline: finished baseline runs.
        cells: the listed cross cells, strongest first.
        complete: whether `cells` holds every cross cell.
    """

    arm: str
    effects: EffectMatrix
    sources: tuple[SourceRow, ...]
    baseline: tuple[RunRow, ...]
    cells: tuple[Cell, ...]
    complete: bool

    @property
    def links(self) -> dict[str, str]:
        """Source → link to its row."""
        return {row.source: f"#{row.anchor}" for row in self.sources}


def effects_tables(report: ReportData, arm: str, effects: EffectMatrix, prefix: str) -> EffectsTables:
    """Tables of one arm; anchors start with `prefix`."""
    means = dict(report.main_effects.values) if report.main_effects and arm == report.arm else {}
    rows = []
    for j, source in enumerate(effects.sources):
        other = np.array([t != source for t in effects.targets])
        column, shown = effects.delta[:, j], effects.q_value[:, j] <= report.false_discovery_rate
        own = column[~other]
        rows.append(
            SourceRow(
                source=source,
                anchor=f"{prefix}-{j}",
                amount=float(effects.amounts[j]),
                own=float(own[0]) if own.size else float("nan"),
                mean=means.get(source, float(column[other].mean()) if other.any() else float("nan")),
                helped=int((shown & other & (column > 0)).sum()),
                hurt=int((shown & other & (column < 0)).sum()),
                runs=report.measured(source, arm),
            )
        )
    listed = ranked(effects, report.false_discovery_rate, LISTED_CELLS)
    cross = effects.delta.size - sum(t in effects.sources for t in effects.targets)
    return EffectsTables(arm, effects, tuple(rows), report.measured(None, arm), listed, len(listed) == cross)


@dataclass(frozen=True)
class CategoryRow:
    """One category in the pool and the baseline.

    Attributes:
        category: its name.
        kept: examples in the pool.
        baseline: examples per epoch in the baseline, None where it is not part of it.
        exact_match: of the baseline, 0…1, None where it was not measured.
    """

    category: str
    kept: int
    baseline: int | None
    exact_match: float | None


def category_rows(report: ReportData) -> tuple[CategoryRow, ...]:
    """The pool's categories in its order, then any that only the baseline has."""
    kept, baseline, exact = dict(report.pool.kept), dict(report.baseline_counts), dict(report.baseline_exact_match)
    names = [*kept, *(c for c in baseline if c not in kept)]
    return tuple(CategoryRow(c, kept.get(c, 0), baseline.get(c), exact.get(c)) for c in names)


@dataclass(frozen=True)
class VerdictRow:
    """A verdict with the runs of its two arms."""

    verdict: Verdict
    arm_runs: tuple[RunRow, ...]
    control_runs: tuple[RunRow, ...]


def verdict_rows(report: ReportData) -> tuple[VerdictRow, ...]:
    """Verdicts in the order given."""
    return tuple(VerdictRow(v, report.validated(v.arm), report.validated(v.control)) for v in report.verdicts)


def training_seconds(report: ReportData) -> float | None:
    """Summed training time of the runs that were trained for this experiment; None where none says."""
    known = [r.seconds for r in report.runs if r.seconds is not None and not r.reused]
    return sum(known) if known else None


def tokens(report: ReportData) -> int | None:
    """Tokens trained on over all finished runs; None where none says."""
    known = [r.tokens for r in report.runs if r.tokens is not None]
    return sum(known) if known else None
