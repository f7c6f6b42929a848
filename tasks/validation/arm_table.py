"""The validation runs as an arm × seed table, and the noise in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tasks.effects.matrix import Matrix, RunTable
from tasks.effects.prediction import weight_vector
from tasks.errors import InputError


@dataclass(frozen=True)
class ArmTable:
    """One performance per arm and seed.

    Legend: A arms, N seeds, T targets.

    Attributes:
        arms: A names in order of appearance.
        seeds: N seeds, sorted.
        targets: T names.
        by_target: [A, N, T] performances, higher is better.
        overall: [A, N] Σ_i α_i P_i.
        variance: of one run's overall performance around its arm and its seed.
        df: degrees of freedom of `variance`.
        unit: of the performances.
    """

    arms: tuple[str, ...]
    seeds: tuple[int, ...]
    targets: tuple[str, ...]
    by_target: Matrix
    overall: Matrix
    variance: float
    df: int
    unit: str


def arm_table(runs: RunTable, weights: Mapping[str, float]) -> ArmTable:
    """Arrange the runs and estimate their noise.

    The variance is the residual mean square of the arm × seed table, (A − 1)(N − 1) degrees of freedom; two arms make
    it that of the paired t test. Arms that are copies of each other (the same training under two names) count once.

    Args:
        runs: the validation runs, all arms at the same seeds; only arms, seeds and performances matter.
        weights: α_i per target, sum 1.

    Raises:
        InputError: one seed; missing, repeated or NaN results; weights that do not fit; no variation.
    """
    arms, seeds = tuple(dict.fromkeys(runs.arms)), tuple(sorted(set(runs.seeds)))
    by_target = runs.performance[_rows(runs, arms, seeds)]
    overall = by_target @ weight_vector(weights, runs.targets)
    distinct = np.unique(overall, axis=0)
    residual = distinct - distinct.mean(axis=1, keepdims=True) - distinct.mean(axis=0) + distinct.mean()
    df = (len(distinct) - 1) * (len(seeds) - 1)
    square = float((residual**2).sum())
    # cancellation leaves about 1e-16 of the performances themselves where the seeds agree exactly
    if df == 0 or square <= 1e-24 * float((overall**2).sum()):
        raise InputError(
            "The arms differ by the same amount in all seeds (or there is one arm): the seeds look like copies, "
            "and chance cannot be estimated. Give runs of several arms whose seeds differ."
        )
    return ArmTable(arms, seeds, runs.targets, by_target, overall, square / df, df, runs.unit)


def _rows(runs: RunTable, arms: tuple[str, ...], seeds: tuple[int, ...]) -> np.ndarray:
    """[A, N] row of each arm and seed."""
    row: dict[tuple[str, int], int] = {}
    problems = [
        f"run {runs.runs[r]!r}: performance on {runs.targets[t]!r} is {runs.performance[r, t]}"
        for r, t in np.argwhere(~np.isfinite(runs.performance))
    ]
    for r, key in enumerate(zip(runs.arms, runs.seeds, strict=True)):
        if key in row:
            problems.append(f"runs {runs.runs[row[key]]!r} and {runs.runs[r]!r}: both are {key[0]!r} at seed {key[1]}")
        row[key] = r
    problems += [f"arm {a!r}: no run at seed {s}" for a in arms for s in seeds if (a, s) not in row]
    if len(seeds) < 2:
        problems.append(f"{len(seeds)} seed: at least 2 are needed to tell a difference from chance")
    if problems:
        raise InputError("The validation runs cannot be judged:\n" + "\n".join(f"- {p}" for p in problems))
    return np.array([[row[arm, seed] for seed in seeds] for arm in arms])
