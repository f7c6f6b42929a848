"""The gain's interval, honest about the choice: the program has picked the shares that look best in the same data.

Write ŝ = s + ε for the estimated slopes. The naive lower end, ŝ·(ŵ − α) minus a quantile of the error of that one step,
forgets that ŵ was chosen because ε favored it: where no step gains anything, each run "finds" a gain. Here the error
of the *most* favored step is taken off instead. With probability c the largest error over all allowed shares,
max_{w'} ε·(w' − α), is at most its c-quantile q. Then ε·(w − α) ≤ q, that is s·(w − α) ≥ ŝ·(w − α) − q, for all allowed
shares w at once, and so for the chosen ones, whatever rule chose them. (The idea is Scheffé's, for a polytope instead
of a sphere.) The maximum is taken exactly for each error draw. A step that uses only the part g of the room along its
direction is a mixture of the full step and no step, so g·q is enough for it.

In a world where nothing gains, a change is thus proposed with probability 1 − c at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from tasks.errors import InputError
from tasks.proportions.limits import NamedLimit, Vector
from tasks.proportions.linear_model import ShareModel
from tasks.proportions.proposal import Gain
from tasks.proportions.region import best_gains, best_shares, contains, region, room_used


@dataclass(frozen=True)
class Noise:
    """What is known about the slopes' errors.

    Attributes:
        errors: [B, K] draws per share of each category: estimate + error is a truth that the data allow.
        confidence: level c.
        unit: of an error times a share.
    """

    errors: Vector
    confidence: float
    unit: str


def gain_interval(value: float, shares: Vector, alpha: Vector, limits: Sequence[NamedLimit], noise: Noise) -> Gain:
    """The interval of a predicted gain; its lower end holds whatever chose the shares.

    Args:
        value: ŝ·(w − α), or its concave counterpart, to which the errors are then a first order.
        shares: [K] w, within the limits.
        alpha: [K] baseline shares.
        limits: all that the shares were chosen within.
        noise: error draws and confidence.

    Raises:
        InputError: too few draws for this confidence.
    """
    step = shares - alpha
    used = room_used(region(alpha, limits), step, limits) if kept_by(alpha, alpha, limits) else 1.0
    low = value - used * largest_error(alpha, limits, noise)
    above = float(np.quantile(noise.errors @ step, (1 + noise.confidence) / 2, method="higher"))
    return Gain(value, min(low, value), value + max(above, 0.0), noise.confidence, noise.unit, len(noise.errors))


def largest_error(alpha: Vector, limits: Sequence[NamedLimit], noise: Noise) -> float:
    """q: the c-quantile over draws of the largest overestimate of any allowed step's gain.

    The k-th smallest of B draws with k = ⌈c(B + 1)⌉ is exceeded by a further draw with probability 1 − c at most.
    With no-harm limits the maximum is a linear program; without them it is never smaller and needs sorting only, so
    that the draws are taken from the largest downward, until no further one can be among the B − k + 1 largest.

    Raises:
        InputError: k > B.
    """
    draws = len(noise.errors)
    rank = draws + 1 - ceil(noise.confidence * (draws + 1) - 1e-9)
    if rank < 1:
        needed = ceil(noise.confidence / (1 - noise.confidence) - 1e-9)
        raise InputError(f"confidence {noise.confidence:g} needs at least {needed} error draws, there are {draws}")
    area = region(alpha, limits)
    values = best_gains(area, -noise.errors)
    dense = [limit for limit in limits if limit.weights is not None]
    if not dense:
        return float(np.sort(values)[-rank])
    weights, floors = np.array([limit.weights for limit in dense]), np.array([limit.bound for limit in dense])
    model, largest = ShareModel(alpha, limits), np.zeros(0)
    for b in np.argsort(-values):
        if len(largest) == rank and values[b] <= largest[0]:
            break
        if np.any(weights @ best_shares(area, -noise.errors[b]) < floors):
            model.maximize(np.concatenate([-noise.errors[b], noise.errors[b]]) / _size(noise.errors[b]))
            point = model.solve()
            value = 0.0 if point is None else point.objective * _size(noise.errors[b])
        else:
            value = float(values[b])
        largest = np.sort(np.append(largest, value))[-rank:]
    return float(largest[0])


def kept_by(shares: Vector, alpha: Vector, limits: Sequence[NamedLimit]) -> bool:
    """Whether the shares keep all limits."""
    return contains(region(alpha, limits), shares) and all(
        limit.weights is None or float(limit.weights @ shares) >= limit.bound - 1e-9 for limit in limits
    )


def _size(values: Vector) -> float:
    return float(np.abs(values).max()) or 1.0
