"""Whole numbers of examples from shares: an exact sum, and every limit kept wherever whole numbers can keep it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from math import floor

import numpy as np
from numpy.typing import NDArray
from ortools.math_opt.python import mathopt

from tasks.errors import EvidenceError
from tasks.interventions.rounding import largest_remainder
from tasks.proportions.limits import NamedLimit, Vector, bounds, named_limits, residuals
from tasks.proportions.linear_model import SolverError
from tasks.proportions.proposal import Baseline, Limits

COUNT_TOLERANCE = 1e-6
"""Examples by which a product such as 0.29 × 100 may miss the whole number it stands for."""
SHARE_TOLERANCE = 1e-7
_SECONDS = 20
Counts = NDArray[np.int64]


def count_bounds(baseline: Baseline, limits: Limits) -> tuple[Counts, Counts]:
    """[K] smallest and [K] largest whole numbers inside the limits on single categories."""
    low, high = bounds(named_limits(baseline, limits), len(baseline.categories))
    return (
        np.ceil(low * limits.total - COUNT_TOLERANCE).astype(np.int64),
        np.floor(high * limits.total + COUNT_TOLERANCE).astype(np.int64),
    )


def baseline_counts(baseline: Baseline, total: int) -> tuple[int, ...]:
    """[K] the baseline itself in examples (largest remainder)."""
    return largest_remainder(baseline.shares, total)


def round_counts(shares: Vector, baseline: Baseline, limits: Limits) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Whole numbers nearest to N·w that sum to N and keep the limits.

    The least-squares rounding inside the limits on single categories is taken where it also keeps the total shift;
    where it does not, examples go back toward the baseline one by one until it does. Only where single categories'
    limits leave no whole numbers, an integer program finds those that break the limits least in total (what is
    available is never exceeded), and among those the smallest Σ|c_k − N·w_k|.

    Returns:
        [K] counts; one sentence for each limit that no whole numbers with this sum keep.

    Raises:
        EvidenceError: the available examples allow no whole numbers that sum to N.
    """
    named = named_limits(baseline, limits)
    low, high = count_bounds(baseline, limits)
    counts: tuple[int, ...] | None = None
    if np.all(low <= high) and low.sum() <= limits.total <= high.sum():
        # A share at its lower bound 0 may come out of the solver as −1e-17.
        counts = largest_remainder(
            [max(float(w), 0.0) for w in shares], limits.total, upper=high.tolist(), lower=low.tolist()
        )
        counts = _shift_kept(counts, baseline, limits, (low, high))
    if counts is None or _excess(counts, baseline, limits, named):
        counts = _integer_program(shares, baseline, limits, named)
    return counts, _excess(counts, baseline, limits, named)


def _excess(counts: Sequence[int], baseline: Baseline, limits: Limits, named: Sequence[NamedLimit]) -> tuple[str, ...]:
    over = residuals(np.array(counts) / limits.total, np.array(baseline.shares), named)
    tolerance = SHARE_TOLERANCE + COUNT_TOLERANCE / limits.total
    return tuple(
        f"{limit.name}: no whole numbers that sum to {limits.total} keep it; "
        f"exceeded by {amount * limits.total:.6g} examples"
        for limit, amount in zip(named, over, strict=True)
        if amount > tolerance
    )


def _shift_kept(
    counts: tuple[int, ...], baseline: Baseline, limits: Limits, inside: tuple[Counts, Counts]
) -> tuple[int, ...]:
    """Swap single examples between two categories, the swap that shortens Σ|c_k − N·α_k| most first, to the limit.

    The distance is separable and convex, so that swaps reach its smallest value inside the bounds if need be.
    """
    if limits.max_shift is None:
        return counts
    low, high = inside
    current = np.array(counts, dtype=np.int64)
    start = np.array(baseline.shares) * limits.total
    allowed = 2 * limits.max_shift * limits.total + 2 * COUNT_TOLERANCE
    while (distance := float(np.abs(current - start).sum())) > allowed:
        shorter_by_one_less = np.where(current > low, np.abs(current - start) - np.abs(current - 1 - start), -np.inf)
        shorter_by_one_more = np.where(current < high, np.abs(current - start) - np.abs(current + 1 - start), -np.inf)
        giver, taker = int(shorter_by_one_less.argmax()), int(shorter_by_one_more.argmax())
        if giver == taker or shorter_by_one_less[giver] + shorter_by_one_more[taker] <= COUNT_TOLERANCE:
            break
        current[giver] -= 1
        current[taker] += 1
        if float(np.abs(current - start).sum()) >= distance:
            break
    return tuple(int(c) for c in current)


def _integer_program(
    shares: Vector, baseline: Baseline, limits: Limits, named: Sequence[NamedLimit]
) -> tuple[int, ...]:
    total, size = limits.total, len(baseline.categories)
    hard = [total] * size
    for k, available in enumerate(baseline.available):
        if available is not None:
            hard[k] = min(total, floor(available * limits.max_repeats + COUNT_TOLERANCE))
    if sum(hard) < total:
        raise EvidenceError(
            f"the available examples × max-repeats {limits.max_repeats:g} give {sum(hard)} whole examples, total is "
            f"{total}: lower the total to at most {sum(hard)} or raise max-repeats"
        )
    low, high = bounds(named, size)
    model = mathopt.Model()
    counts = [model.add_integer_variable(lb=0, ub=most) for most in hard]
    excess = []
    moves, misses = [], []
    for k, count in enumerate(counts):
        below, above = model.add_variable(lb=0), model.add_variable(lb=0)
        model.add_linear_constraint(count + below >= float(low[k] * total))
        model.add_linear_constraint(count - above <= float(high[k] * total))
        excess += [below, above]
        moves.append(_distance(model, count, baseline.shares[k] * total))
        misses.append(_distance(model, count, float(shares[k]) * total))
    model.add_linear_constraint(mathopt.fast_sum(counts) == total)
    if limits.max_shift is not None:
        over = model.add_variable(lb=0)
        model.add_linear_constraint(0.5 * mathopt.fast_sum(moves) - over <= limits.max_shift * total)
        excess.append(over)
    broken = mathopt.fast_sum(excess)
    model.minimize(broken)
    least = _solve(model).objective_value()
    model.add_linear_constraint(broken <= max(least, 0.0) + COUNT_TOLERANCE)
    model.minimize(mathopt.fast_sum(misses))
    values = _solve(model).variable_values()
    result = tuple(round(values[count]) for count in counts)
    if sum(result) != total or any(not 0 <= c <= most for c, most in zip(result, hard, strict=True)):
        raise SolverError(f"the integer program's counts fail their check: {result}")
    return result


def _distance(model: mathopt.Model, count: mathopt.Variable, target: float) -> mathopt.Variable:
    """A variable ≥ |count − target|."""
    distance = model.add_variable(lb=0)
    model.add_linear_constraint(distance - count >= -target)
    model.add_linear_constraint(distance + count >= target)
    return distance


def _solve(model: mathopt.Model) -> mathopt.SolveResult:
    """The optimum, or after `_SECONDS` the best whole numbers found until then; their breaches are reported."""
    parameters = mathopt.SolveParameters(threads=1, random_seed=0, time_limit=timedelta(seconds=_SECONDS))
    result = mathopt.solve(model, mathopt.SolverType.GSCIP, params=parameters)
    if result.termination.reason not in (mathopt.TerminationReason.OPTIMAL, mathopt.TerminationReason.FEASIBLE):
        raise SolverError(f"the integer program for the counts ended {result.termination.reason.name.lower()}")
    return result
