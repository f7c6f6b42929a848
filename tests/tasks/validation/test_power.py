from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tasks.validation.power import detectable_difference, expected_lead


@pytest.mark.parametrize("df", [1, 1.3, 2, 4, 12, 60])
@pytest.mark.parametrize("level", [0.05, 0.05 / 9])
@pytest.mark.parametrize("power", [0.8, 0.5])
def test_detectable_difference_is_found_as_often_as_stated_in_simulated_t_tests(
    df: float, level: float, power: float
) -> None:
    rng = np.random.default_rng(3)
    draws, error = 200_000, 0.02
    difference = rng.normal(detectable_difference(error, df, level, power), error, draws)
    estimated = error * np.sqrt(rng.chisquare(df, draws) / df)
    found = 2 * stats.t.sf(np.abs(difference / estimated), df) <= level
    assert found.mean() == pytest.approx(power, abs=4 * np.sqrt(power * (1 - power) / draws))


def test_detectable_difference_with_known_noise_is_the_sum_of_two_normal_quantiles() -> None:
    assert detectable_difference(1.0, 1e7, 0.05) == pytest.approx(1.959964 + 0.841621, abs=1e-3)


def test_expected_lead_is_the_known_mean_of_the_largest_of_normal_numbers() -> None:
    assert expected_lead(1) == 0
    assert expected_lead(2) == pytest.approx(1 / np.sqrt(np.pi))
    assert expected_lead(3) == pytest.approx(3 / (2 * np.sqrt(np.pi)))
    largest = np.random.default_rng(0).normal(size=(200_000, 9)).max(axis=1)
    assert expected_lead(9) == pytest.approx(largest.mean(), abs=4 * largest.std() / np.sqrt(200_000))
