"""The program against independent solvers, closed forms and finite differences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tasks.errors import InputError
from tasks.proportions.coefficients import category_gains
from tasks.proportions.limits import named_limits
from tasks.proportions.program import solve
from tasks.proportions.proposal import Coefficients, Limits, Options
from tests.tasks.proportions.instances import Oracle, check_limits, make_baseline, random_instance, square

QUICK = Options(sensitivity=False)


def highs_optimum(gamma, baseline, limits):
    return Oracle(baseline, limits, gamma.values).maximize(np.array(baseline.shares) @ gamma.values)[0]


def test_solve_200_random_instances_equals_highs():
    kinds = set()
    for seed in range(200):
        gamma, baseline, limits = random_instance(seed)
        proposal = solve(gamma, baseline, limits, options=QUICK)
        expected = highs_optimum(gamma, baseline, limits)
        assert proposal.objective == pytest.approx(expected, rel=0, abs=1e-7)
        assert proposal.objective == pytest.approx(
            float(np.array(baseline.shares) @ gamma.values @ np.array(proposal.shares)), abs=1e-12
        )
        check_limits(proposal, baseline, limits)
        assert sum(proposal.counts) == limits.total
        kinds |= {name.partition(":")[0] for name in proposal.binding}
    assert kinds == {"max-shift", "box-low", "box-high", "minimum", "maximum", "available"}


def test_solve_random_instances_prices_lie_between_finite_differences():
    """Concave in every right-hand side: gain from relaxing ≤ price × step ≤ loss from tightening, both by HiGHS."""
    compared = exact = 0
    step = 1e-5
    for seed in range(40):
        gamma, baseline, limits = random_instance(seed)
        prices = {p.limit: p.value for p in solve(gamma, baseline, limits, options=QUICK).shadow_prices}
        optimum = highs_optimum(gamma, baseline, limits)
        for limit in named_limits(baseline, limits):
            if limit.kind.startswith("box"):
                continue
            gain, loss = (highs_optimum(gamma, *shifted(baseline, limits, limit, sign * step)) for sign in (1.0, -1.0))
            price = prices.get(limit.name, 0.0)
            assert price >= 0
            assert (gain - optimum) / step <= price + 1e-6
            if loss is not None:
                left = (optimum - loss) / step
                assert price <= left + 1e-6
                if left - (gain - optimum) / step < 1e-6:
                    exact += price > 0
            compared += 1
    assert compared > 300
    assert exact > 40


def shifted(baseline, limits, limit, amount):
    """Baseline and limits with one right-hand side relaxed by `amount` share (negative: tightened)."""
    if limit.category is None:
        return baseline, replace(limits, max_shift=limits.max_shift + amount)

    def put(values, value):
        return tuple(value if k == limit.category else old for k, old in enumerate(values))

    if limit.kind == "minimum":
        return replace(baseline, minimum=put(baseline.minimum, limit.bound - amount)), limits
    if limit.kind == "maximum":
        return replace(baseline, maximum=put(baseline.maximum, limit.bound + amount)), limits
    examples = (limit.bound + amount) * limits.total / limits.max_repeats
    return replace(baseline, available=put(baseline.available, examples)), limits


def test_solve_box_only_prices_are_differences_to_the_category_inside_its_box():
    # s = (0.58, 0.76, 0.16): c1 up to its box, c2 down to its box, c0 takes the rest and stays inside its own.
    gamma = square([[1, 0.8, -0.5], [0.1, 1, -0.2], [0.4, 0.6, 1]])
    proposal = solve(gamma, make_baseline([0.4, 0.2, 0.4]), Limits(1000, None, 0.1))
    assert proposal.shares == pytest.approx((0.42, 0.22, 0.36))
    assert {p.limit: p.value for p in proposal.shadow_prices} == pytest.approx(
        {"box-high:c1": 0.76 - 0.58, "box-low:c2": 0.58 - 0.16}
    )
    assert set(proposal.binding) == {"box-high:c1", "box-low:c2"}


def test_solve_two_categories_moves_max_shift_to_the_better():
    # s = Γᵀα = (0.5·1 + 0.5·0.2, 0.5·(−0.4) + 0.5·1) = (0.6, 0.3): all of ρ goes to c0, worth 0.3 per unit.
    proposal = solve(square([[1, -0.4], [0.2, 1]]), make_baseline([0.5, 0.5]), Limits(1000, 0.04, 0.5))
    assert proposal.shares == pytest.approx((0.54, 0.46), abs=1e-9)
    assert proposal.counts == (540, 460)
    assert proposal.baseline_objective == pytest.approx(0.45)
    assert proposal.objective == pytest.approx(0.45 + 0.04 * 0.3)
    assert proposal.binding == ("max-shift",)
    (price,) = proposal.shadow_prices
    assert (price.limit, price.value) == ("max-shift", pytest.approx(0.3))
    assert price.text == "one more percentage point of total shift is worth +0.003 equivalent share"
    assert proposal.status == "optimal"
    assert proposal.shift == pytest.approx(0.04)


def test_solve_three_categories_stops_at_availability_then_takes_the_next_best():
    # s = (0.7, 0.5, 0.1)/… by construction: the best category has 20 spare examples, the second takes the other 10.
    gamma = square([[1, 0, 0], [1.1, 1.5, 0], [0, 0, 0.2]])
    baseline = make_baseline([0.3, 0.3, 0.4], available=[320, None, None])
    gains = np.array([0.3, 0.3, 0.4]) @ gamma.values
    assert gains == pytest.approx([0.63, 0.45, 0.08])
    proposal = solve(gamma, baseline, Limits(1000, 0.03, 0.5))
    assert proposal.counts == (320, 310, 370)
    prices = {p.limit: p.value for p in proposal.shadow_prices}
    assert prices == pytest.approx({"max-shift": 0.45 - 0.08, "available:c0": 0.63 - 0.45})
    text = next(p.text for p in proposal.shadow_prices if p.limit == "available:c0")
    assert text == "100 more available examples of 'c0' are worth +0.018 equivalent share"


def test_solve_strong_single_winner_does_not_collapse():
    gamma = np.eye(6)
    gamma[:, 0] = 5.0
    proposal = solve(square(gamma), make_baseline([1 / 6] * 6), Limits(6000))
    assert min(proposal.shares) > 0.13
    assert proposal.shares[0] == pytest.approx(1 / 6 + 0.03)
    with_box_only = solve(square(gamma), make_baseline([1 / 6] * 6), Limits(6000, None, 0.5))
    assert max(with_box_only.shares) == pytest.approx(0.25)


def test_solve_equal_gains_keeps_the_baseline():
    proposal = solve(square(np.ones((5, 5))), make_baseline([0.1, 0.15, 0.2, 0.25, 0.3]), Limits(1000))
    assert proposal.shares == pytest.approx((0.1, 0.15, 0.2, 0.25, 0.3), abs=1e-12)
    assert proposal.counts == (100, 150, 200, 250, 300)
    assert proposal.shadow_prices == ()


def test_solve_tiny_unit_still_finds_the_optimum():
    """γ in units of 1e-9 (a marginal effect per example): the solver's absolute tolerances must not hide it."""
    gamma, baseline, limits = random_instance(7)
    small = solve(replace(gamma, values=gamma.values * 1e-9), baseline, limits)
    large = solve(gamma, baseline, limits)
    assert small.objective * 1e9 == pytest.approx(large.objective, abs=1e-7)


