from __future__ import annotations

import numpy as np
import pytest

from tasks.effects.slopes import Slopes
from tasks.proportions.performance_check import heed_performance
from tasks.proportions.program import solve_slopes
from tasks.proportions.proposal import Baseline, Limits, Options, Proposal

NAMES = ("a", "b", "c")


def proposal_toward_a() -> Proposal:
    """Moves 10 points from c to a: a gain of 1 per share, known for certain."""
    none = (None,) * 3
    baseline = Baseline(NAMES, (0.4, 0.3, 0.3), none, (0.0,) * 3, (1.0,) * 3)
    slopes = Slopes(NAMES, np.array([1.0, 0.5, 0.0]), np.zeros((50, 3)), "equivalent share")
    return solve_slopes(slopes, baseline, Limits(100, max_shift=0.1, box=None), Options(amount=1.0))


def performance(slope_of_a: float, error: float) -> Slopes:
    spread = np.linspace(-1, 1, 401)[:, None] * error
    return Slopes(
        NAMES, np.array([slope_of_a, 0.0, 0.0]), np.hstack([spread, 0 * spread, 0 * spread]), "nats per token"
    )


def test_a_change_whose_performance_surely_falls_is_refused_with_the_predicted_loss() -> None:
    before = proposal_toward_a()
    assert before.decision == "change"
    # 10 points of 1000 are 100 examples of a: 100 · (−0.01 ± 0.0095) = −1 ± 0.95
    found = heed_performance(before, performance(-0.01, 0.01), 1000, 0.95)
    assert found.decision == "keep"
    assert "-1 nats per token, between -1.95 and -0.05" in found.reason
    assert found.recommended_counts == (40, 30, 30)
    assert found.shares == before.shares


@pytest.mark.parametrize(("slope", "error"), [(-0.01, 0.02), (0.0, 0.001), (0.01, 0.001)])
def test_a_change_whose_performance_may_not_fall_goes_ahead(slope: float, error: float) -> None:
    before = proposal_toward_a()
    assert heed_performance(before, performance(slope, error), 1000, 0.95) == before


def test_without_error_draws_performance_decides_nothing() -> None:
    before = proposal_toward_a()
    assert heed_performance(before, Slopes(NAMES, np.array([-1.0, 0, 0]), None, "nats"), 1000, 0.95) == before
