"""A proposal's limits as a list of named linear inequalities, and whether they leave any room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from tasks.errors import InputError
from tasks.proportions.proposal import Baseline, Limits

SHIFT = "max-shift"
SUM_TOLERANCE = 1e-6
FEASIBILITY_TOLERANCE = 1e-9
Vector = NDArray[np.float64]


@dataclass(frozen=True)
class NamedLimit:
    """One inequality on the shares w; all are in units of share.

    Attributes:
        name: "max-shift", or kind and category: "minimum:", "maximum:", "box-low:", "box-high:", "available:".
        category: index of the category whose share is bounded; None for the total shift ½‖w − α‖₁.
        upper: True for "≤ bound", False for "≥ bound".
        bound: right-hand side.
    """

    name: str
    category: int | None
    upper: bool
    bound: float

    @property
    def kind(self) -> str:
        """The name without the category."""
        return self.name.partition(":")[0]


def named_limits(baseline: Baseline, limits: Limits) -> tuple[NamedLimit, ...]:
    """Every limit that says something, in a fixed order: total shift, then kind by kind in category order.

    Raises:
        InputError: a value that no limit can have; all of them together.
    """
    check_values(baseline, limits)
    result: list[NamedLimit] = []
    if limits.max_shift is not None:
        result.append(NamedLimit(SHIFT, None, True, limits.max_shift))
    for k, name in enumerate(baseline.categories):
        alpha, available = baseline.shares[k], baseline.available[k]
        if baseline.minimum[k] > 0:
            result.append(NamedLimit(f"minimum:{name}", k, False, baseline.minimum[k]))
        if baseline.maximum[k] < 1:
            result.append(NamedLimit(f"maximum:{name}", k, True, baseline.maximum[k]))
        if limits.box is not None:
            if (1 - limits.box) * alpha > 0:
                result.append(NamedLimit(f"box-low:{name}", k, False, (1 - limits.box) * alpha))
            result.append(NamedLimit(f"box-high:{name}", k, True, (1 + limits.box) * alpha))
        if available is not None and available * limits.max_repeats < limits.total:
            result.append(NamedLimit(f"available:{name}", k, True, available * limits.max_repeats / limits.total))
    kinds = (SHIFT, "minimum", "maximum", "box-low", "box-high", "available")
    return tuple(sorted(result, key=lambda limit: kinds.index(limit.kind)))


def bounds(limits: Sequence[NamedLimit], size: int) -> tuple[Vector, Vector]:
    """[K] lower and [K] upper bounds of the shares from the limits on single categories (0 and 1 where none)."""
    low, high = np.zeros(size), np.ones(size)
    for limit in limits:
        if limit.category is not None:
            k = limit.category
            if limit.upper:
                high[k] = min(high[k], limit.bound)
            else:
                low[k] = max(low[k], limit.bound)
    return low, high


def smallest_shift(alpha: Vector, low: Vector, high: Vector) -> float:
    """Smallest ½‖w − α‖₁ over {Σw = 1, low ≤ w ≤ high}; infinity where that set is empty.

    α clipped into the bounds is the nearest point without the sum; what the sum then lacks or exceeds must be
    moved away from α, because only categories clipped at the bound on the other side could move toward it.
    """
    if np.any(low > high + FEASIBILITY_TOLERANCE):
        return float("inf")
    if low.sum() > 1 + FEASIBILITY_TOLERANCE or high.sum() < 1 - FEASIBILITY_TOLERANCE:
        return float("inf")
    clipped = np.clip(alpha, low, high)
    return float(np.abs(clipped - alpha).sum() + abs(1 - clipped.sum())) / 2


def feasible(alpha: Vector, limits: Sequence[NamedLimit]) -> bool:
    """Whether any shares that sum to 1 keep all these limits (to 1e-9)."""
    low, high = bounds(limits, len(alpha))
    allowed = min((limit.bound for limit in limits if limit.category is None), default=1.0)
    return smallest_shift(alpha, low, high) <= allowed + FEASIBILITY_TOLERANCE


def residuals(shares: Vector, alpha: Vector, limits: Sequence[NamedLimit]) -> Vector:
    """[L] by how much `shares` break each limit (share); negative = slack."""
    shift = float(np.abs(shares - alpha).sum()) / 2
    values = [shift if limit.category is None else float(shares[limit.category]) for limit in limits]
    return np.array(
        [v - limit.bound if limit.upper else limit.bound - v for v, limit in zip(values, limits, strict=True)]
    )


def check_values(baseline: Baseline, limits: Limits) -> None:
    """Check every single value; whether the limits agree with one another is the program's business.

    Raises:
        InputError: all bad values together.
    """
    problems: list[str] = []
    if limits.total < 1:
        problems.append(f"total is {limits.total}: expected at least 1 example")
    if limits.max_shift is not None and not 0 <= limits.max_shift <= 1:
        problems.append(f"max-shift is {limits.max_shift}: expected a share from 0 to 1 (3 % is 0.03)")
    if limits.box is not None and not (isfinite(limits.box) and limits.box >= 0):
        problems.append(f"box is {limits.box}: expected 0 or more (0.5 allows half to one and a half of each share)")
    if not (isfinite(limits.max_repeats) and limits.max_repeats > 0):
        problems.append(f"max-repeats is {limits.max_repeats}: expected more than 0")
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
