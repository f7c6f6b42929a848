"""What the measured effects predict for the arms that change the category counts."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tasks.effects.matrix import EffectMatrix
from tasks.effects.slopes import performance_slopes
from tasks.validation.verdict import Prediction


def predicted_gains(
    matrix: EffectMatrix,
    weights: Mapping[str, float],
    before: Mapping[str, float],
    arms: Mapping[str, Mapping[str, float]],
) -> dict[str, Prediction]:
    """Σ_i α_i Σ_j m_ij (n'_j − n_j) per arm, with the interval of the effects' joint error draws.

    To first order in the counts: the farther an arm is from the baseline, the less it says. An arm that changes the
    count of a category whose effects were not measured has no prediction and is left out.

    Args:
        matrix: the measured effects; without error draws the predictions have no intervals.
        weights: α_i per target, sum 1.
        before: n_j of the baseline, in the unit of the matrix's amounts.
        arms: n'_j by arm.

    Raises:
        InputError: weights that do not fit the targets.
    """
    slopes = performance_slopes(matrix, weights)
    tail = (1 - matrix.confidence) / 2
    found = {}
    for arm, after in arms.items():
        change = {c: after.get(c, 0) - before.get(c, 0) for c in {*before, *after}}
        if any(n and c not in slopes.sources for c, n in change.items()):
            continue
        step = np.array([change.get(source, 0) for source in slopes.sources], dtype=np.float64)
        value = float(slopes.value @ step)
        if slopes.errors is None:
            found[arm] = Prediction(value)
        else:
            low, high = np.quantile(slopes.errors @ step, [tail, 1 - tail])
            found[arm] = Prediction(value, value + float(low), value + float(high))
    return found
