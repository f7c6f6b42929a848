"""Why limits leave no room: a minimal conflicting set, and the nearest relaxations that make room again."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor

import numpy as np

from tasks.errors import EvidenceError
from tasks.proportions.limits import FEASIBILITY_TOLERANCE, NO_HARM, SHIFT, NamedLimit, Vector, bounds
from tasks.proportions.linear_model import Indices, ShareModel
from tasks.proportions.prices import limit_prices
from tasks.proportions.proposal import Baseline, Limits
from tasks.proportions.region import not_empty, region, smallest_shift
from tasks.proportions.relaxation import (
    AVAILABLE,
    BOX,
    Relaxation,
    availability_factor,
    nearest_relaxation,
    relaxed_by,
)

SHOWN = 6
_PRICED = 1e-9


class InfeasibleLimitsError(EvidenceError):
    """No shares keep all limits.

    Attributes:
        conflict: names of a minimal conflicting set: without any one of them the rest can be kept.
        relaxations: what would make room, see `alone`.
        alone: True: each relaxation suffices by itself; False: all of them together are needed.
    """

    def __init__(self, message: str, conflict: tuple[str, ...], relaxations: tuple[Relaxation, ...], alone: bool):
        super().__init__(message)
        self.conflict = conflict
        self.relaxations = relaxations
        self.alone = alone


def feasible(alpha: Vector, limits: Sequence[NamedLimit]) -> bool:
    """Whether any shares that sum to 1 keep all these limits."""
    if not not_empty(region(alpha, limits)):
        return False
    return all(limit.weights is None for limit in limits) or ShareModel(alpha, limits).solve() is not None


def minimal_conflict(alpha: Vector, limits: Sequence[NamedLimit]) -> tuple[NamedLimit, ...]:
    """A set of limits that cannot be kept together, but can without any one of them.

    Raises:
        ValueError: the limits do not conflict.
    """
    simple = [limit for limit in limits if limit.weights is None]
    if not_empty(region(alpha, simple)):
        if feasible(alpha, limits):
            raise ValueError("these limits do not conflict")
        candidates = _priced_by_breach(alpha, limits)
        return _without_needless(alpha, limits if feasible(alpha, candidates) else candidates)
    low, high = bounds(simple, len(alpha))
    lower, upper = _tightest(simple, low, high)
    crossed = np.flatnonzero(low > high + FEASIBILITY_TOLERANCE)
    if len(crossed):
        return lower[int(crossed[0])], upper[int(crossed[0])]
    zeros, ones = np.zeros(len(alpha)), np.ones(len(alpha))
    if low.sum() > 1 + FEASIBILITY_TOLERANCE:
        largest = np.argsort(-low, kind="stable")
        count = int(np.argmax(np.cumsum(low[largest]) > 1 + FEASIBILITY_TOLERANCE)) + 1
        return tuple(lower[int(k)] for k in largest[:count])
    if high.sum() < 1 - FEASIBILITY_TOLERANCE:
        return tuple(upper[k] for k in range(len(alpha)))
    shift = min((limit for limit in simple if limit.category is None), key=lambda limit: limit.bound)
    allowed = shift.bound + FEASIBILITY_TOLERANCE
    # Only what lies beyond α forces a shift; the largest come first, so that none of the taken ones is needless.
    for distance, named, ends in ((low - alpha, lower, (low, ones)), (alpha - high, upper, (zeros, high))):
        largest = np.argsort(-distance, kind="stable")[: int((distance > 0).sum())]
        if smallest_shift(alpha, *ends) > allowed:
            count = _fewest(alpha, largest, ends, allowed)
            return (shift, *(named[int(k)] for k in largest[:count]))
    return _without_needless(alpha, simple)


def explain(baseline: Baseline, limits: Limits, named: Sequence[NamedLimit]) -> InfeasibleLimitsError:
    """The error for limits that conflict: who conflicts with whom, and what would help.

    Args:
        baseline: for α and the categories' names.
        limits: the numbers behind the named limits.
        named: all limits.

    Raises:
        ValueError: the limits do not conflict.
    """
    alpha = np.array(baseline.shares, dtype=np.float64)
    conflict = minimal_conflict(alpha, named)
    keys = list(dict.fromkeys(relaxed_by(limit) for limit in conflict))
    alternatives = [nearest_relaxation(alpha, named, limits.box, {key}) for key in keys[:SHOWN]]
    relaxations = tuple(found[0] for found in alternatives if found)
    alone = bool(relaxations)
    if not alone:
        relaxations = nearest_relaxation(alpha, named, limits.box, {relaxed_by(limit) for limit in named}) or ()
    message = f"the limits leave no room; these conflict: {_shown([_describe(c, baseline, limits) for c in conflict])}"
    factor = availability_factor(alpha, named) if any(c.kind == AVAILABLE for c in conflict) else None
    if factor is not None:
        total, repeats = floor(limits.total / factor + 1e-6), limits.max_repeats * factor
        message += f". Fix: max-repeats above {_up(repeats)} (now {limits.max_repeats:g})"
        message += f" or total at most {total} (now {limits.total})" if total else ""
    if relaxations:
        fixes = [_fix(relaxation, baseline, limits, named) for relaxation in relaxations[:SHOWN]]
        fixes += [""] * (len(relaxations) - len(fixes))
        message += f". Nearest change of limits ({'any one of' if alone else 'all together'}): {_shown(fixes)}"
    return InfeasibleLimitsError(message, tuple(limit.name for limit in conflict), relaxations, alone)


def _tightest(
    limits: Sequence[NamedLimit], low: Vector, high: Vector
) -> tuple[dict[int, NamedLimit], dict[int, NamedLimit]]:
    """The first limit that makes each category's lower bound, and its upper one."""
    lower: dict[int, NamedLimit] = {}
    upper: dict[int, NamedLimit] = {}
    for limit in limits:
        if limit.category is not None:
            ends, side = (high, upper) if limit.upper else (low, lower)
            if limit.bound == ends[limit.category]:
                side.setdefault(limit.category, limit)
    return lower, upper


