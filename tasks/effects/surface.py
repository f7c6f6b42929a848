"""The estimator `surface`: a response surface over all runs of all designs, its predictions, slopes and effects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tasks.effects.matrix import EffectMatrix, Matrix, RunTable
from tasks.effects.pairing import BASELINE
from tasks.effects.surface_effects import effects_at, removals
from tasks.effects.surface_kernel import Places
from tasks.effects.surface_model import Data
from tasks.effects.surface_posterior import TargetFit, fit_target
from tasks.errors import InputError

SurfaceKind = Literal["law", "gp", "combined"]
"""Effective-data law alone, Gaussian process alone, or the law with the process on what it leaves over."""

SAME_TOTAL, PAID = 0.01, 0.9
"""Runs hold shares, so that what one source loses the others gain pro rata, where their totals differ by less than 1%
and at least nine tenths of what they change is paid for within the run."""
_RUNS_MIN = 6
_NATS = 0.5
"""By how much the process must predict better for each further parameter it uses: its own lengths are fitted too."""


@dataclass(frozen=True)
class Prediction:
    """Performance expected of a new run, [M, T] each, higher is better.

    Attributes:
        mean: expectation.
        standard_error: of a new run's score around it: of the surface, the seed and the run's noise together.
        low: lower end of the interval for a new run's score.
        high: upper end.
    """

    mean: Matrix
    standard_error: Matrix
    low: Matrix
    high: Matrix


@dataclass(frozen=True)
class Surface:
    """Fitted surfaces of all targets.

    Attributes:
        sources: S names.
        targets: T names.
        unit: unit of the performance.
        confidence: level of the intervals.
        kind: which surface.
        baseline: [S] mean amounts of the baseline's runs, or of all runs where none is a baseline.
        reference: [S] mixture the law is written around: the baseline, with the runs' mean where it holds nothing.
        shares: whether all runs have the same total.
        seeds: different seeds among the runs.
        fits: T fitted targets, in standard units.
        level: [T] mean performance of the runs.
        spread: [T] their standard deviation.
        runs: the training runs' places.
        total: mean total amount of a run.
    """

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    unit: str
    confidence: float
    kind: SurfaceKind
    baseline: Matrix
    reference: Matrix
    shares: bool
    seeds: int
    fits: tuple[TargetFit, ...]
    level: Matrix
    spread: Matrix
    runs: Places
    total: float

    def predict(self, amounts: Matrix) -> Prediction:
        """Predict the scores of new runs.

        Args:
            amounts: [M, S] in the runs' unit, ≥ 0.

        Raises:
            InputError: another number of sources, amounts that are negative or not finite.
        """
        _check_amounts(amounts, self.sources)
        mean, error, half = (np.empty((len(amounts), len(self.targets))) for _ in range(3))
        relative, places = amounts / self.reference, self.runs.others(amounts, self.total)
        for t, fit in enumerate(self.fits):
            center, covariance = fit.mean_and_covariance(relative, places)
            variance = np.maximum(np.diag(covariance), 0) + fit.noise_variance(relative)
            mean[:, t] = self.level[t] + self.spread[t] * center
            error[:, t] = self.spread[t] * np.sqrt(variance)
            half[:, t] = self._critical(fit, variance, relative) * fit.tail * error[:, t]
        return Prediction(mean, error, mean - half, mean + half)

    def _critical(self, fit: TargetFit, variance: Matrix, relative: Matrix) -> Matrix:
        """[M] critical values; Satterthwaite's degrees of freedom, as few seeds say little about seeds."""
        seed = fit.seed_variance
        df = variance**2 / (seed**2 / max(1, self.seeds - 1) + np.maximum(variance - seed, 0) ** 2 / fit.df)
        found: Matrix = stats.t.ppf((1 + self.confidence) / 2, df)
        return found

    def contrasts(self, target: int, amounts: Matrix) -> tuple[Matrix, Matrix]:
        """One target's surface at M mixtures: [M] mean and [M, M] covariance, in the performance's unit.

        Args:
            target: position of the target.
            amounts: [M, S].
        """
        places = self.runs.others(amounts, self.total)
        mean, covariance = self.fits[target].mean_and_covariance(amounts / self.reference, places)
        return self.level[target] + self.spread[target] * mean, self.spread[target] ** 2 * covariance

    def draws(self, target: int, amounts: Matrix, normal: Matrix) -> Matrix:
        """[B, M] draws of one target's surface at M mixtures, in the performance's unit.

        Args:
            target: position of the target.
            amounts: [M, S].
            normal: [B, at least M + the law's parameters] standard normal numbers.
        """
        fit, places = self.fits[target], self.runs.others(amounts, self.total)
        drawn = fit.draw(amounts / self.reference, places, normal[:, : len(amounts) + fit.size])
        return self.level[target] + self.spread[target] * drawn

    def effects(self, baseline: Matrix | None = None) -> EffectMatrix:
        """Effects at the baseline: what leaving a source out costs, and the slope at the baseline.

        Where all runs have the same total, "without j" and "one more of j" are paid for by the other sources pro rata;
        otherwise the others stay as they are.

        Args:
            baseline: [S] amounts; default: the runs' own baseline.

        Raises:
            InputError: amounts that do not fit, or a source of which the baseline has none.
        """
        return effects_at(self, self._held(baseline))

    def without_each(self, baseline: Matrix | None = None) -> Matrix:
        """[S, S] mixtures that `effects` compares with the baseline: without each source in turn.

        Raises:
            InputError: as `effects`.
        """
        return removals(self._held(baseline), self.shares)

    def _held(self, baseline: Matrix | None) -> Matrix:
        at = self.baseline if baseline is None else np.asarray(baseline, dtype=np.float64)
        _check_amounts(at[None], self.sources)
        absent = [name for name, amount in zip(self.sources, at, strict=True) if amount <= 0]
        if absent:
            raise InputError(
                f"The baseline holds nothing of {', '.join(absent)}, so leaving it out changes nothing there. "
                "Take effects at a baseline that holds some of every source."
            )
        return at


