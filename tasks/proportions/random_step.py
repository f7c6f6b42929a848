"""The control arm "random step": as far from the baseline as the proposal, in a direction that knows nothing."""

from __future__ import annotations

import numpy as np

from tasks.interventions.rounding import fill_pro_rata
from tasks.proportions.counts import baseline_counts, count_bounds
from tasks.proportions.least_breach import Counts
from tasks.proportions.proposal import Baseline, ControlStep, Limits, Proposal

TRIES = 1000
WEIGHT_UNIT = 1_000_000


def random_step(proposal: Proposal, baseline: Baseline, limits: Limits, seed: int) -> ControlStep:
    """A random step of the proposal's size, ½‖counts − baseline counts‖₁, within the same limits.

    A standard normal number per category gives the direction: its sign says up or down, its size the part of the
    examples to be moved, rescaled so that ups and downs are both exactly the proposal's size; what a category has no
    room for goes to the others of its side. Directions whose sides have too little room are drawn again; after 1000
    such draws the proposal's own ups and downs are taken, with random sizes. A category whose baseline breaks a
    limit is moved inside it first, in every draw.

    Args:
        proposal: solved with this baseline and these limits.
        baseline: the same as the proposal's.
        limits: the same as the proposal's; no-harm limits are not kept.
        seed: of the direction.

    Returns:
        Counts that sum to N, with `moved` equal to the proposal's size. Sizes are counted from the baseline in whole
        examples, so where N·α is not whole the shift from α itself may differ from the proposal's by the rounding.
    """
    before = np.array(baseline_counts(baseline, limits.total), dtype=np.int64)
    change = np.array(proposal.counts, dtype=np.int64) - before
    size = int(np.abs(change).sum()) // 2
    low, high = count_bounds(baseline, limits)
    # Where no whole numbers keep a limit the proposal itself is as far out as it must be.
    low, high = np.minimum(low, np.array(proposal.counts)), np.maximum(high, np.array(proposal.counts))
    must_rise, must_fall = np.maximum(low - before, 0), np.maximum(before - high, 0)
    can_rise, can_fall = np.maximum(high - before, 0), np.maximum(before - low, 0)
    generator = np.random.default_rng(seed)
    for attempt in range(TRIES + 1):
        direction = generator.standard_normal(len(before))
        if attempt == TRIES:
            direction = np.abs(direction) * np.where(change > 0, 1.0, -1.0)
        rises = (direction > 0) & (must_fall == 0) | (must_rise > 0)
        up = _fill(direction, size, np.where(rises, must_rise, 0), np.where(rises, can_rise, 0))
        down = _fill(direction, size, np.where(rises, 0, must_fall), np.where(rises, 0, can_fall))
        if up is not None and down is not None:
            counts = before + up - down
            return ControlStep(baseline.categories, tuple(counts.tolist()), size, size)
    raise AssertionError("the proposal's own ups and downs have room for its size")


def _fill(direction: np.ndarray, size: int, least: Counts, most: Counts) -> Counts | None:
    """`size` examples in proportion to |direction|, at least `least` and at most `most`; None without room."""
    free = size - int(least.sum())
    room = most - least
    if free < 0 or int(room.sum()) < free:
        return None
    weights = (np.abs(direction) * WEIGHT_UNIT).astype(np.int64) + 1
    return least + np.array(fill_pro_rata(weights.tolist(), free, room.tolist()), dtype=np.int64)
