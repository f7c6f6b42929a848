"""Scores of estimates whose errors are known: the truth itself, the truth moved, runs that cannot be estimated from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tasks.effects.matrix import EffectMatrix, ErrorDraws, RunTable
from tasks.effects.paired import paired_effects
from tasks.proportions.program import solve
from tasks.proportions.proposal import Coefficients, Limits, Options
from tasks.worlds.decision import Rule, world_baseline
from tasks.worlds.drawing import WorldSpec, draw_world
from tasks.worlds.estimators import ESTIMATORS, Estimate, Estimator
from tasks.worlds.optimum import best_mixture
from tasks.worlds.score import Scores, score
from tasks.worlds.trials import run_design
from tasks.worlds.world import AnalyticWorld

K = 8


def oracle(world: AnalyticWorld, error: float = 0.0, half: float = 0.01) -> Estimator:
    """The truth plus `error` in every cell (relative to the cell's kind), intervals of ± half, and tiny draws."""

    def around(center: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return center - half, center + half

    def estimate(runs: RunTable, confidence: float) -> Estimate:
        delta, marginal, gamma = world.removal() + error, world.marginal() * (1 + error), world.gamma + error
        np.fill_diagonal(gamma, 1)
        tiny = np.random.default_rng(0).normal(size=(400, K, K)) * 1e-9
        sure = np.where(world.removal() != 0, 1e-9, 1.0)
        gap = world.removal() - world.removal().T
        matrix = EffectMatrix(
            estimator="surface",
            targets=world.categories,
            sources=world.categories,
            unit="nats per token",
            seeds=2,
            confidence=confidence,
            delta=delta,
            standard_error=np.full((K, K), half / 2),
            low=delta - half,
            high=delta + half,
            p_value=sure,
            q_value=sure,
            amounts=world.counts,
            marginal=marginal,
            marginal_error=np.full((K, K), 1e-9),
            gamma=gamma,
            gamma_low=gamma - half,
            gamma_high=gamma + half,
            identified=np.ones(K, dtype=bool),
            asymmetry_p=np.where(gap > 0, 1e-9, 1.0),
            seed_delta=np.full((2, K, K), np.nan),
            errors=ErrorDraws(tiny, tiny),
        )
        return Estimate(
            matrix, False, lambda at: (world.performance(at) + error - half, world.performance(at) + error + half)
        )

    return Estimator("oracle", estimate, needs_pairs=False, local=True)


def scored(world: AnalyticWorld, estimator: Estimator, shift: float = 0.01) -> Scores:
    limits = Limits(int(world.counts.sum()), max_shift=shift)
    runs = run_design("leave-one-out", world, 36, Rule(limits))
    found = score(world, runs, estimator, Rule(limits), best_mixture(world, limits))
    assert isinstance(found, Scores), found
    return found


def test_the_truth_scores_perfectly() -> None:
    world = draw_world(WorldSpec(K, noise=0), 4)
    found = scored(world, oracle(world))
    assert (found.delta_others.hits, found.delta_others.cells) == (56, 56)
    assert (found.delta_own.hits, found.delta_own.cells) == (8, 8)
    assert (found.gamma.hits, found.gamma_local.hits, found.gamma.cells) == (56, 56, 56)
    assert (found.prediction.hits, found.prediction.cells) == (20 * K, 20 * K)
    assert found.error_all == found.error_own == found.error_others == found.gamma_distance == 0
    assert found.edges_found == found.edges_right == found.edges_true == 8
    assert found.proposed
    # Over a small shift slopes decide nearly as well as the whole law does, and whole examples cost little.
    assert 0.97 * found.best_gain < found.gain <= found.best_gain
    assert found.predicted_gain == pytest.approx(found.gain, rel=0.1)


def test_an_error_outside_the_intervals_is_covered_nowhere_and_measured() -> None:
    world = draw_world(WorldSpec(K, noise=0), 4)
    found = scored(world, oracle(world, error=0.02))
    for covered in (found.delta_others, found.delta_own, found.gamma, found.gamma_local, found.prediction):
        assert covered.hits == 0 < covered.cells
    assert found.error_all == pytest.approx(0.02)
    own = np.diag(world.marginal())
    assert found.error_own == pytest.approx(0.02 * np.sqrt(np.mean(own**2) / np.mean(world.marginal() ** 2)))
    assert found.error_others < found.error_all < found.error_own
    assert found.gamma_distance == pytest.approx(0.02)


def test_a_proposal_for_equivalent_amounts_is_scored_by_what_it_does_for_performance() -> None:
    """The decision on the truth is the paper's program on the true γ, solved here apart."""
    world = draw_world(WorldSpec(K, noise=0), 4)
    limits = Limits(int(world.counts.sum()), max_shift=0.01)
    runs = run_design("leave-one-out", world, 36, Rule(limits))
    rule = Rule(limits, objective="equivalence")
    found = score(world, runs, oracle(world), rule, best_mixture(world, limits))
    assert isinstance(found, Scores), found
    gamma = Coefficients(world.categories, world.categories, world.gamma)
    expected = solve(gamma, world_baseline(world), limits, options=Options(amount=1.0, sensitivity=False))
    assert found.predicted_gain == pytest.approx(expected.objective - expected.baseline_objective, rel=1e-6)
    assert found.proposed
    assert found.gain == pytest.approx(world.gain(np.array(expected.counts)))
    assert found.gain < scored(world, oracle(world)).gain


def test_intervals_are_those_of_the_planned_runs_and_decisions_those_of_all() -> None:
    world = draw_world(WorldSpec(K, noise=0), 4)
    limits = Limits(int(world.counts.sum()), max_shift=0.01)
    runs = run_design("leave-one-out", world, 36, Rule(limits))
    marked = replace(runs, adaptive=tuple(seed > 2 for seed in runs.seeds))

    def estimate(given: RunTable, confidence: float) -> Estimate:
        return oracle(world, error=0.0 if set(given.seeds) == {1, 2} else 0.02).estimate(given, confidence)

    estimator = Estimator("oracle", estimate, needs_pairs=False, local=True)
    found = score(world, marked, estimator, Rule(limits), best_mixture(world, limits))
    assert isinstance(found, Scores), found
    for covered in (found.delta_others, found.delta_own, found.gamma, found.gamma_local, found.prediction):
        assert covered.hits == covered.cells > 0
    assert found.error_all == pytest.approx(0.02)
    assert found.gamma_distance == pytest.approx(0.02)


def test_predictions_are_of_new_runs_with_their_noise() -> None:
    world = draw_world(WorldSpec(K), 4)
    spread = np.hypot(world.run_noise, world.seed_noise)
    exact = [scored(draw_world(WorldSpec(K), seed), oracle(draw_world(WorldSpec(K), seed))) for seed in range(4, 9)]
    assert sum(found.prediction.hits for found in exact) < 0.3 * 5 * 20 * K
    wide = scored(world, oracle(world, half=1.96 * float(spread.mean())))
    assert 0.88 < wide.prediction.hits / wide.prediction.cells < 0.99


def test_the_truth_of_a_null_world_keeps_the_baseline() -> None:
    world = draw_world(WorldSpec(K), 4, null=True)
    found = scored(world, oracle(world))
    assert not found.proposed
    assert found.edges_found == found.edges_true == 0
    assert found.gain == pytest.approx(0, abs=1e-4)  # the baseline's counts, rounded
    assert found.best_gain == pytest.approx(0, abs=1e-6)


def test_paired_coefficients_are_scored_against_removals_and_beside_it_against_slopes() -> None:
    world = draw_world(WorldSpec(K), 4)
    quiet = replace(world, run_noise=world.run_noise / 1000)
    found = scored(quiet, ESTIMATORS["paired"])
    assert found.gamma.hits / found.gamma.cells > 0.85
    # Without noise to hide it, the distance between removals and small steps shows wherever γ is not 0.
    assert found.gamma.hits - found.gamma_local.hits >= 8
    nonzero = (world.gamma != 0) & ~np.eye(K, dtype=bool)
    bias = (world.removal_gamma() - world.gamma)[nonzero]
    assert found.gamma_distance == pytest.approx(np.sqrt((bias**2).sum() / 56), rel=0.02)
    assert found.prediction.cells == 0


def test_estimates_from_runs_of_one_total_are_scored_against_exchanges() -> None:
    world = draw_world(WorldSpec(K), 4)

    def estimate(runs: RunTable, confidence: float) -> Estimate:
        found = oracle(world).estimate(runs, confidence).matrix
        delta, gamma = world.removal(matched=True), world.exchange_gamma()
        moved = replace(found, delta=delta, low=delta - 1e-9, high=delta + 1e-9, marginal=world.exchange())
        return Estimate(replace(moved, gamma=gamma, gamma_low=gamma - 1e-9, gamma_high=gamma + 1e-9), matched=True)

    found = scored(world, Estimator("oracle", estimate, needs_pairs=False, local=True))
    assert found.delta_own.hits + found.delta_others.hits == K * K
    assert found.gamma.hits == found.gamma_local.hits == K * (K - 1)
    assert found.error_all == pytest.approx(0, abs=1e-12)
    assert 0.97 * found.best_gain < found.gain <= found.best_gain


def test_half_doses_are_scored_against_half_removals() -> None:
    world = draw_world(WorldSpec(K), 4)
    quiet = replace(world, run_noise=world.run_noise / 1000)
    limits = Limits(int(world.counts.sum()))
    runs = run_design("half-dose", quiet, 36, Rule(limits))
    found = score(quiet, runs, ESTIMATORS["paired"], Rule(limits), best_mixture(world, limits))
    assert isinstance(found, Scores)
    assert found.delta_own.hits + found.delta_others.hits > 0.85 * K * K
    assert paired_effects(runs).amounts == pytest.approx(world.counts / 2, abs=0.5)


def test_runs_that_cannot_be_estimated_from_are_refused_with_the_reason() -> None:
    world = draw_world(WorldSpec(K), 4)
    limits = Limits(int(world.counts.sum()))
    runs = run_design("leave-one-out", world, 36, Rule(limits))
    single = runs.subset([seed == 1 for seed in runs.seeds])
    found = score(world, single, ESTIMATORS["paired"], Rule(limits), best_mixture(world, limits))
    assert isinstance(found, str)
    assert "seed" in found
