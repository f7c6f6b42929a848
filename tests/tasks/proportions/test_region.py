"""The sorted maximum over a region against HiGHS; the room along a step against halving it until it fits."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.proportions.limits import named_limits
from tasks.proportions.proposal import Limits
from tasks.proportions.region import best_gains, best_shares, contains, region, room_used
from tests.tasks.proportions.instances import Oracle, make_baseline, random_instance


def test_best_shares_random_regions_equals_highs():
    rng = np.random.default_rng(1)
    for seed in range(150):
        _, baseline, limits = random_instance(seed)
        alpha = np.array(baseline.shares)
        area = region(alpha, named_limits(baseline, limits))
        gains = rng.normal(size=len(alpha)).round(int(rng.integers(0, 3)))
        shares = best_shares(area, gains)
        assert contains(area, shares, 1e-12)
        assert abs(shares.sum() - 1) < 1e-12
        assert gains @ shares == pytest.approx(Oracle(baseline, limits).maximize(gains)[0], abs=1e-9)
        several = np.vstack([rng.normal(size=(3, len(alpha))), gains])
        expected = [row @ (best_shares(area, row) - alpha) for row in several]
        assert best_gains(area, several) == pytest.approx(expected, abs=1e-9)


def test_best_shares_baseline_outside_its_limits_is_moved_inside_first():
    """c0 is 0.1 above its maximum and c2 below its minimum by 0.05: that is forced, the rest follows the gains."""
    baseline = make_baseline([0.5, 0.3, 0.2], maximum=(0.4, 1.0, 1.0), minimum=(0.0, 0.0, 0.25))
    limits = Limits(1000, 0.12, None)
    area = region(np.array(baseline.shares), named_limits(baseline, limits))
    for gains in ([0.0, 1.0, 0.0], [1.0, 0.0, 0.5], [0.0, -1.0, 0.0]):
        expected, _ = Oracle(baseline, limits).maximize(np.array(gains))
        assert np.array(gains) @ best_shares(area, np.array(gains)) == pytest.approx(expected, abs=1e-12)


def test_room_used_is_the_inverse_of_how_far_the_step_could_be_stretched():
    for seed in range(60):
        gamma, baseline, limits = random_instance(seed, 12, no_harm=1.0)
        alpha = np.array(baseline.shares)
        baseline = make_baseline(alpha, maximum=np.minimum(1.0, alpha * 1.3))
        named = named_limits(baseline, limits, gamma)
        area = region(alpha, named)
        _, far = Oracle(baseline, limits, gamma.values).maximize(np.random.default_rng(seed).normal(size=len(alpha)))
        step = 0.3 * (far - alpha)
        inside, outside = 1.0, 1e6
        while outside / inside > 1 + 1e-9:
            middle = np.sqrt(inside * outside)
            shares = alpha + middle * step
            fits = contains(area, shares, 1e-13) and all(
                limit.weights is None or limit.weights @ shares >= limit.bound - 1e-13 for limit in named
            )
            inside, outside = (middle, outside) if fits else (inside, middle)
        assert room_used(area, step, named) == pytest.approx(1 / inside, rel=1e-5)
