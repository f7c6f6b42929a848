"""The shares that keep all limits but no-harm: their geometry in closed form, by sorting instead of solving."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tasks.proportions.limits import FEASIBILITY_TOLERANCE, NamedLimit, Vector, bounds, shift_bound

_MOST_NUMBERS = 1_000_000


@dataclass(frozen=True)
class Region:
    """{w: Σw = 1, low ≤ w ≤ high, ½‖w − α‖₁ ≤ ρ}, limits of other kinds left out.

    Attributes:
        alpha: [K] baseline shares α.
        low: [K] smallest shares.
        high: [K] largest shares.
        shift: ρ; infinity where there is no such limit.
    """

    alpha: Vector
    low: Vector
    high: Vector
    shift: float


def region(alpha: Vector, limits: Sequence[NamedLimit]) -> Region:
    """The region of the limits on single categories and of the total shift."""
    low, high = bounds(limits, len(alpha))
    return Region(alpha, low, high, shift_bound(limits))


def smallest_shift(alpha: Vector, low: Vector, high: Vector, tolerance: float = FEASIBILITY_TOLERANCE) -> float:
    """Smallest ½‖w − α‖₁ over {Σw = 1, low ≤ w ≤ high}; infinity where that set is empty.

    α clipped into the bounds is the nearest point without the sum; what the sum then lacks or exceeds must be
    moved away from α, because only categories clipped at the bound on the other side could move toward it.
    """
    if np.any(low > high + tolerance):
        return float("inf")
    if low.sum() > 1 + tolerance or high.sum() < 1 - tolerance:
        return float("inf")
    clipped = np.clip(alpha, low, high)
    return float(np.abs(clipped - alpha).sum() + abs(1 - clipped.sum())) / 2


def not_empty(area: Region, tolerance: float = FEASIBILITY_TOLERANCE) -> bool:
    """Whether any shares lie in the region, to the tolerance (share)."""
    shift = smallest_shift(area.alpha, area.low, area.high, tolerance)
    return shift < np.inf and shift <= area.shift + tolerance


def contains(area: Region, shares: Vector, tolerance: float = FEASIBILITY_TOLERANCE) -> bool:
    """Whether these shares lie in the region."""
    inside = np.all(shares >= area.low - tolerance) and np.all(shares <= area.high + tolerance)
    return bool(inside and np.abs(shares - area.alpha).sum() / 2 <= area.shift + tolerance)


def best_shares(area: Region, gains: Vector) -> Vector:
    """[K] the shares of a region (not empty) with the largest Σ_k gains_k w_k: an exact maximum, found by sorting.

    Every move of share goes from a category with a small gain to one with a large gain, so the best moves take from
    the smallest upward and give to the largest downward. Along the amount that is moved the total gain is concave and
    piecewise linear: its maximum lies where a category is full or empty, or where the total shift is used up.

    Args:
        area: the region.
        gains: [K] gain per share.
    """
    forced, up_first, down_first, most = _moves(area)
    order = np.argsort(-gains, kind="stable")
    up, down = (area.high - forced)[order], (forced - area.low)[order][::-1]
    full, empty = np.cumsum(up), np.cumsum(down)
    amounts = np.clip(np.concatenate([[0.0, most], full - up_first, empty - down_first]), 0.0, most)
    values = _gained(gains[order], up, up_first + amounts) - _gained(gains[order][::-1], down, down_first + amounts)
    moved = amounts[int(np.argmax(values))]
    shares = forced.copy()
    shares[order] += np.clip(up_first + moved - (full - up), 0.0, up)
    shares[order[::-1]] -= np.clip(down_first + moved - (empty - down), 0.0, down)
    return shares


def best_gains(area: Region, gains: Vector) -> Vector:
    """[B] the maxima of Σ_k gains_bk (w_k − α_k) for [B, K] gains: as `best_shares`, for all rows at once."""
    rows = max(1, _MOST_NUMBERS // gains.shape[1])
    parts = [_best_gains(area, gains[start : start + rows]) for start in range(0, len(gains), rows)]
    return np.concatenate(parts)


def _best_gains(area: Region, gains: Vector) -> Vector:
    forced, up_first, down_first, most = _moves(area)
    order = np.argsort(-gains, axis=1, kind="stable")
    up, down = (area.high - forced)[order], (forced - area.low)[order][:, ::-1]
    ends = np.broadcast_to([0.0, most], (len(gains), 2))
    amounts = np.hstack([ends, np.cumsum(up, axis=1) - up_first, np.cumsum(down, axis=1) - down_first])
    amounts = np.clip(amounts, 0.0, most)
    ordered = np.take_along_axis(gains, order, axis=1)
    values = _gained(ordered, up, up_first + amounts) - _gained(ordered[:, ::-1], down, down_first + amounts)
    return np.asarray(values.max(axis=1) + gains @ (forced - area.alpha))


def _moves(area: Region) -> tuple[Vector, float, float, float]:
    """[K] α moved inside the bounds; what must then go up, or down, to sum to 1; how much may be moved besides."""
    forced = np.clip(area.alpha, area.low, area.high)
    missing = 1.0 - float(forced.sum())
    up_first, down_first = max(missing, 0.0), max(-missing, 0.0)
    spare = area.shift - (float(np.abs(forced - area.alpha).sum()) + abs(missing)) / 2
    room = min(float((area.high - forced).sum()) - up_first, float((forced - area.low).sum()) - down_first)
    return forced, up_first, down_first, max(min(spare, room), 0.0)


def _gained(gains: Vector, lengths: Vector, at: Vector) -> Vector:
    """[..., A] Σ gains over the first `at` of consecutive stretches of these lengths, row by row."""
    ends = np.cumsum(lengths, axis=-1)
    width = ends.shape[-1]
    # One search for all rows: each row's stretches lie beyond those of the row before.
    row = np.arange(ends.size // width).reshape(*ends.shape[:-1], 1)
    apart = float(ends.max(initial=0.0) + at.max(initial=0.0) + 1.0)
    found = np.searchsorted((ends + apart * row).ravel(), (at + apart * row).ravel()).reshape(at.shape) - width * row
    found = np.clip(found, 0, width - 1)

    def pick(values: Vector) -> Vector:
        return np.take_along_axis(values, found, axis=-1)

    return np.asarray(pick(np.cumsum(gains * lengths, axis=-1)) - pick(gains) * (pick(ends) - at))


def room_used(area: Region, step: Vector, limits: Sequence[NamedLimit] = ()) -> float:
    """The part g ≤ 1 of the room along a step that the step uses: α + step/g touches a limit.

    Args:
        area: a region that holds α and α + step.
        step: [K] w − α.
        limits: further limits (no-harm) that α and α + step keep.

    Returns:
        g from 0 to 1; 0 for no step, or where nothing bounds it.
    """
    used = [float(np.abs(step).sum()) / 2 / area.shift if area.shift > 0 else 1.0]
    room = np.where(step > 0, area.high - area.alpha, area.alpha - area.low)
    moving = np.abs(step) > 0
    used.append(float(np.max(np.abs(step[moving]) / np.maximum(room[moving], np.abs(step[moving])), initial=0.0)))
    for limit in limits:
        if limit.weights is not None and (fall := -float(limit.weights @ step)) > 0:
            used.append(fall / max(float(limit.weights @ area.alpha) - limit.bound, fall))
    return min(max(used), 1.0) if np.any(moving) else 0.0
