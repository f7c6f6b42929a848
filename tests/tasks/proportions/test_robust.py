"""The budget of uncertainty against every worst case written out."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tasks.effects.slopes import Slopes
from tasks.errors import InputError
from tasks.proportions.program import solve_slopes
from tasks.proportions.proposal import Limits, Options
from tasks.proportions.robust import worst_case
from tests.tasks.proportions.instances import Oracle, check_limits, make_baseline, random_instance


def worst_cases(size, budget):
    """Every way to spread the budget: whole sources, and one more by what is left."""
    whole, part = int(min(budget, size)), budget - int(budget)
    for chosen in itertools.combinations(range(size), whole):
        mark = np.zeros(size)
        mark[list(chosen)] = 1.0
        others = [j for j in range(size) if j not in chosen]
        if part == 0 or not others:
            yield mark
        for j in others if part else ():
            extra = mark.copy()
            extra[j] = part
            yield extra


@pytest.mark.parametrize("budget", [0, 1, 2, 1.4, 3, 99])
def test_worst_case_equals_the_largest_of_all_cases(budget):
    rng = np.random.default_rng(2)
    for _ in range(20):
        d, step = rng.uniform(0, 1, 5), rng.normal(size=5)
        expected = max(mark @ (d * np.abs(step)) for mark in worst_cases(5, budget))
        assert worst_case(d, step, budget) == pytest.approx(expected, abs=1e-12)


def highs_robust(gains, deviations, budget, baseline, limits):
    """max s·(w − α) − loss with loss ≥ Σ mark·d·t for every worst case; t ≥ |w − α|."""
    size = len(gains)
    oracle = Oracle(baseline, limits, extra=1)
    for mark in worst_cases(size, budget):
        oracle.add(np.concatenate([np.zeros(size), mark * deviations, [-1.0]]), 0.0)
    best, _ = oracle.maximize(np.concatenate([gains, np.zeros(size), [-1.0]]))
    return best - gains @ np.array(baseline.shares)


def test_solve_slopes_robust_equals_all_worst_cases_enumerated():
    kept = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        _, baseline, limits = random_instance(seed, 8)
        size = len(baseline.categories)
        slopes = Slopes(
            baseline.categories, rng.normal(0, 1, size), rng.normal(size=(200, size)) * rng.uniform(0.05, 1, size), "u"
        )
        budget, deviation = float(rng.choice([0.5, 1, 1.7, 2, 4])), float(rng.choice([0.5, 1.96]))
        options = Options(amount=3.0, robustness=budget, deviation=deviation, sensitivity=False)
        proposal = solve_slopes(slopes, baseline, limits, options)
        check_limits(proposal, baseline, limits)
        deviations = deviation * slopes.errors.std(axis=0)
        expected = 3 * highs_robust(slopes.value, deviations, budget, baseline, limits)
        step = np.array(proposal.shares) - np.array(baseline.shares)
        gain = 3 * slopes.value @ step
        assert proposal.protection == pytest.approx(3 * worst_case(deviations, step, budget), abs=1e-9)
        assert gain - proposal.protection == pytest.approx(expected, abs=1e-6)
        assert proposal.robustness == budget
        kept += proposal.shift < 1e-9
    assert 0 < kept < 60


def test_solve_slopes_robust_leaves_a_doubtful_source_for_a_certain_one():
    # a promises 1.0 ± 1 (times 1.96), b 0.8 exactly: with one source at its worst, b gains more.
    baseline = make_baseline([0.4, 0.3, 0.3])
    errors = np.column_stack([np.tile([1.0, -1.0], 100), np.zeros(200), np.zeros(200)])
    slopes = Slopes(baseline.categories, np.array([1.0, 0.8, 0.0]), errors, "points")
    limits = Limits(1000, 0.1, None)
    plain = solve_slopes(slopes, baseline, limits, Options(amount=1.0))
    robust = solve_slopes(slopes, baseline, limits, Options(amount=1.0, robustness=1))
    assert plain.shares == pytest.approx((0.5, 0.3, 0.2))
    assert robust.shares == pytest.approx((0.4, 0.4, 0.2))
    assert robust.protection == pytest.approx(0, abs=1e-9)


def test_solve_slopes_robust_without_errors_is_refused():
    baseline = make_baseline([0.5, 0.5])
    slopes = Slopes(baseline.categories, np.array([1.0, 0.0]), None, "u")
    with pytest.raises(InputError, match="robustness needs"):
        solve_slopes(slopes, baseline, Limits(100), Options(robustness=1))
