"""Worlds without any interaction: what a surface must not find there."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.effects.matrix import EffectMatrix
from tasks.effects.surface import surface_effects
from tasks.interventions.designs.mixes import Levels, factorial
from tasks.worlds.drawing import WorldSpec, draw_world
from tasks.worlds.measuring import measure
from tasks.worlds.trials import pool_counts

WORLDS, K = 40, 5
OFF = ~np.eye(K, dtype=bool)


@pytest.fixture(scope="module")
def found() -> list[EffectMatrix]:
    effects = []
    for seed in range(1, WORLDS + 1):
        planted = draw_world(WorldSpec(K), seed, null=True)
        design = factorial(*pool_counts(planted), Levels(runs=12, draw=seed))
        effects.append(surface_effects(measure(planted, design, (1, 2))))
    return effects


def test_effects_between_categories_are_discovered_in_at_most_a_twentieth_of_null_worlds(
    found: list[EffectMatrix],
) -> None:
    discoveries = [int((effects.q_value <= 0.05)[OFF].sum()) for effects in found]
    assert np.mean(np.array(discoveries) > 0) <= 0.05


def test_own_effects_are_found_all_the_same(found: list[EffectMatrix]) -> None:
    assert np.mean([effects.identified for effects in found]) > 0.9
    assert np.mean([np.diag(effects.low) > 0 for effects in found]) > 0.9


def test_intervals_of_absent_effects_hold_0_about_as_often_as_stated(found: list[EffectMatrix]) -> None:
    held = np.mean([((effects.low <= 0) & (effects.high >= 0))[OFF] for effects in found])
    assert held >= 0.94
    small = np.mean([(effects.p_value <= 0.05)[OFF] for effects in found])
    assert small <= 0.06
