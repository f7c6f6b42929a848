"""Empirical-Bayes variances: with 3–5 seeds a cell's own variance is too noisy to stand alone.

Smyth (2004), "Linear models and empirical Bayes methods for assessing differential expression": sample variances
s² ~ σ² χ²_d / d, with 1/σ² ~ χ²_{d0} / (d0 v); d0 and the level of v follow from mean and variance of log s². Unlike
there, v differs from cell to cell: it follows a known relative scale and grows with the squared effect, because what
varies between seeds is largely the size of the effect.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import digamma, polygamma

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Moderated:
    """Variances of G cells after borrowing from each other.

    Attributes:
        variance: [G] posterior variances (d0 v + d s²) / (d0 + d); > 0.
        df: [G] degrees of freedom d0 + d of the t statistic that uses them; may be infinite.
        prior: [G] prior scale v: the variance expected of a cell before its own is looked at.
        prior_df: d0; infinite when the sample variances differ no more than chance makes them.
    """

    variance: Vector
    df: Vector
    prior: Vector
    prior_df: float


def moderate(variance: Vector, df: Vector, scale: Vector, mean: Vector | None = None) -> Moderated:
    """Fit the prior to G sample variances and shrink each toward it.

    Args:
        variance: [G] sample variances s² ≥ 0, at least one > 0.
        df: [G] their degrees of freedom, ≥ 1.
        scale: [G] relative prior scale > 0 (all ones where nothing is known).
        mean: [G] the cells' means; given, the prior is v = a·scale + b·mean² with a, b ≥ 0, otherwise a·scale.

    Variances of exactly 0 (a metric that did not move) have no logarithm: they are shrunk, but take no part in fitting
    d0 and the level, which errs on the side of a larger prior.

    Raises:
        ValueError: no variance is positive.
    """
    positive = variance > 0
    if not positive.any():
        raise ValueError("no positive variance to fit a prior to")
    shape = scale if mean is None else _trend(variance, df, scale, mean)
    half = df[positive] / 2
    log_ratio = np.log(variance[positive] / shape[positive]) - digamma(half) + np.log(half)
    spread = 0.0
    if positive.sum() > 1:
        spread = float(log_ratio.var(ddof=1) - polygamma(1, half).mean())
    if spread > 0:
        prior_df = 2 * inverse_trigamma(spread)
        prior = shape * np.exp(log_ratio.mean() + digamma(prior_df / 2) - np.log(prior_df / 2))
        posterior = (prior_df * prior + df * variance) / (prior_df + df)
    else:
        prior_df = np.inf
        prior = shape * float(np.average(variance / shape, weights=df))
        posterior = prior
    return Moderated(posterior, prior_df + df, prior, prior_df)


def inverse_trigamma(value: float) -> float:
    """The y > 0 with trigamma(y) = value > 0, by Newton's method on the convex 1 / trigamma (Smyth 2004)."""
    if value > 1e7:
        return 1 / float(np.sqrt(value))
    if value < 1e-6:
        return 1 / value
    y = 0.5 + 1 / value
    for _ in range(50):
        current = float(polygamma(1, y))
        step = current * (1 - current / value) / float(polygamma(2, y))
        y += step
        if -step / y < 1e-12:
            break
    return y


def _trend(variance: Vector, df: Vector, scale: Vector, mean: Vector) -> Vector:
    """Relative prior scale a·scale + b·mean² by maximum likelihood of gamma variances, df (log v + s²/v) summed."""
    unit = float(variance.mean())
    weight = df / df.mean()
    observed, base, square = variance / unit, scale / scale.mean(), mean**2 / unit

    def deviance(log_ab: Vector) -> tuple[float, Vector]:
        a, b = np.exp(log_ab)
        fitted = a * base + b * square
        slope = weight * (1 / fitted - observed / fitted**2)
        return float(np.sum(weight * (np.log(fitted) + observed / fitted))), np.array(
            [np.sum(slope * a * base), np.sum(slope * b * square)]
        )

    best = minimize(deviance, np.log([1.0, 0.01]), jac=True, method="L-BFGS-B", bounds=[(-20, 10), (-20, 3)])
    a, b = np.exp(best.x)
    return unit * (a * base + b * square)
