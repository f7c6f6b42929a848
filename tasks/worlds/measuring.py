"""Measure a world: what the runs of a design would have scored, noise included."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np

from tasks.effects.matrix import RunTable
from tasks.interventions.intervention import Intervention
from tasks.worlds.world import AnalyticWorld, Vector

UNIT = "nats per token"

Run = tuple[Intervention, int]
"""An intervention at a seed."""


def measure(world: AnalyticWorld, interventions: Sequence[Intervention], seeds: Iterable[int]) -> RunTable:
    """Every intervention at every seed; see `measure_runs`."""
    return measure_runs(world, [(intervention, seed) for seed in seeds for intervention in interventions])


def measure_runs(world: AnalyticWorld, runs: Sequence[Run], adaptive: Sequence[bool] = ()) -> RunTable:
    """Performance of the given runs.

    All runs of a seed share one draw of the seed noise (as runs that share initialization, order and evaluation set
    do); each run adds its own, which depends on the world, the seed and the intervention's name alone. So a run that
    is measured again gives the same numbers, whatever else is measured.

    Args:
        world: what to measure.
        runs: intervention and seed of each run; the arm is the intervention's name, the amounts are its counts.
        adaptive: marks as in `RunTable`; empty = none.

    Raises:
        InputError: an intervention whose categories are not the world's.
    """
    size = len(world.categories)
    amounts = np.array([world.vector(dict(one.counts)) for one, _ in runs]).reshape(len(runs), size)
    noise = np.array([_noise(world, one.name, seed) for one, seed in runs]).reshape(len(runs), size)
    return RunTable(
        runs=tuple(f"{one.name} @ {seed}" for one, seed in runs),
        seeds=tuple(seed for _, seed in runs),
        arms=tuple(one.name for one, _ in runs),
        sources=world.categories,
        amounts=amounts,
        targets=world.categories,
        performance=world.performance(amounts) + noise,
        n=np.zeros((len(runs), size), dtype=np.int64),
        unit=UNIT,
        adaptive=tuple(adaptive),
    )


def _noise(world: AnalyticWorld, name: str, seed: int) -> Vector:
    size = len(world.categories)
    shared = np.random.default_rng([world.seed, size, seed]).standard_normal(size)
    digest = hashlib.sha256(name.encode()).digest()
    own = np.random.default_rng([world.seed, size, seed, int.from_bytes(digest[:16])]).standard_normal(size + 1)
    run = np.sqrt(world.correlation) * own[0] + np.sqrt(1 - world.correlation) * own[1:]
    return np.asarray(world.seed_noise * shared + world.run_noise * run)
