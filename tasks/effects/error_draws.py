"""Joint errors of the paired estimates: cells share the baseline's noise, and the targets of one run move together."""

from __future__ import annotations

import numpy as np
from scipy import stats

from tasks.effects.matrix import ErrorDraws, Matrix
from tasks.effects.pairing import PairedDifferences

DRAWS = 400

_MOST_NUMBERS = 20_000_000
_FEWEST_DRAWS = 20


def draw_errors(
    paired: PairedDifferences, correlation: Matrix, standard_error: Matrix, df: Matrix, draws: int = DRAWS
) -> ErrorDraws | None:
    """Draw the joint estimation error of the effects, by a deterministic generator.

    The error of cell (i, j) is the mean noise of the baseline runs at source j's seeds minus that of source j's own
    runs. The noise of a run is normal and correlates between the targets. Each cell has its own standard error as its
    scale; of its variance v (of one paired difference) the baseline run brings b, half the median of its row's v, the
    same for all sources, as there is only one baseline; the source's run brings the rest. A target's own category,
    removed, may make v explode: there the run's noise is b as well, and what is left correlates with nothing. So in a
    world of equal variances two sources correlate by ½ within a target, and two targets within a source as they do
    within a run.

    Tails: each draw has one quantile u of the chi-squared distribution, the same for all cells, and every cell is
    multiplied by √(df / χ²_df(u)) with its own degrees of freedom. A cell's draws are thus t distributed as its
    interval is (their standard deviation exceeds the standard error by √(df / (df − 2))), and those of a sum are as
    heavy-tailed as those of its cells.

    Args:
        paired: the differences.
        correlation: [T, T] of the noise of one run between targets (`noise.run_correlation`).
        standard_error: [T, S] of the mean differences.
        df: [T, S] degrees of freedom of the standard errors.
        draws: how many; fewer where draws × T × S would exceed 2e7, None below 20.
    """
    seeds, targets, sources = paired.difference.shape
    draws = min(draws, _MOST_NUMBERS // (targets * sources))
    if draws < _FEWEST_DRAWS:
        return None
    generator = np.random.default_rng(0)
    root = _root(correlation)
    variance = standard_error**2 * paired.counts
    of_baseline = np.minimum(np.median(variance, axis=1, keepdims=True) / 2, variance)
    own = np.array(paired.targets)[:, None] == np.array(paired.sources)[None, :]
    of_run = np.where(own, np.minimum(of_baseline, variance - of_baseline), variance - of_baseline)
    baseline = generator.normal(size=(draws, seeds, targets)) @ root.T
    error = np.einsum("bnt,ns->bts", baseline, paired.present / paired.counts) * np.sqrt(of_baseline)
    runs = generator.normal(size=(draws, sources, targets)) @ root.T
    error -= runs.transpose(0, 2, 1) * np.sqrt(of_run / paired.counts)
    alone = np.sqrt((variance - of_baseline - of_run)[own] / np.broadcast_to(paired.counts, own.shape)[own])
    error[:, own] -= generator.normal(size=(draws, int(own.sum()))) * alone
    error *= _tails(generator.uniform(size=draws), df) * np.sign(paired.amounts)
    return ErrorDraws(error, error / np.abs(paired.amounts))


def _root(correlation: Matrix) -> Matrix:
    values, vectors = np.linalg.eigh(correlation)
    root: Matrix = vectors * np.sqrt(np.maximum(values, 0))
    return root


def _tails(quantile: Matrix, df: Matrix) -> Matrix:
    """[B, T, S] factors √(df / χ²)."""
    different, cell = np.unique(df, return_inverse=True)
    finite = np.isfinite(different)
    factor = np.ones((len(quantile), len(different)))
    factor[:, finite] = np.sqrt(different[finite] / stats.chi2.ppf(quantile[:, None], different[finite]))
    return factor[:, cell.reshape(df.shape)]
