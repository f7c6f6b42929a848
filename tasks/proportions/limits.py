"""A proposal's limits as a list of named linear inequalities on the shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from tasks.errors import InputError
from tasks.proportions.proposal import Baseline, Coefficients, Limits

SHIFT = "max-shift"
NO_HARM = "no-harm"
SUM_TOLERANCE = 1e-6
FEASIBILITY_TOLERANCE = 1e-9
Vector = NDArray[np.float64]

_KINDS = (SHIFT, "minimum", "maximum", "box-low", "box-high", "available", NO_HARM)


@dataclass(frozen=True)
class NamedLimit:
    """One inequality on the shares w; all are in units of share.

    Attributes:
        name: "max-shift", or kind and category: "minimum:", "maximum:", "box-low:", "box-high:", "available:",
            "no-harm:".
        category: index of the category whose share is bounded (None for the total shift ½‖w − α‖₁), or of the
            coefficients' row whose equivalent share is.
        upper: True for "≤ bound", False for "≥ bound".
        bound: right-hand side.
        weights: [K] coefficients of all shares, of a no-harm limit; None for the others.
    """

    name: str
    category: int | None
    upper: bool
    bound: float
    weights: Vector | None = field(default=None, compare=False, repr=False)

    @property
    def kind(self) -> str:
        """The name without the category."""
        return self.name.partition(":")[0]

    @property
    def single(self) -> bool:
        """Whether it bounds one category's share."""
        return self.category is not None and self.weights is None


def named_limits(baseline: Baseline, limits: Limits, gamma: Coefficients | None = None) -> tuple[NamedLimit, ...]:
    """Every limit that says something, in a fixed order: total shift, then kind by kind in category order.

    Args:
        baseline: α and the limits on single categories.
        limits: total shift, box, repeats, no-harm.
        gamma: coefficients with the baseline's categories as sources, in its order, without NaN; for no-harm limits.

    Raises:
        InputError: a value that no limit can have; all of them together. No-harm limits without coefficients.
    """
    check_values(baseline, limits)
    result: dict[str, list[NamedLimit]] = {kind: [] for kind in _KINDS}
    if limits.max_shift is not None:
        result[SHIFT].append(NamedLimit(SHIFT, None, True, limits.max_shift))
    for k, name in enumerate(baseline.categories):
        alpha, available = baseline.shares[k], baseline.available[k]
        if baseline.minimum[k] > 0:
            result["minimum"].append(NamedLimit(f"minimum:{name}", k, False, baseline.minimum[k]))
        if baseline.maximum[k] < 1:
            result["maximum"].append(NamedLimit(f"maximum:{name}", k, True, baseline.maximum[k]))
        if limits.box is not None:
            if (1 - limits.box) * alpha > 0:
                result["box-low"].append(NamedLimit(f"box-low:{name}", k, False, (1 - limits.box) * alpha))
            highest = (1 + limits.box) * alpha if alpha > 0 else limits.entry
            result["box-high"].append(NamedLimit(f"box-high:{name}", k, True, highest))
        if available is not None and available * limits.max_repeats < limits.total:
            bound = available * limits.max_repeats / limits.total
            result["available"].append(NamedLimit(f"available:{name}", k, True, bound))
    if limits.no_harm is not None:
        result[NO_HARM] = _no_harm(baseline, limits.no_harm, gamma)
    return tuple(limit for kind in _KINDS for limit in result[kind])


def _no_harm(baseline: Baseline, allowed: float, gamma: Coefficients | None) -> list[NamedLimit]:
    """(Γw)_i ≥ E_i − h·|E_i| with E = Γα: no equivalent amount falls by more than the fraction h."""
    if gamma is None:
        raise InputError("no-harm limits need the effect-equivalence coefficients: they bound equivalent amounts")
    before = gamma.values @ np.array(baseline.shares)
    return [
        NamedLimit(f"{NO_HARM}:{name}", i, False, float(amount - allowed * abs(amount)), row)
        for i, (name, amount, row) in enumerate(zip(gamma.targets, before, gamma.values, strict=True))
    ]


