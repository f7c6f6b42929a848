"""Which true effects the measured ones allow, once it is taken into account that most of them are small.

An estimate that lies two standard errors from 0 by itself suggests an effect of that size; among hundreds of cells of
which most do nothing, it suggests chance. So the truths are drawn from a posterior under a prior that is fitted to all
cells: an effect is 0 or normal around 0 with one of a few standard deviations, in proportions found by maximum
likelihood (after Stephens, "False discovery rates: a new deal", Biostatistics 2017). As the standard errors are
themselves estimated, each is drawn from its scaled chi-squared distribution along with the effect.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Vector = NDArray[np.float64]

_SPREADS = 12
_QUANTILES = 7
_STEPS = 200
_VARIANCES = 13
_NULL_CELLS = 3.0
"""Cells without an effect that are added to the evidence: with few cells, small effects and none look alike."""


@dataclass(frozen=True)
class Truths:
    """Draws from the posterior of C cells.

    Attributes:
        effect: [B, C] true effects.
        variance: [B, C] true error variance over the estimated one.
    """

    effect: Vector
    variance: Vector


def draw_truths(estimate: Vector, error: Vector, df: Vector, draws: int, generator: np.random.Generator) -> Truths:
    """Draw true effects and error variances of C cells; cells are drawn independently of each other.

    Args:
        estimate: [C] estimated effects.
        error: [C] their standard errors, > 0.
        df: [C] degrees of freedom of the standard errors; may be infinite.
        draws: B.
        generator: where the draws come from.
    """
    cells = len(estimate)
    levels = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
    finite = np.minimum(df, 1e9)[:, None]
    factor = finite / stats.chi2.ppf(levels, finite)
    spread = _spreads(estimate, error)
    known = (error**2)[:, None] * factor
    total = known[:, :, None] + spread**2
    log_likelihood = -0.5 * (np.log(total) + (estimate**2)[:, None, None] / total)
    likelihood = np.exp(log_likelihood - log_likelihood.max(axis=(1, 2), keepdims=True))
    posterior = (likelihood * _proportions(likelihood.mean(axis=1))).reshape(cells, -1)
    cumulated = np.cumsum(posterior, axis=1)
    uniform = generator.random((cells, draws)) * cumulated[:, [-1]]
    chosen = np.array([np.searchsorted(row, u) for row, u in zip(cumulated, uniform, strict=True)]).T
    quantile, component = np.divmod(chosen, len(spread))
    cell = np.arange(cells)
    variance, prior = known[cell, quantile], spread[component] ** 2
    shrink = prior / (prior + variance)
    effect = estimate * shrink + np.sqrt(shrink * variance) * generator.standard_normal((draws, cells))
    return Truths(effect, factor[cell, quantile])


def _spreads(estimate: Vector, error: Vector) -> Vector:
    """Standard deviations of the prior's parts: 0, then from half a typical error to beyond the largest estimate."""
    typical = float(np.median(error))
    largest = max(1.5 * float(np.abs(estimate).max()), 4 * typical)
    return np.concatenate([[0.0], np.geomspace(typical / 2, largest, _SPREADS)])


def _proportions(likelihood: Vector) -> Vector:
    """[P] proportions of the prior's parts that make [C, P] likelihoods largest (expectation maximization)."""
    parts = likelihood.shape[1]
    proportions = np.full(parts, 0.5 / (parts - 1))
    proportions[0] = 0.5
    for _ in range(_STEPS):
        share = likelihood * proportions
        cells = (share / share.sum(axis=1, keepdims=True)).sum(axis=0)
        cells[0] += _NULL_CELLS
        proportions = cells / cells.sum()
    return proportions


def draw_true_slopes(estimate: Vector, errors: Vector) -> Vector:
    """[B, K] true slopes that K estimated ones allow, given [B, K] draws of their joint error.

    The prior is normal around an unknown common mean, with an unknown common variance: the largest of many estimates is
    so drawn back toward the others, by as much as the spread of the estimates exceeds what the errors explain. The
    errors are taken as normal with the draws' covariance. A truth and an error are drawn from prior and errors, and
    corrected by what they miss of the estimate; for normal errors the result is exact.
    """
    draws, size = errors.shape
    covariance = np.atleast_2d(np.cov(errors, rowvar=False))
    largest = float(np.abs(estimate - estimate.mean()).max()) ** 2 + float(np.diag(covariance).mean())
    variances = largest * np.concatenate([[0.0], np.geomspace(1e-3, 1.0, _VARIANCES)])
    fits = [_fit(estimate, covariance + (variance + 1e-12 * largest) * np.eye(size)) for variance in variances]
    likelihood = np.array([fit.log_likelihood for fit in fits])
    chance = np.exp(likelihood - likelihood.max())
    generator = np.random.default_rng(1)
    chosen = generator.choice(len(fits), draws, p=chance / chance.sum())
    truth = np.empty(errors.shape)
    for k in np.unique(chosen):
        fit, rows = fits[k], chosen == k
        mean = fit.mean + fit.mean_error * generator.standard_normal((int(rows.sum()), 1))
        prior = mean + np.sqrt(variances[k]) * generator.standard_normal((int(rows.sum()), size))
        truth[rows] = prior + (estimate - prior - errors[rows]) @ (variances[k] * fit.inverse)
    return truth


@dataclass(frozen=True)
class _Fit:
    """A prior variance's likelihood, the mean integrated out, and the mean's own posterior."""

    log_likelihood: float
    mean: float
    mean_error: float
    inverse: Vector


def _fit(estimate: Vector, covariance: Vector) -> _Fit:
    inverse = np.asarray(np.linalg.inv(covariance), dtype=np.float64)
    precision = float(inverse.sum())
    mean = float((inverse @ estimate).sum()) / precision
    rest = estimate - mean
    log_likelihood = -0.5 * (float(np.linalg.slogdet(covariance)[1]) + np.log(precision) + float(rest @ inverse @ rest))
    return _Fit(float(log_likelihood), mean, float(np.sqrt(1 / precision)), inverse)
