"""Effects from runs that change one source each: paired differences, their uncertainty, and what follows from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tasks.effects.equivalence import equivalence
from tasks.effects.error_draws import DRAWS, draw_errors
from tasks.effects.matrix import EffectMatrix, Matrix, RunTable
from tasks.effects.moderation import moderate
from tasks.effects.noise import independent_targets, row_noise, run_correlation
from tasks.effects.pairing import PairedDifferences, pair_leave_one_out
from tasks.errors import InputError

Variance = Literal["moderated", "separate"]


def paired_effects(
    runs: RunTable, confidence: float = 0.95, variance: Variance = "moderated", allow_missing: bool = False
) -> EffectMatrix:
    """Measure what each removed (lowered, raised) source's data gave to each target.

    Args:
        runs: baseline and leave-one-out or dose runs of one design (size-reduced or size-matched), one dose a source.
        confidence: level of the intervals.
        variance: "moderated" borrows strength between cells (see `effects_from_differences`); "separate" is the plain
            paired t of each cell alone.
        allow_missing: accept sources that lack some of the baseline's seeds (`pair_leave_one_out`); tables with marks
            of adaptively chosen runs are accepted like that anyway.

    Raises:
        InputError: runs that cannot be paired (`pair_leave_one_out`), fewer than two seeds, or no variation at all.
    """
    return effects_from_differences(pair_leave_one_out(runs, allow_missing), confidence, variance)


def effects_from_differences(
    paired: PairedDifferences, confidence: float = 0.95, variance: Variance = "moderated", draws: int = DRAWS
) -> EffectMatrix:
    """Estimate every field of the effect matrix from paired differences.

    Every source's estimates use its own seeds: means, variances and degrees of freedom are those of its n_j paired
    differences, and asymmetry compares two sources over the seeds that both have.

    Moderated variances (module `moderation`) are fitted to two populations. *Off-diagonal* cells: the prior scale is
    the target's own noise level, i.e. the seed × source residual mean square of its row, itself shrunk toward the other
    rows' (it holds half a paired difference's variance: the baseline run brings the other half, and a and b below
    absorb the factor), plus a part that grows with the squared effect. *Diagonal* cells (all of a category removed:
    mean and variance explode) have a prior of their own; it has no trend, so that one category without a gain among
    many with large ones is judged by the others' larger variance and not taken for identified. Degrees of freedom are
    capped at those of the row's residuals (of the whole diagonal): counting what the rows borrow from each other as
    well finds a little more, but raised false discoveries to 5.6% in planted worlds. All differences share the N
    baseline runs, whose noise is half of every variance: N − 1 degrees of freedom for each target that is independent
    of the others (T² / Σ r² of them, r the correlations within runs), four times that for the whole variance, which is
    another cap; it matters where the targets of a run rise and fall together (at r = 0.9, 28 categories and 3 seeds,
    intervals covered 92.7% without it). With fewer than three sources
    there is nothing to borrow from: separate variances; likewise for a diagonal of fewer than four cells.

    Coverage of 95% intervals in planted worlds, 3 seeds, 8 categories (tests/tasks/effects): off-diagonal 94 to 97%
    under equal, inverse-gamma, target-specific and effect-proportional noise; diagonal 91 to 95%.

    q-values are Benjamini and Hochberg's over all cells. `asymmetry_p` tests the seed differences
    Δ_ij − Δ_ji, moderated with the sum of both cells' prior scales; NaN where the two share fewer than two seeds.

    Args:
        paired: the differences.
        confidence: level of the intervals.
        variance: see `paired_effects`.
        draws: how many joint errors to draw (module `error_draws`); 0 for none.

    Raises:
        InputError: a source of fewer than two seeds; confidence outside (0, 1); no differences between the seeds.
    """
    if paired.counts.min() < 2:
        raise InputError("Effects from one seed have no uncertainty; give runs of at least 2 seeds (3 to 5 are usual).")
    if not 0 < confidence < 1:
        raise InputError(f"confidence is {confidence}; expected a level between 0 and 1, e.g. 0.95")
    delta = np.nanmean(paired.difference, axis=0)
    own = np.array(paired.targets)[:, None] == np.array(paired.sources)[None, :]
    spread = _cell_spread(paired, own, variance)
    error = np.sqrt(spread.variance / paired.counts)
    p_value = _two_sided_p(delta, error, spread.df)
    half = stats.t.ppf((1 + confidence) / 2, spread.df) * error
    gamma = equivalence(paired, spread.variance, spread.df, spread.prior_df, confidence)
    amounts = np.abs(paired.amounts)
    errors = draw_errors(paired, spread.correlation, error, spread.df, draws) if draws else None
    return EffectMatrix(
        estimator="paired",
        targets=paired.targets,
        sources=paired.sources,
        unit=paired.unit,
        seeds=len(paired.difference),
        confidence=confidence,
        delta=delta,
        standard_error=error,
        low=delta - half,
        high=delta + half,
        p_value=p_value,
        q_value=stats.false_discovery_control(p_value.ravel()).reshape(p_value.shape),
        amounts=amounts,
        marginal=delta / amounts,
        marginal_error=error / amounts,
        gamma=gamma.value,
        gamma_low=gamma.low,
        gamma_high=gamma.high,
        identified=gamma.identified,
        asymmetry_p=_asymmetry(paired, spread, variance),
        seed_delta=paired.difference,
        errors=errors,
        df=np.array(spread.df),
    )


@dataclass(frozen=True)
class _Spread:
    """What one paired difference varies by.

    Attributes:
        variance: [T, S].
        df: [T, S] degrees of freedom of the variance.
        prior: [T, S] its prior scale.
        prior_df: d0 of the off-diagonal cells.
        cap: [T, S] most degrees of freedom.
        correlation: [T, T] of the run noise between targets; cells whose prior scale exceeds their row's least (large
            effects) weigh less in it, by that ratio.
    """

    variance: Matrix
    df: Matrix
    prior: Matrix
    prior_df: float
    cap: Matrix
    correlation: Matrix


def _cell_spread(paired: PairedDifferences, own: NDArray[np.bool_], variance: Variance) -> _Spread:
    sources = own.shape[1]
    sample = np.nanvar(paired.difference, axis=0, ddof=1)
    if not (sample > 0).any():
        raise InputError(
            "Every difference is the same in all seeds: the seeds look like copies of one run, "
            "and no uncertainty can be estimated. Give runs whose seeds differ."
        )
    df = np.broadcast_to(paired.counts - 1.0, own.shape)
    if variance == "separate" or sources < 3 or not (sample[~own] > 0).any():
        return _Spread(sample, df, sample, 0.0, df, run_correlation(paired, (~own).astype(float)))
    residual, residual_df = row_noise(paired, own)
    level = np.ones(len(own))
    if (residual > 0).any():
        level = moderate(residual, residual_df, level).variance
    posterior, posterior_df, prior = sample.copy(), df.copy(), sample.copy()
    delta, scale = np.nanmean(paired.difference, axis=0), np.broadcast_to(level[:, None], own.shape)
    off = moderate(sample[~own], df[~own], scale[~own], delta[~own])
    posterior[~own], posterior_df[~own], prior[~own] = off.variance, off.df, off.prior
    usual = np.where(own, np.inf, prior)
    correlation = run_correlation(paired, np.where(own, 0, usual.min(axis=1, keepdims=True) / usual))
    of_baseline = 4 * (paired.counts.mean() - 1) * independent_targets(correlation)
    cap = np.broadcast_to(np.minimum(residual_df, of_baseline)[:, None], own.shape).copy()
    if own.sum() >= 4 and (sample[own] > 0).any():
        diagonal = moderate(sample[own], df[own], np.ones(int(own.sum())))
        posterior[own], posterior_df[own], cap[own] = diagonal.variance, diagonal.df, df[own].sum()
    return _Spread(posterior, np.minimum(posterior_df, cap), prior, off.prior_df, cap, correlation)


def _two_sided_p(delta: Matrix, error: Matrix, df: Matrix) -> Matrix:
    """Two-sided p; a cell that is exactly 0 in all seeds shows no effect (p = 1)."""
    _refuse_exact(delta, error)
    t = np.divide(delta, error, out=np.zeros_like(delta), where=error > 0)
    return 2 * stats.t.sf(np.abs(t), df)


def _refuse_exact(delta: Matrix, error: Matrix) -> None:
    if ((error == 0) & (delta != 0)).any():
        raise InputError(
            "Some effects are identical in all seeds, so their own variance is 0 and gives no p-value. "
            'Use variance="moderated" with at least 3 sources, more seeds, or a metric that is not so coarse.'
        )


def _asymmetry(paired: PairedDifferences, spread: _Spread, variance: Variance) -> Matrix:
    """One-sided p of Δ_ij − Δ_ji > 0 where both cells exist, NaN elsewhere."""
    p = np.full(spread.variance.shape, np.nan)
    row = {name: i for i, name in enumerate(paired.targets)}
    both = [(row[name], j) for j, name in enumerate(paired.sources) if name in row]
    pairs = [(i, j, k, m) for n, (i, j) in enumerate(both) for k, m in both[:n]]
    if not pairs:
        return p
    first_row, first_column, second_row, second_column = np.array(pairs).T
    # (target i, source of k) against (target k, source of i)
    forward, backward = (first_row, second_column), (second_row, first_column)
    count = (paired.present[:, first_column] & paired.present[:, second_column]).sum(axis=0)
    comparable = count >= 2
    if not comparable.any():
        return p
    forward = forward[0][comparable], forward[1][comparable]
    backward = backward[0][comparable], backward[1][comparable]
    count = count[comparable]
    gap = paired.difference[:, *forward] - paired.difference[:, *backward]
    sample, df = np.nanvar(gap, axis=0, ddof=1), count - 1.0
    if variance == "moderated" and spread.prior_df > 0 and (sample > 0).any():
        fit = moderate(sample, df, spread.prior[forward] + spread.prior[backward])
        sample, df = fit.variance, np.minimum(fit.df, np.minimum(spread.cap[forward], spread.cap[backward]))
    mean, error = np.nanmean(gap, axis=0), np.sqrt(sample / count)
    _refuse_exact(mean, error)
    t = np.divide(mean, error, out=np.zeros_like(mean), where=error > 0)
    p[forward], p[backward] = stats.t.sf(t, df), stats.t.cdf(t, df)
    return p
