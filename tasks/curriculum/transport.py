"""The tilted stage plan: exact rational targets, and whole numbers nearest to them as a transportation problem."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import ceil, floor

from ortools.math_opt.python import mathopt


def largest_tilt(sizes: Sequence[int], offsets: Sequence[int]) -> int:
    """Largest whole tilt at which no stage needs a negative number of examples; 0 where one side is empty.

    Args:
        sizes: [K] examples per category.
        offsets: [K] distance of each category's level from the middle; negative = early.
    """
    steepest = max((abs(slope) for slope in _slopes(sizes, offsets)), default=Fraction(0))
    return floor(1 / steepest) if steepest else 0


def stage_targets(
    sizes: Sequence[int], offsets: Sequence[int], stages: int, tilt: int
) -> tuple[tuple[Fraction, ...], ...]:
    """[T][K] exact targets n_k (1 + tilt · y_t · slope_k), with y_t from −1 (first stage) to 1 (last).

    Rows sum to N and columns to T·n_k. In the first stage `tilt` examples of the categories with positive offset make
    way for as many with negative offset, in the last the reverse; the larger the offset, the larger the part, and
    categories with equal offsets change pro rata. With offsets −1, 0, 1 and three stages this is the paper's plan.
    """
    slopes = _slopes(sizes, offsets)
    steps = [Fraction(2 * t - (stages - 1), stages - 1) if stages > 1 else Fraction(0) for t in range(stages)]
    return tuple(tuple(n * (1 + tilt * y * slope) for n, slope in zip(sizes, slopes, strict=True)) for y in steps)


def whole_plan(targets: Sequence[Sequence[Fraction]], offsets: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Whole numbers next to the targets with the same sums, as a transportation problem.

    Every count is its target rounded up or down, and so is the sum of equal offsets in every stage; category totals
    and stage sizes are kept exactly; Σ|count − target| is smallest. The sums form two nested families (offsets within
    stages; categories), so the program's matrix is totally unimodular and GLOP's vertex is whole.

    Args:
        targets: [T][K], with whole sums over stages and over categories.
        offsets: [K].

    Returns:
        [T][K] counts.
    """
    stages, size = len(targets), len(offsets)
    model = mathopt.Model()
    cells = [[model.add_variable(lb=floor(x), ub=ceil(x)) for x in row] for row in targets]
    for t, row in enumerate(targets):
        for offset in sorted(set(offsets)):
            members = [k for k in range(size) if offsets[k] == offset]
            goal = sum((row[k] for k in members), Fraction(0))
            inside = mathopt.fast_sum(cells[t][k] for k in members)
            model.add_linear_constraint(inside >= floor(goal))
            model.add_linear_constraint(inside <= ceil(goal))
        model.add_linear_constraint(mathopt.fast_sum(cells[t]) == _whole(sum(row, Fraction(0))))
    for k in range(size):
        total = _whole(sum((row[k] for row in targets), Fraction(0)))
        model.add_linear_constraint(mathopt.fast_sum(cells[t][k] for t in range(stages)) == total)
    # Between floor and ceiling |count − target| is linear in the count.
    costs = [
        (float(1 - 2 * (x - floor(x))), cell)
        for row, row_cells in zip(targets, cells, strict=True)
        for x, cell in zip(row, row_cells, strict=True)
    ]
    model.minimize(mathopt.fast_sum(cost * cell for cost, cell in costs))
    result = mathopt.solve(model, mathopt.SolverType.GLOP)
    if result.termination.reason != mathopt.TerminationReason.OPTIMAL:
        raise AssertionError(f"a transportation problem with whole margins ended {result.termination.reason.name}")
    values = result.variable_values()
    plan = tuple(tuple(round(values[cell]) for cell in row) for row in cells)
    for row, goal_row in zip(plan, targets, strict=True):
        if sum(row) != sum(goal_row) or any(not floor(x) <= c <= ceil(x) for c, x in zip(row, goal_row, strict=True)):
            raise AssertionError("the stage plan fails its check")
    if any(sum(row[k] for row in plan) != sum(row[k] for row in targets) for k in range(size)):
        raise AssertionError("the stage plan's category totals fail their check")
    return plan


def _slopes(sizes: Sequence[int], offsets: Sequence[int]) -> list[Fraction]:
    """[K] relative change per example of tilt in the last stage; Σ n_k slope_k = 0."""
    later = sum(n * d for n, d in zip(sizes, offsets, strict=True) if d > 0)
    earlier = -sum(n * d for n, d in zip(sizes, offsets, strict=True) if d < 0)
    if not later or not earlier:
        return [Fraction(0)] * len(sizes)
    return [Fraction(d, later if d > 0 else earlier) if n else Fraction(0) for n, d in zip(sizes, offsets, strict=True)]


def _whole(value: Fraction) -> int:
    if value.denominator != 1:
        raise ValueError(f"margin {value} is not whole")
    return value.numerator