def bounds(limits: Sequence[NamedLimit], size: int) -> tuple[Vector, Vector]:
    """[K] lower and [K] upper bounds of the shares from the limits on single categories (0 and 1 where none)."""
    low, high = np.zeros(size), np.ones(size)
    for limit in limits:
        if limit.single and limit.category is not None:
            k = limit.category
            if limit.upper:
                high[k] = min(high[k], limit.bound)
            else:
                low[k] = max(low[k], limit.bound)
    return low, high


def shift_bound(limits: Sequence[NamedLimit]) -> float:
    """The largest total shift ½‖w − α‖₁ that the limits allow; infinity without such a limit."""
    return min((limit.bound for limit in limits if limit.category is None), default=float("inf"))


def residuals(shares: Vector, alpha: Vector, limits: Sequence[NamedLimit]) -> Vector:
    """[L] by how much `shares` break each limit (share); negative = slack."""
    shift = float(np.abs(shares - alpha).sum()) / 2

    def value(limit: NamedLimit) -> float:
        if limit.weights is not None:
            return float(limit.weights @ shares)
        return shift if limit.category is None else float(shares[limit.category])

    return np.array(
        [value(limit) - limit.bound if limit.upper else limit.bound - value(limit) for limit in limits],
        dtype=np.float64,
    )


def check_values(baseline: Baseline, limits: Limits) -> None:
    """Check every single value; whether the limits agree with one another is the program's business.

    Raises:
        InputError: all bad values together.
    """
    problems = _bad_numbers(limits)
    columns = (baseline.shares, baseline.available, baseline.minimum, baseline.maximum)
    if any(len(column) != len(baseline.categories) for column in columns):
        raise InputError(f"baseline: {len(baseline.categories)} categories, but columns of other lengths")
    if len(set(baseline.categories)) != len(baseline.categories):
        problems.append("baseline: a category appears twice")
    for k, name in enumerate(baseline.categories):
        for what, value in (
            ("share", baseline.shares[k]),
            ("minimum", baseline.minimum[k]),
            ("maximum", baseline.maximum[k]),
        ):
            if not 0 <= value <= 1:
                problems.append(f"baseline: {what} of {name!r} is {value}: expected a number from 0 to 1")
        available = baseline.available[k]
        if available is not None and not (isfinite(available) and available >= 0):
            problems.append(f"baseline: available of {name!r} is {available}: expected 0 or more examples")
    total = sum(baseline.shares)
    if not problems and abs(total - 1) > SUM_TOLERANCE:
        problems.append(
            f"baseline: shares sum to {total:.9g}: expected 1 (within {SUM_TOLERANCE:g}); divide each by {total:.9g}"
        )
    if problems:
        raise InputError("; ".join(problems))


def _bad_numbers(limits: Limits) -> list[str]:
    problems: list[str] = []
    if limits.total < 1:
        problems.append(f"total is {limits.total}: expected at least 1 example")
    if limits.max_shift is not None and not 0 <= limits.max_shift <= 1:
        problems.append(f"max-shift is {limits.max_shift}: expected a share from 0 to 1 (3 % is 0.03)")
    if limits.box is not None and not (isfinite(limits.box) and limits.box >= 0):
        problems.append(f"box is {limits.box}: expected 0 or more (0.5 allows half to one and a half of each share)")
    if not 0 <= limits.entry <= 1:
        problems.append(f"entry is {limits.entry}: expected a share from 0 to 1")
    if not (isfinite(limits.max_repeats) and limits.max_repeats > 0):
        problems.append(f"max-repeats is {limits.max_repeats}: expected more than 0")
    if limits.no_harm is not None and not (isfinite(limits.no_harm) and limits.no_harm >= 0):
        problems.append(f"no-harm is {limits.no_harm}: expected a fraction of 0 or more (0.02 allows a loss of 2 %)")
    return problems
