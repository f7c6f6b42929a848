"""No-harm limits: the optimum, prices and conflicts against HiGHS."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tasks.effects.slopes import Slopes
from tasks.errors import InputError
from tasks.proportions.coefficients import aligned
from tasks.proportions.conflict import InfeasibleLimitsError, minimal_conflict
from tasks.proportions.limits import named_limits
from tasks.proportions.program import solve, solve_slopes
from tasks.proportions.proposal import Limits, Options
from tests.tasks.proportions.instances import Oracle, check_limits, make_baseline, random_instance, square

QUICK = Options(sensitivity=False)


def optimum(gamma, baseline, limits):
    return Oracle(baseline, limits, gamma.values).maximize(np.array(baseline.shares) @ gamma.values)[0]


def test_solve_no_harm_with_every_other_limit_equals_highs():
    binding = 0
    for seed in range(80):
        gamma, baseline, limits = random_instance(seed, 20, no_harm=0.8)
        expected = optimum(gamma, baseline, limits)
        if expected is None:
            with pytest.raises(InfeasibleLimitsError):
                solve(gamma, baseline, limits, options=QUICK)
            continue
        proposal = solve(gamma, baseline, limits, options=QUICK)
        assert proposal.objective == pytest.approx(expected, abs=1e-7)
        check_limits(proposal, baseline, limits, gamma.values)
        held = [name for name in proposal.binding if name.startswith("no-harm:")]
        binding += bool(held)
        alpha, shares = np.array(baseline.shares), np.array(proposal.shares)
        for name in held:
            row = gamma.values[baseline.categories.index(name.removeprefix("no-harm:"))]
            assert row @ shares == pytest.approx(row @ alpha - limits.no_harm * abs(row @ alpha), abs=1e-7)
    assert binding > 20


def test_solve_150_categories_adds_only_the_rows_it_needs_and_equals_highs():
    rng = np.random.default_rng(4)
    size = 150
    gamma = square(rng.normal(0, 0.3, (size, size)) + np.eye(size))
    baseline, limits = make_baseline(rng.dirichlet(np.full(size, 3.0))), Limits(100_000, 0.2, 0.5, 1.0, 0.02)
    proposal = solve(gamma, baseline, limits, options=QUICK)
    assert proposal.objective == pytest.approx(optimum(gamma, baseline, limits), abs=1e-7)
    check_limits(proposal, baseline, limits, gamma.values)


def test_solve_no_harm_price_in_words_is_the_gain_of_one_percent():
    # s = (0.7, 0.3, 0.3): c0 should grow, but it costs c1, whose equivalent share is 0.1 and may fall to 0.09.
    gamma = square([[1, 0, 0], [-0.5, 1, 0], [1.5, 0, 1]])
    baseline = make_baseline([0.4, 0.3, 0.3])
    limits = Limits(10_000, 0.1, None, 1.0, 0.1)
    proposal = solve(gamma, baseline, limits)
    base = optimum(gamma, baseline, limits)
    assert proposal.objective == pytest.approx(base, abs=1e-9)
    more = optimum(gamma, baseline, replace(limits, no_harm=0.11)) - base
    prices = {p.limit: p for p in proposal.shadow_prices}
    assert prices["no-harm:c1"].text == (
        f"letting the equivalent amount of 'c1' fall by one more percent is worth {more:+.4g} equivalent share"
    )


def test_solve_no_harm_unidentified_target_keeps_its_own_share():
    nan = float("nan")
    gamma = square([[nan, nan, nan], [0.0, 1.0, 2.0], [0.0, 0.0, 1.0]])
    proposal = solve(gamma, make_baseline([0.4, 0.3, 0.3]), Limits(1000, 0.1, None, 1.0, 0.05))
    assert proposal.unidentified == ("c0",)
    assert proposal.shares[0] >= 0.38 - 1e-9


def test_solve_no_harm_against_a_minimum_names_exactly_these_and_the_fraction_needed():
    # c0 costs c1: with c0 at 0.4, c1 needs 0.47 to keep 0.7 of its equivalent share 0.4 − 0.3, and c2 needs 0.21.
    gamma = square([[1, 0, 0], [-1, 1, 0], [0, 0, 1]])
    baseline = make_baseline([0.3, 0.4, 0.3], minimum=(0.4, 0.0, 0.0))
    limits = Limits(1000, None, None, 1.0, 0.3)
    with pytest.raises(InfeasibleLimitsError) as caught:
        solve(gamma, baseline, limits)
    assert set(caught.value.conflict) == {"minimum:c0", "no-harm:c1", "no-harm:c2"}
    assert "no-harm 0.3: equivalent share of 'c1' at least 0.07" in str(caught.value)
    assert "no-harm at least 0.566667 for 'c2' (now 0.3)" in str(caught.value)
    assert "no-harm at least 1.1 for 'c1' (now 0.3)" in str(caught.value)
    assert "lower minimum of 'c0' from 0.4 to at most 0.36" in str(caught.value)


def test_minimal_conflict_no_harm_is_infeasible_and_minimal_by_highs():
    found = 0
    for seed in range(120):
        rng = np.random.default_rng(seed)
        size = int(rng.integers(2, 6))
        gamma = square(rng.uniform(-1.2, 1.2, (size, size)) + np.eye(size))
        alpha = rng.dirichlet(np.ones(size))
        minimum = np.where(rng.random(size) < 0.4, np.minimum(alpha * rng.uniform(1, 1.4, size), 1.0), 0.0)
        baseline = make_baseline(alpha, minimum=minimum.tolist())
        limits = Limits(1000, float(rng.uniform(0.02, 0.3)), 0.6, 1.0, float(rng.uniform(0, 0.05)))
        named = named_limits(baseline, limits, gamma)
        if kept(alpha, named):
            continue
        conflict = minimal_conflict(alpha, named)
        assert not kept(alpha, conflict)
        for limit in conflict:
            assert kept(alpha, [other for other in conflict if other is not limit])
        found += any(limit.kind == "no-harm" for limit in conflict)
        with pytest.raises(InfeasibleLimitsError) as caught:
            solve(gamma, baseline, limits)
        assert set(caught.value.conflict) == {limit.name for limit in conflict}
        for relaxation in caught.value.relaxations:
            if relaxation.limit.startswith("no-harm:") and caught.value.alone:
                eased = [
                    replace(limit, bound=relaxation.needed - 1e-6) if limit.name == relaxation.limit else limit
                    for limit in named
                ]
                assert kept(alpha, eased)
    assert found > 15


def kept(alpha, named):
    """Feasibility by HiGHS, every limit as a row."""
    size = len(alpha)
    oracle = Oracle(make_baseline(alpha), Limits(1, None, None))
    for limit in named:
        row = np.zeros(2 * size)
        if limit.weights is not None:
            row[:size] = limit.weights
        elif limit.category is None:
            row[size:] = 0.5
        else:
            row[limit.category] = 1.0
        sign = 1.0 if limit.upper else -1.0
        oracle.add(sign * row, sign * limit.bound)
    return oracle.maximize(np.zeros(size))[0] is not None


def test_solve_slopes_no_harm_without_coefficients_is_refused():
    baseline = make_baseline([0.5, 0.5])
    slopes = Slopes(baseline.categories, np.array([1.0, 0.0]), None, "u")
    with pytest.raises(InputError, match="no-harm limits need"):
        solve_slopes(slopes, baseline, Limits(100, no_harm=0.1))
    behind = aligned(square([[1, 0], [-0.5, 1]]), baseline)
    proposal = solve_slopes(slopes, baseline, Limits(100, 0.1, None, 1.0, 0.06), Options(amount=1.0), behind)
    # c1's equivalent share 0.25 may fall by 0.015: each unit moved from c1 to c0 takes 1.5.
    assert proposal.shares == pytest.approx((0.51, 0.49))


@pytest.mark.parametrize("value", [-0.1, float("nan")])
def test_solve_no_harm_of_no_meaning_is_an_input_error(value):
    with pytest.raises(InputError, match="no-harm is"):
        solve(square(np.eye(2)), make_baseline([0.5, 0.5]), Limits(100, no_harm=value))
