from __future__ import annotations

import numpy as np

from tasks.sequential.truths import draw_true_slopes, draw_truths


def test_true_effects_of_normal_effects_are_shrunk_as_the_normal_posterior_says() -> None:
    rng = np.random.default_rng(0)
    cells, spread, error = 3000, 2.0, 1.0
    truth = rng.normal(0, spread, cells)
    estimate = truth + rng.normal(0, error, cells)
    drawn = draw_truths(estimate, np.full(cells, error), np.full(cells, np.inf), 200, rng)
    shrink = spread**2 / (spread**2 + error**2)
    slope = np.polyfit(estimate, drawn.effect.mean(axis=0), 1)[0]
    assert abs(slope - shrink) < 0.04
    assert abs(drawn.effect.std(axis=0).mean() - error * np.sqrt(shrink)) < 0.05
    np.testing.assert_allclose(drawn.variance, 1, atol=1e-3)


def test_true_effects_among_many_nulls_cover_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    cells, df, seeds = 2000, 6.0, 3
    truth = np.where(rng.random(cells) < 0.15, rng.normal(0, 4, cells), 0.0)
    error = np.sqrt(rng.chisquare(df, cells) / df)
    estimate = truth + rng.normal(0, 1, cells)
    drawn = draw_truths(estimate, error, np.full(cells, df), 400, rng)
    # the mean of a few more runs is continuous, so its rank among the forecasts is uniform
    forecast = drawn.effect + rng.normal(size=drawn.effect.shape) * error * np.sqrt(drawn.variance / seeds)
    outcome = truth + rng.normal(size=cells) / np.sqrt(seeds)
    rank = (forecast < outcome).mean(axis=0)
    for level in (0.5, 0.9):
        inside = np.abs(rank - 0.5) < level / 2
        assert abs(inside.mean() - level) < 0.035
    clear = np.abs(estimate) > 5
    assert np.mean(drawn.effect[:, clear].mean(axis=0) / estimate[clear]) > 0.85
    assert np.abs(drawn.effect[:, np.abs(estimate) < 1]).mean() < 0.3


def test_true_effects_where_nothing_is_there_are_near_zero() -> None:
    rng = np.random.default_rng(2)
    estimate = rng.normal(size=756)
    drawn = draw_truths(estimate, np.ones(756), np.full(756, 25.0), 200, rng)
    assert np.sqrt((drawn.effect**2).mean()) < 0.3


def test_true_slopes_cover_the_truth_with_correlated_and_unequal_errors() -> None:
    rng = np.random.default_rng(3)
    size, ranks, distances = 12, [], []
    scale = np.geomspace(0.3, 3, size)
    root = np.diag(scale) @ np.linalg.cholesky(0.5 * np.eye(size) + 0.5)
    for _ in range(150):
        truth = 5 + rng.normal(0, 1.0, size)
        estimate = truth + root @ rng.normal(size=size)
        drawn = draw_true_slopes(estimate, rng.normal(size=(300, size)) @ root.T)
        ranks.append((drawn < truth).mean(axis=0))
        distances.append(((drawn.mean(axis=0) - truth) ** 2, (estimate - truth) ** 2))
    inside = (np.abs(np.array(ranks) - 0.5) < 0.45).mean()
    assert 0.85 < inside < 0.94
    ours, raw = np.mean(distances, axis=(0, 2))
    assert ours < 0.35 * raw


def test_true_slopes_where_all_are_equal_are_drawn_together() -> None:
    rng = np.random.default_rng(4)
    apart = []
    for _ in range(40):
        estimate = 5 + rng.normal(size=28)
        drawn = draw_true_slopes(estimate, rng.normal(size=(200, 28)))
        apart.append(drawn.std(axis=1).mean())
    assert np.median(apart) < 0.5
