"""Which new mixtures lie far outside the runs that a prediction rests on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist

from tasks.effects.matrix import Matrix

RANGE_MARGIN = 0.5
"""How far beyond the runs' lowest or highest amount a source may go, as a part of the distance between the two."""

_ROUNDING = 0.01


@dataclass(frozen=True)
class Far:
    """A new mixture far outside the training runs.

    Attributes:
        row: its position among the new mixtures.
        distance: distance to its nearest run over the largest distance of any run to its own nearest; above 1 is far.
        beyond: (source or "the total", its amount, the runs' lowest, the runs' highest) of each that leaves the range.
    """

    row: int
    distance: float
    beyond: tuple[tuple[str, float, float, float], ...]


def far_mixtures(sources: tuple[str, ...], amounts: Matrix, new: Matrix) -> tuple[Far, ...]:
    """New mixtures for which a prediction extrapolates, by either of two marks.

    - A source's amount, or the total, lies beyond the runs' range by more than half of that range (and by more than 1%
      of the highest, so that rounded weights stay quiet).
    - The nearest run is farther than any run is from its own nearest one, in Euclidean distance of square-rooted
      amounts (on shares: Hellinger's distance). A new mixture drawn like the R runs does that with a probability of at
      most 1 / (R + 1).

    Args:
        sources: S names.
        amounts: [R, S] of the runs.
        new: [M, S] of the new mixtures, the same unit.
    """
    names = (*sources, "the total")
    runs, rows = (np.column_stack([values, values.sum(axis=1)]) for values in (amounts, new))
    low, high = runs.min(axis=0), runs.max(axis=0)
    margin = np.maximum(RANGE_MARGIN * (high - low), _ROUNDING * high)
    beyond = (rows < low - margin) | (rows > high + margin)
    distance = _relative_distance(np.sqrt(amounts), np.sqrt(new))
    return tuple(
        Far(
            row,
            float(distance[row]),
            tuple((names[k], float(rows[row, k]), float(low[k]), float(high[k])) for k in np.flatnonzero(beyond[row])),
        )
        for row in range(len(new))
        if beyond[row].any() or distance[row] > 1
    )


def _relative_distance(runs: Matrix, new: Matrix) -> Matrix:
    """[M] distance to the nearest run over the largest nearest distance among distinct runs; inf where that is 0."""
    distinct = np.unique(runs, axis=0)
    between = cdist(distinct, distinct)
    np.fill_diagonal(between, np.inf)
    largest = between.min(axis=1).max() if len(distinct) > 1 else 0.0
    nearest = cdist(new, distinct).min(axis=1)
    return np.where(nearest <= 1e-12, 0.0, nearest / largest if largest > 0 else np.inf)
