"""The best mixture that a world allows within a proposal's limits: what a decision is compared with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import LinearConstraint, linprog, minimize

from tasks.errors import BeyondIIDError
from tasks.proportions.limits import bounds, named_limits, shift_bound
from tasks.proportions.proposal import Limits
from tasks.worlds.decision import world_baseline
from tasks.worlds.world import AnalyticWorld, Vector

GAP_TOLERANCE = 0.01
"""Largest proven distance to the optimum, as a share of the best gain's upper bound."""


@dataclass(frozen=True)
class Optimum:
    """The best mixture of the baseline's size.

    Attributes:
        amounts: [K] examples per category (not rounded).
        gain: its true gain, see `AnalyticWorld.gain`.
        gap: no mixture within the limits gains more than `gain + gap` (duality gap of the concave program).
    """

    amounts: Vector
    gain: float
    gap: float


def best_mixture(world: AnalyticWorld, limits: Limits) -> Optimum:
    """Maximize the share-weighted performance over the mixtures within the limits.

    The law is concave above its floor, so a local optimum is the optimum; sequential quadratic programming (SLSQP) over
    the ups and downs of the shares finds it, and the linear program at its gradient proves how near it is.

    Args:
        world: the truth.
        limits: as for a proposal; its total is not used (the mixture has the baseline's size).

    Raises:
        InputError: a limit that no proposal can have.
        BeyondIIDError: the optimum could not be proven.
    """
    alpha, total = world.shares, float(world.counts.sum())
    named = named_limits(world_baseline(world), limits)
    low, high = bounds(named, len(alpha))
    shift = min(shift_bound(named), 1.0)
    room = np.concatenate([high - alpha, alpha - low])
    ones, zeros = np.ones(len(alpha)), np.zeros(len(alpha))
    rows = np.array([np.concatenate([ones, -ones]), np.concatenate([ones, zeros])])
    unit = float(np.abs(world.slopes()).max()) * total

    def loss(moves: Vector) -> float:
        return -world.gain(total * (alpha + moves[: len(alpha)] - moves[len(alpha) :])) / unit

    def slope(moves: Vector) -> Vector:
        amounts = total * (alpha + moves[: len(alpha)] - moves[len(alpha) :])
        up = -(world.shares @ world.marginal(amounts)) * total / unit
        return np.concatenate([up, -up])

    found = minimize(
        loss,
        np.zeros(2 * len(alpha)),
        jac=slope,
        method="SLSQP",
        bounds=list(zip(np.zeros_like(room), np.maximum(room, 0), strict=True)),
        constraints=[LinearConstraint(rows[0], 0.0, 0.0), LinearConstraint(rows[1], 0.0, shift)],
        options={"maxiter": 500, "ftol": 1e-10},
    )
    gradient = slope(found.x)
    bound = linprog(
        gradient, A_ub=rows[1:], b_ub=[shift], A_eq=rows[:1], b_eq=[0.0], bounds=list(zip(0 * room, room, strict=True))
    )
    gap = float(gradient @ found.x - bound.fun) * unit
    amounts = total * (alpha + found.x[: len(alpha)] - found.x[len(alpha) :])
    gain = world.gain(amounts)
    if gap > GAP_TOLERANCE * max(gain + gap, 1e-6 * unit):
        raise BeyondIIDError(f"world {world.seed}: the best mixture is proven only to within {gap:.2g} of {gain:.2g}")
    return Optimum(amounts, gain, max(gap, 0.0))
