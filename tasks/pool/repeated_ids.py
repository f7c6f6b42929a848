"""How many rows repeat the id of an earlier row: 8 bytes a row, whatever the ids are."""

from __future__ import annotations

from array import array

import numpy as np
from numpy.typing import NDArray

NO_ID = 0
"""The hash of a row without an id."""


def id_hash(identifier: str) -> int:
    """64 bits of an id (XXH3), never `NO_ID`; two of 10 million ids collide once in 10⁵ pools."""
    from xxhash import xxh3_64_intdigest

    return xxh3_64_intdigest(identifier.encode()) or 1


def repeated(hashes: NDArray[np.uint64]) -> int:
    """Rows whose id an earlier row has.

    Args:
        hashes: of the rows' ids, (rows,); rows with `NO_ID` repeat none.
    """
    some = hashes[hashes != NO_ID]
    return len(some) - len(np.unique(some))


class RepeatedIds:
    """Counts ids that were there before, row by row."""

    def __init__(self) -> None:
        self._hashes = array("Q")

    def add(self, identifier: str) -> None:
        """Take a row's id."""
        self._hashes.append(id_hash(identifier))

    def repeated(self) -> int:
        """Rows whose id an earlier row has."""
        return repeated(np.array(self._hashes, dtype=np.uint64))
