"""Data sets that landed one after another as one pool, to which a later landing only adds."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tasks.errors import InputError
from tasks.pool.instruction import Instruction, Pool, RejectedRow
from tasks.pool.storage import read_instructions

_MARK_DIGITS = 12


def snapshot_file(folder: Path, dataset: str, content_hash: str) -> Path:
    """Where the snapshot of a data set with this content lies in the artifact store `folder`."""
    return folder / "datasets" / dataset / f"{content_hash}.jsonl"


def read_landed(folder: Path, dataset: str, content_hashes: Sequence[str]) -> Pool:
    """Read snapshots into one pool; the first of equal conversations stays, whatever lands later.

    An id that an earlier snapshot uses for another conversation gets the snapshot's mark: `7` becomes `7@1f0c…`.

    Args:
        folder: the artifact store.
        dataset: the name they landed under.
        content_hashes: the snapshots, in the order in which they landed.

    Raises:
        InputError: nothing has landed, or a snapshot is missing or not what it was.
    """
    parts = []
    for path, digest in zip(landed_files(folder, dataset, content_hashes), content_hashes, strict=True):
        rows = read_instructions(path)
        if Pool(dataset, rows).content_hash != digest:
            raise InputError(f"{path}: is not what landed; its content has another hash. Restore it from a backup.")
        parts.append((path, digest, rows))
    return merge_landed(dataset, parts)


def landed_files(folder: Path, dataset: str, content_hashes: Sequence[str]) -> tuple[Path, ...]:
    """The snapshots of a data set, in the order in which they landed.

    Raises:
        InputError: nothing has landed.
    """
    if not content_hashes:
        raise InputError(
            f"Nothing has landed under the name {dataset!r}. Land a file: beyond-iid land FILE --dataset {dataset}"
        )
    return tuple(snapshot_file(folder, dataset, digest) for digest in content_hashes)


def merge_landed(dataset: str, parts: Iterable[tuple[Path, str, Sequence[Instruction]]]) -> Pool:
    """One pool of (file, the snapshot's hash, its rows); see `read_landed` for equal conversations and equal ids."""
    kept: list[Instruction] = []
    rejected: list[RejectedRow] = []
    contents: dict[str, str] = {}
    ids: set[str] = set()
    for path, digest, rows in parts:
        for line, row in enumerate(rows, start=1):
            if row.content_hash in contents:
                twin = contents[row.content_hash]
                rejected.append(
                    RejectedRow(str(path), line, f'duplicate content: the same conversation as "{twin}", landed before')
                )
                continue
            name = row.id if row.id not in ids else f"{row.id}@{digest[:_MARK_DIGITS]}"
            ids.add(name)
            contents[row.content_hash] = name
            kept.append(replace(row, id=name))
    return Pool(dataset, tuple(kept), tuple(rejected))


def too_few(
    pool: Pool, needed: int, held_out: Mapping[str, int] | None, listed: Collection[str] = ()
) -> dict[str, str]:
    """Categories that cannot be measured yet, each with the reason; those that the baseline lists are not among them.

    Args:
        pool: what has landed.
        needed: held-out rows per category.
        held_out: rows per category of a separate held-out set; None takes them from the pool.
        listed: categories that the baseline asks for: too few of them is an error, found later.
    """
    short = {}
    for category, rows in pool.counts().items():
        have, least = (rows, needed + 1) if held_out is None else (held_out.get(category, 0), needed)
        if category not in listed and have < least:
            where = "landed" if held_out is None else "in the held-out set"
            short[category] = f'too few rows yet: category "{category}" has {have} {where}, needed {least}'
    return short


def set_aside(pool: Pool, reasons: Mapping[str, str]) -> Pool:
    """The pool without these categories; their rows are rejected with the category's reason.

    Raises:
        InputError: no category is left.
    """
    if not set(pool.categories) - set(reasons):
        raise InputError(
            f"{pool.name}: no category has enough rows: {'; '.join(reasons.values())}. Land more, or lower "
            "held_out.measure_per_category and held_out.validate_per_category."
        )
    away = [
        RejectedRow(pool.name, line, reasons[row.category])
        for line, row in enumerate(pool.instructions, start=1)
        if row.category in reasons
    ]
    kept = tuple(row for row in pool.instructions if row.category not in reasons)
    return Pool(pool.name, kept, (*pool.rejected, *away))
