from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.special import polygamma

from tasks.effects.moderation import inverse_trigamma, moderate


@given(st.floats(1e-5, 1e6))
def test_inverse_trigamma_of_any_value_is_the_inverse(value: float) -> None:
    assert polygamma(1, inverse_trigamma(value)) == pytest.approx(value, rel=1e-8)


def test_moderate_with_planted_prior_recovers_its_degrees_of_freedom_and_scale() -> None:
    rng = np.random.default_rng(3)
    d0, s0, d = 6.0, 0.4, 4
    sigma2 = s0 * d0 / rng.chisquare(d0, 200_000)
    sample = sigma2 * rng.chisquare(d, sigma2.size) / d
    fit = moderate(sample, np.full(sample.size, float(d)), np.ones(sample.size))
    assert fit.prior_df == pytest.approx(d0, rel=0.03)
    assert fit.prior[0] == pytest.approx(s0, rel=0.02)
    np.testing.assert_allclose(fit.variance, (fit.prior_df * fit.prior + d * sample) / (fit.prior_df + d))
    assert np.all(fit.df == fit.prior_df + d)


def test_moderate_with_a_planted_prior_makes_t_statistics_exactly_distributed() -> None:
    rng = np.random.default_rng(4)
    d0, d, cells = 5.0, 2, 100_000
    sigma2 = d0 / rng.chisquare(d0, cells)
    mean = rng.normal(0, np.sqrt(sigma2))
    fit = moderate(sigma2 * rng.chisquare(d, cells) / d, np.full(cells, float(d)), np.ones(cells))
    p = 2 * stats.t.sf(np.abs(mean) / np.sqrt(fit.variance), fit.df)
    assert stats.kstest(p, "uniform").statistic < 0.01


def test_moderate_with_equal_variances_of_equal_samples_pools_them() -> None:
    fit = moderate(np.full(10, 2.0), np.full(10, 3.0), np.ones(10))
    assert np.isinf(fit.prior_df)
    np.testing.assert_allclose(fit.variance, 2.0)


def test_moderate_with_planted_trend_recovers_both_coefficients() -> None:
    rng = np.random.default_rng(5)
    mean, d, cells = rng.normal(0, 3, 100_000), 3, 100_000
    level = rng.uniform(0.5, 2, cells)
    sample = (0.2 * level + 0.05 * mean**2) * rng.chisquare(d, cells) / d
    fit = moderate(sample, np.full(cells, float(d)), level, mean)
    np.testing.assert_allclose(fit.prior, 0.2 * level + 0.05 * mean**2, rtol=0.05)


def test_moderate_with_zero_variances_keeps_every_posterior_positive() -> None:
    sample = np.array([0.0, 0.0, 1.0, 3.0, 0.2])
    fit = moderate(sample, np.full(5, 2.0), np.ones(5), np.zeros(5))
    assert np.all(fit.variance > 0)


def test_moderate_without_any_variance_raises() -> None:
    with pytest.raises(ValueError, match="positive"):
        moderate(np.zeros(4), np.full(4, 2.0), np.ones(4))


@given(st.integers(0, 10_000), st.floats(1e-6, 1e6))
def test_moderate_in_another_unit_gives_the_same_in_that_unit(seed: int, factor: float) -> None:
    rng = np.random.default_rng(seed)
    sample, mean, df = rng.chisquare(2, 30) / 2, rng.normal(size=30), np.full(30, 2.0)
    first = moderate(sample, df, np.ones(30), mean)
    second = moderate(sample * factor**2, df, np.ones(30), mean * factor)
    np.testing.assert_allclose(second.variance, first.variance * factor**2, rtol=1e-3)


def test_moderate_of_samples_of_unequal_size_makes_t_statistics_exactly_distributed() -> None:
    rng = np.random.default_rng(6)
    d0, cells = 6.0, 100_000
    d = rng.choice([1.0, 2.0, 4.0, 9.0], cells)
    sigma2 = d0 / rng.chisquare(d0, cells)
    mean = rng.normal(0, np.sqrt(sigma2))
    fit = moderate(sigma2 * rng.chisquare(d) / d, d, np.ones(cells))
    p = 2 * stats.t.sf(np.abs(mean) / np.sqrt(fit.variance), fit.df)
    assert all(stats.kstest(p[d == k], "uniform").statistic < 0.015 for k in (1, 2, 4, 9))


def test_moderate_with_planted_trend_learns_more_from_larger_samples() -> None:
    rng = np.random.default_rng(7)
    gaps = []
    for _ in range(40):
        d = rng.choice([1.0, 30.0], 60)
        mean, level = rng.normal(0, 3, 60), rng.uniform(0.5, 2, 60)
        truth = 0.2 * level + 0.05 * mean**2
        sample = truth * rng.chisquare(d) / d
        weighted, alike = (moderate(sample, df, level, mean).prior for df in (d, np.full(60, 15.0)))
        gaps.append(np.abs(np.log(alike / truth)).mean() - np.abs(np.log(weighted / truth)).mean())
    assert np.mean(gaps) > 0.02
