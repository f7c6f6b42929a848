"""What the program maximizes: gains per share, their doubt, and curves where returns diminish."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite

import numpy as np

from tasks.errors import InputError
from tasks.proportions.coefficients import Equivalence
from tasks.proportions.concave import Curves, curved
from tasks.proportions.limits import Vector
from tasks.proportions.proposal import Baseline, Options
from tasks.proportions.robust import worst_case


@dataclass(frozen=True)
class Objective:
    """A linear or concave value of the shares, and what is known about its errors.

    Attributes:
        gains: [K] gain per share of each category at the baseline.
        errors: [B, K] error draws of `gains`, or None.
        deviations: [K] how much worse a gain per share is at its worst; zeros without a budget.
        budget: how many sources are at their worst at once.
        unit: of the objective.
        curves: diminishing returns, or None for the linear program.
        equivalence: equivalent amounts behind the gains, or None.
        warnings: what the reader should know about the objective.
    """

    gains: Vector
    errors: Vector | None
    deviations: Vector
    budget: float
    unit: str
    curves: Curves | None
    equivalence: Equivalence | None
    warnings: tuple[str, ...]

    @property
    def linear(self) -> Vector:
        """[K] the linear part, less a constant: Σw = 1, and the solver's absolute tolerances fit small numbers only."""
        straight = self.gains if self.curves is None else self.curves.linear
        return np.asarray(straight - straight.mean())

    @property
    def scale(self) -> float:
        """The largest gain of a category in which the rest of the program is measured."""
        largest = float(np.abs(self.gains - self.gains.mean()).max())
        if self.curves is not None:
            largest = max(largest, float((self.curves.weights * self.curves.before).max(initial=0.0)))
        return largest or 1.0

    def value(self, shares: Vector) -> float:
        """The objective of these shares, without protection."""
        return float(self.gains @ shares) if self.curves is None else self.curves.value(shares)

    def gain(self, shares: Vector, alpha: Vector) -> float:
        """What the shares gain over the baseline, without protection."""
        step = shares - alpha
        if self.curves is None:
            return float(self.linear @ step)
        constant = float(self.curves.linear.mean() * step.sum())
        return self.curves.value(shares) - self.curves.value(alpha) - constant

    def protection(self, shares: Vector, alpha: Vector) -> float:
        """What the worst case within the budget takes off the gain."""
        return worst_case(self.deviations, shares - alpha, self.budget)


def objective(
    gains: Vector,
    errors: Vector | None,
    unit: str,
    options: Options,
    equivalence: Equivalence | None,
    baseline: Baseline,
) -> Objective:
    """Put the objective together.

    Args:
        gains: [K] gain per share, in the baseline's order.
        errors: [B, K] error draws of the gains.
        unit: of the gains.
        options: budget, deviation, exponents.
        equivalence: equivalent amounts; needed for diminishing returns.
        baseline: α.

    Raises:
        InputError: values that no option can have, gains or errors that are not finite, a budget without errors,
            diminishing returns without equivalent amounts.
    """
    _check(gains, errors, options, baseline)
    deviations = np.zeros(len(gains))
    if options.robustness > 0 and errors is not None:
        deviations = options.deviation * errors.std(axis=0)
    curves: Curves | None = None
    warnings: tuple[str, ...] = ()
    if options.exponent is not None:
        if equivalence is None:
            raise InputError("diminishing returns need the effect-equivalence coefficients behind the slopes")
        curves, warnings = _curves(gains, options.exponent, equivalence, np.array(baseline.shares))
    return Objective(gains, errors, deviations, options.robustness, unit, curves, equivalence, warnings)


def _curves(
    gains: Vector, exponent: float | Mapping[str, float], equivalence: Equivalence, alpha: Vector
) -> tuple[Curves, tuple[str, ...]]:
    targets = equivalence.gamma.targets
    if isinstance(exponent, Mapping):
        absent = [name for name in targets if name not in exponent]
        if absent:
            raise InputError(f"no exponent for {', '.join(map(repr, absent))}")
        exponents = np.array([float(exponent[name]) for name in targets])
    else:
        exponents = np.full(len(targets), float(exponent))
    wrong = [f"{name!r} is {c:g}" for name, c in zip(targets, exponents, strict=True) if not (isfinite(c) and c >= 0)]
    if wrong:
        raise InputError(f"exponent of {', '.join(wrong[:6])}: expected 0 (logarithm) or more")
    curves, straight = curved(gains - equivalence.gains, equivalence.gamma.values, equivalence.worth, exponents, alpha)
    names = [name for name, flag in zip(targets, straight.tolist(), strict=True) if flag]
    if not names:
        return curves, ()
    return curves, (
        f"no diminishing returns for {', '.join(map(repr, names))}: the equivalent amount at the baseline is "
        "about 0 or less, so the linear value is taken",
    )


def _check(gains: Vector, errors: Vector | None, options: Options, baseline: Baseline) -> None:
    amount = 1.0 if options.amount is None else options.amount
    problems = [
        f"{what} is {value:g}: expected {expected}"
        for what, value, expected, good in (
            ("amount", amount, "more than 0", isfinite(amount) and amount > 0),
            ("robustness", options.robustness, "0 or more sources", options.robustness >= 0),
            ("deviation", options.deviation, "0 or more standard errors", options.deviation >= 0),
            ("confidence", options.confidence, "a number between 0 and 1", 0 < options.confidence < 1),
            ("slack", options.slack, "a fraction from 0 to 1", 0 <= options.slack <= 1),
        )
        if not good
    ]
    if options.robustness > 0 and errors is None:
        problems.append("robustness needs the slopes' errors: standard errors or error draws")
    problems += [
        f"slope of {baseline.categories[k]!r} is {gains[k]}: expected a finite number"
        for k in np.flatnonzero(~np.isfinite(gains))
    ]
    if errors is not None and not np.isfinite(errors).all():
        problems.append("the slopes' error draws contain values that are not finite")
    if problems:
        raise InputError("; ".join(problems))
