from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tasks.effects.error_draws import draw_errors
from tasks.effects.noise import additive_residuals, independent_targets, run_correlation
from tasks.effects.paired import effects_from_differences
from tasks.effects.pairing import PairedDifferences


def world(rng: np.random.Generator, categories: int, seeds: int, correlation: np.ndarray) -> PairedDifferences:
    """Runs whose noise has sd 1 and the given correlation between targets; no own category is noisier; effects of 0."""
    root = np.linalg.cholesky(correlation)
    baseline = rng.normal(size=(seeds, categories)) @ root.T
    runs = rng.normal(size=(seeds, categories, categories)) @ root.T
    names = tuple(f"c{i}" for i in range(categories))
    difference = baseline[:, :, None] - runs.transpose(0, 2, 1)
    return PairedDifferences(names, names, "nats", rng.uniform(50, 500, categories), difference)


def equal_correlation(categories: int, value: float) -> np.ndarray:
    return (1 - value) * np.eye(categories) + value


def mean_correlation(draws: np.ndarray) -> float:
    """Mean over pairs of columns of [B, M]."""
    found = np.corrcoef(draws.T)
    return found[~np.eye(len(found), dtype=bool)].mean()


def test_draws_of_each_cell_have_the_ends_of_its_interval(planted_world: Callable) -> None:
    _, paired = planted_world(np.random.default_rng(1), 8, 3, "mixed")
    effects = effects_from_differences(paired, draws=20_000)
    low, high = np.quantile(effects.errors.delta, [0.025, 0.975], axis=0)
    np.testing.assert_allclose(high, effects.high - effects.delta, rtol=0.08)
    np.testing.assert_allclose(low, effects.low - effects.delta, rtol=0.08)
    np.testing.assert_allclose(effects.errors.marginal * paired.amounts, effects.errors.delta)
    np.testing.assert_allclose(effects.marginal_error, effects.standard_error / paired.amounts)


def test_draws_without_tails_have_the_standard_error_as_deviation() -> None:
    paired = world(np.random.default_rng(2), 5, 4, np.eye(5))
    error = np.random.default_rng(3).uniform(0.5, 2, (5, 5))
    drawn = draw_errors(paired, np.eye(5), error, np.full((5, 5), np.inf), draws=20_000)
    np.testing.assert_allclose(drawn.delta.std(axis=0), error, rtol=0.03)
    assert np.abs(drawn.delta.mean(axis=0) / error).max() < 0.04


def test_draws_of_two_sources_share_the_baseline_and_of_two_targets_the_run() -> None:
    paired = world(np.random.default_rng(4), 12, 6, equal_correlation(12, 0.6))
    drawn = effects_from_differences(paired, draws=4000).errors.delta
    sources = [mean_correlation(np.delete(drawn[:, i], i, axis=1)) for i in range(12)]
    targets = [mean_correlation(np.delete(drawn[:, :, j], j, axis=1)) for j in range(12)]
    assert np.mean(sources) == pytest.approx(0.5, abs=0.04)
    assert np.mean(targets) == pytest.approx(0.6, abs=0.08)


def test_draws_of_targets_in_blocks_correlate_within_blocks_only() -> None:
    block = np.arange(16) // 8
    planted = np.where(block[:, None] == block, 0.8, 0.0) + 0.2 * np.eye(16)
    paired = world(np.random.default_rng(5), 16, 15, planted)
    found = np.corrcoef(effects_from_differences(paired, draws=4000).errors.delta[:, :, 3].T)
    inside, outside = (block[:, None] == block) & ~np.eye(16, dtype=bool), block[:, None] != block
    assert found[inside].mean() > 0.6
    assert abs(found[outside].mean()) < 0.15


def test_draws_of_sources_at_other_seeds_do_not_share_the_baseline() -> None:
    paired = world(np.random.default_rng(6), 6, 6, np.eye(6))
    difference = paired.difference.copy()
    difference[3:, :, 0] = difference[:3, :, 1] = np.nan
    drawn = effects_from_differences(replace(paired, difference=difference), draws=4000).errors.delta
    rows = [np.corrcoef(drawn[:, i].T) for i in range(2, 6)]
    assert np.mean([row[0, 1] for row in rows]) == pytest.approx(0, abs=0.05)
    assert np.mean([row[0, 2:].mean() for row in rows]) == pytest.approx(0.5 / np.sqrt(2), abs=0.12)


def test_draws_of_a_raised_and_a_lowered_source_share_the_baseline_with_opposite_signs() -> None:
    paired = world(np.random.default_rng(7), 6, 4, np.eye(6))
    sign = np.array([-1, 1, 1, 1, 1, 1])
    raised = replace(paired, amounts=paired.amounts * sign, difference=paired.difference * sign)
    effects, mirrored = effects_from_differences(raised, draws=4000), effects_from_differences(paired, draws=4000)
    np.testing.assert_allclose(effects.standard_error, mirrored.standard_error)
    np.testing.assert_allclose(effects.errors.delta, mirrored.errors.delta * sign)
    assert (effects.amounts > 0).all()


