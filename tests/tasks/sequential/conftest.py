from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tasks.effects.matrix import EffectMatrix, RunTable
from tasks.effects.paired import paired_effects
from tasks.interventions.designs.removals import leave_one_out
from tasks.interventions.intervention import Arm
from tasks.proportions.proposal import Baseline, Limits
from tasks.worlds.drawing import WorldSpec, draw_world
from tasks.worlds.measuring import measure
from tasks.worlds.optimum import world_baseline
from tasks.worlds.trials import pool_counts


@dataclass(frozen=True)
class Measured:
    """The full leave-one-out design on a planted world, seeds 1 to 8."""

    runs: RunTable
    arms: dict[str, str]
    baseline: Baseline
    limits: Limits

    def at(self, done: set[tuple[str, int]]) -> RunTable:
        return self.runs.subset([run in done for run in zip(self.runs.arms, self.runs.seeds, strict=True)])

    def effects(self, seeds: int) -> EffectMatrix:
        return paired_effects(self.runs.subset([seed <= seeds for seed in self.runs.seeds]))


@pytest.fixture(scope="session")
def planted() -> Callable[..., Measured]:
    return _planted


def _planted(seed: int, noise: float = 0.1, categories: int = 8, null: bool = False) -> Measured:
    world = draw_world(WorldSpec(categories=categories, noise=noise), seed, null)
    interventions = leave_one_out(*pool_counts(world), [Arm.SIZE_REDUCED])
    arms = {one.removed[0]: one.name for one in interventions if one.removed}
    limits = Limits(int(world.counts.sum()))
    return Measured(measure(world, interventions, range(1, 9)), arms, world_baseline(world), limits)
