"""Effects from a surface against a planted world's own contrasts, and what must not change them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from tasks.effects.matrix import EffectMatrix, RunTable
from tasks.effects.surface import fit_surface, surface_effects
from tasks.interventions.designs.mixes import Levels, factorial, mixtures
from tasks.worlds.drawing import WorldSpec, draw_world
from tasks.worlds.measuring import measure
from tasks.worlds.trials import pool_counts
from tasks.worlds.world import AnalyticWorld

K = 5
FROM_POSTERIOR = ("delta", "standard_error", "marginal", "marginal_error", "p_value", "q_value", "asymmetry_p")
FROM_RATIOS = ("gamma", "gamma_low", "gamma_high")
FROM_DRAWS = ("low", "high")


def world(noise: float, seed: int) -> AnalyticWorld:
    return draw_world(WorldSpec(K, noise=noise), seed)


def amounts_of(planted: AnalyticWorld, rows: int = 24, seeds: int = 1) -> RunTable:
    return measure(planted, factorial(*pool_counts(planted), Levels(0.2, 1.8, runs=rows, draw=1)), range(1, seeds + 1))


def shares_of(planted: AnalyticWorld, number: int = 40) -> RunTable:
    return measure(planted, mixtures(*pool_counts(planted), number, draw=1), [1])


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def replaced(planted: AnalyticWorld, at: np.ndarray, source: int, change: float) -> np.ndarray:
    """[K] performance after a change of one source for which the others pay pro rata."""
    others = np.delete(at, source)
    moved = np.insert(others - change * others / others.sum(), source, at[source] + change)
    assert moved.sum() == pytest.approx(at.sum())
    return planted.performance(moved)


@pytest.mark.parametrize("seed", [3, 4, 6])
def test_effects_of_amounts_are_the_planted_ones_with_the_others_as_they_are(seed: int) -> None:
    planted = world(0, seed)
    found = surface_effects(amounts_of(planted))
    step = 1e-4 * planted.counts * np.eye(K)
    slopes = (planted.performance(planted.counts + step) - planted.performance(planted.counts - step)).T
    slopes /= 2e-4 * planted.counts
    removals = planted.performance(planted.counts) - planted.performance(planted.counts * (1 - np.eye(K)))
    assert rms(found.marginal - slopes) < 0.02 * rms(slopes)
    assert rms(found.delta - removals.T) < 0.1 * rms(removals)
    assert found.identified.all()
    assert found.gamma == pytest.approx(planted.gamma, abs=0.03)
    assert found.amounts == pytest.approx(planted.counts)


@pytest.mark.parametrize("seed", [1, 3, 5])
def test_effects_of_shares_are_the_planted_ones_with_the_others_paying_pro_rata(seed: int) -> None:
    planted = world(0, seed)
    at = planted.counts
    found = surface_effects(shares_of(planted))
    removals = np.array([planted.performance(at) - replaced(planted, at, j, -at[j]) for j in range(K)]).T
    slopes = np.array([replaced(planted, at, j, 1.0) - replaced(planted, at, j, -1.0) for j in range(K)]).T / 2
    assert rms(found.delta - removals) < 0.05 * rms(removals)
    assert rms(found.marginal - slopes) < 0.01 * rms(slopes)
    own = slopes / np.diag(slopes)[:, None]
    assert found.gamma[found.identified] == pytest.approx(own[found.identified], abs=0.02)


def test_effects_at_another_baseline_are_those_there() -> None:
    planted = world(0, 2)
    other = planted.counts * np.array([1.4, 0.6, 1.2, 0.8, 1.3])
    at_other, at_own = planted.marginal(other), planted.marginal()
    surface = fit_surface(amounts_of(planted))
    assert rms(surface.effects(other).marginal - at_other) < 0.03 * rms(at_other)
    assert rms(at_other - at_own) > 0.1 * rms(at_own)
    assert surface.effects(other).amounts == pytest.approx(other)
    mixed = fit_surface(shares_of(planted))
    other *= planted.counts.sum() / other.sum()
    expected = np.array(
        [(replaced(planted, other, j, 1.0) - replaced(planted, other, j, -1.0)) / 2 for j in range(K)]
    ).T
    assert rms(mixed.effects(other).marginal - expected) < 0.03 * rms(expected)


def test_intervals_of_gamma_end_where_the_contrast_of_slopes_is_just_significant() -> None:
    """Fieller: the ends are the values g at which m_ij − g m_ii lies t standard errors from 0."""
    planted = world(0.2, 3)
    surface = fit_surface(amounts_of(planted, seeds=2))
    found, at, checked = surface.effects(), surface.baseline, 0
    points = np.concatenate([at * (1 + 0.05 * sign * np.eye(K)) for sign in (1, -1)])
    for i in np.flatnonzero(found.identified):
        mean, covariance = surface.contrasts(int(i), points)
        critical = stats.t.ppf(0.975, surface.fits[i].df)
        for j in range(K):
            for end in (found.gamma_low[i, j], found.gamma_high[i, j]) if i != j else ():
                weights = np.zeros(2 * K)
                weights[[j, K + j]] = np.array([1, -1]) / (0.1 * at[j])
                weights[[i, K + i]] -= end * np.array([1, -1]) / (0.1 * at[i])
                assert abs(weights @ mean) / np.sqrt(weights @ covariance @ weights) == pytest.approx(
                    critical, rel=1e-5
                )
                checked += 1
    assert checked > 2 * K
    own = np.diag(found.gamma)[found.identified]
    assert (own == 1).all()


def test_target_whose_own_data_do_not_help_has_no_equivalence() -> None:
    planted = world(0.05, 1)
    runs = amounts_of(planted, seeds=2)
    noise = np.random.default_rng(0).normal(size=len(runs.runs))
    performance = runs.performance.copy()
    performance[:, 1] = noise
    performance[:, 2] = noise * 0.01 - 0.5 * runs.amounts[:, 2] / planted.counts[2]
    found = surface_effects(replace(runs, performance=performance))
    assert found.identified.tolist() == [True, False, False, True, True]
    for values in (found.gamma, found.gamma_low, found.gamma_high):
        assert np.isnan(values[1:3]).all()
        assert np.isfinite(values[[0, 3, 4]]).all()


def test_joint_error_draws_spread_and_correlate_as_the_errors_they_stand_for() -> None:
    planted = world(0.2, 4)
    surface = fit_surface(amounts_of(planted, seeds=2))
    found = surface.effects()
    assert found.errors is not None
    draws = found.errors.marginal
    df = np.array([fit.df for fit in surface.fits])[:, None]
    expected = found.marginal_error * np.sqrt(df / (df - 2))
    assert draws.std(axis=0) / expected == pytest.approx(np.ones((K, K)), abs=0.2)
    assert draws.mean(axis=0) / expected == pytest.approx(np.zeros((K, K)), abs=0.25)
    ends = np.quantile(found.errors.delta, [0.025, 0.975], axis=0)
    assert found.low - found.delta == pytest.approx(ends[0])
    assert found.high - found.delta == pytest.approx(ends[1])


def test_targets_that_err_alike_in_the_runs_err_alike_in_the_draws() -> None:
    planted = world(0.2, 4)
    runs = amounts_of(planted, seeds=2)
    twin = (
        runs.performance[:, 0]
        + 0.01 * np.random.default_rng(0).normal(size=len(runs.runs)) * runs.performance[:, 0].std()
    )
    alone = np.random.default_rng(1).permutation(runs.performance[:, 0])
    twins = replace(
        runs,
        targets=("x", "x again", "unrelated"),
        performance=np.stack([runs.performance[:, 0], twin, alone], axis=1),
        n=runs.n[:, :3],
    )
    errors = surface_effects(twins).errors
    assert errors is not None
    draws = errors.marginal.reshape(len(errors.marginal), 3, K)
    alike = [np.corrcoef(draws[:, 0, j], draws[:, 1, j])[0, 1] for j in range(K)]
    apart = [np.corrcoef(draws[:, 0, j], draws[:, 2, j])[0, 1] for j in range(K)]
    assert min(alike) > 0.8
    assert max(np.abs(apart)) < 0.6


def test_asymmetry_is_one_sided_and_marks_the_planted_direction() -> None:
    planted = world(0.1, 3)
    found = surface_effects(amounts_of(planted, seeds=2))
    p, off = found.asymmetry_p, ~np.eye(K, dtype=bool)
    assert np.isnan(np.diag(p)).all()
    assert (p + p.T)[off] == pytest.approx(np.ones(K * (K - 1)))
    removal = planted.removal()
    gap = removal - removal.T
    large = off & (np.abs(gap) > 0.5 * np.abs(gap).max())
    assert large.any()
    assert (p[large & (gap > 0)] < 0.05).all()
    assert (p[large & (gap < 0)] > 0.95).all()


def test_sources_and_targets_may_differ() -> None:
    """Targets are a source and something else; both get the planted effects, only the first an equivalence."""
    planted = world(0, 3)
    runs = amounts_of(planted)
    some = replace(
        runs, targets=("elsewhere", runs.sources[2]), performance=runs.performance[:, [0, 2]], n=runs.n[:, :2]
    )
    found = surface_effects(some)
    assert found.delta.shape == (2, K)
    truth = planted.marginal()[[0, 2]]
    assert rms(found.marginal - truth) < 0.05 * rms(truth)
    assert found.identified.tolist() == [False, True]
    assert np.isnan(found.gamma[0]).all()
    assert found.gamma[1] == pytest.approx(planted.gamma[2], abs=0.03)
    assert np.isnan(found.asymmetry_p).all()


def permuted(runs: RunTable, rows: np.ndarray, sources: np.ndarray, targets: np.ndarray) -> RunTable:
    return RunTable(
        runs=tuple(runs.runs[r] for r in rows),
        seeds=tuple(runs.seeds[r] for r in rows),
        arms=tuple(runs.arms[r] for r in rows),
        sources=tuple(runs.sources[s] for s in sources),
        amounts=runs.amounts[np.ix_(rows, sources)],
        targets=tuple(runs.targets[t] for t in targets),
        performance=runs.performance[np.ix_(rows, targets)],
        n=runs.n[np.ix_(rows, targets)],
        unit=runs.unit,
    )


def assert_same(found: EffectMatrix, expected: EffectMatrix, targets: np.ndarray, sources: np.ndarray) -> None:
    place = np.ix_(targets, sources)
    for names, tolerance in ((FROM_POSTERIOR, 1e-6), (FROM_RATIOS, 1e-6), (FROM_DRAWS, 1e-4)):
        for name in names:
            values, wanted = getattr(found, name), getattr(expected, name)[place]
            scale = 1.0 if name.endswith(("p", "value")) else np.nanmax(np.abs(wanted))
            assert values / scale == pytest.approx(wanted / scale, abs=tolerance, nan_ok=True), name
    assert (found.identified == expected.identified[targets]).all()


@pytest.mark.parametrize("design", [amounts_of, shares_of])
def test_another_order_of_runs_sources_and_targets_gives_the_same_effects_in_that_order(
    design: Callable[[AnalyticWorld, int], RunTable],
) -> None:
    runs, rng = design(world(0.2, 5), 24), np.random.default_rng(1)
    rows, sources, targets = (rng.permutation(size) for size in (len(runs.runs), K, K))
    found = surface_effects(permuted(runs, rows, sources, targets))
    assert found.sources == tuple(runs.sources[s] for s in sources)
    assert found.targets == tuple(runs.targets[t] for t in targets)
    assert_same(found, surface_effects(runs), targets, sources)


def per_unit(effects: EffectMatrix, unit: float) -> EffectMatrix:
    """The same with slopes per so many of what the amounts counted."""
    return replace(effects, marginal=effects.marginal * unit, marginal_error=effects.marginal_error * unit)


def test_amounts_in_thousands_give_the_same_deltas_and_equivalence_and_slopes_per_thousand() -> None:
    runs = amounts_of(world(0.2, 6), seeds=2)
    found = surface_effects(replace(runs, amounts=runs.amounts / 1000))
    expected = surface_effects(runs)
    assert_same(found, per_unit(expected, 1000), np.arange(K), np.arange(K))
    assert found.amounts == pytest.approx(expected.amounts / 1000)


def test_amounts_as_shares_of_one_total_give_the_same_deltas() -> None:
    runs = shares_of(world(0.2, 6), 20)
    found = surface_effects(replace(runs, amounts=runs.amounts / runs.amounts.sum(axis=1, keepdims=True)))
    assert_same(found, per_unit(surface_effects(runs), runs.amounts[0].sum()), np.arange(K), np.arange(K))


def test_default_baseline_is_the_baselines_runs_or_else_the_mean_run() -> None:
    planted = world(0.2, 6)
    runs = amounts_of(planted, rows=12)
    assert surface_effects(runs).amounts == pytest.approx(planted.counts)
    unmarked = replace(runs, arms=("mixture",) * len(runs.runs))
    assert fit_surface(unmarked).effects().amounts == pytest.approx(runs.amounts.mean(axis=0))


def test_wider_confidence_widens_every_interval_and_moves_no_estimate() -> None:
    runs = amounts_of(world(0.2, 3), rows=12)
    wide, narrow = (surface_effects(runs, confidence) for confidence in (0.95, 0.8))
    assert np.array_equal(wide.delta, narrow.delta)
    assert (wide.low < narrow.low).all()
    assert (wide.high > narrow.high).all()
    rows = wide.identified & narrow.identified
    off = ~np.eye(K, dtype=bool)[rows]
    assert (wide.gamma_low[rows] < narrow.gamma_low[rows])[off].all()
    assert wide.confidence == 0.95
