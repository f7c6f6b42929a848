"""Cut a pool into training, measuring and validating rows that share no conversation."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Set

from tasks.errors import InputError
from tasks.pool.instruction import Instruction, Pool, PoolSplit, RejectedRow

HELD_OUT_REASON = "also in the held-out set"
"""Kind of reason of training rows removed because their conversation is in a separate held-out pool."""


def split_pool(
    pool: Pool, measure_per_category: int, validate_per_category: int, held_out: Pool | None = None
) -> PoolSplit:
    """Hold out rows of every category by a rank that depends on nothing but the row's own conversation.

    In each category rows are ranked by SHA-256 of "held-out" + content hash. The lowest `measure_per_category` ranks
    are for measuring, the highest `validate_per_category` for validating, and what lies between is for training.
    New rows can push a held-out row only inwards, into training, and no row ever changes between measuring and
    validating (as long as its category keeps a training row): with 10% new data about 10% of the held-out rows
    change. A fixed threshold would keep them all, but not their number.

    Args:
        pool: what to split.
        measure_per_category: rows per category for the interventions' scores (≥ 1).
        validate_per_category: rows per category for the validation arms (≥ 0).
        held_out: take both from this pool instead. Rows of `pool` with a conversation of it leave the training
            rows and are listed in `train.rejected` (file: the pool's name, line: 1-based position in the pool).
            Held-out rows of categories that `pool` lacks are listed in `measure.rejected` likewise.

    Raises:
        InputError: a category has too few rows (all such are named), or a number is out of range.
        ValueError: a pool holds an id or a conversation twice, against its own promise.
    """
    if measure_per_category < 1 or validate_per_category < 0:
        raise InputError(
            f"measure_per_category is {measure_per_category} and validate_per_category is {validate_per_category}; "
            "expected at least 1 and at least 0."
        )
    needed = measure_per_category + validate_per_category
    rank = _ranks(pool)
    if held_out is None:
        _require(pool, pool.categories, needed + 1, "held-out rows and one for training")
        groups = _ranked(pool, rank)
        held = {row.id for rows in groups.values() for row in _ends(rows, measure_per_category, validate_per_category)}
        train = Pool(f"{pool.name} (train)", tuple(row for row in pool.instructions if row.id not in held))
        unused: tuple[RejectedRow, ...] = ()
        name = pool.name
    else:
        held_rank = _ranks(held_out)
        train = _without(pool, rank, set(held_rank.values()), held_out.name)
        _require(train, pool.categories, 1, f"training rows that are not in {held_out.name}")
        _require(held_out, pool.categories, needed, "held-out rows")
        groups = _ranked(held_out, held_rank)
        unused = _unused(held_out, groups.keys() - set(pool.categories))
        groups = {category: groups[category] for category in pool.categories}
        name = held_out.name
    measure = tuple(row for rows in groups.values() for row in rows[:measure_per_category])
    validate = tuple(row for rows in groups.values() for row in rows[len(rows) - validate_per_category :])
    return PoolSplit(train, Pool(f"{name} (measure)", measure, unused), Pool(f"{name} (validate)", validate))


def _ranks(pool: Pool) -> dict[str, bytes]:
    """SHA-256 of "held-out" + content hash by id; equal ranks are equal conversations."""
    ranks = {row.id: hashlib.sha256(b"held-out" + row.content_hash.encode()).digest() for row in pool.instructions}
    if len(set(ranks.values())) != len(pool.instructions):
        raise ValueError(f"{pool.name}: holds an id or a conversation twice, so that no split could keep it apart")
    return ranks


def _ranked(pool: Pool, rank: Mapping[str, bytes]) -> dict[str, list[Instruction]]:
    return {c: sorted(rows, key=lambda row: rank[row.id]) for c, rows in pool.by_category().items()}


def _ends(rows: list[Instruction], first: int, last: int) -> list[Instruction]:
    return rows[:first] + rows[len(rows) - last :]


def _without(pool: Pool, rank: Mapping[str, bytes], taken: Set[bytes], held_out: str) -> Pool:
    kept, rejected = [], []
    for line, row in enumerate(pool.instructions, start=1):
        if rank[row.id] in taken:
            rejected.append(RejectedRow(pool.name, line, f"{HELD_OUT_REASON}: {held_out}"))
        else:
            kept.append(row)
    return Pool(f"{pool.name} (train)", tuple(kept), tuple(rejected))


def _unused(held_out: Pool, unknown: Set[str]) -> tuple[RejectedRow, ...]:
    return tuple(
        RejectedRow(held_out.name, line, f'not in the training pool: category "{row.category}"')
        for line, row in enumerate(held_out.instructions, start=1)
        if row.category in unknown
    )


def _require(pool: Pool, categories: tuple[str, ...], needed: int, what: str) -> None:
    counts = pool.counts()
    short = [f'"{c}" has {counts.get(c, 0)}' for c in categories if counts.get(c, 0) < needed]
    if short:
        raise InputError(
            f"{pool.name}: each category needs {needed} ({what}), but {', '.join(short)}. Lower measure_per_category "
            "or validate_per_category, add rows, or leave the category out (categories)."
        )
