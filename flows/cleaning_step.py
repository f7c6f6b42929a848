"""The step `hygiene` of an experiment: rows that leave the pool before it is tagged; once per content and limits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from flows.pool_blocks import PoolHygiene
from flows.pool_files import Part, PoolFiles, Steps
from tasks.errors import InputError
from tasks.fingerprint import file_sha256, fingerprint
from tasks.hygiene.clean import REJECTS, SUMMARY, judge, write_cleaned
from tasks.hygiene.config import Hygiene, Limits
from tasks.hygiene.contamination import read_items
from tasks.hygiene.lines import pool_files as files_of_one_kind
from tasks.pool.instruction import RejectedRow
from tasks.pool.rows import expand_paths

VERSION = "1"
"""Changes whenever the same rows and limits would give another pool."""
UNTAGGED_FIELD = "category of an untagged row"
"""No row has this field: a row's own category, which is about to be replaced, cannot make it unusable."""


def clean_files(
    raw: PoolFiles, hygiene: PoolHygiene, untagged: bool, store: Path, steps: Steps
) -> tuple[PoolFiles, dict[str, Any]]:
    """The files without the rows that leave, part by part, and the counts.

    A row is judged by itself and by the rows before it. So what lands later changes nothing of what landed before.

    Args:
        raw: the pool's files.
        hygiene: the limits.
        untagged: whether the rows are to be tagged; else their own category counts.
        store: the artifact store.
        steps: progress.

    Raises:
        InputError: the files are of both kinds or cannot be read, a benchmark file holds no items, or no row stays.
    """
    limits = Hygiene(
        **{key: getattr(hygiene, key) for key in Limits.model_fields},
        format=raw.rows.format,
        source_field=raw.rows.source_field,
        category_field=UNTAGGED_FIELD if untagged else raw.rows.category_field,
    )
    benchmarks = expand_paths(hygiene.benchmarks) if hygiene.benchmarks else ()
    identity = {
        "version": VERSION,
        "parts": [part.sha256() for part in raw.parts],
        "limits": limits.model_dump(mode="json"),
        "benchmarks": [file_sha256(path) for path in benchmarks],
    }
    folder = store / "cleaned" / fingerprint(identity)
    _, kind = files_of_one_kind(tuple(map(str, raw.files)))
    if not (folder / SUMMARY).exists():
        items = read_items(hygiene.benchmarks) if hygiene.benchmarks else ()
        cleaned = judge(tuple(map(str, raw.files)), limits, items, steps)
        write_cleaned(cleaned, folder, steps, _rows_of_parts(raw, cleaned.index.file_starts))
    parts = tuple(Part(part.mark, (folder / f"{_name(k)}.{kind}",)) for k, part in enumerate(raw.parts))
    summary = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
    if not sum(summary["kept"].values()):
        reasons = ", ".join(f"{reason} {count}" for reason, count in summary["dropped"].items())
        raise InputError(
            f"hygiene leaves none of {summary['rows']} rows (dropped for: {reasons}); each row with its reason is in "
            f"{folder / REJECTS}. Loosen the limits, or correct them."
        )
    return replace(raw, parts=parts), summary


def cleaning_rejects(cleaned: PoolFiles) -> Iterator[RejectedRow]:
    """The rows that left, with their file, line and reason."""
    with (cleaned.files[0].parent / REJECTS).open(encoding="utf-8") as lines:
        for line in lines:
            yield RejectedRow(**json.loads(line))


def _name(place: int) -> str:
    return f"part-{place:05d}"


def _rows_of_parts(raw: PoolFiles, file_starts: np.ndarray) -> dict[str, np.ndarray]:
    ends = np.cumsum([len(part.files) for part in raw.parts])
    masks = {}
    for place, (part, end) in enumerate(zip(raw.parts, ends.tolist(), strict=True)):
        rows = np.zeros(int(file_starts[-1]), dtype=bool)
        rows[int(file_starts[end - len(part.files)]) : int(file_starts[end])] = True
        masks[_name(place)] = rows
    return masks
