"""Diminishing returns against scipy's general optimizer and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from tasks.effects.slopes import Slopes
from tasks.errors import InputError
from tasks.proportions.coefficients import aligned
from tasks.proportions.program import solve, solve_slopes
from tasks.proportions.proposal import Limits, Options
from tests.tasks.proportions.instances import Oracle, check_limits, make_baseline, square


def curve(ratio, c):
    return np.log(ratio) if c == 0 else (1 - ratio**-c) / c


def value(shares, alpha, gamma, exponents):
    before = gamma @ alpha
    return sum(
        a * e * (1 + curve(now / e, c)) for a, e, now, c in zip(alpha, before, gamma @ shares, exponents, strict=True)
    )


def scipy_optimum(gamma, baseline, limits, exponents):
    """The best of several SLSQP runs over w = α + u − v; all limits are linear."""
    alpha = np.array(baseline.shares)
    size = len(alpha)
    bounds = Oracle(baseline, limits).bounds[:size]
    moves = [(0, max(high - a, 0)) for (_, high), a in zip(bounds, alpha, strict=True)]
    moves += [(0, max(a - low, 0)) for (low, _), a in zip(bounds, alpha, strict=True)]
    constraints = [{"type": "eq", "fun": lambda x: (x[:size] - x[size:]).sum()}]
    if limits.max_shift is not None:
        constraints.append({"type": "ineq", "fun": lambda x: limits.max_shift - x.sum() / 2})
    found = []
    for start in range(4):
        x = np.array([high for _, high in moves]) * (start / 100)
        result = minimize(
            lambda x: -value(alpha + x[:size] - x[size:], alpha, gamma, exponents),
            x,
            method="SLSQP",
            bounds=moves,
            constraints=constraints,
            options={"ftol": 1e-14, "maxiter": 1000},
        )
        found.append(-result.fun)
    return max(found)


def instance(seed):
    rng = np.random.default_rng(seed)
    size = int(rng.integers(2, 8))
    gamma = np.eye(size) + rng.uniform(-0.1, 0.6, (size, size)) * (1 - np.eye(size))
    alpha = rng.dirichlet(np.full(size, 3.0))
    maximum = np.where(rng.random(size) < 0.3, np.minimum(alpha * 1.4, 1.0), 1.0)
    shift = float(rng.uniform(0.05, 0.5)) if rng.random() < 0.6 else None
    return gamma, make_baseline(alpha, maximum=maximum.tolist()), Limits(10_000, shift, 0.9)


def test_solve_concave_small_instances_equals_scipys_general_optimizer():
    inside = 0
    for seed in range(40):
        gamma, baseline, limits = instance(seed)
        exponents = np.random.default_rng(seed).choice([0.0, 0.3, 1.0], len(gamma))
        options = Options(exponent=dict(zip(baseline.categories, exponents.tolist(), strict=True)), sensitivity=False)
        proposal = solve(square(gamma), baseline, limits, options=options)
        expected = scipy_optimum(gamma, baseline, limits, exponents)
        assert proposal.objective == pytest.approx(expected, abs=2e-6)
        assert proposal.objective == pytest.approx(
            value(np.array(proposal.shares), np.array(baseline.shares), gamma, exponents), abs=1e-12
        )
        assert proposal.objective <= expected + proposal.curve_gap + 1e-9
        assert -1e-9 < proposal.curve_gap < 1e-5
        check_limits(proposal, baseline, limits)
        inside += not proposal.warnings
    assert inside > 10


def test_solve_concave_own_data_only_logarithm_spreads_by_weight():
    # Γ = 1: maximize Σ α_i² ln w_i over the simplex: w_i ∝ α_i².
    alpha = np.array([0.5, 0.3, 0.2])
    proposal = solve(square(np.eye(3)), make_baseline(alpha), Limits(1000, None, None), options=Options(exponent=0.0))
    assert proposal.shares == pytest.approx(alpha**2 / (alpha**2).sum(), abs=1e-3)
    assert proposal.objective == pytest.approx(sum(alpha**2 * (1 + np.log(alpha / (alpha**2).sum()))), abs=1e-6)


def test_solve_concave_small_step_agrees_with_the_linear_program():
    gamma, baseline, _ = instance(3)
    gamma = square(gamma)
    limits = Limits(10_000, 1e-3, None)
    linear = solve(gamma, baseline, limits)
    concave = solve(gamma, baseline, limits, options=Options(exponent=1.0))
    assert concave.baseline_objective == pytest.approx(linear.baseline_objective, abs=1e-12)
    linear_gain = linear.objective - linear.baseline_objective
    assert concave.objective - concave.baseline_objective == pytest.approx(linear_gain, rel=2e-2)
    assert concave.objective <= linear.objective


def test_solve_concave_large_shift_stays_off_the_single_winner_of_the_linear_program():
    gamma = np.eye(4)
    gamma[:, 0] += 0.05
    baseline, limits = make_baseline([0.25] * 4), Limits(1000, None, None)
    assert max(solve(square(gamma), baseline, limits).shares) == pytest.approx(1.0)
    assert max(solve(square(gamma), baseline, limits, options=Options(exponent=0.5)).shares) < 0.5


def test_solve_concave_target_without_equivalent_amount_is_linear_and_named():
    gamma = square([[1, -3, 0], [0, 1, 0], [0.2, 0.2, 1]])
    proposal = solve(gamma, make_baseline([0.3, 0.3, 0.4]), Limits(1000, 0.05, 0.5), options=Options(exponent=0.0))
    (warning,) = [text for text in proposal.warnings if "diminishing" in text]
    assert "'c0'" in warning
    assert "'c1'" not in warning


def test_solve_slopes_concave_performance_weighs_targets_by_what_their_own_data_gain():
    """m_ij = m_ii γ_ij: the curves' slopes at the baseline are those of the linear program, target by target."""
    gamma, worth = np.array([[1, 0.5], [0.1, 1]]), np.array([0.5 * 2.0, 0.5 * 8.0])
    baseline, limits = make_baseline([0.5, 0.5]), Limits(100, None, 0.8)
    behind = aligned(square(gamma), baseline)
    behind = type(behind)(behind.gamma, worth, ())
    slopes = Slopes(baseline.categories, worth @ gamma, None, "nats")
    found = solve_slopes(slopes, baseline, limits, Options(amount=100.0, exponent=1.0), behind)
    before = gamma @ np.array([0.5, 0.5])
    grid = np.linspace(0.1, 0.9, 100_001)
    after = gamma @ np.vstack([grid, 1 - grid])
    gains = (100 * worth * before) @ np.array([1 - (b / a) for a, b in zip(after, before, strict=True)])
    assert found.objective - found.baseline_objective == pytest.approx(gains.max(), rel=1e-6)
    assert found.shares[0] == pytest.approx(grid[gains.argmax()], abs=2e-3)


