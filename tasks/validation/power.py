"""What a comparison could have shown, and what chance alone makes of several arms that are alike."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import integrate, optimize, special

POWER = 0.8
"""How often a difference of the stated size is found."""

_NODES = 500


def detectable_difference(error: float, df: float, level: float, power: float = POWER) -> float:
    """The smallest true difference that a two-sided t test finds with this power.

    The test finds a difference of δ standard errors with probability E[Φ(δ − t s) + Φ(−δ − t s)], where t is its
    critical value and s² = χ²/df the estimated variance over the true one (noncentral t; Cohen 1988). The mean over
    s is a quadrature over its quantiles: scipy's noncentral t has no value for few degrees of freedom.

    Args:
        error: standard error of the difference, > 0; the result has its unit.
        df: its degrees of freedom.
        level: the test's level, e.g. 0.05 divided by the number of comparisons.
        power: share of repetitions that find it, between `level` and 1.
    """
    return error * _ratio(df, level, power)


@lru_cache(maxsize=1024)
def _ratio(df: float, level: float, power: float) -> float:
    """The difference in standard errors."""
    quantiles = (np.arange(_NODES) + 0.5) / _NODES
    spread = np.sqrt(2 * special.gammaincinv(df / 2, quantiles) / df)
    thresholds = -float(special.stdtrit(df, level / 2)) * spread

    def shortfall(ratio: float) -> float:
        found = special.ndtr(ratio - thresholds) + special.ndtr(-ratio - thresholds)
        return float(found.mean()) - power

    return float(optimize.brentq(shortfall, 0.0, float(thresholds.max()) + 10.0, xtol=1e-6))


@lru_cache(maxsize=1024)
def expected_lead(count: int) -> float:
    """Mean of the largest of `count` independent standard normal numbers: how far the luckiest leads the average."""
    if count < 2:
        return 0.0
    value, _ = integrate.quad(lambda u: special.ndtri(u) * count * u ** (count - 1), 0, 1)
    return float(value)
