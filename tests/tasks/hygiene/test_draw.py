"""Ranks by content hash, against whole numbers of any size."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from tasks.hygiene.clean import judge
from tasks.hygiene.config import Hygiene
from tasks.hygiene.draw import ranks
from tests.tasks.hygiene.rows import row, write

WORD = 2**64


def rank(digest: int, seed: int) -> int:
    """The finalizer of MurmurHash3 over the digest and a multiple of the golden ratio, modulo 2**64."""
    value = digest ^ ((seed + 1) * 0x9E3779B97F4A7C15 % WORD)
    value ^= value >> 33
    value = value * 0xFF51AFD7ED558CCD % WORD
    value ^= value >> 33
    value = value * 0xC4CEB9FE1A85EC53 % WORD
    return value ^ value >> 33


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
def test_ranks_are_those_of_whole_numbers_and_warn_of_nothing(tmp_path: Path, seed: int) -> None:
    path = write(tmp_path / "a.jsonl", [row(f"question {k}") for k in range(50)])
    index = judge((path,), Hygiene(near_duplicates=None)).index
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = ranks(index, seed)
    assert found.tolist() == [rank(digest, seed) for digest in index.digests[:, 0].tolist()]
