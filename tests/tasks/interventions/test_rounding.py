from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tasks.interventions.rounding import fill_pro_rata, largest_remainder

weights = st.lists(st.integers(0, 50), min_size=1, max_size=8).filter(lambda w: sum(w) > 0)


def as_shares(parts: list[int]) -> list[Fraction]:
    return [Fraction(part, sum(parts)) for part in parts]


def test_largest_remainder_textbook_case_gives_hamiltons_seats() -> None:
    votes = [47000, 16000, 15900, 12000, 6000, 3100]
    assert largest_remainder(as_shares(votes), 10) == (5, 2, 1, 1, 1, 0)


def test_largest_remainder_decimal_shares_are_taken_as_written() -> None:
    assert 0.29 * 100 < 29
    assert largest_remainder([0.29, 0.57, 0.14], 100, upper=[29, 57, 14]) == (29, 57, 14)
    assert largest_remainder([np.float64(0.29), np.float32(0.5), 0.21], 100) == (29, 50, 21)


def test_largest_remainder_equal_remainders_goes_to_lower_index() -> None:
    assert largest_remainder([0.25, 0.25, 0.25, 0.25], 6) == (2, 2, 1, 1)


def test_largest_remainder_shares_off_by_rounding_still_sums_to_total() -> None:
    assert sum(largest_remainder([0.333333, 0.333333, 0.333333], 50_000_000)) == 50_000_000


def test_largest_remainder_nothing_to_share_gives_zeros() -> None:
    assert largest_remainder([0.5, 0.5], 0) == (0, 0)


@settings(deadline=None)
@given(weights, st.integers(0, 10_000))
def test_largest_remainder_without_limits_stays_within_one_of_quota(parts: list[int], total: int) -> None:
    shares = as_shares(parts)
    counts = largest_remainder(shares, total)
    assert sum(counts) == total
    assert all(abs(count - share * total) < 1 for count, share in zip(counts, shares, strict=True))
    remainders = [share * total - int(share * total) for share in shares]
    raised = [r for r, c, s in zip(remainders, counts, shares, strict=True) if c > s * total]
    left = [r for r, c, s in zip(remainders, counts, shares, strict=True) if c <= s * total]
    assert not raised or not left or min(raised) >= max(left)


@settings(deadline=None)
@given(st.data(), st.lists(st.integers(0, 9), min_size=1, max_size=4).filter(lambda w: sum(w) > 0), st.integers(0, 7))
def test_largest_remainder_with_limits_is_brute_force_least_squares(
    data: st.DataObject, parts: list[int], total: int
) -> None:
    lower = data.draw(st.lists(st.integers(0, 3), min_size=len(parts), max_size=len(parts)))
    room = data.draw(st.lists(st.integers(0, 5), min_size=len(parts), max_size=len(parts)))
    upper = [low + extra for low, extra in zip(lower, room, strict=True)]
    assume(sum(lower) <= total <= sum(upper))
    shares = as_shares(parts)

    def distance(counts: tuple[int, ...]) -> Fraction:
        return sum(((c - s * total) ** 2 for c, s in zip(counts, shares, strict=True)), Fraction(0))

    allowed = product(*(range(a, b + 1) for a, b in zip(lower, upper, strict=True)))
    best = min(distance(counts) for counts in allowed if sum(counts) == total)
    counts = largest_remainder(shares, total, upper=upper, lower=lower)
    assert sum(counts) == total
    assert all(a <= c <= b for a, c, b in zip(lower, counts, upper, strict=True))
    assert distance(counts) == best


def test_largest_remainder_limits_far_from_quota_are_kept_at_scale() -> None:
    counts = largest_remainder([0.9, 0.05, 0.05], 10**9, upper=[10**8, 10**9, 10**9], lower=[0, 0, 7 * 10**8])
    assert counts == (10**8, 2 * 10**8, 7 * 10**8)


@pytest.mark.parametrize(
    ("shares", "total", "limits", "message"),
    [
        ([0.5, 0.4], 10, {}, "sum to 0.9"),
        ([1.2, -0.2], 10, {}, "-0.2"),
        ([float("nan"), 1.0], 10, {}, "nan"),
        ([float("inf"), 1.0], 10, {}, "inf"),
        ([0.5, 0.5], -1, {}, "total is -1"),
        ([0.5, 0.5], 10, {"upper": [4, 5]}, "from 0 to 9, asked for 10"),
        ([0.5, 0.5], 10, {"lower": [6, 5]}, "from 11 to"),
        ([0.5, 0.5], 10, {"lower": [6, 0], "upper": [5, 9]}, "entry 0: lower limit 6"),
        ([0.5, 0.5], 10, {"upper": [9]}, "lengths must agree"),
        ([], 0, {}, "sum to 0"),
    ],
)
def test_largest_remainder_impossible_request_is_refused(
    shares: list[float], total: int, limits: dict[str, list[int]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        largest_remainder(shares, total, **limits)


def test_fill_pro_rata_with_room_keeps_proportions() -> None:
    assert fill_pro_rata([100, 200, 300], 60, [1000, 1000, 1000]) == (10, 20, 30)


def test_fill_pro_rata_exhausted_entry_passes_rest_on_pro_rata() -> None:
    assert fill_pro_rata([100, 200, 300], 60, [1000, 5, 1000]) == (14, 5, 41)


def test_fill_pro_rata_weightless_entry_gets_nothing() -> None:
    assert fill_pro_rata([0, 1], 5, [100, 5]) == (0, 5)
    with pytest.raises(ValueError, match="room for 5 of 6"):
        fill_pro_rata([0, 1], 6, [100, 5])


@settings(deadline=None)
@given(st.data(), st.lists(st.integers(0, 30), min_size=1, max_size=6))
def test_fill_pro_rata_any_case_is_within_one_of_bisected_water_level(data: st.DataObject, parts: list[int]) -> None:
    room = data.draw(st.lists(st.integers(0, 40), min_size=len(parts), max_size=len(parts)))
    capacity = sum(r for w, r in zip(parts, room, strict=True) if w)
    total = data.draw(st.integers(0, capacity))
    counts = fill_pro_rata(parts, total, room)
    assert sum(counts) == total
    assert all(0 <= c <= r for c, r in zip(counts, room, strict=True))

    low, high = 0.0, 100.0
    for _ in range(80):
        level = (low + high) / 2
        filled = sum(min(r, level * w) for w, r in zip(parts, room, strict=True))
        low, high = (level, high) if filled < total else (low, level)
    assert all(abs(c - min(r, high * w)) < 1 + 1e-9 for w, r, c in zip(parts, room, counts, strict=True))