def fit_surface(runs: RunTable, confidence: float = 0.95, kind: SurfaceKind = "combined") -> Surface:
    """Fit a response surface to all runs.

    "combined" fits the law alone and the law with a Gaussian process on its residual, and takes for each target the one
    that predicts the runs better from one another (leave-one-out density, ½ nat per further parameter). Runs that share
    a seed share its effect.

    Coverage and accuracy, and where they fall short: docs/benchmarks.md.

    Args:
        runs: any design; amounts, shares or weights. Runs of the arm "baseline" are the reference, else the mean run.
        confidence: level of the intervals.
        kind: which surface.

    Raises:
        InputError: too few runs, a source that no run holds, scores that never differ, values that are not finite.
    """
    if not 0 < confidence < 1:
        raise InputError(f"confidence is {confidence}; expected a level between 0 and 1, e.g. 0.95")
    _check_runs(runs)
    at_baseline = [arm == BASELINE for arm in runs.arms]
    baseline = runs.amounts[at_baseline if any(at_baseline) else slice(None)].mean(axis=0)
    reference = np.where(baseline > 0, baseline, runs.amounts.mean(axis=0))
    level, spread = runs.performance.mean(axis=0), runs.performance.std(axis=0)
    places = Places.of_runs(runs.amounts)
    fits = []
    for t, target in enumerate(runs.targets):
        own = runs.sources.index(target) if target in runs.sources else None
        score = (runs.performance[:, t] - level[t]) / spread[t]
        data = Data(runs.amounts / reference, reference / reference.mean(), places, _same_seed(runs), score)
        fits.append(_fit(data, own, kind))
    return Surface(
        sources=runs.sources,
        targets=runs.targets,
        unit=runs.unit,
        confidence=confidence,
        kind=kind,
        baseline=baseline,
        reference=reference,
        shares=_hold_shares(runs.amounts, baseline),
        seeds=len(set(runs.seeds)),
        fits=tuple(fits),
        level=level,
        spread=spread,
        runs=places,
        total=float(runs.amounts.sum(axis=1).mean()),
    )


