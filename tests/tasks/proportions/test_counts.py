"""Whole numbers from shares: sums, limits, and nearness against brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.errors import EvidenceError
from tasks.proportions.counts import round_counts
from tasks.proportions.program import solve
from tasks.proportions.proposal import Baseline, Coefficients, Limits


def make_baseline(shares, **columns):
    size = len(shares)
    return Baseline(
        tuple(f"c{k}" for k in range(size)),
        tuple(float(s) for s in shares),
        tuple(columns.get("available", (None,) * size)),
        tuple(columns.get("minimum", (0.0,) * size)),
        tuple(columns.get("maximum", (1.0,) * size)),
    )


def violation(counts, baseline, limits):
    """Examples beyond the soft limits, counted independently; None where more is used than there is."""
    total = limits.total
    broken = 0.0
    for k, c in enumerate(counts):
        alpha, available = baseline.shares[k], baseline.available[k]
        if available is not None and c > available * limits.max_repeats:
            return None
        low = max(baseline.minimum[k], (1 - limits.box) * alpha if limits.box is not None else 0) * total
        high = min(baseline.maximum[k], (1 + limits.box) * alpha if limits.box is not None else 1) * total
        broken += max(0.0, low - c) + max(0.0, c - high)
    if limits.max_shift is not None:
        shift = sum(abs(c - a * total) for c, a in zip(counts, baseline.shares, strict=True)) / 2
        broken += max(0.0, shift - limits.max_shift * total)
    return broken


def compositions(total, size):
    for cuts in itertools.combinations(range(total + size - 1), size - 1):
        edges = (-1, *cuts, total + size - 1)
        yield tuple(b - a - 1 for a, b in itertools.pairwise(edges))


@st.composite
def problems(draw):
    size = draw(st.integers(2, 4))
    weights = draw(st.lists(st.integers(1, 20), min_size=size, max_size=size))
    shares = np.array(weights) / sum(weights)
    total = draw(st.integers(3, 14))
    limits = Limits(total, draw(st.sampled_from([None, 0.05, 0.1, 0.3])), draw(st.sampled_from([None, 0.2, 0.6])))
    available = [draw(st.one_of(st.none(), st.integers(int(np.ceil(s * total)), 20))) for s in shares]
    gamma = np.array(draw(st.lists(st.integers(-9, 9), min_size=size * size, max_size=size * size))) / 7
    return gamma.reshape(size, size), make_baseline(shares, available=available), limits


@settings(max_examples=120, deadline=None, derandomize=True)
@given(problems())
def test_solve_counts_keep_the_limits_as_well_as_any_whole_numbers_can(problem):
    gamma, baseline, limits = problem
    proposal = solve(Coefficients(baseline.categories, baseline.categories, gamma), baseline, limits)
    counts = proposal.counts
    assert sum(counts) == limits.total
    mine = violation(counts, baseline, limits)
    assert mine is not None
    scored = [
        (v, sum(abs(c - w * limits.total) for c, w in zip(other, proposal.shares, strict=True)))
        for other in compositions(limits.total, len(counts))
        if (v := violation(other, baseline, limits)) is not None
    ]
    least = min(v for v, _ in scored)
    assert mine == pytest.approx(least, abs=1e-5)
    assert bool(proposal.count_excess) == (least > 1e-5)
    if limits.max_shift is None and limits.box is None and all(a is None for a in baseline.available):
        nearest = min(d for v, d in scored if v <= least + 1e-5)
        assert sum(abs(c - w * limits.total) for c, w in zip(counts, proposal.shares, strict=True)) == pytest.approx(
            nearest, abs=1e-5
        )


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.integers(2, 28), st.integers(200, 100_000))
def test_solve_counts_of_whole_baselines_keep_every_limit(seed, size, total):
    """α from whole counts, as the pipeline makes them: rounding must never cost a limit when ρN and the boxes allow."""
    rng = np.random.default_rng(seed)
    alpha = rng.multinomial(total, rng.dirichlet(np.full(size, 3.0))) / total
    gamma = rng.uniform(-1, 1, (size, size))
    baseline = make_baseline(alpha, available=np.ceil(alpha * total * rng.uniform(1, 1.5, size)).tolist())
    limits = Limits(total, 0.03, 0.5)
    proposal = solve(Coefficients(baseline.categories, baseline.categories, gamma), baseline, limits)
    assert sum(proposal.counts) == total
    assert violation(proposal.counts, baseline, limits) == pytest.approx(0, abs=1e-6)
    assert proposal.count_excess == ()
    assert max(abs(c - w * total) for c, w in zip(proposal.counts, proposal.shares, strict=True)) < 2


def test_round_counts_shift_that_plain_rounding_breaks_is_kept():
    # N·w = (10.6, 10.6, 9.4, 9.4), N·α = 10 each, ρN = 1.2. Largest remainder gives (11, 11, 9, 9): shift 2.
    baseline = make_baseline([0.25] * 4)
    shares = np.array([10.6, 10.6, 9.4, 9.4]) / 40
    counts, excess = round_counts(shares, baseline, Limits(40, 0.03, None))
    assert sum(abs(c - 10) for c in counts) / 2 == 1
    assert sum(counts) == 40
    assert excess == ()


def test_round_counts_no_whole_numbers_fit_says_so():
    baseline = make_baseline([0.25, 0.75], minimum=(0.22, 0.0), maximum=(0.28, 1.0))
    counts, excess = round_counts(np.array([0.25, 0.75]), baseline, Limits(10, None, None))
    assert counts == (3, 7)
    assert excess == ("maximum:c0: no whole numbers that sum to 10 keep it; exceeded by 0.2 examples",)


def test_round_counts_fractions_of_examples_available_is_refused():
    baseline = make_baseline([0.5, 0.5], available=(5.5, 4.5))
    with pytest.raises(EvidenceError, match="at most 9"):
        round_counts(np.array([0.55, 0.45]), baseline, Limits(10, None, None))
