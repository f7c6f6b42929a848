"""The two control arms: the sign rule by hand, the random step by its size and limits."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.proportions.counts import baseline_counts
from tasks.proportions.program import solve
from tasks.proportions.proposal import Baseline, Coefficients, Limits
from tasks.proportions.random_step import random_step
from tasks.proportions.sign_rule import sign_rule


def make(values, shares, **columns):
    size = len(shares)
    names = tuple(f"c{k}" for k in range(size))
    baseline = Baseline(
        names,
        tuple(float(s) for s in shares),
        tuple(columns.get("available", (None,) * size)),
        tuple(columns.get("minimum", (0.0,) * size)),
        tuple(columns.get("maximum", (1.0,) * size)),
    )
    return Coefficients(names, names, np.asarray(values, dtype=float)), baseline


def test_sign_rule_hand_computed_moves_equal_counts():
    # s = Γᵀα = (0.4, 0.3 + 0.4·0.5, 0.2, 0.1) = (0.6, 0.3, 0.2, 0.1) with γ_02 … only γ_10 = γ_20 = 0.4:
    # s_0 = 0.4 + 0.4·(0.3 + 0.2) = 0.6; αᵀΓα = 0.24 + 0.09 + 0.04 + 0.01 = 0.38. Up: c0. Down: c1, c2, c3.
    gamma, baseline = make([[1, 0, 0, 0], [0.4, 1, 0, 0], [0.4, 0, 1, 0], [0, 0, 0, 1]], [0.4, 0.3, 0.2, 0.1])
    step = sign_rule(gamma, baseline, Limits(1000))
    assert step.counts == (430, 290, 190, 90)
    assert (step.moved, step.requested) == (30, 30)


def test_sign_rule_floor_and_reserve_limit_each_category():
    gamma, baseline = make(
        [[1, 0, 0, 0], [0.4, 1, 0, 0], [0.4, 0, 1, 0], [0, 0, 0, 1]],
        [0.4, 0.3, 0.293, 0.007],
        available=(425, 500, 500, 500),
    )
    # c3 (7 examples) can lose 2; c0 can gain 25: 25 are moved, 2 from c3 and the rest from c1 and c2 as equally.
    step = sign_rule(gamma, baseline, Limits(1000))
    assert step.counts[0] == 425
    assert step.counts[3] == 5
    assert sorted((300 - step.counts[1], 293 - step.counts[2])) == [11, 12]
    assert (step.moved, step.requested) == (25, 30)


def test_sign_rule_equal_gains_moves_nothing():
    gamma, baseline = make(np.full((3, 3), 0.7), [0.2, 0.3, 0.5])
    step = sign_rule(gamma, baseline, Limits(1000))
    assert step.counts == (200, 300, 500)
    assert step.moved == 0


@pytest.mark.parametrize("instance", range(12))
def test_random_step_has_the_proposals_size_and_keeps_its_limits(instance):
    rng = np.random.default_rng(instance)
    size, total = int(rng.integers(2, 20)), int(rng.integers(100, 20_000))
    alpha = rng.multinomial(total, rng.dirichlet(np.full(size, 3.0))) / total
    available = np.ceil(alpha * total * rng.uniform(1, 1.6, size))
    gamma, baseline = make(rng.uniform(-1, 1, (size, size)), alpha, available=available.tolist())
    limits = Limits(total, 0.05, 0.4)
    proposal = solve(gamma, baseline, limits)
    before = np.array(baseline_counts(baseline, total))
    expected = np.abs(np.array(proposal.counts) - before).sum() // 2
    seen = set()
    for seed in range(8):
        step = random_step(proposal, baseline, limits, seed)
        counts = np.array(step.counts)
        assert counts.sum() == total
        assert np.abs(counts - before).sum() == 2 * expected
        assert step.moved == expected
        assert np.all(counts <= np.minimum(available, np.floor(alpha * total * 1.4 + 1e-6)))
        assert np.all(counts >= np.ceil(alpha * total * 0.6 - 1e-6))
        assert step == random_step(proposal, baseline, limits, seed)
        seen.add(step.counts)
    assert len(seen) > 1 or size == 2


def test_random_step_only_one_pattern_has_room_still_steps():
    # Every category but two is used up, so only c0 and c1 can rise and they must together.
    size, total = 16, 1600
    available = [130, 130] + [100] * 14
    gamma = np.eye(size)
    gamma[:, 0], gamma[:, 1] = 3, 2
    coefficients, baseline = make(gamma, [1 / size] * size, available=available)
    limits = Limits(total, 60 / total, None)
    proposal = solve(coefficients, baseline, limits)
    assert proposal.counts[:2] == (130, 130)
    step = random_step(proposal, baseline, limits, 1)
    assert step.counts[:2] == (130, 130)
    assert sum(step.counts) == total


def test_random_step_minimum_above_the_baseline_is_kept():
    coefficients, baseline = make(np.eye(4), [0.25] * 4, minimum=(0.28, 0.0, 0.0, 0.0))
    limits = Limits(1000, 0.05, None)
    proposal = solve(coefficients, baseline, limits)
    for seed in range(10):
        step = random_step(proposal, baseline, limits, seed)
        assert step.counts[0] >= 280
        assert sum(abs(c - 250) for c in step.counts) == sum(abs(c - 250) for c in proposal.counts)


def test_random_step_no_direction_is_preferred():
    """Over many seeds each category rises about as often as it falls, whatever the effects say."""
    gamma = np.eye(6)
    gamma[:, 0] = 4
    coefficients, baseline = make(gamma, [1 / 6] * 6)
    limits = Limits(6000)
    proposal = solve(coefficients, baseline, limits)
    steps = np.array([random_step(proposal, baseline, limits, seed).counts for seed in range(400)]) - 1000
    rises = (steps > 0).mean(axis=0)
    # 400 fair draws: five standard errors are 0.125.
    assert np.all(np.abs(rises - 0.5) < 0.125)