def test_solve_sources_in_another_order_gives_the_same_proposal():
    gamma, baseline, limits = random_instance(11)
    order = np.random.default_rng(0).permutation(len(gamma.sources))
    rows = np.random.default_rng(1).permutation(len(gamma.targets))
    mixed = Coefficients(
        tuple(gamma.targets[i] for i in rows), tuple(gamma.sources[j] for j in order), gamma.values[rows][:, order]
    )
    assert solve(mixed, baseline, limits).shares == pytest.approx(solve(gamma, baseline, limits).shares, abs=1e-9)


def test_solve_rectangular_sums_over_the_measured_targets():
    gamma = Coefficients(("c1",), ("c0", "c1", "c2"), np.array([[0.5, 1.0, -0.2]]))
    baseline = make_baseline([0.2, 0.3, 0.5])
    gains, _ = category_gains(gamma, baseline)
    assert gains == pytest.approx([0.15, 0.3, -0.06])
    proposal = solve(gamma, baseline, Limits(1000))
    assert proposal.shares == pytest.approx((0.2, 0.33, 0.47))


@pytest.mark.parametrize("diagonal", [1.0, float("nan")])
def test_solve_nan_row_enters_as_identity_and_is_listed(diagonal):
    nan = float("nan")
    gamma = square([[diagonal, nan, nan], [0.3, 1, 0.1], [0.2, 0.4, 1]])
    known = square([[1, 0, 0], [0.3, 1, 0.1], [0.2, 0.4, 1]])
    baseline = make_baseline([0.2, 0.3, 0.5])
    proposal = solve(gamma, baseline, Limits(1000))
    assert proposal.unidentified == ("c0",)
    assert proposal.objective == pytest.approx(solve(known, baseline, Limits(1000)).objective)


