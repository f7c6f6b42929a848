"""The budget of uncertainty: what the gain loses when a limited number of sources are at their worst.

Source: Bertsimas and Sim, "The Price of Robustness", Operations Research 52(1), 2004.
"""

from __future__ import annotations

import numpy as np

from tasks.proportions.limits import Vector
from tasks.proportions.linear_model import ShareModel


def worst_case(deviations: Vector, step: Vector, budget: float) -> float:
    """The largest loss Σ_{j∈S} d_j |step_j| over sets S of at most `budget` sources.

    Args:
        deviations: [K] d_j ≥ 0, how much worse a source's slope may be than its estimate.
        step: [K] w − α.
        budget: how many sources are at their worst at once; of a fraction, one more source is by that part.
    """
    losses = np.sort(deviations * np.abs(step))[::-1]
    return float(losses @ np.clip(budget - np.arange(len(losses)), 0.0, 1.0))


def add_protection(model: ShareModel, deviations: Vector, budget: float) -> Vector:
    """Add the worst case to a program over shares, by its dual: rows z + p_j ≥ d_j (u_j + v_j).

    For given moves the smallest budget·z + Σ p_j under these rows is the worst case (linear duality).

    Returns:
        [n] costs of all the model's variables: subtract what they cost from the gain by adding them to the objective.
    """
    size = len(deviations)
    loss = deviations * np.array(model.farthest_moves())
    moved = np.flatnonzero(loss > 0)
    top = float(loss.max(initial=0.0))
    z = model.add_variables([0.0], [top])
    p = model.add_variables([0.0] * len(moved), loss[moved].tolist())
    for index, j in zip(p.tolist(), moved.tolist(), strict=True):
        d = float(deviations[j])
        model.add_row(np.array([z[0], index, j, size + j]), np.array([1.0, 1.0, -d, -d]), 0.0, np.inf)
    costs = np.zeros(model.size)
    costs[z] = -budget
    costs[p] = -1.0
    return costs
