"""The stage's value types: observed runs in, effects with uncertainty out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class RunTable:
    """Runs with what they were trained on and how they performed; one metric, one unit of amount.

    Legend: R runs, S source categories, T target categories.

    Attributes:
        runs: R names, unique.
        seeds: R seeds; runs with the same seed are paired.
        arms: R intervention names; "baseline" marks the baseline.
        sources: S names of the categories whose data is added.
        amounts: [R, S] amount of each source in the training set, same unit throughout.
        targets: T names of the categories that are measured.
        performance: [R, T], **higher is better** (a loss enters as its negative).
        n: [R, T] held-out examples behind each value; 0 where unknown.
        unit: the performance's unit, e.g. "nats per token".
    """

    runs: tuple[str, ...]
    seeds: tuple[int, ...]
    arms: tuple[str, ...]
    sources: tuple[str, ...]
    amounts: Matrix
    targets: tuple[str, ...]
    performance: Matrix
    n: NDArray[np.int64]
    unit: str


@dataclass(frozen=True)
class EffectMatrix:
    """What each source's data gives to each target, relative to the training set without it.

    Legend: T targets (rows, measured), S sources (columns, data added). Sign: positive = the data helps.

    Attributes:
        targets: T row names.
        sources: S column names.
        unit: unit of `delta`.
        seeds: number of paired seeds.
        confidence: level of every interval, e.g. 0.95.
        delta: [T, S] mean paired difference P_i(baseline) − P_i(without j).
        standard_error: [T, S] of `delta`.
        low: [T, S] lower end of delta's interval.
        high: [T, S] upper end.
        p_value: [T, S] two-sided, of delta = 0.
        q_value: [T, S] Benjamini–Hochberg over all cells.
        amounts: [S] amount of each source in the baseline minus without it (> 0).
        marginal: [T, S] delta / amounts.
        gamma: [T, S] effect-equivalence coefficient m_ij / m_ii, diagonal 1; rows that are not identified are NaN.
        gamma_low: [T, S] Fieller's lower end; NaN where not identified.
        gamma_high: [T, S] upper end.
        identified: [T] whether m_ii is significantly above 0 at this confidence; without a gain from its own data
            (or with data that harm their own category) a target has no yardstick.
        asymmetry_p: [T, S] one-sided p-value that delta[i, j] − delta[j, i] > 0; NaN where the transposed
            cell does not exist and on the diagonal.
        seed_delta: [N, T, S] the paired differences themselves, N seeds.
    """

    targets: tuple[str, ...]
    sources: tuple[str, ...]
    unit: str
    seeds: int
    confidence: float
    delta: Matrix
    standard_error: Matrix
    low: Matrix
    high: Matrix
    p_value: Matrix
    q_value: Matrix
    amounts: Matrix
    marginal: Matrix
    gamma: Matrix
    gamma_low: Matrix
    gamma_high: Matrix
    identified: NDArray[np.bool_]
    asymmetry_p: Matrix
    seed_delta: Matrix
