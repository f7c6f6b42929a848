"""Effects from a fitted surface: contrasts between the baseline, the baseline without a source, and its neighbors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tasks.effects.matrix import EffectMatrix, ErrorDraws, Matrix
from tasks.effects.surface_posterior import symmetric_root

if TYPE_CHECKING:
    from tasks.effects.surface import Surface

STEP = 0.05
"""Slopes are taken between the baseline and 5% more and less of a source."""
DRAWS = 400
_DRAWS_MIN, _MOST_NUMBERS = 50, 20_000_000


def effects_at(surface: Surface, baseline: Matrix) -> EffectMatrix:
    """Every field of the effect matrix at a baseline; see `Surface.effects`.

    Intervals of deltas are quantiles of draws that bend with the law, because leaving out a source may lie far outside
    the runs, where the posterior is skewed; slopes have t intervals with each target's own degrees of freedom. γ's are
    Fieller's, from the joint covariance of the two slopes; a target whose own slope is not significantly above 0 is not
    identified. Joint errors: within a target from the surface's posterior covariance; between targets they correlate as
    the runs' leave-one-out residuals do.

    Args:
        surface: fitted.
        baseline: [S] amounts > 0.
    """
    sources, contrasts = len(surface.sources), _Contrasts.around(baseline, surface.shares)
    normal, quantile = _random_numbers(surface)
    found = [_target(surface, t, contrasts, normal[:, t], quantile) for t in range(len(surface.targets))]
    delta, slope = (np.array([getattr(f, name) for f in found]) for name in ("delta", "slope"))
    delta_error = np.array([np.sqrt(np.diag(f.covariance)[:sources]) for f in found])
    slope_error = np.array([np.sqrt(np.diag(f.covariance)[sources:]) for f in found])
    df = np.array([fit.df for fit in surface.fits])[:, None]
    critical = stats.t.ppf((1 + surface.confidence) / 2, df)
    p_value = 2 * stats.t.sf(np.abs(delta) / delta_error, df)
    errors = np.array([f.errors for f in found]).transpose(1, 0, 2)
    low_delta, high_delta = delta + np.quantile(errors[:, :, :sources], _ends(surface.confidence), axis=0)
    gamma, low, high, identified = _equivalence(surface, found, critical[:, 0])
    return EffectMatrix(
        estimator="surface",
        targets=surface.targets,
        sources=surface.sources,
        unit=surface.unit,
        seeds=surface.seeds,
        confidence=surface.confidence,
        delta=delta,
        standard_error=delta_error,
        low=low_delta,
        high=high_delta,
        p_value=p_value,
        q_value=stats.false_discovery_control(p_value.ravel()).reshape(p_value.shape),
        amounts=baseline,
        marginal=slope,
        marginal_error=slope_error,
        gamma=gamma,
        gamma_low=low,
        gamma_high=high,
        identified=identified,
        asymmetry_p=_asymmetry(surface, delta, delta_error, df),
        seed_delta=np.full((surface.seeds, *delta.shape), np.nan),
        errors=ErrorDraws(np.ascontiguousarray(errors[:, :, :sources]), np.ascontiguousarray(errors[:, :, sources:])),
        df=np.repeat(df, sources, axis=1),
    )


def removals(baseline: Matrix, shares: bool) -> Matrix:
    """[S, S] the baseline without each source in turn; the others pay, pro rata, where the amounts are shares."""
    return np.array([_changed(baseline, j, -baseline[j], shares) for j in range(len(baseline))])


@dataclass(frozen=True)
class _Target:
    """[S] deltas, [S] slopes, the [2S, 2S] covariance of both, and [B, 2S] draws of their joint error."""

    delta: Matrix
    slope: Matrix
    covariance: Matrix
    errors: Matrix


@dataclass(frozen=True)
class _Contrasts:
    """[P, S] mixtures, P = 1 + 3S, and the [2S, P] weights that make deltas and slopes of the surface there."""

    points: Matrix
    weights: Matrix

    @classmethod
    def around(cls, baseline: Matrix, shares: bool) -> _Contrasts:
        """At the baseline, without each source, a little more of each, a little less."""
        size, without = len(baseline), removals(baseline, shares)
        more = [_changed(baseline, j, STEP * baseline[j], shares) for j in range(size)]
        less = [_changed(baseline, j, -STEP * baseline[j], shares) for j in range(size)]
        weights, each = np.zeros((2 * size, 1 + 3 * size)), np.arange(size)
        weights[:size, 0] = 1
        weights[each, 1 + each] = -1
        width = 2 * STEP * baseline
        weights[size + each, 1 + size + each] = 1 / width
        weights[size + each, 1 + 2 * size + each] = -1 / width
        return cls(np.array([baseline, *without, *more, *less]), weights)


def _random_numbers(surface: Surface) -> tuple[Matrix, Matrix]:
    """[B, T, N] normal numbers, correlated between targets, and [B] uniform ones, the same for all."""
    targets, sources = len(surface.targets), len(surface.sources)
    draws = max(_DRAWS_MIN, min(DRAWS, _MOST_NUMBERS // (targets * sources)))
    generator = np.random.default_rng(0)
    quantile = generator.uniform(size=draws)
    size = max(fit.size for fit in surface.fits)
    # streams belong to names, so that the order of rows and columns changes nothing
    row, column = _alphabetical(surface.targets), 1 + _alphabetical(surface.sources)
    parameters = np.concatenate([[0], column, sources + 1 + np.arange(3)])[:size]
    places = np.concatenate([[0], *(column + k * sources for k in range(3)), 1 + 3 * sources + parameters])
    # and correlate between targets, so that equal surfaces err alike
    root = symmetric_root(_between_targets(surface))
    drawn = (generator.normal(size=(targets, len(places))) for _ in range(draws))
    return np.array([root @ one[np.ix_(row, places)] for one in drawn]), quantile


def _alphabetical(names: tuple[str, ...]) -> NDArray[np.int64]:
    """The position of each name in alphabetical order."""
    return np.argsort(np.argsort(np.array(names)))


def _target(surface: Surface, target: int, contrasts: _Contrasts, normal: Matrix, quantile: Matrix) -> _Target:
    weights, size = contrasts.weights, len(surface.sources)
    mean, covariance = surface.contrasts(target, contrasts.points)
    value = weights @ mean
    joint = weights @ covariance @ weights.T
    # rounding leaves tiny negative variances where a contrast is known exactly
    joint[np.diag_indices(2 * size)] = np.maximum(np.diag(joint), 1e-18 * max(1e-12, float(np.abs(joint).max())))
    errors = surface.draws(target, contrasts.points, normal) @ weights.T - value
    df = surface.fits[target].df
    return _Target(value[:size], value[size:], joint, errors * np.sqrt(df / stats.chi2.ppf(quantile, df))[:, None])


def _changed(baseline: Matrix, source: int, change: float, shares: bool) -> Matrix:
    changed = baseline.copy()
    if shares:
        others = baseline.sum() - baseline[source]
        changed = changed * (others - change) / others if others > 0 else changed
    changed[source] = baseline[source] + change
    return changed


def _equivalence(
    surface: Surface, found: list[_Target], critical: Matrix
) -> tuple[Matrix, Matrix, Matrix, NDArray[np.bool_]]:
    """[T, S] γ with Fieller's ends, NaN rows where not identified, and [T] whether it is."""
    shape = len(surface.targets), len(surface.sources)
    value, low, high = (np.full(shape, np.nan) for _ in range(3))
    identified = np.zeros(shape[0], dtype=bool)
    for i, name in enumerate(surface.targets):
        if name not in surface.sources:
            continue
        o, slope = surface.sources.index(name), found[i].slope
        covariance = found[i].covariance[shape[1] :, shape[1] :]
        a = slope[o] ** 2 - critical[i] ** 2 * covariance[o, o]
        identified[i] = slope[o] > 0 and a > 0
        if not identified[i]:
            continue
        b = slope * slope[o] - critical[i] ** 2 * covariance[:, o]
        c = slope**2 - critical[i] ** 2 * np.diag(covariance)
        root = np.sqrt(np.maximum(b**2 - a * c, 0))
        value[i], low[i], high[i] = slope / slope[o], (b - root) / a, (b + root) / a
        value[i, o] = low[i, o] = high[i, o] = 1.0
    return value, low, high, identified


