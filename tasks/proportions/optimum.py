"""Solve the program to a certified optimum: shares, dual prices, and a bound that the duals prove."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tasks.proportions.concave import GAP_TOLERANCE, Tangents
from tasks.proportions.limits import NamedLimit, Vector, residuals
from tasks.proportions.linear_model import Point, ShareModel, SolverError
from tasks.proportions.objective import Objective
from tasks.proportions.prices import limit_prices
from tasks.proportions.robust import add_protection

CHECK_TOLERANCE = 1e-7
CURVE_CHECK_TOLERANCE = 1e-6
SUM_TOLERANCE = 1e-9
TIE_TOLERANCE = 1e-10


@dataclass(frozen=True)
class Optimum:
    """The best shares and what proves them.

    Attributes:
        shares: [K] w.
        prices: one per limit: increase of the objective per unit of its right-hand side, ≥ 0.
        gap: objective minus the bound that the duals prove, in the objective's unit.
        worst: largest violation of any limit (share).
    """

    shares: Vector
    prices: tuple[float, ...]
    gap: float
    worst: float


def build(
    objective: Objective, alpha: Vector, limits: Sequence[NamedLimit], curve_tolerance: float = GAP_TOLERANCE
) -> tuple[ShareModel, Vector]:
    """The model of all limits, and the [n] costs of its variables: gain less protection, divided by the scale."""
    model = ShareModel(alpha, limits)
    linear = objective.linear / objective.scale
    parts = [np.concatenate([linear, -linear])]
    if objective.curves is not None:
        parts.append(Tangents(model, objective.curves, objective.scale, curve_tolerance).costs())
    if objective.budget > 0:
        parts.append(add_protection(model, objective.deviations / objective.scale, objective.budget))
    costs = np.zeros(model.size)
    for part in parts:
        costs[: len(part)] += part
    return model, costs


def optimize(objective: Objective, alpha: Vector, limits: Sequence[NamedLimit]) -> Optimum | None:
    """The optimum with the smallest total shift; None where no shares keep all limits.

    Raises:
        SolverError: no answer, or one that fails its check.
    """
    scale = objective.scale
    model, costs = build(objective, alpha, limits)
    model.maximize(costs)
    first = model.solve()
    if first is None:
        return None
    bound, prices = model.bound(first.duals), limit_prices(model, first, limits)
    tie = TIE_TOLERANCE if objective.curves is None else GAP_TOLERANCE
    model.add_row(np.arange(len(costs)), costs, first.objective - tie, np.inf)
    model.maximize(np.full(2 * len(alpha), -1.0))
    problem = None
    # Where the search for the smallest shift fails or ends imprecisely, the first optimum stands.
    for point in (_attempt(model), first):
        if point is not None:
            achieved = objective.gain(point.shares, alpha) - objective.protection(point.shares, alpha)
            answer = Optimum(
                point.shares,
                tuple(price * scale for price in prices),
                achieved - bound * scale,
                max(0.0, float(residuals(point.shares, alpha, limits).max(initial=0.0)), -float(point.shares.min())),
            )
            problem = _failure(answer, objective)
            if problem is None:
                return answer
    raise SolverError(f"the solver's proportions fail their check and are not returned: {problem}")


def _attempt(model: ShareModel) -> Point | None:
    try:
        return model.solve()
    except SolverError:
        return None


def _failure(answer: Optimum, objective: Objective) -> str | None:
    """What keeps the answer from being returned."""
    missing = abs(float(answer.shares.sum()) - 1)
    allowed = CHECK_TOLERANCE * max(objective.scale, float(np.abs(objective.gains).max()))
    if objective.curves is not None:
        allowed = CURVE_CHECK_TOLERANCE * objective.scale
    if answer.worst <= CHECK_TOLERANCE and missing <= SUM_TOLERANCE and abs(answer.gap) <= allowed:
        return None
    return (
        f"largest violation {answer.worst:.3g}, sum of shares off by {missing:.3g}, duality gap {answer.gap:.3g} "
        f"(gains up to {objective.scale:.3g})"
    )
