"""The stage's value types: observed runs in, effects with uncertainty out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

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
        adaptive: R marks: True for runs that were chosen after looking at earlier ones' results. Estimates that
            are to confirm something leave them out (`confirmatory`). Empty = none.
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
    adaptive: tuple[bool, ...] = ()

    def subset(self, keep: Sequence[bool]) -> RunTable:
        """The runs marked True, in order."""
        rows = np.flatnonzero(np.asarray(keep, dtype=bool))

        def chosen(values: tuple[Any, ...]) -> tuple[Any, ...]:
            return tuple(values[r] for r in rows) if values else ()

        return replace(
            self,
            runs=chosen(self.runs),
            seeds=chosen(self.seeds),
            arms=chosen(self.arms),
            amounts=self.amounts[rows],
            performance=self.performance[rows],
            n=self.n[rows],
            adaptive=chosen(self.adaptive),
        )

    def confirmatory(self) -> RunTable:
        """The runs that were planned before any result was known."""
        return self.subset([not mark for mark in self.adaptive]) if self.adaptive else self


@dataclass(frozen=True)
class ErrorDraws:
    """Draws of the joint estimation error of an effect matrix: what correlates between cells is in them.

    Legend: B draws, T targets, S sources. Each draw is as likely as any other; adding one to the estimate gives another
    truth that the runs would have allowed. Their standard deviation is the cells' standard error, their tails those of
    the intervals' t distribution.

    Attributes:
        delta: [B, T, S] errors of `delta`.
        marginal: [B, T, S] errors of `marginal`, draw by draw the same worlds as `delta`.
    """

    delta: Matrix
    marginal: Matrix


@dataclass(frozen=True)
class EffectMatrix:
    """What each source's data gives to each target, relative to the training set without it.

    Legend: T targets (rows, measured), S sources (columns, data added). Sign: positive = the data helps.

    Attributes:
        estimator: "paired" (differences of paired seeds) or "surface" (response surface over all runs).
        targets: T row names.
        sources: S column names.
        unit: unit of `delta`.
        seeds: number of different seeds among the runs used.
        confidence: level of every interval, e.g. 0.95.
        delta: [T, S] P_i(baseline) − P_i(without j): a mean of paired differences, or a contrast of the surface.
        standard_error: [T, S] of `delta`.
        low: [T, S] lower end of delta's interval.
        high: [T, S] upper end.
        p_value: [T, S] two-sided, of delta = 0.
        q_value: [T, S] Benjamini–Hochberg over all cells.
        amounts: [S] amount of each source in the baseline minus without it (> 0).
        marginal: [T, S] what one more unit of the source gives: delta / amounts (paired, so leaving out all of a
            category understates it), or the surface's slope at the baseline.
        marginal_error: [T, S] standard error of `marginal`.
        gamma: [T, S] effect-equivalence coefficient m_ij / m_ii, diagonal 1; rows that are not identified are NaN.
        gamma_low: [T, S] Fieller's lower end; NaN where not identified.
        gamma_high: [T, S] upper end.
        identified: [T] whether m_ii is significantly above 0 at this confidence; without a gain from its own data
            (or with data that harm their own category) a target has no yardstick.
        asymmetry_p: [T, S] one-sided p-value that delta[i, j] − delta[j, i] > 0; NaN where the transposed
            cell does not exist and on the diagonal.
        seed_delta: [N, T, S] the paired differences themselves, N seeds; NaN where a seed has no run that removes the
            source, and throughout for a surface.
        errors: draws of the joint estimation error; None where the matrix was read back from the database.
        df: [T, S] degrees of freedom of `standard_error`; None where the matrix was read back from the database. Not to
            be had from the interval's width: a surface's intervals are quantiles of skewed draws.
    """

    estimator: str
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
    marginal_error: Matrix
    gamma: Matrix
    gamma_low: Matrix
    gamma_high: Matrix
    identified: NDArray[np.bool_]
    asymmetry_p: Matrix
    seed_delta: Matrix
    errors: ErrorDraws | None = None
    df: Matrix | None = None
