"""Effect-equivalence coefficients: how many examples of a category one example of another is worth, with intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tasks.effects.matrix import Matrix
from tasks.effects.pairing import PairedDifferences


@dataclass(frozen=True)
class Equivalence:
    """γ_ij = (Δ_ij / n_j) / (Δ_ii / n_i) with Fieller intervals; rows that are not identified are NaN throughout.

    Attributes:
        value: [T, S]; diagonal exactly 1.
        low: [T, S] lower ends.
        high: [T, S] upper ends.
        identified: [T] whether Δ_ii is significantly above 0: without a gain from its own data there is no yardstick.
    """

    value: Matrix
    low: Matrix
    high: Matrix
    identified: NDArray[np.bool_]


def equivalence(
    paired: PairedDifferences, variance: Matrix, df: Matrix, prior_df: float, confidence: float
) -> Equivalence:
    """Ratios of marginal effects within each row, intervals after Fieller (1954).

    The covariance of Δ_ij and Δ_ii uses the given (moderated) variances and a correlation over seeds that is shrunk
    like the variances: (d0 ρ̄ + d r_ij) / (d0 + d), where ρ̄ is the mean over all cells; from 2 or 3 seeds r_ij alone
    would be nearly arbitrary. Degrees of freedom: the smallest of the row, so that an identified row's intervals are
    all finite. Where sources have different seeds, the covariance is that of the seeds they share.

    Args:
        paired: the differences, [N, T, S].
        variance: [T, S] variance of one paired difference.
        df: [T, S] degrees of freedom of those variances.
        prior_df: d0 of the off-diagonal cells; 0 for separate variances.
        confidence: level of the intervals and of `identified`.
    """
    _, targets, sources = paired.difference.shape
    value, low, high = (np.full((targets, sources), np.nan) for _ in range(3))
    identified = np.zeros(targets, dtype=bool)
    delta = np.nanmean(paired.difference, axis=0)
    present = paired.present.astype(float)
    shared = present.T @ present
    overlap = shared / np.sqrt(np.outer(paired.counts, paired.counts))
    overlap *= np.sign(np.outer(paired.amounts, paired.amounts))  # a lowered and a raised source share with −
    column = {name: j for j, name in enumerate(paired.sources)}
    own = [column.get(name) for name in paired.targets]
    correlation = _correlation(paired.cost, variance, own, prior_df)
    critical = stats.t.ppf((1 + confidence) / 2, df.min(axis=1))
    for i, o in enumerate(own):
        if o is None:
            continue
        error = np.sqrt(variance[i] / paired.counts)
        identified[i] = delta[i, o] > critical[i] * error[o]
        if not identified[i]:
            continue
        ratio, ends = _fieller(delta[i], error, correlation[i] * overlap[o], o, critical[i])
        per_example = np.abs(paired.amounts[o] / paired.amounts)
        value[i], low[i], high[i] = ratio * per_example, ends[0] * per_example, ends[1] * per_example
        value[i, o] = low[i, o] = high[i, o] = 1.0
    return Equivalence(value, low, high, identified)


def _fieller(delta: Matrix, error: Matrix, correlation: Matrix, o: int, critical: float) -> tuple[Matrix, Matrix]:
    """Roots of (Δ_j − θ Δ_o)² = t² Var(Δ_j − θ Δ_o), with the denominator significant (so both are finite)."""
    top, bottom = delta, delta[o]
    covariance = correlation * error * error[o]
    a = bottom**2 - critical**2 * error[o] ** 2
    b = top * bottom - critical**2 * covariance
    c = top**2 - critical**2 * error**2
    root = np.sqrt(np.maximum(b**2 - a * c, 0))  # ≥ 0 in exact arithmetic whenever a > 0
    return top / bottom, np.array([(b - root) / a, (b + root) / a])


def _correlation(cost: Matrix, variance: Matrix, own: list[int | None], prior_df: float) -> Matrix:
    """[T, S] correlation over the shared seeds between cell (i, j) and cell (i, i); 0 in rows without an own cell."""
    sample, degrees, pooled = np.zeros(variance.shape), np.zeros(variance.shape), []
    for i, o in enumerate(own):
        if o is None:
            continue
        both = np.isfinite(cost[:, i] + cost[:, i, [o]])
        count = both.sum(axis=0)
        d = np.maximum(count - 1, 1)
        cell, yardstick = _centered(cost[:, i], both), _centered(cost[:, i, [o]], both)
        product = (cell * yardstick).sum(axis=0) / d
        norm = np.sqrt((cell**2).sum(axis=0) * (yardstick**2).sum(axis=0)) / d
        sample[i] = np.divide(product, norm, out=np.zeros_like(product), where=norm > 0)
        degrees[i] = np.maximum(count - 1, 0)
        scale = np.sqrt(variance[i] * variance[i, o])
        ratio = np.divide(product, scale, out=np.zeros_like(product), where=scale > 0)
        pooled.append(ratio[(count > 1) & (np.arange(len(ratio)) != o)])
    found = np.concatenate(pooled) if pooled else np.zeros(0)
    if not found.size or prior_df == 0:
        return np.clip(sample, -1, 1)
    mean = float(np.clip(found.mean(), -1, 1))
    weight = np.ones(degrees.shape) if np.isinf(prior_df) else prior_df / (prior_df + degrees)
    return np.clip(weight * mean + (1 - weight) * sample, -1, 1)


def _centered(values: Matrix, there: NDArray[np.bool_]) -> Matrix:
    """Deviations from the mean over the seeds that are there, 0 elsewhere; values broadcast to there's shape."""
    filled = np.where(there, values, 0.0)
    mean = filled.sum(axis=0) / np.maximum(there.sum(axis=0), 1)
    return np.where(there, filled - mean, 0.0)
