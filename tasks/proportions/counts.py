"""Whole numbers of examples from shares: an exact sum, and every limit kept wherever whole numbers can keep it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tasks.interventions.rounding import largest_remainder
from tasks.proportions.least_breach import COUNT_TOLERANCE, Counts, least_breach
from tasks.proportions.limits import NO_HARM, NamedLimit, Vector, bounds, named_limits, residuals
from tasks.proportions.proposal import Baseline, Limits

SHARE_TOLERANCE = 1e-7


def count_bounds(baseline: Baseline, limits: Limits) -> tuple[Counts, Counts]:
    """[K] smallest and [K] largest whole numbers inside the limits on single categories."""
    low, high = bounds(named_limits(baseline, replace(limits, no_harm=None)), len(baseline.categories))
    return (
        np.ceil(low * limits.total - COUNT_TOLERANCE).astype(np.int64),
        np.floor(high * limits.total + COUNT_TOLERANCE).astype(np.int64),
    )


def baseline_counts(baseline: Baseline, total: int) -> tuple[int, ...]:
    """[K] the baseline itself in examples (largest remainder)."""
    return largest_remainder(baseline.shares, total)


def round_counts(
    shares: Vector, baseline: Baseline, limits: Limits, named: Sequence[NamedLimit] | None = None
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Whole numbers nearest to N·w that sum to N and keep the limits.

    The least-squares rounding inside the limits on single categories is taken where it also keeps the total shift;
    where it does not, examples go back toward the baseline one by one until it does. Only where single categories'
    limits leave no whole numbers, an integer program finds those that break the limits least in total (what is
    available is never exceeded), and among those the smallest Σ|c_k − N·w_k|. No-harm limits are met by the shares;
    what rounding costs them is only reported.

    Args:
        shares: [K] w.
        baseline: α and the limits on single categories.
        limits: total, total shift, box, repeats.
        named: all limits, those of no-harm included; default: those of `baseline` and `limits` without no-harm.

    Returns:
        [K] counts; one sentence for each limit that they break.

    Raises:
        EvidenceError: the available examples allow no whole numbers that sum to N.
    """
    named = named_limits(baseline, replace(limits, no_harm=None)) if named is None else named
    simple = [limit for limit in named if limit.weights is None]
    low, high = count_bounds(baseline, limits)
    counts: tuple[int, ...] | None = None
    if np.all(low <= high) and low.sum() <= limits.total <= high.sum():
        # A share at its lower bound 0 may come out of the solver as −1e-17.
        counts = largest_remainder(
            [max(float(w), 0.0) for w in shares], limits.total, upper=high.tolist(), lower=low.tolist()
        )
        counts = _shift_kept(counts, shares, baseline, limits, (low, high))
    if counts is None or _excess(counts, baseline, limits, simple):
        counts = least_breach(shares, baseline, limits, bounds(simple, len(shares)))
    return counts, _excess(counts, baseline, limits, named)


def _excess(counts: Sequence[int], baseline: Baseline, limits: Limits, named: Sequence[NamedLimit]) -> tuple[str, ...]:
    over = residuals(np.array(counts) / limits.total, np.array(baseline.shares), named)
    tolerance = SHARE_TOLERANCE + COUNT_TOLERANCE / limits.total
    whole = f"no whole numbers that sum to {limits.total} keep it; exceeded by"
    return tuple(
        f"{limit.name}: {'rounding to whole numbers exceeds it by' if limit.kind == NO_HARM else whole} "
        f"{amount * limits.total:.6g} {'equivalent ' if limit.kind == NO_HARM else ''}examples"
        for limit, amount in zip(named, over, strict=True)
        if amount > tolerance
    )


def _shift_kept(
    counts: tuple[int, ...], shares: Vector, baseline: Baseline, limits: Limits, inside: tuple[Counts, Counts]
) -> tuple[int, ...]:
    """Swap single examples between two categories, the swap that shortens Σ|c_k − N·α_k| most first, to the limit.

    The distance is separable and convex, so that swaps reach its smallest value inside the bounds if need be. Among
    equals the category that is farthest from N·w on the side it leaves is taken: no category pays for all.
    """
    if limits.max_shift is None:
        return counts
    low, high = inside
    current = np.array(counts, dtype=np.int64)
    start, wanted = np.array(baseline.shares) * limits.total, shares * limits.total
    allowed = 2 * limits.max_shift * limits.total + 2 * COUNT_TOLERANCE
    while (distance := float(np.abs(current - start).sum())) > allowed:
        shorter_by_one_less = np.where(current > low, np.abs(current - start) - np.abs(current - 1 - start), -np.inf)
        shorter_by_one_more = np.where(current < high, np.abs(current - start) - np.abs(current + 1 - start), -np.inf)
        giver = int(np.lexsort((current - wanted, shorter_by_one_less.round(6)))[-1])
        taker = int(np.lexsort((wanted - current, shorter_by_one_more.round(6)))[-1])
        if giver == taker or shorter_by_one_less[giver] + shorter_by_one_more[taker] <= COUNT_TOLERANCE:
            break
        current[giver] -= 1
        current[taker] += 1
        if float(np.abs(current - start).sum()) >= distance:
            break
    return tuple(int(c) for c in current)