def test_solve_flagged_row_enters_as_identity():
    gamma = square([[1, 9, 9], [0.3, 1, 0.1], [0.2, 0.4, 1]])
    proposal = solve(gamma, make_baseline([0.2, 0.3, 0.5]), Limits(1000), {"c0"})
    assert proposal.unidentified == ("c0",)
    assert proposal.baseline_objective == pytest.approx(
        np.array([0.2, 0.3, 0.5]) @ np.array([[1, 0, 0], [0.3, 1, 0.1], [0.2, 0.4, 1]]) @ np.array([0.2, 0.3, 0.5])
    )


def test_solve_single_nan_names_row_and_column():
    gamma = square([[1, float("nan"), 0.2], [0.3, 1, 0.1], [0.2, float("inf"), 1]])
    with pytest.raises(InputError) as caught:
        solve(gamma, make_baseline([0.2, 0.3, 0.5]), Limits(1000))
    assert "row 'c0', column 'c1' is nan" in str(caught.value)
    assert "row 'c2', column 'c1' is inf" in str(caught.value)


def test_solve_unknown_labels_are_all_named():
    gamma = Coefficients(("c0", "ghost"), ("c0", "stranger"), np.eye(2))
    with pytest.raises(InputError) as caught:
        solve(gamma, make_baseline([0.5, 0.5]), Limits(1000))
    for name in ("ghost", "stranger", "c1"):
        assert name in str(caught.value)


def test_solve_malformed_limits_are_input_errors_named_together():
    with pytest.raises(InputError) as caught:
        solve(square(np.eye(2)), make_baseline([0.5, 0.5]), Limits(0, -0.1, -1.0, 0.0))
    for name in ("total", "max-shift", "box", "max-repeats"):
        assert name in str(caught.value)
    with pytest.raises(InputError, match=r"sum to 1\.1"):
        solve(square(np.eye(2)), make_baseline([0.5, 0.6]), Limits(10))


def test_solve_without_any_limit_takes_the_best_category():
    """The paper's program as it stands: bounded by the simplex, one category; why the limits belong to the method."""
    gamma, baseline, _ = random_instance(3)
    proposal = solve(
        gamma,
        replace(
            baseline,
            available=(None,) * len(baseline.categories),
            minimum=(0.0,) * len(baseline.categories),
            maximum=(1.0,) * len(baseline.categories),
        ),
        Limits(1000, None, None),
    )
    gains, _ = category_gains(gamma, baseline)
    assert proposal.objective == pytest.approx(gains.max(), abs=1e-9)


def test_solve_same_input_twice_gives_identical_objects():
    gamma, baseline, limits = random_instance(5)
    assert solve(gamma, baseline, limits) == solve(gamma, baseline, limits)
