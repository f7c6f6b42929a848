"""Infeasible limits: the named set against scipy on every subset, the relaxations by applying them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import linprog

from tasks.errors import EvidenceError
from tasks.proportions.conflict import InfeasibleLimitsError, feasible, minimal_conflict
from tasks.proportions.limits import named_limits
from tasks.proportions.program import solve
from tasks.proportions.proposal import Baseline, Coefficients, Limits


def make(shares, limits, **columns):
    size = len(shares)
    names = tuple("abcdefgh"[:size])
    baseline = Baseline(
        names,
        tuple(float(s) for s in shares),
        tuple(columns.get("available", (None,) * size)),
        tuple(columns.get("minimum", (0.0,) * size)),
        tuple(columns.get("maximum", (1.0,) * size)),
    )
    return Coefficients(names, names, np.eye(size)), baseline, limits


def scipy_feasible(alpha, limits):
    size = len(alpha)
    rows, right = [], []
    eye = np.eye(size)
    for k in range(size):
        rows += [np.concatenate([eye[k], -eye[k]]), np.concatenate([-eye[k], -eye[k]])]
        right += [alpha[k], -alpha[k]]
    for limit in limits:
        row = np.zeros(2 * size)
        if limit.category is None:
            row[size:] = 0.5
        else:
            row[limit.category] = 1.0
        sign = 1.0 if limit.upper else -1.0
        rows.append(sign * row)
        right.append(sign * limit.bound)
    equal = np.concatenate([np.ones(size), np.zeros(size)])[None]
    result = linprog(np.zeros(2 * size), np.array(rows), np.array(right), equal, [1.0], method="highs")
    return result.status == 0


def random_limits(seed):
    """Limits drawn without regard to one another: mostly infeasible."""
    rng = np.random.default_rng(seed)
    size = int(rng.integers(2, 6))
    alpha = rng.dirichlet(np.ones(size)).round(3)
    alpha[-1] = 1 - alpha[:-1].sum()
    return make(
        np.abs(alpha) / np.abs(alpha).sum(),
        Limits(1000, float(rng.uniform(0, 0.2)) if rng.random() < 0.7 else None, float(rng.uniform(0, 0.8))),
        available=[float(rng.integers(50, 700)) if rng.random() < 0.5 else None for _ in range(size)],
        minimum=[float(rng.uniform(0, 0.5)) if rng.random() < 0.4 else 0.0 for _ in range(size)],
        maximum=[float(rng.uniform(0.1, 1)) if rng.random() < 0.4 else 1.0 for _ in range(size)],
    )


def test_feasible_random_limits_agrees_with_highs():
    both = set()
    for seed in range(150):
        _, baseline, limits = random_limits(seed)
        named = named_limits(baseline, limits)
        alpha = np.array(baseline.shares)
        answer = feasible(alpha, named)
        assert answer == scipy_feasible(alpha, named)
        both.add(answer)
    assert both == {True, False}


def test_minimal_conflict_random_limits_is_infeasible_and_minimal_by_brute_force():
    found = 0
    for seed in range(150):
        gamma, baseline, limits = random_limits(seed)
        named = named_limits(baseline, limits)
        alpha = np.array(baseline.shares)
        if scipy_feasible(alpha, named):
            solve(gamma, baseline, limits)
            continue
        found += 1
        conflict = minimal_conflict(alpha, named)
        assert not scipy_feasible(alpha, conflict)
        for limit in conflict:
            assert scipy_feasible(alpha, [other for other in conflict if other is not limit])
        with pytest.raises(InfeasibleLimitsError) as caught:
            solve(gamma, baseline, limits)
        error = caught.value
        assert error.conflict == tuple(limit.name for limit in conflict)
        assert error.relaxations
        check_relaxations(baseline, limits, error)
    assert found > 50


def check_relaxations(baseline, limits, error):
    """Each relaxation makes room (a hair wider), and stops making room when it is a bit less wide."""
    alpha = np.array(baseline.shares)

    def relaxed(group, extra):
        box = next((r.needed + extra for r in group if r.limit == "box"), limits.box)
        needed = {r.limit: r.needed for r in group}
        result = []
        for limit in named_limits(baseline, replace(limits, box=box)):
            sign = 1 if limit.upper else -1
            result.append(replace(limit, bound=needed.get(limit.name, limit.bound - sign * extra) + sign * extra))
        return result

    for group in [[r] for r in error.relaxations] if error.alone else [list(error.relaxations)]:
        assert scipy_feasible(alpha, relaxed(group, 1e-6))
        assert not scipy_feasible(alpha, relaxed(group, -1e-4))


def test_solve_minimum_beyond_max_shift_names_both_and_both_fixes():
    with pytest.raises(EvidenceError) as caught:
        solve(*make([0.5, 0.3, 0.2], Limits(1000, 0.03, None), minimum=(0.0, 0.0, 0.27)))
    error = caught.value
    assert isinstance(error, InfeasibleLimitsError)
    assert set(error.conflict) == {"max-shift", "minimum:c"}
    assert {r.limit: r.needed for r in error.relaxations} == pytest.approx({"max-shift": 0.07, "minimum:c": 0.23})
    assert "max-shift at least 0.07 (now 0.03)" in str(error)
    assert "lower minimum of 'c' from 0.27 to at most 0.23" in str(error)
    assert error.exit_code == 3


def test_solve_minimum_above_maximum_names_the_pair():
    with pytest.raises(InfeasibleLimitsError) as caught:
        solve(*make([0.5, 0.5], Limits(1000, None, None), minimum=(0.6, 0.0), maximum=(0.4, 1.0)))
    assert set(caught.value.conflict) == {"minimum:a", "maximum:a"}


def test_solve_minima_above_one_names_exactly_the_minima():
    with pytest.raises(InfeasibleLimitsError) as caught:
        solve(*make([0.5, 0.3, 0.2], Limits(1000, None, None), minimum=(0.6, 0.5, 0.0)))
    assert set(caught.value.conflict) == {"minimum:a", "minimum:b"}


def test_solve_too_few_available_says_which_total_and_repeats_have_room():
    gamma, baseline, limits = make([0.5, 0.5], Limits(1000, None, None), available=(300, 400))
    with pytest.raises(InfeasibleLimitsError) as caught:
        solve(gamma, baseline, limits)
    assert set(caught.value.conflict) == {"available:a", "available:b"}
    assert "at least 600 available examples of 'a' (now 300)" in str(caught.value)
    assert "max-repeats above 1.428572 (now 1) or total at most 700 (now 1000)" in str(caught.value)
    assert solve(gamma, baseline, replace(limits, total=700)).counts == (300, 400)
    with pytest.raises(InfeasibleLimitsError):
        solve(gamma, baseline, replace(limits, total=701))
    solve(gamma, baseline, replace(limits, max_repeats=1.43))


def test_solve_nothing_available_of_a_needed_category_offers_no_repeats():
    with pytest.raises(InfeasibleLimitsError) as caught:
        solve(*make([0.5, 0.5], Limits(1000, None, 0.5), available=(0, None)))
    assert "available:a" in caught.value.conflict
    assert "max-repeats" not in str(caught.value).partition("Fix")[2]


def test_solve_box_against_minimum_gives_the_box_needed():
    with pytest.raises(InfeasibleLimitsError) as caught:
        solve(*make([0.5, 0.5], Limits(1000, None, 0.2), minimum=(0.65, 0.0)))
    assert "box at least 0.3 (now 0.2)" in str(caught.value)


def test_solve_two_separate_conflicts_relaxes_all_together():
    with pytest.raises(InfeasibleLimitsError) as caught:
        solve(
            *make(
                [0.5, 0.3, 0.2],
                Limits(1000, None, None),
                minimum=(0.6, 0.3, 0.0),
                maximum=(0.4, 0.2, 1.0),
            )
        )
    assert not caught.value.alone
    assert len(caught.value.relaxations) == 2
    assert "all together" in str(caught.value)
