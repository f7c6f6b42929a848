from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from tasks.effects.matrix import EffectMatrix, ErrorDraws
from tasks.effects.paired import effects_from_differences
from tasks.effects.pairing import PairedDifferences
from tasks.effects.surface import surface_effects
from tasks.interventions.designs.mixes import Levels, factorial
from tasks.taxonomy.evidence import Rule
from tasks.taxonomy.induce import induce
from tasks.taxonomy.stability import edge_stability
from tasks.worlds.drawing import WorldSpec, draw_world
from tasks.worlds.measuring import measure
from tasks.worlds.trials import pool_counts

NAMES = ("a", "b", "c", "d", "e")
TRUTH = {("a", "b"): 0.8, ("b", "c"): 0.5, ("a", "d"): 0.12}


def differences(seeds: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    truth = 2 * np.eye(5)
    for (source, target), value in TRUTH.items():
        truth[NAMES.index(target), NAMES.index(source)] = value
    return truth + rng.normal(0, 0.05, (seeds, 5, 1)) + rng.normal(0, 0.05, (seeds, 5, 5))


def effects(difference: np.ndarray) -> EffectMatrix:
    return effects_from_differences(PairedDifferences(NAMES, NAMES, "nats", np.full(5, 100.0), difference))


def as_surface(matrix: EffectMatrix) -> EffectMatrix:
    return replace(matrix, estimator="surface", seed_delta=np.full_like(matrix.seed_delta, np.nan))


def stabilities(matrix: EffectMatrix) -> dict[tuple[str, str], float]:
    return {(edge.source, edge.target): edge.stability for edge in induce(matrix).edges}


def test_stability_of_a_surface_comes_from_its_joint_errors() -> None:
    paired = effects(differences(5))
    surface = stabilities(as_surface(paired))
    assert surface.keys() == stabilities(paired).keys() >= {("a", "b"), ("b", "c")}
    assert surface["a", "b"] > 0.97
    assert surface["b", "c"] > 0.97
    weaker = replace(paired, delta=paired.delta - 0.05, high=paired.high - 0.05, low=paired.low - 0.05)
    shaken = edge_stability(as_surface(weaker), Rule(0.05, 0.05, 0.0))
    assert shaken.get(("a", "d"), 0.0) < edge_stability(as_surface(paired), Rule(0.05, 0.05, 0.0))["a", "d"]


@pytest.mark.parametrize(("categories", "seed"), [(4, 1), (4, 5), (6, 3)])
def test_stability_of_sure_edges_of_a_fitted_surface_is_high(categories: int, seed: int) -> None:
    """Removals are extrapolated from half doses: skewed intervals, much wider upward than the errors that decide."""
    planted = draw_world(WorldSpec(categories, noise=0.2, edges=0.7, conflicts=0.1), seed)
    runs = measure(planted, factorial(*pool_counts(planted), Levels(0.5, 1.5, runs=12, draw=1)), (1, 2))
    sure = [edge for edge in induce(surface_effects(runs)).edges if edge.q_value < 0.001]
    assert sure
    assert min(edge.stability for edge in sure) > 0.8


def test_stability_of_unequal_seeds_comes_from_the_joint_errors() -> None:
    difference = differences(5)
    difference[3:, :, 2] = np.nan
    matrix = effects(difference)
    found = stabilities(matrix)
    assert found == pytest.approx(stabilities(as_surface(matrix)), abs=0.02)  # which takes the two cells as independent
    assert found["a", "b"] > 0.97
    without_draws = stabilities(replace(matrix, errors=None))
    assert all(math.isnan(value) for value in without_draws.values())


def test_stability_of_an_edge_found_in_every_draw_is_exactly_one() -> None:
    paired = effects(differences(5))
    sure = replace(
        paired, delta=20 * paired.delta, low=paired.low + 19 * paired.delta, high=paired.high + 19 * paired.delta
    )
    assert stabilities(as_surface(sure))["a", "b"] == 1.0


@pytest.mark.parametrize("effect", [2.0, 3.0, 5.0])
def test_stability_over_errors_is_the_probability_of_finding_the_edge_again(effect: float) -> None:
    rng = np.random.default_rng(1)
    base = effects_from_differences(
        PairedDifferences(("a", "b"), ("a", "b"), "nats", np.ones(2), rng.normal(size=(3, 2, 2)))
    )
    delta, error = np.array([[9.0, 0.0], [effect, 9.0]]), np.array([[1.0, 1.0], [0.8, 1.0]])
    half = stats.norm.ppf(0.975) * error
    draws = rng.normal(size=(400, 2, 2)) * error
    matrix = replace(
        base,
        delta=delta,
        standard_error=error,
        low=delta - half,
        high=delta + half,
        seed_delta=np.full((3, 2, 2), np.nan),
        errors=ErrorDraws(draws, draws),
        df=np.full((2, 2), np.inf),
    )
    forward, backward = effect + 0.8 * rng.normal(size=200_000), rng.normal(size=200_000)
    p_forward, p_backward = 2 * stats.norm.sf(np.abs(forward) / 0.8), 2 * stats.norm.sf(np.abs(backward))
    significant = (forward > 0) & ((p_forward <= 0.025) | ((p_forward <= 0.05) & (p_backward <= 0.05)))
    asymmetric = stats.norm.sf((forward - backward) / np.hypot(0.8, 1)) <= 0.05
    found = edge_stability(matrix, Rule(0.05, 0.05, 0.0))
    assert found.get(("a", "b"), 0.0) == pytest.approx((significant & asymmetric).mean(), abs=0.1)


def test_stability_over_seeds_leaves_the_draws_aside() -> None:
    matrix = effects(differences(4))
    assert stabilities(matrix) == stabilities(replace(matrix, errors=None))
