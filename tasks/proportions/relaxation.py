"""What would make room again where limits leave none: the nearest values of limits, as linear programs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from tasks.proportions.limits import FEASIBILITY_TOLERANCE, NamedLimit, Vector
from tasks.proportions.linear_model import ShareModel
from tasks.proportions.region import Region, not_empty, region

BOX = "box"
AVAILABLE = "available"
_LARGEST = 1e12
_EXACT = 1e-13


@dataclass(frozen=True)
class Relaxation:
    """The nearest value of one limit that makes room (alone, or with the others of its list).

    Attributes:
        limit: the limit's name as in `NamedLimit`; "box" for the relative box, which is one number for all.
        now: its present value (share; for "box" the relative width b).
        needed: the nearest value that makes room.
    """

    limit: str
    now: float
    needed: float


def relaxed_by(limit: NamedLimit) -> str:
    """The name of what is changed to relax this limit: the limit's own, or "box"."""
    return BOX if limit.kind.startswith(BOX) else limit.name


def nearest_relaxation(
    alpha: Vector, limits: Sequence[NamedLimit], box: float | None, elastic: Collection[str]
) -> tuple[Relaxation, ...] | None:
    """Elastic program: the smallest total widening of the elastic limits that makes room.

    Widening the box by t widens all categories' boxes together by t in share (Σα = 1), so units agree.

    Returns:
        The limits that must give way, with their new values; None where the elastic limits alone cannot make room.
    """
    widths = {
        limit.name: (key, float(alpha[limit.category]) if limit.category is not None and key == BOX else 1.0)
        for limit in limits
        if (key := relaxed_by(limit)) in elastic
    }
    slack = _smallest_slacks(alpha, limits, widths)
    if slack is None:
        return None
    slack = {key: value for key, value in slack.items() if value > FEASIBILITY_TOLERANCE}
    moved = [Relaxation(BOX, box, box + slack[BOX])] if box is not None and BOX in slack else []
    moved += [
        Relaxation(limit.name, limit.bound, limit.bound + slack[limit.name] * (1 if limit.upper else -1))
        for limit in limits
        if limit.name in slack
    ]
    return tuple(moved)


def availability_factor(alpha: Vector, limits: Sequence[NamedLimit]) -> float | None:
    """Smallest factor ≥ 1 on all that is available that makes room; None where none does."""
    widths = {limit.name: (AVAILABLE, limit.bound) for limit in limits if limit.kind == AVAILABLE}
    slack = _smallest_slacks(alpha, limits, widths)
    return None if slack is None else 1.0 + slack.get(AVAILABLE, 0.0)


def _smallest_slacks(
    alpha: Vector, limits: Sequence[NamedLimit], widths: dict[str, tuple[str, float]]
) -> dict[str, float] | None:
    """Slack name → how much of it makes room, the smallest sum of them; None where none does."""
    keys = {key for key, _ in widths.values()}
    if len(keys) == 1 and all(limit.weights is None for limit in limits):
        widening = _smallest_widening(alpha, limits, {name: width for name, (_, width) in widths.items()})
        return None if widening is None else dict.fromkeys(keys, widening)
    model = ShareModel(alpha, limits, widths)
    costs = np.zeros(model.size)
    costs[list(model.slacks.values())] = -1.0
    model.maximize(costs)
    point = model.solve()
    return None if point is None else {key: float(point.values[index]) for key, index in model.slacks.items()}


def _smallest_widening(alpha: Vector, limits: Sequence[NamedLimit], widths: dict[str, float]) -> float | None:
    """The smallest t with which limits widened by t · width make room, by bisection on the region's closed form."""
    firm = region(alpha, [limit for limit in limits if limit.name not in widths])
    elastic = [limit for limit in limits if limit.name in widths]
    single = [(limit.category, limit.upper, limit.bound, widths[limit.name]) for limit in elastic if limit.single]
    shifts = [(limit.bound, widths[limit.name]) for limit in elastic if limit.category is None]
    columns = [np.array(column) for column in zip(*single, strict=True)] or [np.zeros(0, dtype=int)] * 4
    category, upper, bound, width = columns[0], columns[1].astype(bool), columns[2], columns[3]

    def makes_room(t: float) -> bool:
        low, high = firm.low.copy(), firm.high.copy()
        np.maximum.at(low, category[~upper], bound[~upper] - width[~upper] * t)
        np.minimum.at(high, category[upper], bound[upper] + width[upper] * t)
        shift = min([firm.shift, *(b + w * t for b, w in shifts)])
        return not_empty(Region(alpha, low, high, shift), _EXACT)

    least, enough = 0.0, 1.0
    if makes_room(least):
        return least
    while not makes_room(enough):
        least, enough = enough, 4 * enough
        if enough > _LARGEST:
            return None
    while enough - least > 1e-13 * enough:
        middle = (least + enough) / 2
        least, enough = (least, middle) if makes_room(middle) else (middle, enough)
    return enough
