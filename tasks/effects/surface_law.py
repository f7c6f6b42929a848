"""The effective-data law: one category's performance as a function of what the training set holds of every category.

    P(x) = level + β · (1 − E(x)^(−c)) / c,     E(x) = 1 + Σ_j (s_j / β) · ((x_j / x̄_j)^ρ − 1) / ρ

x̄ is the reference mixture, E the equivalent amount relative to it (so E(x̄) = 1), c ∈ (0, 1.5) the curvature of returns,
ρ ∈ (0.2, 1) how fast the help of a single source wears off by itself, and s_j the **slope**: dP / d(x_j / x̄_j) at the
reference, the quantity that effects are made of. With ρ = 1 this is a − b (e + n_i + Σ γ_ij n_j)^(−c), the law of the
analytic worlds, in coordinates whose parameters the runs determine one by one. β = |s| / (ρ h), where |s| is the
slope of the target's own data (of all sources where it has none of its own) and h ∈ (0, 1) its part of the equivalent
amount: so the law can never run out of equivalent amount by removing that one source, which is how fits of the plain
law degenerate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from tasks.effects.matrix import Matrix

CURVATURE_MAX = 1.5
DECAY_MIN = 0.2
OWN_SHARE_MAX = 0.9995
SMALLEST_AMOUNT = 5e-4
"""Equivalent amount below which the law goes on as a straight line while it is fitted."""
EXPLAINED, EXPLAINED_SD = 0.75, 0.25
"""Prior: part of the equivalent amount that all sources together bring (the rest is the base model's), and its sd."""
_NORM_FLOOR = 0.05
_MOST_POWERS = 1_000_000
"""Numbers that are held at once where many parameter vectors are evaluated."""


@dataclass(frozen=True)
class Evaluated:
    """The law at M mixtures.

    Attributes:
        value: [M] performance.
        jacobian: [M, S + 4] derivatives by level, S slopes, and the transformed h, c, ρ.
        amount: [M] equivalent amount E, relative to the reference.
        curvature: c.
    """

    value: Matrix
    jacobian: Matrix
    amount: Matrix
    curvature: float

    @property
    def sensitivity(self) -> Matrix:
        """[M] E^(−c): how strongly a relative change of the equivalent amount acts here."""
        return self.amount**-self.curvature


@dataclass(frozen=True)
class Law:
    """The law for one target.

    Attributes:
        sources: S, number of sources.
        own: position of the target's own source, None where the training set has none.
    """

    sources: int
    own: int | None

    @property
    def size(self) -> int:
        """Number of parameters: level, S slopes, and logits of h, c and ρ."""
        return self.sources + 4

    def prior_mean(self, level: float) -> Matrix:
        """[S + 4] slopes 0, h about 0.6, c about 0.5, ρ about 0.75."""
        return np.concatenate([[level], np.zeros(self.sources), [0.5, -0.7, 0.8]])

    def evaluate(self, parameters: Matrix, relative: Matrix, floor: float | None = None) -> Evaluated:
        """Evaluate at M mixtures.

        Args:
            parameters: [S + 4].
            relative: [M, S] x / x̄, ≥ 0.
            floor: equivalent amounts below it count as it (predictions do not reach below what was seen), but the
                derivatives remain about those at the floor: what lies below is not known exactly; None = straight on
                below `SMALLEST_AMOUNT` (for fitting).
        """
        slopes, decay, d_decay, curvature, d_curvature, scale, d_scale = self._unpack(parameters)
        power, grown = _powers(relative, decay)
        u = grown @ slopes / scale
        low = 1 + u < (SMALLEST_AMOUNT if floor is None else floor)
        amount = np.where(low, SMALLEST_AMOUNT if floor is None else floor, 1 + u)
        beyond = np.where(low, 1 + u - amount, 0.0) if floor is None else np.zeros(len(u))
        log, shrunk = np.log(amount), amount**-curvature
        rate = shrunk / amount
        gain = -np.expm1(-curvature * log) / curvature + rate * beyond
        by_scale = gain - rate * u
        jacobian = np.empty((len(relative), self.size))
        jacobian[:, 0] = 1
        jacobian[:, 1:-3] = grown * rate[:, None] + by_scale[:, None] * d_scale[:-2]
        jacobian[:, -3] = by_scale * d_scale[-2]
        by_curvature = (log * shrunk) / curvature - (1 - shrunk) / curvature**2 - log * rate * beyond
        jacobian[:, -2] = scale * by_curvature * d_curvature
        by_decay = (np.where(relative > 0, power * np.log(np.maximum(relative, 1e-300)), 0.0) - grown) / decay * d_decay
        jacobian[:, -1] = rate * (by_decay @ slopes) + by_scale * d_scale[-1]
        return Evaluated(parameters[0] + scale * gain, jacobian, amount, curvature)

    def values(self, parameters: Matrix, relative: Matrix, floor: float) -> Matrix:
        """[B, M] performance at M mixtures for each of B parameter vectors; as `evaluate`, without derivatives.

        Args:
            parameters: [B, S + 4].
            relative: [M, S] x / x̄, ≥ 0.
            floor: equivalent amounts below it count as it.
        """
        slopes, (share, bend, wear) = parameters[:, 1:-3], parameters[:, -3:].T
        decay = DECAY_MIN + (1 - DECAY_MIN) * expit(wear)
        curvature = (CURVATURE_MAX * expit(bend))[:, None]
        square = (slopes**2).sum(axis=1) if self.own is None else slopes[:, self.own] ** 2
        scale = np.sqrt(square + _NORM_FLOOR**2) / (OWN_SHARE_MAX * decay * expit(share))
        with np.errstate(divide="ignore"):
            log = np.log(relative)
        amount = np.empty((len(parameters), len(relative)))
        step = max(1, _MOST_POWERS // relative.size)
        for start in range(0, len(parameters), step):
            some = slice(start, start + step)
            grown = np.exp(decay[some, None, None] * log) - 1
            amount[some] = 1 + (grown @ slopes[some, :, None])[:, :, 0] / (decay * scale)[some, None]
        gain = -np.expm1(-curvature * np.log(np.maximum(amount, floor))) / curvature
        values: Matrix = parameters[:, :1] + scale[:, None] * gain
        return values

    def explained(self, parameters: Matrix) -> tuple[float, Matrix]:
        """Part of the equivalent amount that the sources bring, 1 − E(0), and its [S + 4] derivatives."""
        slopes, decay, _, _, _, scale, d_scale = self._unpack(parameters)
        part = float(slopes.sum() / scale / decay)
        row = np.zeros(self.size)
        row[1:-3] = 1 / (scale * decay) - part / scale * d_scale[:-2]
        row[-3] = -part / scale * d_scale[-2]
        return part, row

    def _unpack(self, parameters: Matrix) -> tuple[Matrix, float, float, float, float, float, Matrix]:
        """Slopes, ρ and dρ, c and dc, β and its [S + 2] derivatives (slopes, logit h, logit ρ)."""
        slopes, (share, bend, wear) = parameters[1:-3], parameters[-3:]
        decay = DECAY_MIN + (1 - DECAY_MIN) * float(expit(wear))
        d_decay = (decay - DECAY_MIN) * float(expit(-wear))
        curvature = CURVATURE_MAX * float(expit(bend))
        own = OWN_SHARE_MAX * decay * float(expit(share))
        square = float(slopes @ slopes) if self.own is None else float(slopes[self.own]) ** 2
        norm = float(np.sqrt(square + _NORM_FLOOR**2))
        scale = norm / own
        d_scale = np.zeros(self.sources + 2)
        if self.own is None:
            d_scale[:-2] = slopes / norm / own
        else:
            d_scale[self.own] = slopes[self.own] / norm / own
        d_scale[-2] = -scale * float(expit(-share))
        d_scale[-1] = -scale * d_decay / decay
        return slopes, decay, d_decay, curvature, curvature * float(expit(-bend)), scale, d_scale


def _powers(relative: Matrix, decay: float) -> tuple[Matrix, Matrix]:
    """x^ρ and (x^ρ − 1) / ρ, exact at 0."""
    power = np.where(relative > 0, np.maximum(relative, 1e-300) ** decay, 0.0)
    return power, (power - 1) / decay
