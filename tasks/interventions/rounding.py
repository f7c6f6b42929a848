"""Whole numbers from shares: largest remainder under limits, and filling up pro rata."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import floor
from typing import SupportsFloat

SHARE_TOLERANCE = 1e-5
"""How far the sum of shares may be from 1: what twenty shares written with six decimals can lose."""


def largest_remainder(
    shares: Sequence[SupportsFloat],
    total: int,
    upper: Sequence[int] | None = None,
    lower: Sequence[int] | None = None,
) -> tuple[int, ...]:
    """Round `total × shares` to whole numbers that sum to `total` exactly.

    Without limits this is Hamilton's method: every entry gets the floor of its quota, and the largest remainders get
    one more. With limits it is the closest point in least squares to the quotas among all whole-number vectors that
    keep the limits and the sum, of which Hamilton's method is the case without limits. Ties go to the lower index.

    Args:
        shares: [K] fractions ≥ 0 that sum to 1 within `SHARE_TOLERANCE`. A float counts as the decimal number it
            prints as, so that 0.29 of 100 is exactly 29; a Fraction counts exactly.
        total: what the result sums to.
        upper: [K] largest allowed result; default: no limit.
        lower: [K] smallest allowed result; default: 0.

    Returns:
        [K] whole numbers.

    Raises:
        ValueError: bad shares, a negative total, lists of different lengths, or limits that no vector can keep.
    """
    exact = [_fraction(share) for share in shares]
    low = [0] * len(exact) if lower is None else list(lower)
    high = [max(total, least) for least in low] if upper is None else list(upper)
    _check(exact, total, low, high)

    quotas = [share * total for share in exact]
    floors = [floor(quota) for quota in quotas]

    def shifted(steps: int) -> list[int]:
        return [min(max(base + steps, a), b) for base, a, b in zip(floors, low, high, strict=True)]

    # floor(quota) + steps, kept inside the limits, is the least-squares optimum for its own sum. The largest number of
    # steps that does not pass the total is therefore part of the answer, and what is left is under one unit an entry.
    fits, exceeds = -_reach(floors, low, high) - 1, _reach(floors, low, high) + 1
    while exceeds - fits > 1:
        middle = (fits + exceeds) // 2
        if sum(shifted(middle)) <= total:
            fits = middle
        else:
            exceeds = middle
    result, one_more = shifted(fits), shifted(exceeds)
    open_entries = [k for k in range(len(exact)) if one_more[k] > result[k]]
    open_entries.sort(key=lambda k: (floors[k] - quotas[k], k))
    for k in open_entries[: total - sum(result)]:
        result[k] += 1
    if sum(result) != total:
        raise AssertionError(f"rounded counts sum to {sum(result)} instead of {total}")
    return tuple(result)


def fill_pro_rata(weights: Sequence[int], total: int, upper: Sequence[int]) -> tuple[int, ...]:
    """Pour `total` units into entries in proportion to their weights; what a full entry cannot take goes to the others.

    The exact amounts are `min(upper_k, level × weight_k)` with the one level at which they sum to `total`
    (water filling); `largest_remainder` rounds them. An entry of weight 0 gets nothing.

    Args:
        weights: [K] whole numbers ≥ 0.
        total: units to pour.
        upper: [K] room in each entry.

    Returns:
        [K] whole numbers that sum to `total`.

    Raises:
        ValueError: the entries with a positive weight have too little room, or an argument is negative.
    """
    if len(weights) != len(upper):
        raise ValueError(f"{len(weights)} weights but {len(upper)} upper limits")
    if total < 0 or min(weights, default=0) < 0 or min(upper, default=0) < 0:
        raise ValueError("total, weights and upper limits must be 0 or more")
    room = [limit if weight else 0 for weight, limit in zip(weights, upper, strict=True)]
    if sum(room) < total:
        raise ValueError(f"room for {sum(room)} of {total}")
    if total == 0:
        return (0,) * len(weights)
    weight_sum = sum(weights)
    if all(total * weight <= limit * weight_sum for weight, limit in zip(weights, room, strict=True)):
        return _hamilton(weights, total)  # no entry fills up: the same result in whole numbers, much faster

    amounts = [Fraction(0)] * len(weights)
    left, weight_left = Fraction(total), weight_sum
    by_level = sorted((k for k in range(len(weights)) if weights[k]), key=lambda k: Fraction(room[k], weights[k]))
    for k in by_level:
        amounts[k] = min(Fraction(room[k]), left * weights[k] / weight_left)
        left -= amounts[k]
        weight_left -= weights[k]
    return largest_remainder([amount / total for amount in amounts], total, upper=room)


def _hamilton(weights: Sequence[int], total: int) -> tuple[int, ...]:
    whole = sum(weights)
    result, remainders = zip(*(divmod(total * weight, whole) for weight in weights), strict=True)
    one_more = set(sorted(range(len(weights)), key=lambda k: (-remainders[k], k))[: total - sum(result)])
    return tuple(count + (k in one_more) for k, count in enumerate(result))


def _fraction(share: SupportsFloat) -> Fraction:
    if isinstance(share, Fraction | int):
        return Fraction(share)
    number = float(share)
    try:
        return Fraction(repr(number))
    except ValueError:
        raise ValueError(f"a share is {number}: expected a finite number") from None


def _check(shares: Sequence[Fraction], total: int, low: Sequence[int], high: Sequence[int]) -> None:
    if not len(shares) == len(low) == len(high):
        raise ValueError(f"{len(shares)} shares, {len(low)} lower and {len(high)} upper limits: lengths must agree")
    if total < 0:
        raise ValueError(f"total is {total}: expected 0 or more")
    if min(shares, default=Fraction(0)) < 0:
        raise ValueError(f"a share is {float(min(shares))}: expected 0 or more")
    if abs(float(sum(shares) - 1)) > SHARE_TOLERANCE:
        raise ValueError(f"shares sum to {float(sum(shares))}: expected 1")
    crossed = [k for k in range(len(low)) if low[k] > high[k]]
    if crossed:
        raise ValueError(f"entry {crossed[0]}: lower limit {low[crossed[0]]} is above upper limit {high[crossed[0]]}")
    if not sum(low) <= total <= sum(high):
        raise ValueError(f"limits allow totals from {sum(low)} to {sum(high)}, asked for {total}")


def _reach(floors: Sequence[int], low: Sequence[int], high: Sequence[int]) -> int:
    """Steps after which every entry sits at a limit."""
    return max((max(abs(base - a), abs(base - b)) for base, a, b in zip(floors, low, high, strict=True)), default=0)
