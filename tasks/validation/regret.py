"""How far each arm stayed behind the best one, and how much of that luck explains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tasks.effects.matrix import RunTable
from tasks.validation.arm_table import arm_table
from tasks.validation.power import expected_lead


@dataclass(frozen=True)
class Regret:
    """How far an arm stayed behind the best one.

    Attributes:
        arm: the arm.
        best: the arm with the highest mean performance: the best of several noisy means, so regrets lean high.
        regret: best mean performance minus this arm's, ≥ 0, in `unit`.
        by_chance: mean regret of an arm, in `unit`, if all arms were in truth alike. A regret of this size says
            nothing.
        unit: the performance's unit.
    """

    arm: str
    best: str
    regret: float
    by_chance: float
    unit: str


def regrets(runs: RunTable, weights: Mapping[str, float]) -> tuple[Regret, ...]:
    """Each arm's regret against the best arm, smallest first.

    Args:
        runs: the validation runs, all arms at the same seeds.
        weights: α_i per target, sum 1.

    Raises:
        InputError: as `tasks.validation.arm_table.arm_table`.
    """
    table = arm_table(runs, weights)
    means = table.overall.mean(axis=1)
    best = int(means.argmax())
    by_chance = expected_lead(len(means)) * float(np.sqrt(table.variance / len(table.seeds)))
    found = [
        Regret(arm, table.arms[best], float(means[best] - mean), by_chance, table.unit)
        for arm, mean in zip(table.arms, means, strict=True)
    ]
    return tuple(sorted(found, key=lambda r: r.regret))
