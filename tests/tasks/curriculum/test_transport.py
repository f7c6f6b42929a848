"""The stage plan against the paper's arithmetic and brute force."""

from __future__ import annotations

import itertools
from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.curriculum.transport import largest_tilt, stage_targets, whole_plan


def test_stage_targets_three_stages_is_the_papers_plan():
    # N = 1000: base 300 + 100, middle 200, dependent 250 + 150; tilt 100 spread pro rata.
    targets = stage_targets((300, 100, 200, 250, 150), (-1, -1, 0, 1, 1), 3, 100)
    assert targets[0] == (375, 125, 200, Fraction(375, 2), Fraction(225, 2))
    assert targets[1] == (300, 100, 200, 250, 150)
    assert targets[2] == (225, 75, 200, Fraction(625, 2), Fraction(375, 2))


def test_largest_tilt_is_what_the_smaller_side_holds():
    assert largest_tilt((300, 100, 200, 50), (-1, -1, 0, 1)) == 50
    assert largest_tilt((30, 100, 200, 500), (-1, -1, 0, 1)) == 130
    assert largest_tilt((300, 100), (0, 0)) == 0
    assert largest_tilt((300, 0, 100), (-1, 1, 0)) == 0
    # Offsets −2, −1, 1, 2: the farther category is emptied first, at 2x/(2·10 + 40) = 1.
    assert largest_tilt((10, 40, 1000, 1000), (-2, -1, 1, 2)) == 30


problems = st.integers(2, 3).flatmap(
    lambda size: st.tuples(
        st.lists(st.integers(0, 7), min_size=size, max_size=size),
        st.lists(st.integers(-2, 2), min_size=size, max_size=size),
        st.integers(1, 8),
        st.integers(1, 12),
    )
)


@settings(max_examples=250, deadline=None, derandomize=True)
@given(problems)
def test_whole_plan_keeps_margins_and_is_nearest_by_brute_force(problem):
    sizes, offsets, stages, tilt = problem
    tilt = min(tilt, largest_tilt(sizes, offsets))
    targets = stage_targets(sizes, offsets, stages, tilt)
    assert all(sum(row) == sum(sizes) for row in targets)
    plan = whole_plan(targets, offsets)
    assert all(sum(row) == sum(sizes) for row in plan)
    for k, n in enumerate(sizes):
        assert sum(row[k] for row in plan) == stages * n
        assert all(row[k] >= 0 for row in plan)
    assert miss(plan, targets) == smallest_miss(targets, offsets)


@pytest.mark.parametrize("stages", range(2, 9))
def test_whole_plan_of_each_number_of_stages_moves_the_tilt_from_first_to_last(stages):
    sizes, offsets = (7, 5, 4, 6, 3), (-2, -1, 0, 1, 2)
    tilt = largest_tilt(sizes, offsets)
    plan = whole_plan(stage_targets(sizes, offsets, stages, tilt), offsets)
    early = [row[0] + row[1] for row in plan]
    late = [row[3] + row[4] for row in plan]
    assert (early[0] - 12, early[-1] - 12) == (tilt, -tilt)
    assert (late[0] - 9, late[-1] - 9) == (-tilt, tilt)
    assert [row[2] for row in plan] == [4] * stages
    # In between it changes evenly: 2·tilt / (T − 1) examples per stage, up to rounding of both ends.
    step = Fraction(2 * tilt, stages - 1)
    assert all(abs((a - b) - step) < 2 for a, b in itertools.pairwise(early))
    assert sorted(early, reverse=True) == early
    assert sorted(late) == late


@settings(max_examples=250, deadline=None, derandomize=True)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(-3, 3)), min_size=1, max_size=5),
    st.integers(2, 8),
)
def test_largest_tilt_is_the_last_one_that_leaves_no_stage_short_by_trying_all(problem, stages):
    """Shares of the tilt by hand: a side's examples give and take in proportion to size × distance."""
    sizes, offsets = zip(*problem, strict=True)
    sides = {sign: sum(n * abs(d) for n, d in problem if d * sign > 0) for sign in (-1, 1)}
    feasible = [0]
    for tilt in range(1, sum(sizes) + 1):
        first = [n - Fraction(tilt * n * d, sides[1 if d > 0 else -1]) if n * d and all(sides.values()) else n
                 for n, d in problem]  # fmt: skip
        last = [2 * n - one for n, one in zip(sizes, first, strict=True)]
        if all(sides.values()) and min(*first, *last) >= 0:
            feasible.append(tilt)
    assert largest_tilt(sizes, offsets) == max(feasible)
    assert feasible == list(range(len(feasible)))
    targets = stage_targets(sizes, offsets, stages, max(feasible))
    assert min(x for row in targets for x in row) >= 0


def miss(plan, targets):
    return sum(abs(c - x) for row, goal in zip(plan, targets, strict=True) for c, x in zip(row, goal, strict=True))


def smallest_miss(targets, offsets):
    """The least Σ|count − target| over every plan of floors and ceilings with the right sums, all of them tried.

    Stage by stage, every row with the right sums; of the ways to the same category totals so far the best is kept.
    """
    best = {(0,) * len(offsets): Fraction(0)}
    for goal in targets:
        rows = [
            row for row in itertools.product(*(range(floor(x), ceil(x) + 1) for x in goal)) if fits(row, goal, offsets)
        ]
        reached = {}
        for so_far, cost in best.items():
            for row in rows:
                total = tuple(a + b for a, b in zip(so_far, row, strict=True))
                reached[total] = min(reached.get(total, cost + 10**9), cost + miss([row], [goal]))
        best = reached
    return best[tuple(sum(row[k] for row in targets) for k in range(len(offsets)))]


def fits(row, goal, offsets):
    """Whether a stage has its size, and each offset's categories together their target up to rounding."""
    inside = [[k for k in range(len(offsets)) if offsets[k] == offset] for offset in set(offsets)]
    return sum(row) == sum(goal) and all(abs(sum(row[k] - goal[k] for k in members)) < 1 for members in inside)


def test_whole_plan_refuses_margins_that_are_not_whole():
    with pytest.raises(ValueError, match="not whole"):
        whole_plan(((Fraction(1, 2), Fraction(1)),), (0, 1))
