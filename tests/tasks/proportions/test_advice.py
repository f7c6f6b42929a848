"""Ranges of the shares against HiGHS; the warning that the limits decide."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tasks.proportions.program import solve
from tasks.proportions.proposal import Limits, Options
from tests.tasks.proportions.instances import Oracle, make_baseline, random_instance, square


def test_solve_ranges_random_instances_equal_highs():
    for seed in range(12):
        gamma, baseline, limits = random_instance(seed, 9, no_harm=1.0 if seed % 2 else None)
        proposal = solve(gamma, baseline, limits, options=Options(slack=0.25))
        gains = np.array(baseline.shares) @ gamma.values
        gain = proposal.objective - proposal.baseline_objective
        oracle = Oracle(baseline, limits, gamma.values)
        oracle.add(-gains, -(proposal.objective - 0.25 * abs(gain)))
        assert [r.category for r in proposal.sensitivity] == list(baseline.categories)
        for k, found in enumerate(proposal.sensitivity):
            unit = np.eye(len(gains))[k]
            assert found.near_high == pytest.approx(oracle.maximize(unit)[0], abs=1e-5)
            assert found.near_low == pytest.approx(-oracle.maximize(-unit)[0], abs=1e-5)
            assert found.near_low <= found.optimal_low <= proposal.shares[k] <= found.optimal_high <= found.near_high
        assert proposal.slack == 0.25


def test_solve_ranges_of_a_unique_optimum_are_points_and_of_a_tie_are_wide():
    # c0 gains 1 more than c2; c1 and c2 are equal, so either may give the 0.05.
    gamma = square([[1, 0, 0], [1, 1, 1], [1, 1, 1]])
    proposal = solve(gamma, make_baseline([0.2, 0.4, 0.4]), Limits(1000, 0.05, None))
    a, b, c = proposal.sensitivity
    assert (a.optimal_low, a.optimal_high) == pytest.approx((0.25, 0.25), abs=1e-6)
    assert (b.optimal_low, b.optimal_high) == pytest.approx((0.35, 0.4), abs=1e-6)
    assert (c.optimal_low, c.optimal_high) == pytest.approx((0.35, 0.4), abs=1e-6)
    # A tenth of the gain is a tenth of the shift.
    assert (a.near_low, a.near_high) == pytest.approx((0.245, 0.25), abs=1e-6)


def test_solve_ranges_are_left_out_above_200_categories_unless_asked():
    size = 201
    gamma = square(np.eye(size))
    baseline = make_baseline([1 / size] * size)
    assert solve(gamma, baseline, Limits(10_000, 0.0, None)).sensitivity == ()
    assert solve(square(np.eye(3)), make_baseline([0.2, 0.3, 0.5]), Limits(100)).sensitivity != ()
    quick = Options(sensitivity=False)
    assert solve(square(np.eye(3)), make_baseline([0.2, 0.3, 0.5]), Limits(100), options=quick).sensitivity == ()


def test_solve_concave_ranges_hold_the_optimum_and_widen_with_the_slack():
    gamma = square(np.eye(3))
    options = Options(exponent=0.0, sensitivity=True)
    alpha = np.array([0.5, 0.3, 0.2])
    proposal = solve(gamma, make_baseline(alpha), Limits(1000, None, None), options=options)
    best, gain = proposal.objective, proposal.objective - proposal.baseline_objective
    for k, found in enumerate(proposal.sensitivity):
        assert found.near_low < found.optimal_low <= proposal.shares[k] <= found.optimal_high < found.near_high
        # At an end of the wider range the others share the rest in proportion to α², and a tenth of the gain is lost.
        for end in (found.near_low, found.near_high):
            shares = alpha**2 / (alpha**2).sum()
            shares *= (1 - end) / (1 - shares[k])
            shares[k] = end
            assert sum(alpha**2 * (1 + np.log(shares / alpha))) == pytest.approx(best - 0.1 * gain, abs=0.02 * gain)


def test_solve_linear_program_on_its_limits_warns_that_they_decide():
    gamma = square([[1, 0.8, -0.5], [0.1, 1, -0.2], [0.4, 0.6, 1]])
    (warning,) = solve(gamma, make_baseline([0.4, 0.2, 0.4]), Limits(1000, None, 0.1)).warnings
    assert "as far as the limits (box) let it" in warning
    (warning,) = solve(gamma, make_baseline([0.4, 0.2, 0.4]), Limits(1000, 0.01, None)).warnings
    assert "(max-shift)" in warning


def test_solve_concave_optimum_inside_its_limits_does_not_warn():
    baseline, limits = make_baseline([0.5, 0.3, 0.2]), Limits(1000, None, None)
    assert solve(square(np.eye(3)), baseline, limits, options=Options(exponent=0.0)).warnings == ()
    held = replace(limits, max_shift=0.02)
    (warning,) = solve(square(np.eye(3)), baseline, held).warnings
    assert "(max-shift)" in warning


def test_solve_nothing_moves_does_not_warn():
    assert solve(square(np.ones((3, 3))), make_baseline([0.2, 0.3, 0.5]), Limits(100)).warnings == ()