def _asymmetry(surface: Surface, delta: Matrix, error: Matrix, df: Matrix) -> Matrix:
    """[T, S] one-sided p that delta[i, j] − delta[j, i] > 0; the two cells taken as independent."""
    p = np.full(delta.shape, np.nan)
    row = {name: i for i, name in enumerate(surface.targets)}
    for i, target in enumerate(surface.targets):
        for j, source in enumerate(surface.sources):
            if source == target or source not in row or target not in surface.sources:
                continue
            k, m = row[source], surface.sources.index(target)
            gap, spread = delta[i, j] - delta[k, m], np.hypot(error[i, j], error[k, m])
            p[i, j] = stats.t.sf(gap / spread, min(df[i, 0], df[k, 0]))
    return p


def _between_targets(surface: Surface) -> Matrix:
    """[T, T] correlation of the runs' leave-one-out residuals, shrunk toward 0 by T / (R + T)."""
    residual = np.array([fit.leave_one_out for fit in surface.fits])
    size, runs = residual.shape
    correlation = np.corrcoef(residual) if size > 1 else np.ones((1, 1))
    shrunk = correlation * runs / (runs + size)
    np.fill_diagonal(shrunk, 1.0)
    return shrunk


def _ends(confidence: float) -> tuple[float, float]:
    return (1 - confidence) / 2, (1 + confidence) / 2