def test_solve_concave_robust_and_no_harm_together_keep_every_limit_and_prove_their_gap():
    gamma, baseline, _ = instance(5)
    size = len(gamma)
    slopes = Slopes(
        baseline.categories,
        np.array(baseline.shares) @ gamma,
        np.random.default_rng(0).normal(0, 0.02, (200, size)),
        "equivalent share",
    )
    limits = Limits(10_000, 0.3, 0.9, 1.0, 0.05)
    options = Options(amount=1.0, robustness=1.5, exponent=0.2, sensitivity=False)
    proposal = solve_slopes(slopes, baseline, limits, options, aligned(square(gamma), baseline))
    check_limits(proposal, baseline, limits, gamma)
    assert abs(proposal.duality_gap) < 1e-6
    assert proposal.protection > 0


def test_solve_concave_bad_exponents_are_refused():
    baseline = make_baseline([0.5, 0.5])
    with pytest.raises(InputError, match="exponent of 'c0' is -1"):
        solve(square(np.eye(2)), baseline, Limits(100), options=Options(exponent=-1.0))
    with pytest.raises(InputError, match="no exponent for 'c1'"):
        solve(square(np.eye(2)), baseline, Limits(100), options=Options(exponent={"c0": 1.0}))
    slopes = Slopes(baseline.categories, np.zeros(2), None, "u")
    with pytest.raises(InputError, match="diminishing returns need"):
        solve_slopes(slopes, baseline, Limits(100), Options(exponent=0.0))
