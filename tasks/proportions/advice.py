"""How much the effects really say about the sizes of the shares: ranges, and who decides them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tasks.proportions.limits import NamedLimit, Vector, bounds, residuals
from tasks.proportions.linear_model import SolverError
from tasks.proportions.objective import Objective
from tasks.proportions.optimum import Optimum, build
from tasks.proportions.proposal import Baseline, Options, ShareRange

AUTOMATIC = 200
"""Categories up to which a linear program's ranges are computed unasked: 4 more programs per category."""
_EXACT = 1e-9
_EXACT_CURVES = 1e-6
_CURVE_PART = 0.05
_AT_LIMIT = 1e-8


def ranges(
    objective: Objective, baseline: Baseline, limits: Sequence[NamedLimit], optimum: Optimum, options: Options
) -> tuple[tuple[ShareRange, ...], tuple[str, ...]]:
    """The shares' ranges where they are asked for, or () and, where they could not be computed, a warning."""
    automatic = objective.curves is None and len(objective.gains) <= AUTOMATIC
    if not (automatic if options.sensitivity is None else options.sensitivity):
        return (), ()
    try:
        return share_ranges(objective, baseline, limits, optimum, options.slack), ()
    except SolverError as error:
        return (), (f"the ranges of the shares could not be computed: {error}",)


def share_ranges(
    objective: Objective, baseline: Baseline, limits: Sequence[NamedLimit], optimum: Optimum, slack: float
) -> tuple[ShareRange, ...]:
    """The range of each share over all proportions that are (nearly) as good: two linear programs per range.

    Args:
        objective: what was maximized.
        baseline: α and the categories' names.
        limits: all of them.
        optimum: the solved program.
        slack: fraction of the gain, protection taken off, that the wider ranges may cost.
    """
    alpha = np.array(baseline.shares)
    best = (objective.gain(optimum.shares, alpha) - objective.protection(optimum.shares, alpha)) / objective.scale
    least = _EXACT if objective.curves is None else _EXACT_CURVES
    exact = _extremes(objective, alpha, limits, best, least)
    near = _extremes(objective, alpha, limits, best, max(least, slack * abs(best)))
    return tuple(
        ShareRange(name, *(float(v) for v in (min(e[0], w), max(e[1], w), min(n[0], e[0], w), max(n[1], e[1], w))))
        for name, e, n, w in zip(baseline.categories, exact, near, optimum.shares, strict=True)
    )


def _extremes(objective: Objective, alpha: Vector, limits: Sequence[NamedLimit], best: float, slack: float) -> Vector:
    """[K, 2] smallest and largest shares among those whose scaled gain is within the slack of the best."""
    model, costs = build(objective, alpha, limits, slack * _CURVE_PART)
    model.add_row(np.arange(len(costs)), costs, best - slack, np.inf)
    size = len(alpha)
    result = np.repeat(np.array([[np.inf, -np.inf]]), size, axis=0)
    for k in range(size):
        for side, sign in enumerate((-1.0, 1.0)):
            direction = np.zeros(2 * size)
            direction[k], direction[size + k] = sign, -sign
            model.maximize(direction)
            point = model.solve()
            if point is not None:
                result[k, side] = point.shares[k]
    return result


def limits_decide(shares: Vector, alpha: Vector, limits: Sequence[NamedLimit]) -> str | None:
    """A warning where the limits, not the effects, decide the sizes of the shares.

    Moved shares that lie strictly between their own limits are free only as far as no joint limit (total shift,
    no-harm) holds them: with the sum fixed, each binding joint limit ties one of them, and one more closes the sum.
    """
    low, high = bounds(limits, len(alpha))
    moved = np.abs(shares - alpha) > _AT_LIMIT
    between = moved & (shares > low + _AT_LIMIT) & (shares < high - _AT_LIMIT)
    joint = [limit for limit in limits if not limit.single]
    held = [limit.kind for limit, over in zip(joint, residuals(shares, alpha, joint), strict=True) if over > -_AT_LIMIT]
    if not moved.any() or int(between.sum()) > 1 + len(held):
        return None
    kinds = dict.fromkeys(held)
    for limit, over in zip(limits, residuals(shares, alpha, limits), strict=True):
        if limit.single and over > -_AT_LIMIT and limit.category is not None and moved[limit.category]:
            kinds[limit.kind.removesuffix("-low").removesuffix("-high")] = None
    by = f" ({', '.join(kinds)})" if kinds else ""
    return (
        f"every share that moves goes as far as the limits{by} let it: the effects say which categories grow and which "
        "shrink, the limits decide by how much"
    )