def surface_effects(runs: RunTable, confidence: float = 0.95, kind: SurfaceKind = "combined") -> EffectMatrix:
    """Effects at the baseline from all runs (`fit_surface`, `Surface.effects`).

    Raises:
        InputError: as those two.
    """
    return fit_surface(runs, confidence, kind).effects()


def _fit(data: Data, own: int | None, kind: SurfaceKind) -> TargetFit:
    if kind == "gp":
        return fit_target(data, own, law=False, process=True)
    alone = fit_target(data, own, law=True, process=False)
    if kind == "law":
        return alone
    both = fit_target(data, own, law=True, process=True)
    runs = len(data.score)
    return both if runs * (both.log_density - alone.log_density) > _NATS * max(0.0, alone.df - both.df) else alone


def _hold_shares(amounts: Matrix, baseline: Matrix) -> bool:
    totals, change = amounts.sum(axis=1), amounts - baseline
    same = totals.max() - totals.min() <= SAME_TOTAL * totals.mean()
    return bool(same and np.abs(change.sum(axis=1)).sum() <= (1 - PAID) * np.abs(change).sum())


def _same_seed(runs: RunTable) -> Matrix | None:
    """[R, R] 1 where seeds agree; None where every run has its own, or all have the same."""
    different = len(set(runs.seeds))
    if different in (1, len(runs.seeds)):
        return None
    seeds = np.array(runs.seeds)
    return (seeds[:, None] == seeds[None, :]).astype(np.float64)


def _check_runs(runs: RunTable) -> None:
    problems = (
        []
        if len(runs.runs) >= _RUNS_MIN
        else [f"{len(runs.runs)} runs; a surface needs at least {_RUNS_MIN}: add runs"]
    )
    problems += [
        f"run {runs.runs[r]!r}: performance on {runs.targets[t]!r} is {runs.performance[r, t]}"
        for r, t in np.argwhere(~np.isfinite(runs.performance))
    ]
    problems += [
        f"run {runs.runs[r]!r}: amount of {runs.sources[s]!r} is {runs.amounts[r, s]}, expected a number ≥ 0"
        for r, s in np.argwhere(~(np.isfinite(runs.amounts) & (runs.amounts >= 0)))
    ]
    if not problems:
        unused = runs.amounts.max(axis=0) <= 0
        problems += [
            f"source {name!r}: no run holds any of it; leave the column out" for name in _at(runs.sources, unused)
        ]
        same = runs.amounts.max(axis=0) == runs.amounts.min(axis=0)
        problems += [
            f"source {name!r}: all runs hold the same amount, so nothing can be learnt about it"
            for name in _at(runs.sources, same & ~unused)
        ]
        constant = np.ptp(runs.performance, axis=0) == 0
        problems += [f"target {name!r}: all runs have the same score" for name in _at(runs.targets, constant)]
    if problems:
        raise InputError("No surface can be fitted:\n" + "\n".join(f"- {p}" for p in problems))


def _at(names: tuple[str, ...], marks: NDArray[np.bool_]) -> list[str]:
    return [name for name, mark in zip(names, marks, strict=True) if mark]


def _check_amounts(amounts: Matrix, sources: tuple[str, ...]) -> None:
    if amounts.ndim != 2 or amounts.shape[1] != len(sources):
        raise InputError(f"amounts have shape {amounts.shape}; expected one column for each of {', '.join(sources)}.")
    possible = np.isfinite(amounts) & (amounts >= 0)
    wrong = [name for name, column in zip(sources, possible.T, strict=True) if not column.all()]
    if wrong:
        raise InputError(f"amounts of {', '.join(wrong)} must be finite numbers ≥ 0.")
