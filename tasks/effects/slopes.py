"""What one more unit of each source is worth for the weighted whole: the program's objective, with joint errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tasks.effects.matrix import EffectMatrix, Matrix
from tasks.effects.prediction import weight_vector


@dataclass(frozen=True)
class Slopes:
    """A gain per unit of each source.

    Legend: S sources, B draws.

    Attributes:
        sources: S names.
        value: [S] gain per unit of the source's amount; positive = more of it is better.
        errors: [B, S] equally likely joint estimation errors of `value`; None where they are not known.
        unit: of `value` times an amount.
    """

    sources: tuple[str, ...]
    value: Matrix
    errors: Matrix | None
    unit: str


def performance_slopes(matrix: EffectMatrix, weights: Mapping[str, float]) -> Slopes:
    """s_j = Σ_i α_i m_ij: weighted performance per unit of source j.

    Args:
        matrix: the effects.
        weights: α_i per target, sum 1.

    Raises:
        InputError: weights that do not fit the targets.
    """
    alpha = weight_vector(weights, matrix.targets)
    errors = None if matrix.errors is None else np.einsum("t,bts->bs", alpha, matrix.errors.marginal)
    return Slopes(matrix.sources, alpha @ matrix.marginal, errors, matrix.unit)


def equivalence_slopes(matrix: EffectMatrix, weights: Mapping[str, float]) -> Slopes:
    """s_j = Σ_i α_i γ_ij: weighted equivalent amount per unit of source j (the paper's objective).

    Targets that are not identified enter with γ_ii = 1 and 0 elsewhere. Errors are carried through the ratio to first
    order: dγ_ij = (dm_ij − γ_ij dm_ii) / m_ii.

    Args:
        matrix: the effects; every target needs its own source.
        weights: α_i per target, sum 1.

    Raises:
        InputError: weights that do not fit the targets.
    """
    alpha = weight_vector(weights, matrix.targets)
    column = {name: j for j, name in enumerate(matrix.sources)}
    gamma = np.zeros(matrix.gamma.shape)
    errors = None if matrix.errors is None else np.zeros((len(matrix.errors.marginal), len(matrix.sources)))
    for i, target in enumerate(matrix.targets):
        if not matrix.identified[i]:
            if target in column:
                gamma[i, column[target]] = 1.0
            continue
        own = column[target]
        gamma[i] = matrix.gamma[i]
        if errors is not None and matrix.errors is not None:
            error = matrix.errors.marginal[:, i]
            errors += alpha[i] * (error - gamma[i] * error[:, [own]]) / matrix.marginal[i, own]
    return Slopes(matrix.sources, alpha @ gamma, errors, "equivalent amount")
