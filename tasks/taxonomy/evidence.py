"""What speaks for each possible edge, and the rule that decides."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tasks.effects.matrix import EffectMatrix, Matrix
from tasks.errors import InputError
from tasks.taxonomy.feedback import Arc


@dataclass(frozen=True)
class Evidence:
    """[T, S] arrays with their labels; q-values of the off-diagonal cells, NaN on the diagonal."""

    targets: tuple[str, ...]
    sources: tuple[str, ...]
    delta: Matrix
    q_value: Matrix
    asymmetry_p: Matrix


@dataclass(frozen=True)
class Rule:
    """Edge j → i when Δ_ij > 0, Δ_ij ≥ minimum_effect, q ≤ fdr and asymmetry_p ≤ asymmetry_level."""

    fdr: float
    asymmetry_level: float
    minimum_effect: float

    def check(self) -> None:
        """Raise InputError for levels outside (0, 1) and negative effects."""
        problems = [
            f"{name} is {value}, expected a level between 0 and 1"
            for name, value in (("fdr", self.fdr), ("asymmetry_level", self.asymmetry_level))
            if not 0 < value < 1
        ]
        if not 0 <= self.minimum_effect < math.inf:
            problems.append(f"the smallest effect is {self.minimum_effect}, expected a number ≥ 0")
        if problems:
            raise InputError("Taxonomy: " + "; ".join(problems) + ".")

    def candidates(self, evidence: Evidence) -> NDArray[np.bool_]:
        """[T, S] cells that are edges before cycles are broken; comparisons with NaN are False."""
        return (
            (evidence.delta > 0)
            & (evidence.delta >= self.minimum_effect)
            & (evidence.q_value <= self.fdr)
            & (evidence.asymmetry_p <= self.asymmetry_level)
        )


def measured(matrix: EffectMatrix) -> Evidence:
    """The evidence of measured effects."""
    q_value = off_diagonal_q(matrix.targets, matrix.sources, matrix.p_value)
    return Evidence(matrix.targets, matrix.sources, matrix.delta, q_value, matrix.asymmetry_p)


def off_diagonal_q(targets: tuple[str, ...], sources: tuple[str, ...], p_value: Matrix) -> Matrix:
    """[T, S] Benjamini–Hochberg q-values over the off-diagonal cells, NaN on the diagonal."""
    off = np.array(targets)[:, None] != np.array(sources)[None, :]
    q_value = np.full(p_value.shape, np.nan)
    if off.any():
        q_value[off] = stats.false_discovery_control(p_value[off])
    return q_value


def transposed(targets: tuple[str, ...], sources: tuple[str, ...], values: Matrix) -> Matrix:
    """[…, T, S] value of the opposite cell (target j, source i); NaN on the diagonal and where there is none."""
    row = {name: i for i, name in enumerate(targets)}
    column = {name: j for j, name in enumerate(sources)}
    opposite = np.full(values.shape, np.nan)
    for i, target in enumerate(targets):
        for j, source in enumerate(sources):
            if target != source and target in column and source in row:
                opposite[..., i, j] = values[..., row[source], column[target]]
    return opposite


def arc_cells(evidence: Evidence, candidates: NDArray[np.bool_]) -> dict[Arc, tuple[int, int]]:
    """Cell of each candidate arc (source, target)."""
    return {(evidence.sources[j], evidence.targets[i]): (int(i), int(j)) for i, j in np.argwhere(candidates)}
