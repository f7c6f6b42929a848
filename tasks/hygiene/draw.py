"""Rows of each category drawn by content hash: the same rows whatever their order and whatever else is in the pool."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tasks.errors import InputError
from tasks.hygiene.index import PoolIndex

_FACTOR = 0x9E3779B97F4A7C15


def ranks(index: PoolIndex, seed: int) -> NDArray[np.uint64]:
    """A number per row that depends on its conversation and the seed alone and is spread evenly, (rows,)."""
    values = index.digests[:, 0] ^ np.uint64((seed + 1) * _FACTOR % 2**64)
    values ^= values >> np.uint64(33)
    values *= np.uint64(0xFF51AFD7ED558CCD)
    values ^= values >> np.uint64(33)
    values *= np.uint64(0xC4CEB9FE1A85EC53)
    values ^= values >> np.uint64(33)
    return values


def draw(index: PoolIndex, usable: NDArray[np.bool_], counts: Mapping[str, int], seed: int) -> NDArray[np.bool_]:
    """Mark so many usable rows of each category, those with the smallest ranks.

    Args:
        index: the pool.
        usable: rows to draw from, (rows,).
        counts: rows wanted of each category; categories that are not named give none.
        seed: another seed draws other rows.

    Raises:
        InputError: a category has fewer usable rows than wanted; names all such.
    """
    available = index.counts(usable)
    short = [
        f'"{name}" has {available.get(name, 0)} of {n}' for name, n in counts.items() if available.get(name, 0) < n
    ]
    if short:
        raise InputError(f"too few rows: {', '.join(short)}. Lower the numbers, or add rows.")
    code = {name: k for k, name in enumerate(index.categories)}
    rank = ranks(index, seed)
    drawn = np.zeros(len(index), dtype=bool)
    for name, number in counts.items():
        if number:
            rows = np.flatnonzero(usable & (index.category == code[name]))
            drawn[rows[np.argsort(rank[rows], kind="stable")[:number]]] = True
    return drawn


def reserve(index: PoolIndex, usable: NDArray[np.bool_], per_category: int, seed: int) -> NDArray[np.bool_]:
    """Mark the rows that are set apart of every category.

    Raises:
        InputError: a category would keep no row.
    """
    available = index.counts(usable)
    short = [f'"{name}" has {n}' for name, n in available.items() if n <= per_category]
    if per_category and short:
        raise InputError(
            f"a reserve of {per_category} rows leaves nothing of {', '.join(short)}. Lower reserve, or add rows."
        )
    return draw(index, usable, dict.fromkeys(available, per_category), seed)
