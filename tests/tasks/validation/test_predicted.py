from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tasks.effects.matrix import EffectMatrix, ErrorDraws
from tasks.validation.predicted import predicted_gains

WEIGHTS = {"a": 0.75, "b": 0.25}
BEFORE = {"a": 30, "b": 10}


def matrix(marginal_error: float = 0.002, draws: int = 200_000) -> EffectMatrix:
    """Per example: a gives 0.01 to itself and 0.02 to b, b gives −0.01 to a and 0.04 to itself; independent errors."""
    marginal = np.array([[0.01, -0.01], [0.02, 0.04]])
    errors = np.random.default_rng(0).normal(0, marginal_error, (draws, 2, 2))
    unknown = np.full((2, 2), np.nan)
    return EffectMatrix(
        estimator="surface",
        targets=("a", "b"),
        sources=("a", "b"),
        unit="nats per token",
        seeds=3,
        confidence=0.9,
        delta=marginal * [30, 10],
        standard_error=unknown,
        low=unknown,
        high=unknown,
        p_value=unknown,
        q_value=unknown,
        amounts=np.array([30.0, 10.0]),
        marginal=marginal,
        marginal_error=np.full((2, 2), marginal_error),
        gamma=unknown,
        gamma_low=unknown,
        gamma_high=unknown,
        identified=np.array([True, True]),
        asymmetry_p=unknown,
        seed_delta=np.full((3, 2, 2), np.nan),
        errors=ErrorDraws(errors * [30, 10], errors),
    )


def test_predicted_gains_are_the_weighted_effects_per_example_times_the_change() -> None:
    found = predicted_gains(matrix(), WEIGHTS, BEFORE, {"proposal": {"a": 26, "b": 14}, "baseline again": BEFORE})
    # 0.75·(0.01·(−4) − 0.01·4) + 0.25·(0.02·(−4) + 0.04·4)
    assert found["proposal"].value == pytest.approx(-0.04)
    # Four independent cells: sd = 0.002·4·sqrt(2·(0.75² + 0.25²)); 90% of a normal lies within 1.6449 sd.
    half = 1.6449 * 0.002 * 4 * np.sqrt(2 * (0.75**2 + 0.25**2))
    assert found["proposal"].low == pytest.approx(-0.04 - half, rel=0.02)
    assert found["proposal"].high == pytest.approx(-0.04 + half, rel=0.02)
    assert (found["baseline again"].value, found["baseline again"].low, found["baseline again"].high) == (0, 0, 0)


def test_predicted_gains_without_error_draws_have_no_interval() -> None:
    (found,) = predicted_gains(
        replace(matrix(draws=2), errors=None), WEIGHTS, BEFORE, {"proposal": {"a": 29, "b": 11}}
    ).values()
    assert found.value == pytest.approx(-0.01)
    assert (found.low, found.high) == (None, None)


def test_predicted_gains_leave_out_an_arm_that_changes_what_was_not_measured() -> None:
    before = {**BEFORE, "c": 5}
    arms = {"with c": {"a": 29, "b": 10, "c": 6}, "without": {"a": 29, "b": 11, "c": 5}}
    assert list(predicted_gains(matrix(draws=2), WEIGHTS, before, arms)) == ["without"]
