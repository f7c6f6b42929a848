"""Noise of the runs: what is left of their performances after arm and seed, and how it correlates between targets."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tasks.effects.matrix import Matrix
from tasks.effects.pairing import PairedDifferences


def run_correlation(paired: PairedDifferences, weight: Matrix) -> Matrix:
    """[T, T] correlation between the targets of one run's noise, shrunk; positive semidefinite.

    From the weighted residuals of arm + seed, target by target, baseline arm included; two targets compare the
    residuals both have. Sample correlations r are shrunk toward their mean r̄, (1 − λ) r + λ r̄ off the diagonal, λ the
    expected sampling variance (1 − r̄²)² / df over the mean square of r − r̄ (after Schäfer and Strimmer 2005; at least
    as much as makes the matrix positive semidefinite). Toward the mean and not toward 0, because a weighted sum over
    many targets has mostly r̄ in its variance: its intervals would come out too short where the targets of a run rise
    and fall together.

    Args:
        paired: the differences.
        weight: [T, S] of each cell's residuals, the baseline's having 1: 0 leaves a cell out.
    """
    seeds, targets, _ = paired.difference.shape
    arms = np.concatenate([np.zeros((seeds, targets, 1)), -paired.cost], axis=2)
    weights = np.concatenate([np.ones((targets, 1)), weight], axis=1)
    residual, df = additive_residuals(np.where(weights > 0, arms, np.nan))
    there = np.isfinite(residual).transpose(1, 0, 2).reshape(targets, -1).astype(float)
    rows = np.nan_to_num(residual * weights).transpose(1, 0, 2).reshape(targets, -1)
    norm = np.sqrt((rows**2 @ there.T) * (there @ (rows**2).T))
    sample = np.divide(rows @ rows.T, norm, out=np.eye(targets), where=norm > 0)
    return _shrunk(sample, float(df.mean()))


def independent_targets(correlation: Matrix) -> float:
    """How many independent targets say as much about a common variance as these do: T² / Σ r², between 1 and T.

    (Sample variances of two normal variables correlate by r².)
    """
    return float(len(correlation) ** 2 / (correlation**2).sum())


def row_noise(paired: PairedDifferences, own: NDArray[np.bool_]) -> tuple[Matrix, Matrix]:
    """Each target's residual mean square of its off-diagonal differences after seed and source means, with its df.

    The baseline run, which a row's differences share, falls out with the seed means.
    """
    residual, df = additive_residuals(np.where(own, np.nan, paired.cost))
    return np.divide(np.nansum(residual**2, axis=(0, 2)), df, out=np.zeros(len(df)), where=df > 0), df


def additive_residuals(values: Matrix) -> tuple[Matrix, Matrix]:
    """Least-squares residuals of arm + seed for each target of an incomplete table.

    Args:
        values: [N, T, A] seeds × targets × arms; NaN where there is no value.

    Returns:
        [N, T, A] residuals, NaN where there is no value, and [T] degrees of freedom.
    """
    there = np.isfinite(values)
    count = there.sum(axis=0)
    filled = np.where(there, values, 0.0)
    inverse = np.divide(1.0, count, out=np.zeros(count.shape), where=count > 0)
    centered = np.where(there, filled - filled.sum(axis=0) * inverse, 0.0)
    # seed effects after the arms' means are swept out: a Laplacian over the seeds, one small system per target
    mask = there.astype(float)
    system = -np.einsum("nta,mta,ta->tnm", mask, mask, inverse)
    each = np.arange(len(values))
    system[:, each, each] += mask.sum(axis=2).T
    solution = np.linalg.pinv(system, hermitian=True)
    effect = np.einsum("tnm,mta->nt", solution, centered)[:, :, None]
    residual = centered - mask * effect + mask * ((mask * effect).sum(axis=0) * inverse)
    df = np.maximum(count - 1, 0).sum(axis=1) - np.linalg.matrix_rank(system, hermitian=True)
    return np.where(there, residual, np.nan), df.astype(float)


def _shrunk(sample: Matrix, df: float) -> Matrix:
    targets = len(sample)
    if targets < 2 or df <= 0:
        return np.eye(targets)
    off = ~np.eye(targets, dtype=bool)
    mean = float(np.clip(sample[off].mean(), -1 / targets, 0.99))
    spread = float(((sample[off] - mean) ** 2).mean())
    weight = 1.0 if spread == 0 else min(1.0, (1 - mean**2) ** 2 / df / spread)
    goal = np.where(off, mean, 1.0)
    # both matrices have unit diagonals; the goal's least eigenvalue is positive, so some weight below 1 is enough
    lowest = float(np.linalg.eigvalsh(sample)[0])
    if lowest < 0:
        least = float(np.linalg.eigvalsh(goal)[0])
        weight = max(weight, lowest / (lowest - least))
    return (1 - weight) * np.where(off, sample, 1.0) + weight * goal
