"""What the effects say about other mixtures: each source's main effect, and the gain of a changed mixture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tasks.effects.matrix import EffectMatrix, Matrix
from tasks.errors import InputError


@dataclass(frozen=True)
class MainEffects:
    """How much of the interaction is "some data are better for everything".

    Attributes:
        sources: S names.
        values: [S] mean of delta over the other targets (the column without its diagonal cell), in the effects' unit.
        share: share of the off-diagonal cells' variance that the column means explain, 0…1; NaN without variance.
    """

    sources: tuple[str, ...]
    values: Matrix
    share: float


def main_effects(matrix: EffectMatrix) -> MainEffects:
    """Column means of the off-diagonal deltas and the share of their variance that lies between columns.

    Noise alone gives a share of about (S − 1) / (cells − 1): read it against that.

    Raises:
        InputError: a source with no other target.
    """
    off = np.array(matrix.targets)[:, None] != np.array(matrix.sources)[None, :]
    alone = [name for name, cells in zip(matrix.sources, off.T, strict=True) if not cells.any()]
    if alone:
        raise InputError(f"Main effects need another target for each source; there is none for {', '.join(alone)}.")
    values = np.array([matrix.delta[cells, j].mean() for j, cells in enumerate(off.T)])
    cells = matrix.delta[off]
    total = float(((cells - cells.mean()) ** 2).sum())
    between = float((off.sum(axis=0) * (values - cells.mean()) ** 2).sum())
    return MainEffects(matrix.sources, values, between / total if total > 0 else float("nan"))


@dataclass(frozen=True)
class PredictedGain:
    """The gain a changed mixture should bring, to first order in the counts.

    Attributes:
        value: Σ_i α_i Σ_j m_ij (n'_j − n_j), in the performance's unit; positive = better.
        standard_error: of `value`, from the matrix's joint error draws (so the correlation between cells is in it).
        low: lower end of its interval at the matrix's confidence.
        high: upper end.
        unit: unit of `value`.
    """

    value: float
    standard_error: float
    low: float
    high: float
    unit: str


def predicted_gain(
    matrix: EffectMatrix,
    weights: Mapping[str, float],
    baseline_counts: Mapping[str, float],
    new_counts: Mapping[str, float],
) -> PredictedGain:
    """Predict the share-weighted gain of training on `new_counts` instead of `baseline_counts`.

    Linear extrapolation of the measured removals: trust it for small shifts. A source that nobody removed must keep its
    count, as nothing is known about it.

    Args:
        matrix: the measured effects.
        weights: α_i per target, sum 1.
        baseline_counts: n_j per category, in the unit of the runs' amounts.
        new_counts: n'_j per category, same unit.

    Raises:
        InputError: weights that miss a target, name an unknown one or do not sum to 1; a changed count of a category
            without measured effects.
    """
    alpha = weight_vector(weights, matrix.targets)
    names = sorted(set(baseline_counts) | set(new_counts))
    change = {name: new_counts.get(name, 0) - baseline_counts.get(name, 0) for name in names}
    unknown = [name for name in names if change[name] != 0 and name not in matrix.sources]
    if unknown:
        raise InputError(
            f"No effects were measured for {', '.join(unknown)}, so a change of its count cannot be judged."
        )
    step = np.array([change.get(name, 0.0) for name in matrix.sources])
    slope = alpha @ matrix.marginal
    value = float(slope @ step)
    if matrix.errors is None:
        from scipy.special import ndtri  # most readers of this module need not wait for scipy

        # read back from storage: the cells' own errors, as if they were independent
        error = float(np.sqrt(np.sum((alpha[:, None] * matrix.marginal_error * step) ** 2)))
        half = float(ndtri((1 + matrix.confidence) / 2)) * error
        return PredictedGain(value, error, value - half, value + half, matrix.unit)
    errors = np.einsum("t,bts,s->b", alpha, matrix.errors.marginal, step)
    ends = np.quantile(errors, [(1 - matrix.confidence) / 2, (1 + matrix.confidence) / 2])
    return PredictedGain(value, float(errors.std()), value + float(ends[0]), value + float(ends[1]), matrix.unit)


def weight_vector(weights: Mapping[str, float], targets: tuple[str, ...]) -> Matrix:
    """[T] weights in the targets' order.

    Raises:
        InputError: a target without weight, a weight without target, a negative or non-finite weight, or a sum other
            than 1 (never renormalized).
    """
    problems = [f"no weight for {name!r}" for name in targets if name not in weights]
    problems += [f"weight for {name!r}, which is not measured" for name in sorted(set(weights) - set(targets))]
    problems += [f"weight of {k!r} is {v}, expected a share ≥ 0" for k, v in weights.items() if not 0 <= v < np.inf]
    total = sum(weights.values())
    if not problems and abs(total - 1) > 1e-6:
        problems.append(f"the weights sum to {total:.9g}, expected 1")
    if problems:
        raise InputError("Category weights: " + "; ".join(problems) + ".")
    return np.array([weights[name] for name in targets])