def _fewest(alpha: Vector, order: Indices, ends: tuple[Vector, Vector], allowed: float) -> int:
    """How many of the bounds, in this order, force a larger shift than is allowed."""

    def shift(count: int) -> float:
        chosen = np.zeros(len(alpha), dtype=bool)
        chosen[order[:count]] = True
        return smallest_shift(alpha, np.where(chosen, ends[0], 0.0), np.where(chosen, ends[1], 1.0))

    few, many = -1, len(order)
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if shift(middle) > allowed else (middle, many)
    return many


def _priced_by_breach(alpha: Vector, limits: Sequence[NamedLimit]) -> list[NamedLimit]:
    """The limits that have a price when no-harm limits are broken as little as possible: those alone conflict."""
    widths = {limit.name: (limit.name, 1.0) for limit in limits if limit.weights is not None}
    model = ShareModel(alpha, limits, widths)
    costs = np.zeros(model.size)
    costs[list(model.slacks.values())] = -1.0
    model.maximize(costs)
    point = model.solve()
    if point is None:
        return list(limits)
    return [limit for limit, price in zip(limits, limit_prices(model, point, limits), strict=True) if price > _PRICED]


def _without_needless(alpha: Vector, limits: Sequence[NamedLimit]) -> tuple[NamedLimit, ...]:
    """Deletion filter: drop each limit in turn, and keep out those without which the rest still conflicts."""
    kept = list(limits)
    for limit in limits:
        rest = [other for other in kept if other is not limit]
        if not feasible(alpha, rest):
            kept = rest
    return tuple(kept)


def _shown(items: Sequence[str]) -> str:
    rest = f"; and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return "; ".join(items[:SHOWN]) + rest


def _describe(limit: NamedLimit, baseline: Baseline, limits: Limits) -> str:
    if limit.category is None:
        return f"max-shift {limit.bound:.6g}"
    if limit.weights is not None:
        return f"no-harm {limits.no_harm:g}: equivalent share of {_name(limit.name)!r} at least {limit.bound:.6g}"
    name = baseline.categories[limit.category]
    if limit.kind == AVAILABLE:
        examples = limit.bound * limits.total / limits.max_repeats
        return (
            f"available of {name!r}: {examples:.6g} examples × max-repeats {limits.max_repeats:g} = "
            f"share {limit.bound:.6g} of {limits.total}"
        )
    if relaxed_by(limit) == BOX:
        return f"box {limits.box:g}: share of {name!r} {'at most' if limit.upper else 'at least'} {limit.bound:.6g}"
    return f"{limit.kind} of {name!r} {limit.bound:.6g}"


def _fix(relaxation: Relaxation, baseline: Baseline, limits: Limits, named: Sequence[NamedLimit]) -> str:
    kind, name = relaxation.limit.partition(":")[0], _name(relaxation.limit)
    now, needed = relaxation.now, relaxation.needed
    if kind == AVAILABLE:
        examples = limits.total / limits.max_repeats
        return f"at least {_up(needed * examples)} available examples of {name!r} (now {now * examples:.6g})"
    if kind == "minimum":
        return f"lower minimum of {name!r} from {now:.6g} to at most {_down(needed)}"
    if kind == "maximum":
        return f"raise maximum of {name!r} from {now:.6g} to at least {_up(needed)}"
    if kind == NO_HARM:
        weights = next(limit.weights for limit in named if limit.name == relaxation.limit and limit.weights is not None)
        before = float(weights @ np.array(baseline.shares))
        fraction = (before - needed) / abs(before) if before else float("inf")
        return f"no-harm at least {_up(fraction)} for {name!r} (now {limits.no_harm:g})"
    if kind in (BOX, SHIFT):
        return f"{kind} at least {_up(needed)} (now {now:.6g})"
    raise AssertionError(f"unknown limit {relaxation.limit!r}")


def _name(limit: str) -> str:
    return limit.partition(":")[2]


def _up(value: float) -> str:
    """Six decimals, rounded so that a limit at the printed value really makes room."""
    text = f"{value:.6f}"
    if float(text) < value - 1e-9:
        text = f"{float(text) + 1e-6:.6f}"
    return text.rstrip("0").rstrip(".")


def _down(value: float) -> str:
    text = f"{value:.6f}"
    if float(text) > value + 1e-9:
        text = f"{float(text) - 1e-6:.6f}"
    return text.rstrip("0").rstrip(".")
