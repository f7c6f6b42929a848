"""Thousands of categories: counts and explanations that small instances settle by brute force."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.effects.slopes import Slopes
from tasks.proportions import least_breach
from tasks.proportions.conflict import InfeasibleLimitsError, minimal_conflict
from tasks.proportions.counts import round_counts
from tasks.proportions.limits import bounds, named_limits
from tasks.proportions.program import solve, solve_slopes
from tasks.proportions.proposal import Limits, Options
from tasks.proportions.region import best_shares, region
from tests.tasks.proportions.instances import check_limits, make_baseline, square


def breach(counts, baseline, limits):
    """Examples beyond the limits, single categories' and the shift's."""
    counts, start = np.array(counts), np.array(baseline.shares) * limits.total
    low, high = (1 - limits.box) * start, (1 + limits.box) * start
    shift = np.abs(counts - start).sum() / 2 - limits.max_shift * limits.total
    return np.maximum(low - counts, 0).sum() + np.maximum(counts - high, 0).sum() + max(shift, 0)


def test_least_breach_by_multiplier_is_near_the_integer_program(monkeypatch):
    """Two to four examples per category: most boxes hold no whole number that keeps the shift."""
    worse = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        size = 40
        alpha = rng.dirichlet(np.full(size, 2.0))
        available = [float(rng.integers(1, 9)) if rng.random() < 0.3 else None for _ in range(size)]
        baseline, limits = make_baseline(alpha, available), Limits(int(rng.integers(80, 160)), 0.03, 0.3)
        ends = bounds(named_limits(baseline, limits), size)
        exact = least_breach.least_breach(alpha, baseline, limits, ends)
        with monkeypatch.context() as patch:
            patch.setattr(least_breach, "_EXACT_UP_TO", 0)
            quick = least_breach.least_breach(alpha, baseline, limits, ends)
        assert sum(quick) == sum(exact) == limits.total
        assert all(a is None or c <= a for c, a in zip(quick, available, strict=True))
        worse.append(breach(quick, baseline, limits) - breach(exact, baseline, limits))
    assert min(worse) > -1e-5
    assert max(worse) < 1.0


def test_round_counts_3000_categories_with_few_examples_each_sum_exactly():
    rng = np.random.default_rng(0)
    size, total = 3000, 6000
    alpha = rng.dirichlet(np.full(size, 3.0))
    baseline, limits = make_baseline(alpha), Limits(total, 0.03, 0.5)
    area = region(alpha, named_limits(baseline, limits))
    shares = best_shares(area, rng.normal(size=size))
    counts, excess = round_counts(shares, baseline, limits)
    assert sum(counts) == total
    assert excess
    # No whole numbers break a box less than the best one for that box alone, nor shift less than the rounded baseline.
    start = alpha * total
    low, high = 0.5 * start, 1.5 * start
    options = np.array([np.floor(low), np.ceil(low), np.floor(high)])
    least_box = (np.maximum(low - options, 0) + np.maximum(options - high, 0)).min(axis=0).sum()
    least_shift = np.abs(np.rint(start) - start).sum() / 2 - limits.max_shift * total
    assert (
        least_box + max(least_shift, 0) - 1e-6 <= breach(counts, baseline, limits) < least_box + max(least_shift, 0) + 1
    )


def test_round_counts_3000_categories_stay_near_the_shares_where_few_boxes_hold_no_whole_number():
    rng = np.random.default_rng(0)
    size, total = 3000, 30_000
    alpha = rng.dirichlet(np.full(size, 3.0))
    baseline, limits = make_baseline(alpha), Limits(total, 0.03, 0.5)
    shares = best_shares(region(alpha, named_limits(baseline, limits)), rng.normal(size=size))
    counts, excess = round_counts(shares, baseline, limits)
    assert len(excess) < 10
    assert np.abs(np.array(counts) - shares * total).sum() < 0.5 * size


def test_solve_1500_categories_equals_the_sorted_optimum():
    rng = np.random.default_rng(1)
    size = 1500
    alpha = rng.multinomial(100_000, rng.dirichlet(np.full(size, 3.0))) / 100_000
    gamma = rng.normal(0, 0.3, (size, size))
    baseline, limits = make_baseline(alpha), Limits(100_000, 0.05, 0.5)
    proposal = solve(square(gamma), baseline, limits)
    gains = alpha @ gamma
    best = best_shares(region(alpha, named_limits(baseline, limits)), gains)
    assert proposal.objective == pytest.approx(gains @ best, abs=1e-9)
    check_limits(proposal, baseline, limits)
    assert sum(proposal.counts) == limits.total
    assert proposal.count_excess == ()


def test_solve_1500_categories_robust_agrees_with_its_dual_bound():
    rng = np.random.default_rng(2)
    size = 1500
    baseline, limits = make_baseline(rng.dirichlet(np.full(size, 3.0))), Limits(1_000_000, 0.05, 0.5)
    errors = rng.normal(size=(50, size)) * rng.uniform(0.1, 2, size)
    slopes = Slopes(baseline.categories, rng.normal(size=size), errors, "u")
    proposal = solve_slopes(slopes, baseline, limits, Options(amount=1.0, robustness=20.5))
    assert abs(proposal.duality_gap) < 1e-7
    check_limits(proposal, baseline, limits)


@pytest.mark.parametrize("kind", ["shift", "available", "minimum", "pair"])
def test_explain_2000_categories_names_a_minimal_set(kind):
    rng = np.random.default_rng(3)
    size, total = 2000, 100_000
    alpha = rng.dirichlet(np.full(size, 3.0))
    columns = {"minimum": np.zeros(size), "maximum": np.ones(size), "available": [None] * size}
    limits = Limits(total, 0.03, None)
    if kind == "shift":
        columns["minimum"][:400] = alpha[:400] * 1.6
    elif kind == "available":
        columns["available"] = (alpha * total * 0.99).tolist()
    elif kind == "minimum":
        columns["minimum"] = alpha * 1.01
    else:
        columns["minimum"][7], columns["maximum"][7] = 0.3, 0.2
    baseline = make_baseline(alpha, columns["available"], columns["minimum"], columns["maximum"])
    with pytest.raises(InfeasibleLimitsError) as caught:
        solve(square(np.eye(size)), baseline, limits)
    named = {limit.name: limit for limit in named_limits(baseline, limits)}
    conflict = [named[name] for name in caught.value.conflict]
    assert room(alpha, conflict) < 0
    for k in rng.choice(len(conflict), min(20, len(conflict)), replace=False):
        assert room(alpha, conflict[:k] + conflict[k + 1 :]) >= 0
    assert minimal_conflict(alpha, list(named.values())) == tuple(conflict)
    assert caught.value.relaxations
    assert len(str(caught.value)) < 2000


def room(alpha, limits):
    """What is left of each condition for shares within bounds, the smallest: negative where they conflict."""
    low, high, shift = np.zeros(len(alpha)), np.ones(len(alpha)), 1.0
    for limit in limits:
        if limit.category is None:
            shift = limit.bound
        elif limit.upper:
            high[limit.category] = limit.bound
        else:
            low[limit.category] = limit.bound
    forced = max(np.maximum(low - alpha, 0).sum(), np.maximum(alpha - high, 0).sum())
    return min((high - low).min(), 1 - low.sum(), high.sum() - 1, shift - forced) + 1e-9
