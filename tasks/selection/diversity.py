"""Greedy diversity: going down a ranking, a row is taken unless a row taken before it is too similar."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

_NARROW = 1e-4
"""Cosines in float32 nearer than this to the threshold are computed again exactly."""


@dataclass(frozen=True)
class Choice:
    """What the filter decided, in the order of the ranking.

    Attributes:
        taken: rows taken, best first.
        similar: (row passed over, taken row that it is too similar to).
        full: rows passed over because their category had its number.
    """

    taken: tuple[int, ...]
    similar: tuple[tuple[int, int], ...]
    full: tuple[int, ...]


def greedy_diverse(
    batches: Iterable[tuple[NDArray[np.int64], Vectors]],
    threshold: float,
    wanted: Callable[[int], bool],
    size: int,
    watch: Callable[[int], None] | None = None,
) -> Choice:
    """Take rows in the order given until `size` are taken.

    A row is passed over if its cosine to a row taken before is `threshold` or more. How the rows are cut into batches
    does not change the result: float32 products decide only where they are clear of the threshold, and otherwise the
    cosine is computed from the two vectors alone, with exact sums.

    Args:
        batches: (row numbers (b,), their vectors (b, dimensions)), best row first; vectors need no unit length.
        threshold: −1…1.
        wanted: asked once for each row that is not too similar, in order: whether its category still takes rows.
        size: rows to take at most.
        watch: called with the number of rows taken.

    Raises:
        ValueError: a vector is zero or not finite.
    """
    taken: list[int] = []
    similar: list[tuple[int, int]] = []
    full: list[int] = []
    store = _Store()
    for rows, vectors in batches:
        unit = _unit(vectors)
        store.fit(unit.shape[1])
        # Against what was taken before this batch at once; within the batch one by one.
        ahead = unit @ store.values.T
        before = len(taken)
        for k, row in enumerate(rows.tolist()):
            within = unit[k] @ store.values[before:].T
            twin = _first_similar(unit[k], np.concatenate([ahead[k], within]), store.values, threshold)
            if twin is not None:
                similar.append((row, taken[twin]))
            elif not wanted(row):
                full.append(row)
            else:
                taken.append(row)
                store.add(unit[k])
                if len(taken) == size:
                    return Choice(tuple(taken), tuple(similar), tuple(full))
        if watch:
            watch(len(taken))
    return Choice(tuple(taken), tuple(similar), tuple(full))


class _Store:
    """Vectors taken so far, in an array that grows."""

    def __init__(self) -> None:
        self._array: Vectors = np.empty((0, 0), dtype=np.float32)
        self._used = 0

    def fit(self, dimensions: int) -> None:
        if not self._array.size:
            self._array = np.empty((1024, dimensions), dtype=np.float32)

    @property
    def values(self) -> Vectors:
        return self._array[: self._used]

    def add(self, vector: Vectors) -> None:
        if self._used == len(self._array):
            grown = np.empty((2 * self._used, len(vector)), dtype=np.float32)
            grown[: self._used] = self._array[: self._used]
            self._array = grown
        self._array[self._used] = vector
        self._used += 1


def _unit(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    if not (np.isfinite(lengths).all() and (lengths > 0).all()):
        raise ValueError("a vector is zero or not finite, and so has no direction")
    return np.asarray(vectors / lengths, dtype=np.float32)


def _first_similar(vector: Vectors, cosines: Vectors, stored: Vectors, threshold: float) -> int | None:
    for place in np.flatnonzero(cosines > threshold - _NARROW).tolist():
        if cosines[place] > threshold + _NARROW or exact_cosine(vector, stored[place]) >= threshold:
            return int(place)
    return None


def exact_cosine(one: Vectors, other: Vectors) -> float:
    """Cosine of two float32 vectors from exactly rounded sums: the same wherever and beside whatever it is computed."""
    a, b = one.astype(np.float64), other.astype(np.float64)
    # A product of two float32 numbers is exact in float64.
    return math.fsum(a * b) / math.sqrt(math.fsum(a * a) * math.fsum(b * b))
