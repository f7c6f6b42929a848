"""Whole numbers where none keep all limits: those that break them least in total."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import floor

import numpy as np
from numpy.typing import NDArray
from ortools.math_opt.python import mathopt

from tasks.errors import EvidenceError
from tasks.proportions.limits import Vector
from tasks.proportions.proposal import Baseline, Limits

COUNT_TOLERANCE = 1e-6
"""Examples by which a product such as 0.29 × 100 may miss the whole number it stands for."""
Counts = NDArray[np.int64]

_EXACT_UP_TO = 300
_MOST_NODES = (3000, 300)
_NEARNESS = 1e-8
_WORTH_OF_NEARNESS = 1e-3
_HALVINGS = 40


@dataclass(frozen=True)
class _Task:
    """All in examples: [K] baseline, wanted counts, ends of the limits, largest counts; total and allowed shift."""

    start: Vector
    wanted: Vector
    low: Vector
    high: Vector
    most: Vector
    total: int
    allowed: float

    def over(self, counts: Counts) -> float:
        """By how much the counts exceed the total shift."""
        return max(float(np.abs(counts - self.start).sum()) / 2 - self.allowed, 0.0)

    def breach(self, counts: Counts) -> float:
        """By how much the counts break all limits in total."""
        outside = np.maximum(self.low - counts, 0) + np.maximum(counts - self.high, 0)
        return float(outside.sum()) + self.over(counts)

    def miss(self, counts: Counts) -> float:
        """Σ|c_k − N·w_k|."""
        return float(np.abs(counts - self.wanted).sum())


def least_breach(shares: Vector, baseline: Baseline, limits: Limits, ends: tuple[Vector, Vector]) -> tuple[int, ...]:
    """Whole numbers with the sum N that break the limits least in total, in examples; near N·w among those.

    What is available is never exceeded. Without the total shift the task is separable and convex: sorting solves it.
    Where the total shift matters it enters with a multiplier, and the best multiplier's whole numbers break the limits
    as little as any but for about as much as one category can change it. Up to 300 categories an integer program then
    looks for better ones.

    Args:
        shares: [K] w.
        baseline: α and what is available.
        limits: total, total shift, repeats.
        ends: [K] smallest and [K] largest shares by the limits on single categories.

    Raises:
        EvidenceError: the available examples allow no whole numbers that sum to N.
    """
    total = limits.total
    most = [total] * len(shares)
    for k, available in enumerate(baseline.available):
        if available is not None:
            most[k] = min(total, floor(available * limits.max_repeats + COUNT_TOLERANCE))
    if sum(most) < total:
        raise EvidenceError(
            f"the available examples × max-repeats {limits.max_repeats:g} give {sum(most)} whole examples, total is "
            f"{total}: lower the total to at most {sum(most)} or raise max-repeats"
        )
    allowed = float(total) if limits.max_shift is None else limits.max_shift * total
    start = np.array(baseline.shares) * total
    task = _Task(start, shares * total, ends[0] * total, ends[1] * total, np.array(most, dtype=float), total, allowed)
    candidates = [_sorted(task, 0.0)]
    if task.over(candidates[0]) > COUNT_TOLERANCE:
        candidates = [_by_multiplier(task)]
        if len(shares) <= _EXACT_UP_TO:
            candidates += _integer_program(task)
    best = min(candidates, key=lambda counts: (round(task.breach(counts), 5), task.miss(counts)))
    return tuple(int(c) for c in best)


def _sorted(task: _Task, multiplier: float) -> Counts:
    """The whole numbers with the least Σ of single breaches + multiplier · shift; nearest to N·w among equals."""
    size = len(task.start)
    marks = [np.floor(x) + offset for x in (task.low, task.high, task.start, task.wanted) for offset in (0, 1)]
    points = np.sort(np.clip([np.zeros(size), *marks, task.most], 0, task.most), axis=0)
    lengths = np.diff(points, axis=0)
    own = np.maximum(task.low - points, 0) + np.maximum(points - task.high, 0)
    own += _NEARNESS * np.abs(points - task.wanted) + multiplier * np.abs(points - task.start) / 2
    slopes = np.divide(np.diff(own, axis=0), lengths, out=np.full(lengths.shape, np.inf), where=lengths > 0)
    # Convex: within a category the segments come in their own order, which a stable sort keeps among equals.
    order = np.argsort(slopes, axis=None, kind="stable")
    filled = np.zeros(lengths.size)
    filled[order] = np.diff(np.minimum(np.cumsum(lengths.ravel()[order]), task.total), prepend=0.0)
    return np.rint(filled.reshape(lengths.shape).sum(axis=0)).astype(np.int64)


def _by_multiplier(task: _Task) -> Counts:
    beyond, within = _sorted(task, 0.0), _sorted(task, 1.0)
    if task.over(within) > COUNT_TOLERANCE:
        return within
    few, many = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (few + many) / 2
        found = _sorted(task, middle)
        if task.over(found) > COUNT_TOLERANCE:
            few, beyond = middle, found
        else:
            many, within = middle, found
    # At the multiplier where they part both are equally good: as much of the way as the shift demands is enough.
    between = _part_of_the_way(beyond, within, lambda counts: task.over(counts) <= COUNT_TOLERANCE)
    candidates = (within, beyond, between)
    return min(candidates, key=lambda counts: task.breach(counts) + _WORTH_OF_NEARNESS * task.miss(counts))


def _part_of_the_way(start: Counts, end: Counts, enough: Callable[[Counts], bool]) -> Counts:
    """The fewest steps of one example each from `start` toward `end`, all categories in proportion, that are enough."""
    change = end - start
    units = np.abs(change)
    category = np.repeat(np.arange(len(change)), units)
    done = (np.arange(len(category)) - np.repeat(np.cumsum(units) - units, units) + 0.5) / units[category]
    up, down = (
        category[side][np.argsort(done[side], kind="stable")] for side in (change[category] > 0, change[category] < 0)
    )

    def after(steps: int) -> Counts:
        moved = start.copy()
        np.add.at(moved, up[:steps], 1)
        np.add.at(moved, down[:steps], -1)
        return moved

    few, many = 0, len(up)
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if enough(after(middle)) else (middle, many)
    return after(many)


def _integer_program(task: _Task) -> list[Counts]:
    """The least breach by an integer program, then the smallest miss with that breach; what is found of the two."""
    model = mathopt.Model()
    counts = [model.add_integer_variable(lb=0, ub=limit) for limit in task.most.tolist()]
    excess = []
    moves, misses = [], []
    for k, count in enumerate(counts):
        below, above = model.add_variable(lb=0), model.add_variable(lb=0)
        model.add_linear_constraint(count + below >= float(task.low[k]))
        model.add_linear_constraint(count - above <= float(task.high[k]))
        excess += [below, above]
        moves.append(_distance(model, count, float(task.start[k])))
        misses.append(_distance(model, count, float(task.wanted[k])))
    model.add_linear_constraint(mathopt.fast_sum(counts) == task.total)
    over = model.add_variable(lb=0)
    model.add_linear_constraint(0.5 * mathopt.fast_sum(moves) - over <= task.allowed)
    broken = mathopt.fast_sum([*excess, over])
    found = []
    for objective, nodes in zip((broken, mathopt.fast_sum(misses)), _MOST_NODES, strict=True):
        model.minimize(objective)
        result = _solve(model, nodes)
        if result is None:
            break
        whole = np.rint(result.variable_values(counts)).astype(np.int64)
        if int(whole.sum()) == task.total:
            found.append(whole)
        if objective is broken:
            model.add_linear_constraint(broken <= max(result.objective_value(), 0.0) + COUNT_TOLERANCE)
    return found


def _distance(model: mathopt.Model, count: mathopt.Variable, target: float) -> mathopt.Variable:
    """A variable ≥ |count − target|."""
    distance = model.add_variable(lb=0)
    model.add_linear_constraint(distance - count >= -target)
    model.add_linear_constraint(distance + count >= target)
    return distance


def _solve(model: mathopt.Model, nodes: int) -> mathopt.SolveResult | None:
    """The optimum, or the best whole numbers found within this many nodes, or None without any."""
    parameters = mathopt.SolveParameters(threads=1, random_seed=0, node_limit=nodes)
    result = mathopt.solve(model, mathopt.SolverType.GSCIP, params=parameters)
    found = (mathopt.TerminationReason.OPTIMAL, mathopt.TerminationReason.FEASIBLE)
    return result if result.termination.reason in found else None
