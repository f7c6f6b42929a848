"""What many trials say together: rates with the counts behind them and intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from tasks.worlds.score import Covered, Scores
from tasks.worlds.simulation import Trial


@dataclass(frozen=True)
class Rate:
    """A rate over the cells of many worlds.

    Attributes:
        value: hits / cells; NaN without cells.
        low: lower end of its 95% interval (Clopper and Pearson's), for as many independent cells as the scatter between
            worlds allows: cells of one world share runs, so they count for less where their hits come together.
        high: upper end.
        hits: how many.
        cells: of how many.
    """

    value: float
    low: float
    high: float
    hits: int
    cells: int


@dataclass(frozen=True)
class Summary:
    """One design, estimator and budget over all worlds.

    Relative errors are medians over the worlds with effects (over all, where all are null).

    Attributes:
        design: name.
        estimator: name.
        budget: runs allowed.
        runs: mean number of runs done.
        worlds: worlds that were scored.
        refused: worlds that the estimator or the program refused.
        refusals: different reasons for it.
        delta_others: coverage of Δ off the diagonal.
        delta_own: coverage of Δ on the diagonal.
        gamma: coverage of γ against what the estimator means.
        gamma_local: coverage of γ against the slopes at the baseline.
        prediction: coverage of predictions at unseen mixtures.
        error_others: relative error of marginal effects off the diagonal, see `Scores`.
        error_own: on the diagonal.
        error_all: over all cells.
        gamma_distance: median over worlds of the root mean square of γ minus γ at the baseline.
        precision: edges found that are true, over all worlds.
        recall: true edges that were found, over all worlds.
        false_discoveries: mean over worlds of the false share of the edges found (0 where none was found).
        false_changes: null worlds in which a change was proposed.
        changes: other worlds in which a change was proposed.
        harmful: of the changes proposed in any world, those with a true gain below 0.
        captured: true gain of what was recommended, as a share of the best gain within the limits; sums over the worlds
            with effects.
        regret: 1 − captured.
    """

    design: str
    estimator: str
    budget: int
    runs: float
    worlds: int
    refused: int
    refusals: tuple[str, ...]
    delta_others: Rate
    delta_own: Rate
    gamma: Rate
    gamma_local: Rate
    prediction: Rate
    error_others: float
    error_own: float
    error_all: float
    gamma_distance: float
    precision: Rate
    recall: Rate
    false_discoveries: float
    false_changes: Rate
    changes: Rate
    harmful: Rate
    captured: float

    @property
    def regret(self) -> float:
        """What the decision leaves of the best gain, as a share."""
        return 1 - self.captured


def summarize(trials: Iterable[Trial]) -> tuple[Summary, ...]:
    """One summary per design, estimator and budget, in the order in which they first appear."""
    groups: dict[tuple[str, str, int], list[Trial]] = {}
    for trial in trials:
        groups.setdefault((trial.design, trial.estimator, trial.budget), []).append(trial)
    return tuple(_summary(group) for group in groups.values())


def rate(parts: Sequence[Covered]) -> Rate:
    """The rate over several worlds' hits and cells."""
    hits, cells = (np.array([getattr(part, name) for part in parts], dtype=np.float64) for name in ("hits", "cells"))
    total = cells.sum()
    if not total:
        return Rate(float("nan"), float("nan"), float("nan"), 0, 0)
    value = float(hits.sum() / total)
    size = _independent(hits, cells, value)
    low = float(stats.beta.ppf(0.025, value * size, size - value * size + 1)) if value > 0 else 0.0
    high = float(stats.beta.ppf(0.975, value * size + 1, size - value * size)) if value < 1 else 1.0
    return Rate(value, low, high, int(hits.sum()), int(total))


def _independent(hits: np.ndarray, cells: np.ndarray, value: float) -> float:
    """Independent cells with the variance that the rate shows between worlds; at most those there are.

    The variance of a ratio of sums, Σ(h − p c)² / (Σc)², against the binomial p(1 − p) / Σc. Where all or none are
    hits nothing can be told: as many as there are worlds.
    """
    worlds = int((cells > 0).sum())
    if value in (0.0, 1.0) or worlds < 2:
        return float(worlds)
    between = worlds / (worlds - 1) * float(((hits - value * cells) ** 2).sum())
    return float(cells.sum() / max(between / (value * (1 - value) * cells.sum()), 1.0))


def _summary(group: list[Trial]) -> Summary:
    scored = [(trial, trial.scores) for trial in group if trial.scores is not None]
    everything = [scores for _, scores in scored]
    real = [scores for trial, scores in scored if not trial.null]
    null = [scores for trial, scores in scored if trial.null]
    best = sum(scores.best_gain for scores in real)
    refusals = [trial.refused for trial in group if trial.refused]

    def over(cell: Callable[[Scores], Covered], chosen: Sequence[Scores] = everything) -> Rate:
        return rate([cell(scores) for scores in chosen])

    def middle(value: Callable[[Scores], float]) -> float:
        values = [value(scores) for scores in real or everything]
        known = [v for v in values if np.isfinite(v)]
        return float(np.median(known)) if known else float("nan")

    def false_share(scores: Scores) -> float:
        return (scores.edges_found - scores.edges_right) / max(scores.edges_found, 1)

    return Summary(
        design=group[0].design,
        estimator=group[0].estimator,
        budget=group[0].budget,
        runs=float(np.mean([trial.runs for trial in group])),
        worlds=len(scored),
        refused=len(refusals),
        refusals=tuple(dict.fromkeys(refusals)),
        delta_others=over(lambda s: s.delta_others),
        delta_own=over(lambda s: s.delta_own),
        gamma=over(lambda s: s.gamma),
        gamma_local=over(lambda s: s.gamma_local),
        prediction=over(lambda s: s.prediction),
        error_others=middle(lambda s: s.error_others),
        error_own=middle(lambda s: s.error_own),
        error_all=middle(lambda s: s.error_all),
        gamma_distance=middle(lambda s: s.gamma_distance),
        precision=over(lambda s: Covered(s.edges_right, s.edges_found)),
        recall=over(lambda s: Covered(s.edges_right, s.edges_true)),
        false_discoveries=float(np.mean([false_share(scores) for scores in everything])) if everything else np.nan,
        false_changes=over(lambda s: Covered(int(s.proposed), 1), null),
        changes=over(lambda s: Covered(int(s.proposed), 1), real),
        harmful=over(lambda s: Covered(int(s.proposed and s.gain < 0), int(s.proposed))),
        captured=sum(scores.gain for scores in real) / best if best > 0 else float("nan"),
    )
