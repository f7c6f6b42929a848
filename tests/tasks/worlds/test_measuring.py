"""Measured runs: common random numbers, and noise of the size and correlation that the world states."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tasks.errors import InputError
from tasks.interventions.design import mixture
from tasks.interventions.designs.removals import leave_one_out
from tasks.interventions.intervention import Arm, Intervention
from tasks.worlds.drawing import WorldSpec, draw_world
from tasks.worlds.measuring import measure, measure_runs
from tasks.worlds.trials import pool_counts
from tasks.worlds.world import AnalyticWorld


def removals(world: AnalyticWorld) -> tuple[Intervention, ...]:
    return leave_one_out(*pool_counts(world), [Arm.SIZE_REDUCED])


def test_table_holds_every_intervention_at_every_seed_with_its_counts() -> None:
    world = draw_world(WorldSpec(4, edges=0.5), 1)
    table = measure(world, removals(world), [5, 6, 7])
    assert len(table.runs) == len(set(table.runs)) == 5 * 3
    assert table.seeds == (5,) * 5 + (6,) * 5 + (7,) * 5
    assert table.arms[:2] == ("baseline", "without c1 (size-reduced)")
    assert table.amounts[1] == pytest.approx(world.counts * [0, 1, 1, 1])
    assert table.sources == table.targets == world.categories


def test_runs_of_a_seed_share_its_noise_so_that_differences_are_exact() -> None:
    world = draw_world(WorldSpec(5, edges=0.5), 2)
    silent = replace(world, run_noise=np.zeros(5))
    table = measure(silent, removals(world), [1, 2])
    for start in (0, 6):
        lost = (table.performance[start] - table.performance[start + 1 : start + 6]).T
        assert lost == pytest.approx(world.removal(), abs=1e-12)
    shift = table.performance[0] - table.performance[6]
    assert (np.abs(shift) > 0).all()


def test_a_run_measures_the_same_whatever_else_is_measured() -> None:
    world = draw_world(WorldSpec(5, edges=0.5), 2)
    baseline, first, second, *_ = removals(world)
    alone = measure_runs(world, [(second, 3)])
    among = measure_runs(world, [(first, 1), (baseline, 3), (second, 3)], adaptive=[False, False, True])
    assert (alone.performance[0] == among.performance[2]).all()
    assert (among.performance[1] != among.performance[2]).all()
    assert among.adaptive == (False, False, True)


def test_run_and_seed_noise_have_the_stated_size_and_correlation() -> None:
    world = draw_world(WorldSpec(3, edges=0.5, conflicts=0.2, seed_noise=1.5, correlation=0.4), 3)
    counts = pool_counts(world)[0]
    pair = [mixture("one", counts), mixture("other", counts)]
    values = measure(world, pair, range(6000)).performance - world.performance(world.counts)
    difference = (values[::2] - values[1::2]) / np.sqrt(2)
    assert difference.std(axis=0) == pytest.approx(world.run_noise, rel=0.05)
    assert np.corrcoef(difference.T)[np.triu_indices(3, 1)] == pytest.approx(np.full(3, 0.4), abs=0.05)
    assert values.std(axis=0) == pytest.approx(world.run_noise * np.sqrt(1 + 1.5**2), rel=0.05)
    assert values.mean(axis=0) == pytest.approx(np.zeros(3), abs=0.1 * world.run_noise.max())


def test_interventions_on_other_categories_are_refused() -> None:
    world = draw_world(WorldSpec(3, edges=0.5, conflicts=0.2), 3)
    with pytest.raises(InputError, match="stranger"):
        measure(world, [mixture("odd", {"c1": 1, "c2": 1, "stranger": 1})], [1])
