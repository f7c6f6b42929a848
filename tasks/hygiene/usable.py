"""Whether a pool that was read can be worked on at all: rows that hold conversations, and categories where needed."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path

from tasks.errors import InputError
from tasks.hygiene.conversations import UNTAGGED
from tasks.hygiene.index import PoolIndex
from tasks.hygiene.lines import raw_blocks
from tasks.pool.rows import json_rows

_FIRST_ROWS = 10


def check_usable(index: PoolIndex) -> None:
    """Check that some row holds a conversation.

    Raises:
        InputError: none does; names file, line and reason of the first.
    """
    names = _names(index)
    if not len(index):
        raise InputError(
            f"{names}: holds no rows; expected at least one instruction. Check that the file was written completely."
        )
    if (index.characters > 0).any():
        return
    file, line = index.place(0)
    kinds = Counter(index.reasons[reason].partition(":")[0] for reason in index.reason.tolist())
    counted = ", ".join(f"{kind} ({rows})" for kind, rows in kinds.most_common(5))
    raise InputError(
        f"{names}: none of {len(index)} rows can be used: {counted}. First: {file}, line {line}: "
        f"{index.reasons[index.reason[0]]}. Expected chat messages, Alpaca or ShareGPT rows with an answer; fields of "
        f"the first rows: {first_fields(index)}. Correct the rows."
    )


def check_categories(index: PoolIndex, field: str) -> None:
    """Check that some row has a category.

    Raises:
        InputError: none has; names the field and those there are.
    """
    if set(index.counts(index.characters > 0)) <= {UNTAGGED}:
        raise InputError(
            f'{_names(index)}: no row has a category in the field "{field}"; fields of the first '
            f"rows: {first_fields(index)}. Name the field that holds it with --category-field, or tag the pool first."
        )


def first_fields(index: PoolIndex) -> str:
    """Names of the fields of the first file's first rows, for messages."""
    path: Path = index.files[0]
    if index.kind == "parquet":
        block = next(raw_blocks(path, index.kind), None)
        names = [] if block is None or block.batch is None else block.batch.schema.names
    else:
        rows = (row.value or {} for row in islice(json_rows(path), _FIRST_ROWS))
        names = sorted({str(name) for row in rows for name in row})
    return ", ".join(names[:30]) or "none"


def _names(index: PoolIndex) -> str:
    more = len(index.files) - 1
    return f"{index.files[0]} and {more} more" if more else str(index.files[0])
