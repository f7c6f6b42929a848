"""Near duplicates: MinHash signatures cut into bands that lie on the disk, candidates checked exactly.

Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, chapter 3.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.hygiene.shingles import Grams, Hashes

PERMUTATIONS = 128
"""Numbers in a signature."""
DETECTION = 0.99
"""Smallest probability with which a pair exactly at the threshold becomes a candidate."""

_NONE = -1
_ODD = np.uint64(0xD6E8FEB86659FD93)


@dataclass(frozen=True)
class Banding:
    """How a signature is cut: two rows are candidates if all numbers of at least one band are equal.

    Attributes:
        bands: number of bands.
        rows: numbers in a band.
    """

    bands: int
    rows: int

    def detection(self, jaccard: float) -> float:
        """Probability that two rows with this Jaccard index become candidates."""
        return float(1 - (1 - jaccard**self.rows) ** self.bands)


def banding(threshold: float, permutations: int = PERMUTATIONS) -> Banding:
    """The widest bands, and so the fewest false candidates, that still find a pair at the threshold with DETECTION."""
    options = (Banding(permutations // rows, rows) for rows in range(permutations, 0, -1))
    return next((option for option in options if option.detection(threshold) >= DETECTION), Banding(permutations, 1))


class Signatures:
    """Collects what the search needs of each row: a file per band, and one with the rows' n-grams (32 bits each).

    Rows are numbered in the order in which they are added. The folder takes 8 bytes per row and band and 4 per n-gram.
    """

    def __init__(self, folder: Path, threshold: float, seed: int) -> None:
        """Files are made in `folder`, which the caller removes."""
        self.threshold = threshold
        self.banding = banding(threshold)
        self._seed = seed
        self._folder = folder
        self._bands = [(folder / f"band-{k}").open("wb") for k in range(self.banding.bands)]
        self._grams = (folder / "grams").open("wb")
        self._counts: list[NDArray[np.int32]] = []

    def add(self, grams: Grams) -> None:
        """Take the next rows' n-grams; a row without any is near nothing."""
        from rensa import RMinHash

        counts = np.diff(grams.bounds)
        self._counts.append(counts.astype(np.int32))
        grams.hashes.astype(np.uint32).tofile(self._grams)
        matrix = RMinHash.digest_matrix_from_flat_token_hashes(
            grams.hashes, grams.bounds.astype(np.uint64), PERMUTATIONS, self._seed
        )
        values = np.array(matrix.to_rows(), dtype=np.uint64).reshape(-1, PERMUTATIONS)
        for k, file in enumerate(self._bands):
            columns = values[:, k * self.banding.rows : (k + 1) * self.banding.rows]
            combined = np.full(len(values), k, dtype=np.uint64)
            for column in columns.T:
                combined = (combined ^ column) * _ODD
                combined ^= combined >> np.uint64(32)
            combined.tofile(file)

    def find(self, usable: NDArray[np.bool_], progress: Callable[[int, int], None] | None = None) -> NDArray[np.int64]:
        """For each row the earlier kept row it nearly equals, or −1, (rows,).

        Rows are judged in order. A row is dropped if the Jaccard index of its set of n-grams and that of an earlier
        row, itself not dropped, reaches the threshold. Candidates come from the bands; the index is exact.

        Args:
            usable: rows to look at, (rows,); others are neither dropped nor compared with.
            progress: called with (steps done, steps), a step per band and one per 1,000 candidate rows.
        """
        for file in (*self._bands, self._grams):
            file.close()
        counts = np.concatenate(self._counts) if self._counts else np.zeros(0, dtype=np.int32)
        bounds = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        usable = usable & (counts > 0)
        rows = self._candidates(usable, progress)
        buckets = self._buckets(rows, usable)
        near = np.full(len(usable), _NONE, dtype=np.int64)
        if len(rows):
            stored: NDArray[np.uint32] = np.memmap(self._folder / "grams", dtype=np.uint32, mode="r")
            self._judge(rows, buckets, _Sets(stored, bounds), near, progress)
        return near

    def _band(self, k: int) -> Hashes:
        return np.fromfile(self._folder / f"band-{k}", dtype=np.uint64)

    def _candidates(self, usable: NDArray[np.bool_], progress: Callable[[int, int], None] | None) -> NDArray[np.int64]:
        """Rows that share at least one band with another."""
        company = np.zeros(len(usable), dtype=bool)
        places = np.flatnonzero(usable)
        for k in range(self.banding.bands):
            company[places[_shared(self._band(k)[places])]] = True
            if progress:
                progress(k + 1, self.banding.bands)
        return np.flatnonzero(company)

    def _buckets(self, rows: NDArray[np.int64], usable: NDArray[np.bool_]) -> NDArray[np.int32]:
        """Number of the bucket of each candidate row in each band, −1 where it is alone, (candidates, bands)."""
        buckets = np.full((len(rows), self.banding.bands), _NONE, dtype=np.int32)
        for k in range(self.banding.bands if len(rows) else 0):
            values = self._band(k)[rows]
            shared = _shared(values)
            _, buckets[shared, k] = np.unique(values[shared], return_inverse=True)
        return buckets

    def _judge(
        self,
        rows: NDArray[np.int64],
        buckets: NDArray[np.int32],
        sets: _Sets,
        near: NDArray[np.int64],
        progress: Callable[[int, int], None] | None,
    ) -> None:
        kept: list[defaultdict[int, list[int]]] = [defaultdict(list) for _ in range(self.banding.bands)]
        steps = -(-len(rows) // 1000)
        for number, (row, mine) in enumerate(zip(rows.tolist(), buckets.tolist(), strict=True)):
            shared = [kept[k][bucket] for k, bucket in enumerate(mine) if bucket != _NONE]
            candidates = sorted({other for bucket in shared for other in bucket})
            if candidates:
                near[row] = sets.first_near(row, candidates, self.threshold)
            if near[row] == _NONE:
                for bucket in shared:
                    bucket.append(row)
            if progress and number % 1000 == 999:
                progress(self.banding.bands + (number + 1) // 1000, self.banding.bands + steps)


@dataclass(frozen=True)
class _Sets:
    """The n-grams of all rows, on the disk, and where each row's are."""

    stored: NDArray[np.uint32]
    bounds: NDArray[np.int64]

    def of(self, row: int) -> NDArray[np.uint32]:
        return np.unique(self.stored[self.bounds[row] : self.bounds[row + 1]])

    def first_near(self, row: int, candidates: list[int], threshold: float) -> int:
        mine = self.of(row)
        for other in candidates:
            theirs = self.of(other)
            both = len(np.intersect1d(mine, theirs, assume_unique=True))
            if both >= threshold * (len(mine) + len(theirs) - both):
                return other
        return _NONE


def _shared(values: Hashes) -> NDArray[np.bool_]:
    """Which values occur more than once."""
    order = np.argsort(values, kind="stable")
    equal = np.diff(values[order]) == 0
    shared = np.zeros(len(values), dtype=bool)
    shared[order[1:][equal]] = True
    shared[order[:-1][equal]] = True
    return shared
