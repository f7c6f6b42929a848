"""A pool's rows as a selection sees them: category, conversation, answer's length, grades from columns."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.errors import InputError
from tasks.hygiene.conversations import ROLES, Conversations, conversations
from tasks.hygiene.index import Growing, IndexBuilder, PoolIndex, characters_before, exact_duplicates
from tasks.hygiene.lines import RawBlock, pool_files, raw_blocks
from tasks.pool.config import FilesSource, HubSource
from tasks.pool.formats import RowError, to_instruction
from tasks.pool.rows import iter_rows

Messages = tuple[tuple[str, str], ...]
LOWEST, HIGHEST = 1, 6
"""The scale of complexity and quality."""
_NO_FIELD = "category of a row that needs none"


@dataclass(frozen=True)
class Candidates:
    """All rows of a pool; those that cannot be chosen have a reason in the index.

    Attributes:
        index: the pool; reason ≥ 0 where a row cannot be used, repeats an earlier one, or has no grade.
        source: how rows are read.
        answer_characters: length of each row's last message, (rows,).
        grades: one column per field asked for, (rows, fields); NaN where a row has none.
    """

    index: PoolIndex
    source: FilesSource
    answer_characters: NDArray[np.int64]
    grades: NDArray[np.float64]

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Rows that may be chosen, (rows,)."""
        return self.index.reason < 0


def read_candidates(
    paths: tuple[str, ...], source: FilesSource, fields: Sequence[str], watch: Callable[[int, int], None] | None = None
) -> Candidates:
    """Read a pool once; memory grows by about 60 bytes a row.

    Args:
        paths: files, all JSON lines or all Parquet.
        source: how rows hold conversation and category.
        fields: numeric fields that every row needs; a row without one cannot be chosen.
        watch: called with (bytes read, bytes).

    Raises:
        InputError: a file cannot be read, or a grade is outside 1…6.
    """
    files, kind = pool_files(paths)
    builder = IndexBuilder(files, kind)
    lengths, grades = Growing(np.int64), Growing(np.float64, max(1, len(fields)))
    total, read = sum(path.stat().st_size for path in files), 0
    for path in files:
        for block in raw_blocks(path, kind):
            rows = conversations(block, source)
            builder.add(block.numbers, rows)
            lengths.extend(_answer_characters(rows))
            values = _values(block, fields) if fields else np.zeros((len(block.numbers), 1))
            _check_grades(values, fields, path, block.numbers)
            grades.extend(values)
            for row in np.flatnonzero(np.isnan(values).any(axis=1)).tolist():
                lacking = fields[int(np.flatnonzero(np.isnan(values[row]))[0])]
                builder.drop(row - len(values), f'no grade: field "{lacking}" holds no number')
            if watch:
                watch(read + block.position, total)
        read += path.stat().st_size
        builder.end_file()
    index = builder.index()
    repeated = exact_duplicates(index, index.reason < 0) >= 0
    index.reason[repeated] = len(index.reasons)
    index = PoolIndex(**{**index.__dict__, "reasons": (*index.reasons, "duplicate content")})
    return Candidates(index, source, lengths.values, grades.values[:, : len(fields)])


def row_grades(source: FilesSource | HubSource, fields: tuple[str, ...]) -> dict[str, tuple[float, ...]]:
    """Grades by a conversation's content hash, of its first row; rows that lack a number are not among them.

    Raises:
        InputError: a file cannot be read, a grade is outside 1…6, or no row has numbers in these fields.
    """
    found: dict[str, tuple[float, ...]] = {}
    with_category = source.model_copy(update={"category_field": _NO_FIELD})
    for row in iter_rows(source, fields, categories=False):
        if row.value is None:
            continue
        grades = tuple(_number(row.value.get(field)) for field in fields)
        if any(map(math.isnan, grades)):
            continue
        _check_grades(np.array([grades]), fields, row.file, np.array([row.line]))
        try:
            instruction = to_instruction({**row.value, _NO_FIELD: "-"}, with_category)
        except RowError:
            continue
        found.setdefault(instruction.content_hash, grades)
    if not found:
        raise InputError(
            f"no row has numbers in the fields {' and '.join(fields)}. Add them, name others in fields, or give a "
            "scorer, or choose the method random or length."
        )
    return found


def stream_messages(
    candidates: Candidates, wanted: NDArray[np.bool_], watch: Callable[[int], None] | None = None
) -> Iterator[tuple[int, Messages]]:
    """(row, messages) of the wanted rows, in reading order.

    Args:
        candidates: the pool; its files are read again.
        wanted: (rows,).
        watch: called with the number of rows passed.
    """
    start = 0
    for path in candidates.index.files:
        for block in raw_blocks(path, candidates.index.kind):
            chosen = np.flatnonzero(wanted[start : start + len(block.numbers)])
            if len(chosen):
                rows = conversations(block, candidates.source)
                for row in chosen.tolist():
                    yield start + row, messages_of(rows, row)
            start += len(block.numbers)
            if watch:
                watch(start)


def messages_of(rows: Conversations, row: int) -> Messages:
    """One row's conversation as (role, content) pairs."""
    first, last = rows.row_bounds[row : row + 2].tolist()
    bounds = rows.message_bounds
    return tuple(
        (ROLES[rows.roles[k]], rows.text[bounds[k] : bounds[k + 1]].tobytes().decode()) for k in range(first, last)
    )


def _answer_characters(rows: Conversations) -> NDArray[np.int64]:
    return characters_before(rows, rows.byte_bounds[1:]) - characters_before(rows, rows.answer_starts)


def _check_grades(
    values: NDArray[np.float64], fields: Sequence[str], file: Path | str, numbers: NDArray[np.int64]
) -> None:
    """Refuse grades off the scale: of two negative ones the product would be a good score."""
    wrong = (values < LOWEST) | (values > HIGHEST)
    if fields and wrong.any():
        row, column = np.argwhere(wrong)[0].tolist()
        raise InputError(
            f'{file}, line {numbers[row]}: field "{fields[column]}" is {values[row, column]:g}; expected a grade from '
            f"{LOWEST} to {HIGHEST}, or no number in rows that are not to be chosen. Bring the grades to that scale."
        )


def _values(block: RawBlock, fields: Sequence[str]) -> NDArray[np.float64]:
    if block.batch is not None:
        names = set(block.batch.schema.names)
        columns = [block.batch[name].to_pylist() if name in names else [None] * len(block.numbers) for name in fields]
        return np.array([[_number(value) for value in column] for column in columns]).T
    return np.array([_line_values(line, fields) for line in block.lines])


def _line_values(line: bytes, fields: Sequence[str]) -> list[float]:
    try:
        row = json.loads(line.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError):
        return [math.nan] * len(fields)
    return [_number(row.get(field)) if isinstance(row, dict) else math.nan for field in fields]


def _number(value: Any) -> float:
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if good else math.nan
