"""Draw an intervention's training set and its order, with common random numbers across interventions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Set

from tasks.errors import InputError
from tasks.interventions.intervention import Intervention
from tasks.interventions.manifest import Manifest
from tasks.pool.instruction import Pool

NONE: frozenset[str] = frozenset()
"""No example comes before the others."""


def draw(train: Pool, counts: Mapping[str, int], seed: int, first: Set[str] = NONE) -> tuple[str, ...]:
    """Choose the examples of a training set.

    In each category the examples are ranked by SHA-256 of seed and id, those in `first` before all others, and the
    first `counts[category]` are taken. So of two training sets drawn with the same seed, the one with more of a
    category holds all that the other holds; and one with no more of it than `first` holds, nothing but these.

    Args:
        train: what to draw from, without replacement.
        counts: examples per category; a category that is not named gives none.
        seed: the run's seed.
        first: ids that a selection took for the baseline; the others are its reserve. Empty: all are alike.

    Returns:
        Ids, categories sorted, by rank inside a category.

    Raises:
        InputError: a category is unknown, or has fewer examples than asked for.
    """
    groups = train.by_category()
    problems = [
        f'"{category}" needs {n}, {train.name} has {len(groups.get(category, ()))}'
        for category, n in sorted(counts.items())
        if not 0 <= n <= len(groups.get(category, ()))
    ]
    if problems:
        raise InputError(f"cannot draw the training set: {'; '.join(problems)}. Ask for less, or add data.")
    chosen: list[str] = []
    for category, rows in groups.items():
        wanted = counts.get(category, 0)
        if wanted:
            ranked = _ranked((row.id for row in rows), f"{seed}\tdraw\t")
            # The sort is stable: inside each half the order stays that of the hashes.
            chosen += (sorted(ranked, key=lambda identifier: identifier not in first) if first else ranked)[:wanted]
    return tuple(chosen)


def training_manifest(
    train: Pool, intervention: Intervention, seed: int, epochs: int, first: Set[str] = NONE
) -> Manifest:
    """The order in which a run sees its examples: `epochs` passes, each in an order of its own; stage = epoch.

    The order of epoch e (from 0) is by SHA-256 of seed, e and id: two examples that are both in the baseline and in an
    intervention come in the same relative order in both, so their difference is paired.

    Raises:
        InputError: see `draw`.
        ValueError: fewer than one epoch.
    """
    if epochs < 1:
        raise ValueError(f"epochs is {epochs}: expected 1 or more")
    chosen = draw(train, dict(intervention.counts), seed, first)
    ids: list[str] = []
    for epoch in range(epochs):
        ids += _ranked(chosen, f"{seed}\t{epoch}\t")
    stages = [epoch for epoch in range(epochs) for _ in chosen]
    return Manifest(tuple(ids), tuple(stages))


def _ranked(ids: Iterable[str], prefix: str) -> list[str]:
    start = hashlib.sha256(prefix.encode())

    def rank(identifier: str) -> bytes:
        digest = start.copy()
        digest.update(identifier.encode())
        return digest.digest()

    return sorted(ids, key=rank)
