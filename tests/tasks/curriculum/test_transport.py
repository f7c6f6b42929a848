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


problems = st.integers(2, 4).flatmap(
    lambda size: st.tuples(
        st.lists(st.integers(0, 7), min_size=size, max_size=size),
        st.lists(st.integers(-2, 2), min_size=size, max_size=size),
        st.integers(1, 4),
        st.integers(1, 12),
    )
)


@settings(max_examples=150, deadline=None, derandomize=True)
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
    if sum(x.denominator != 1 for row in targets for x in row) <= 12:
        assert miss(plan, targets) == min(miss(other, targets) for other in whole_plans(targets, offsets))


def miss(plan, targets):
    return sum(abs(c - x) for row, goal in zip(plan, targets, strict=True) for c, x in zip(row, goal, strict=True))


def whole_plans(targets, offsets):
    """Every plan of floors and ceilings with the right margins and sums of equal offsets, one by one."""
    size = len(offsets)
    choices = [range(floor(x), ceil(x) + 1) for row in targets for x in row]
    for cells in itertools.product(*choices):
        plan = [cells[t * size : (t + 1) * size] for t in range(len(targets))]
        fits = all(sum(row) == sum(goal) for row, goal in zip(plan, targets, strict=True))
        fits = fits and all(sum(row[k] for row in plan) == sum(goal[k] for goal in targets) for k in range(size))
        for offset in set(offsets):
            inside = [k for k in range(size) if offsets[k] == offset]
            fits = fits and all(
                abs(sum(row[k] for k in inside) - sum(goal[k] for k in inside)) < 1
                for row, goal in zip(plan, targets, strict=True)
            )
        if fits:
            yield plan


def test_whole_plan_refuses_margins_that_are_not_whole():
    with pytest.raises(ValueError, match="not whole"):
        whole_plan(((Fraction(1, 2), Fraction(1)),), (0, 1))
