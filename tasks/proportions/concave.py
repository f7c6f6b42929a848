"""Diminishing returns: each equivalent amount has a concave value, given by tangents added where they are needed.

With E_i(w) = (Γw)_i and E⁰_i = E_i(α), a target's part of the objective is E⁰_i + φ_i(E_i) with
φ(E) = (E⁰/c)(1 − (E/E⁰)^(−c)), for c = 0 its limit E⁰ ln(E/E⁰): slope 1 at the baseline, so that small steps are
judged as in the linear program. It is the effective-data law a − b·E^(−c) in other units.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.proportions.limits import Vector
from tasks.proportions.linear_model import ShareModel

GAP_TOLERANCE = 1e-8
"""Gap at which the tangents are good enough for the optimum, in units of the largest gain of a category."""
SMALLEST = 1e-6
"""Least E/E⁰: below, a logarithm says nothing about a model's performance any more."""
SMALLEST_PART = 0.05
_FIRST_TANGENTS = (0.25, 0.5, 0.8, 1.0, 1.25, 2.0, 4.0)


@dataclass(frozen=True)
class Curves:
    """A concave objective over shares, linear·w + Σ_i weights_i (E⁰_i + φ_i(E_i(w))).

    Legend: K categories, T targets with a curve.

    Attributes:
        linear: [K] gains per share of what has no curve.
        rows: [T, K] coefficients Γ of the targets with a curve.
        weights: [T] ≥ 0, gain per unit of equivalent share at the baseline.
        exponents: [T] c ≥ 0.
        before: [T] E⁰ > 0.
    """

    linear: Vector
    rows: Vector
    weights: Vector
    exponents: Vector
    before: Vector

    def value(self, shares: Vector) -> float:
        """The objective; −infinity where an equivalent amount is 0 or less."""
        ratio = self.rows @ shares / self.before
        if np.any(ratio <= 0):
            return float("-inf")
        return float(self.linear @ shares + (self.weights * self.before) @ (1 + _curve(ratio, self.exponents)))

    def gradient(self) -> Vector:
        """[K] gain per share at the baseline: that of the linear program."""
        return np.asarray(self.linear + self.weights @ self.rows)


def curved(
    linear: Vector, rows: Vector, weights: Vector, exponents: Vector, alpha: Vector
) -> tuple[Curves, NDArray[np.bool_]]:
    """Curves for all targets whose equivalent amount at the baseline is clearly positive.

    Args:
        linear: [K] gains per share of what is linear in any case.
        rows: [T, K] coefficients Γ.
        weights: [T] gain per unit of each equivalent share.
        exponents: [T] c ≥ 0.
        alpha: [K] baseline shares.

    Returns:
        The curves; [T] True for targets without one, whose part is linear: help and harm cancel in their equivalent
        amount to less than a twentieth of what goes into it.
    """
    before = rows @ alpha
    without = before <= SMALLEST_PART * np.abs(rows) @ alpha
    some = ~without & (weights > 0)
    straight = linear + weights[without] @ rows[without]
    return Curves(straight, rows[some], weights[some], exponents[some], before[some]), without & (weights > 0)


class Tangents:
    """The curves in a program over shares: per target its ratio x = E/E⁰ and a height t below all tangents.

    Args:
        model: gets the variables and the first tangents, and cuts off heights above the curves whenever it is solved.
        curves: the objective.
        scale: the objective is divided by it.
        tolerance: how far the heights may lie above the curves, summed with their weights, in units of the scale.
    """

    def __init__(self, model: ShareModel, curves: Curves, scale: float, tolerance: float) -> None:
        self._model, self._curves, self._tolerance = model, curves, tolerance
        self._worth = curves.weights * curves.before / scale
        slopes = curves.rows / curves.before[:, None]
        top = 1 + np.abs(slopes) @ model.farthest_moves()
        targets = range(len(top))
        self._ratios = model.add_variables([SMALLEST for _ in targets], top.tolist())
        lowest = _curve(np.full(len(top), SMALLEST), curves.exponents)
        self._heights = model.add_variables(lowest.tolist(), top.tolist())
        self._least = np.ones(len(top))
        for i in targets:
            moves, weights = model.on_shares(slopes[i])
            model.add_row(np.append(self._ratios[i], moves), np.append(1.0, -weights), 1.0, 1.0)
            for at in _FIRST_TANGENTS:
                self._touch(i, at)
        model.cuts.append(self._cut)

    def costs(self) -> Vector:
        """[n] costs of the heights; what is linear is the caller's to add."""
        costs = np.zeros(self._model.size)
        costs[self._heights] = self._worth
        return costs

    def _touch(self, i: int, at: float) -> None:
        """t ≤ ψ(a) + ψ'(a)(x − a), with ψ'(a) = a^(−c−1)."""
        exponent = self._curves.exponents[i]
        slope = float(at ** (-exponent - 1))
        height = float(_curve(np.array([at]), np.array([exponent]))[0])
        self._model.add_row(
            np.array([self._heights[i], self._ratios[i]]), np.array([1.0, -slope]), -np.inf, height - slope * at
        )
        self._least[i] = min(self._least[i], at)

    def _cut(self, values: Vector) -> bool:
        ratio = values[self._ratios]
        above = self._worth * (values[self._heights] - _curve(np.maximum(ratio, SMALLEST), self._curves.exponents))
        if above[above > 0].sum() <= self._tolerance:
            return False
        wanted = np.flatnonzero(above > self._tolerance / (2 * len(above)))
        for i in wanted.tolist():
            # Curves fall steeply toward 0: going there in halves keeps the slopes of the rows moderate.
            self._touch(i, max(float(ratio[i]), self._least[i] / 2, SMALLEST))
        return len(wanted) > 0


def _curve(ratio: Vector, exponents: Vector) -> Vector:
    """ψ(x) = (1 − x^(−c))/c, or ln x for c = 0."""
    logarithm = np.log(ratio)
    positive = exponents > 0
    safe = np.where(positive, exponents, 1.0)
    return np.where(positive, -np.expm1(-safe * logarithm) / safe, logarithm)
