"""Response surfaces of planted worlds: predictions, shares or amounts, seeds, and runs that are refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tasks.effects.matrix import RunTable
from tasks.effects.surface import Surface, fit_surface
from tasks.errors import InputError
from tasks.interventions.designs.mixes import Levels, factorial, mixtures
from tasks.interventions.designs.removals import leave_one_out
from tasks.interventions.intervention import Arm
from tasks.worlds.drawing import WorldSpec, draw_world
from tasks.worlds.measuring import measure
from tasks.worlds.trials import pool_counts
from tasks.worlds.world import AnalyticWorld

K = 4


def world(noise: float, seed: int = 1, seed_noise: float = 1.0) -> AnalyticWorld:
    return draw_world(WorldSpec(K, noise=noise, seed_noise=seed_noise), seed)


def factorial_runs(planted: AnalyticWorld, rows: int = 12, seeds: int = 1) -> RunTable:
    design = factorial(*pool_counts(planted), Levels(runs=rows, draw=1))
    return measure(planted, design, range(1, seeds + 1))


def table(amounts: np.ndarray, performance: np.ndarray, seeds: tuple[int, ...] | None = None) -> RunTable:
    """Runs of sources a, b, … and targets x, y, …, none of them a baseline."""
    runs = len(amounts)
    return RunTable(
        runs=tuple(f"run {r}" for r in range(runs)),
        seeds=seeds or (0,) * runs,
        arms=("mixture",) * runs,
        sources=tuple("abcdefgh"[: amounts.shape[1]]),
        amounts=amounts,
        targets=tuple("xyz"[: performance.shape[1]]),
        performance=performance,
        n=np.zeros(performance.shape, dtype=np.int64),
        unit="nats per token",
    )


def some(runs: int = 10) -> RunTable:
    rng = np.random.default_rng(0)
    return table(rng.uniform(10, 100, (runs, 3)), rng.normal(size=(runs, 2)))


@pytest.mark.parametrize(("kind", "bound"), [("law", 0.05), ("combined", 0.1)])
def test_law_predicts_runs_without_noise_far_outside_the_design(kind: str, bound: float) -> None:
    planted = world(noise=0)
    surface = fit_surface(factorial_runs(planted, 16), kind=kind)
    doubled = planted.counts * np.random.default_rng(0).uniform(1, 2.5, (30, K))
    error = surface.predict(doubled).mean - planted.performance(doubled)
    spread = (planted.performance(doubled) - planted.performance(planted.counts)).std(axis=0)
    assert np.sqrt(np.mean((error / spread) ** 2)) < bound


def test_process_alone_predicts_runs_without_noise_inside_the_design() -> None:
    planted = world(noise=0)
    rng = np.random.default_rng(0)
    amounts, new = (planted.counts * rng.uniform(0.5, 1.5, (size, K)) for size in (60, 40))
    surface = fit_surface(table(amounts, planted.performance(amounts)[:, :3]), kind="gp")
    predicted, truth = surface.predict(new), planted.performance(new)[:, :3]
    assert surface.predict(amounts).mean == pytest.approx(planted.performance(amounts)[:, :3], abs=2e-3)
    assert np.sqrt(np.mean((predicted.mean - truth) ** 2, axis=0) / truth.var(axis=0)).max() < 0.05


def test_combined_follows_what_no_law_can_and_is_the_law_where_that_suffices() -> None:
    rng = np.random.default_rng(0)
    planted = world(noise=0)
    amounts, new = (planted.counts * rng.uniform(0.2, 1.8, (size, K)) for size in (60, 40))

    def performance(at: np.ndarray) -> np.ndarray:
        bump = np.exp(-8 * ((at[:, :2] / planted.counts[:2] - 1) ** 2).sum(axis=1))
        return np.stack([planted.performance(at)[:, 0], planted.performance(at)[:, 0] + bump], axis=1)

    runs = table(amounts, performance(amounts) + rng.normal(0, 0.02, (60, 2)))
    error = {}
    for kind in ("law", "combined"):
        predicted = fit_surface(runs, kind=kind).predict(new)
        error[kind] = np.sqrt(np.mean((predicted.mean - performance(new)) ** 2, axis=0))
    assert error["combined"][1] < error["law"][1] / 2
    assert error["combined"][0] < 0.02


def test_prediction_intervals_widen_with_the_confidence_and_far_outside_the_runs_and_hold_the_mean() -> None:
    runs = factorial_runs(world(noise=0.2), 12, seeds=2)
    at = np.stack([runs.amounts[0], 4 * runs.amounts[0]])
    wide, narrow = (fit_surface(runs, confidence).predict(at) for confidence in (0.95, 0.5))
    assert (wide.low < narrow.low).all()
    assert (narrow.low < narrow.mean).all()
    assert wide.high - wide.mean == pytest.approx(wide.mean - wide.low)
    assert (np.diff(wide.standard_error, axis=0) > 0).all()


def test_runs_of_one_seed_share_its_effect_so_that_large_seed_noise_does_not_hurt_slopes() -> None:
    known, unknown = [], []
    for seed in range(1, 5):
        planted = world(noise=0.1, seed=seed, seed_noise=8.0)
        runs = factorial_runs(planted, 12, seeds=3)
        apart = replace(runs, seeds=tuple(range(len(runs.runs))))
        for found, used in ((known, runs), (unknown, apart)):
            found.append(
                (fit_surface(used, kind="law").effects().marginal - planted.marginal()) / planted.marginal().max()
            )
    assert np.sqrt(np.mean(np.square(known))) < np.sqrt(np.mean(np.square(unknown))) / 2


def test_prediction_errors_hold_the_effect_of_a_seed_that_no_run_has() -> None:
    planted = world(noise=0.1, seed_noise=8.0)
    predicted = fit_surface(factorial_runs(planted, 12, seeds=6)).predict(planted.counts[None])
    ratio = predicted.standard_error[0] / planted.seed_noise
    assert (ratio > 0.4).all()
    assert (ratio < 2.5).all()


def test_runs_of_one_total_hold_shares_even_when_rounded() -> None:
    planted = world(noise=0.1)
    runs = measure(planted, mixtures(*pool_counts(planted), 16, draw=1), [1])
    shares = np.round(runs.amounts / runs.amounts.sum(axis=1, keepdims=True), 3)
    assert fit_surface(runs, kind="gp").shares
    assert fit_surface(replace(runs, amounts=shares), kind="gp").shares
    assert not fit_surface(factorial_runs(planted), kind="gp").shares


@pytest.mark.parametrize(("arm", "shares"), [(Arm.SIZE_REDUCED, False), (Arm.SIZE_MATCHED, True)])
def test_many_small_sources_that_are_left_out_without_replacement_hold_no_shares(arm: Arm, shares: bool) -> None:
    """Each run's total is within 1% of the others', yet nothing pays for what it lacks."""
    counts = {f"c{k:03d}": 100 for k in range(120)}
    design = leave_one_out(counts, dict.fromkeys(counts, 400), [arm])
    amounts = np.array([[dict(one.counts)[name] for name in counts] for one in design], dtype=float)
    rng = np.random.default_rng(0)
    runs = RunTable(
        runs=tuple(one.name for one in design),
        seeds=(1,) * len(design),
        arms=tuple(one.name for one in design),
        sources=tuple(counts),
        amounts=amounts,
        targets=("x",),
        performance=rng.normal(size=(len(design), 1)),
        n=np.zeros((len(design), 1), dtype=np.int64),
        unit="nats per token",
    )
    assert fit_surface(runs, kind="gp").shares is shares


def test_scores_in_another_unit_give_the_same_predictions_in_that_unit() -> None:
    runs = factorial_runs(world(noise=0.1))
    at = runs.amounts[:4] * 0.8
    found = fit_surface(runs).predict(at)
    other = fit_surface(replace(runs, performance=7 + 100 * runs.performance)).predict(at)
    assert other.mean == pytest.approx(7 + 100 * found.mean, rel=1e-6)
    assert other.low == pytest.approx(7 + 100 * found.low, rel=1e-5)


def test_fitting_twice_gives_the_same_numbers() -> None:
    runs = factorial_runs(world(noise=0.1))
    first, second = (fit_surface(runs) for _ in range(2))
    at = runs.amounts[:3] * 1.1
    assert np.array_equal(first.predict(at).high, second.predict(at).high)
    for name in ("delta", "low", "gamma", "q_value"):
        assert np.array_equal(getattr(first.effects(), name), getattr(second.effects(), name), equal_nan=True)


def refusal(runs: RunTable, act: Callable[[Surface], object] | None = None) -> str:
    with pytest.raises(InputError) as caught:
        surface = fit_surface(runs)
        if act:
            act(surface)
    return str(caught.value)


def test_too_few_runs_are_refused_with_their_number() -> None:
    assert "5 runs; a surface needs at least 6" in refusal(some(5))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_score_that_is_no_number_is_refused_with_run_and_target(value: float) -> None:
    runs = some()
    runs.performance[3, 1] = value
    assert f"run 'run 3': performance on 'y' is {value}" in refusal(runs)


@pytest.mark.parametrize("value", [float("nan"), -1.0])
def test_amount_that_is_none_is_refused_with_run_and_source(value: float) -> None:
    runs = some()
    runs.amounts[2, 1] = value
    assert f"run 'run 2': amount of 'b' is {value}, expected a number ≥ 0" in refusal(runs)


def test_source_that_no_run_holds_is_refused_by_name() -> None:
    runs = some()
    runs.amounts[:, 2] = 0
    assert "source 'c': no run holds any of it; leave the column out" in refusal(runs)


def test_source_of_which_all_runs_hold_the_same_is_refused_by_name() -> None:
    runs = some()
    runs.amounts[:, 0] = 40
    message = refusal(runs)
    assert "source 'a': all runs hold the same amount" in message
    assert "'b'" not in message


def test_target_on_which_all_runs_score_the_same_is_refused_by_name() -> None:
    runs = some()
    runs.performance[:, 1] = -2.5
    assert "target 'y': all runs have the same score" in refusal(runs)


def test_all_problems_are_reported_together() -> None:
    runs = some()
    runs.amounts[:, 2] = 0
    runs.amounts[:, 0] = 40
    runs.performance[:, 1] = -2.5
    assert refusal(runs).count("\n- ") == 3


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0])
def test_confidence_that_is_no_level_is_refused(confidence: float) -> None:
    with pytest.raises(InputError, match=f"confidence is {confidence}"):
        fit_surface(some(), confidence)


def test_effects_at_a_baseline_without_some_of_a_source_are_refused_by_name() -> None:
    message = refusal(some(), lambda surface: surface.effects(np.array([50.0, 0.0, 20.0])))
    assert "The baseline holds nothing of b" in message


def test_effects_are_refused_where_the_runs_own_baseline_lacks_a_source() -> None:
    runs = some()
    runs.amounts[4, 2] = 0
    runs = replace(runs, arms=(*("mixture",) * 4, "baseline", *("mixture",) * 5))
    assert np.isfinite(fit_surface(runs).predict(runs.amounts).mean).all()
    assert "The baseline holds nothing of c" in refusal(runs, Surface.effects)


@pytest.mark.parametrize(
    ("amounts", "message"),
    [
        (np.array([[1.0, 2.0]]), "expected one column for each of a, b, c"),
        (np.array([[1.0, -2.0, 3.0]]), "amounts of b must be finite numbers ≥ 0"),
        (np.array([[1.0, 2.0, np.nan]]), "amounts of c must be finite numbers ≥ 0"),
    ],
)
def test_new_mixtures_that_are_none_are_refused(amounts: np.ndarray, message: str) -> None:
    assert message in refusal(some(), lambda surface: surface.predict(amounts))