@pytest.mark.parametrize(("categories", "seeds", "correlation"), [(8, 3, 0.0), (8, 3, 0.5), (8, 5, 0.3), (20, 3, 0.5)])
def test_intervals_of_weighted_sums_from_the_draws_cover_as_often_as_promised(
    categories: int, seeds: int, correlation: float
) -> None:
    rng = np.random.default_rng(8)
    covered = []
    for _ in range(250 if categories == 8 else 120):
        paired = world(rng, categories, seeds, equal_correlation(categories, correlation))
        effects = effects_from_differences(paired)
        for _ in range(4):
            step = rng.normal(size=categories)
            weights = rng.dirichlet(np.ones(categories))[:, None] * (step - step.mean())
            low, high = np.quantile(np.einsum("bts,ts->b", effects.errors.delta, weights), [0.025, 0.975])
            covered.append(low <= (effects.delta * weights).sum() <= high)
    assert 0.93 <= np.mean(covered) <= 0.97


def test_draws_are_the_same_every_time(planted_world: Callable) -> None:
    _, paired = planted_world(np.random.default_rng(9), 5, 3, "equal")
    first, second = (effects_from_differences(paired).errors.delta for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.shape == (400, 5, 5)


@pytest.mark.parametrize(("targets", "sources", "draws"), [(250, 320, 250), (1100, 1000, None)])
def test_draws_of_large_matrices_are_fewer_or_none(targets: int, sources: int, draws: int | None) -> None:
    rng = np.random.default_rng(10)
    names = tuple(f"c{i}" for i in range(max(targets, sources)))
    difference = rng.normal(size=(2, targets, sources))
    paired = PairedDifferences(names[:targets], names[:sources], "nats", np.ones(sources), difference)
    unit = np.ones((targets, sources))
    drawn = draw_errors(paired, np.eye(targets), unit, unit * 5)
    assert (None if drawn is None else len(drawn.delta)) == draws


def test_effects_without_draws_have_none(planted_world: Callable) -> None:
    _, paired = planted_world(np.random.default_rng(11), 4, 3, "equal")
    assert effects_from_differences(paired, draws=0).errors is None


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 5), st.integers(2, 7))
def test_residuals_of_any_incomplete_table_are_those_of_least_squares(seed: int, seeds: int, arms: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(seeds, 2, arms))
    values[rng.random(values.shape) < 0.3] = np.nan
    residual, df = additive_residuals(values)
    for t in range(2):
        n, a = np.nonzero(np.isfinite(values[:, t]))
        design = np.hstack([np.eye(seeds)[n], np.eye(arms)[a]])
        fit = np.linalg.lstsq(design, values[n, t, a], rcond=None)
        np.testing.assert_allclose(residual[n, t, a], values[n, t, a] - design @ fit[0], atol=1e-9)
        assert df[t] == len(n) - fit[2]
        assert np.isnan(residual[:, t]).sum() == values[:, t].size - len(n)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 4), st.integers(2, 9))
def test_correlation_of_any_runs_is_one(seed: int, seeds: int, categories: int) -> None:
    rng = np.random.default_rng(seed)
    paired = world(rng, categories, seeds, np.eye(categories))
    paired.difference[:, 0] = 0
    found = run_correlation(paired, (~np.eye(categories, dtype=bool)).astype(float))
    np.testing.assert_allclose(np.diag(found), 1)
    np.testing.assert_allclose(found, found.T)
    assert np.linalg.eigvalsh(found)[0] > -1e-9


def test_run_correlation_of_many_runs_is_the_planted_one() -> None:
    rng = np.random.default_rng(12)
    loading = rng.normal(size=(6, 2))
    planted = loading @ loading.T + np.diag(rng.uniform(0.3, 1, 6))
    planted /= np.sqrt(np.outer(np.diag(planted), np.diag(planted)))
    found = run_correlation(world(rng, 6, 800, planted), 1.0 - np.eye(6))
    np.testing.assert_allclose(found, planted, atol=0.06)


def test_independent_targets_of_copies_are_one_and_of_strangers_all() -> None:
    assert independent_targets(np.ones((7, 7))) == pytest.approx(1)
    assert independent_targets(np.eye(7)) == pytest.approx(7)
    rng = np.random.default_rng(13)
    draws = rng.multivariate_normal(np.zeros(5), equal_correlation(5, 0.7), size=(20_000, 4))
    pooled = draws.var(axis=1, ddof=1).mean(axis=1)
    assert stats.variation(pooled) ** 2 == pytest.approx(
        2 / (3 * independent_targets(equal_correlation(5, 0.7))), rel=0.05
    )
