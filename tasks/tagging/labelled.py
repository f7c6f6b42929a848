"""The rows that a classifier learns from: which are used, which are not and why."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.errors import InputError
from tasks.pool.config import FilesSource
from tasks.pool.formats import RowError, to_instruction
from tasks.pool.instruction import Instruction, RejectedRow
from tasks.pool.rows import RawRow, iter_rows
from tasks.tagging.linear import FOLDS

_LINES_NAMED = 5


@dataclass(frozen=True)
class Labelled:
    """What a file of labelled rows holds.

    Attributes:
        rows: rows with a category, in reading order; of equal conversations or ids the first.
        unused: the others, with their reason.
    """

    rows: tuple[Instruction, ...]
    unused: tuple[RejectedRow, ...]

    def report(self) -> dict[str, Any]:
        """For summary.json: counts, and the first rows that are not used."""
        first = [{"line": row.line, "reason": row.reason} for row in self.unused[:_LINES_NAMED]]
        return {"rows": len(self.rows) + len(self.unused), "not_used": len(self.unused), "first_not_used": first}


def read_labelled(path: Path, categories: tuple[str, ...] | None) -> Labelled:
    """Labelled rows: any pool file with categories.

    Args:
        path: JSON lines or Parquet, chat, Alpaca or ShareGPT, with a field category.
        categories: the only ones to expect; None takes those of the file.

    Raises:
        InputError: it cannot be read, no row can be used, or a category is unknown or has too few rows.
    """
    source = FilesSource(paths=(str(path),))
    rows: list[Instruction] = []
    unused: list[RejectedRow] = []
    lines: dict[str, list[int]] = {}
    for raw, found in _read(source):
        if isinstance(found, Instruction):
            rows.append(found)
            lines.setdefault(found.category, []).append(raw.line)
        else:
            unused.append(RejectedRow(raw.file, raw.line, str(found)))
    if not rows:
        first = f" First: line {unused[0].line}: {unused[0].reason}." if unused else ""
        raise InputError(
            f"--labelled {path}: none of {len(unused)} rows can be used.{first} Expected chat messages, Alpaca or "
            f'ShareGPT rows with an answer and the field "{source.category_field}". Correct the rows.'
        )
    if categories is not None:
        _check_known(path, lines, categories)
    _check_enough(path, rows, categories)
    return Labelled(tuple(rows), tuple(unused))


def _read(source: FilesSource) -> Iterator[tuple[RawRow, Instruction | RowError]]:
    """Every row of the file with what it holds, or why it is not used."""
    contents: dict[str, int] = {}
    ids: dict[str, int] = {}
    for raw in iter_rows(source, categories=False):
        if raw.value is None:
            yield raw, RowError(raw.problem)
            continue
        try:
            row = to_instruction(raw.value, source)
        except RowError as error:
            yield raw, error
            continue
        if (line := contents.get(row.content_hash)) is not None:
            yield raw, RowError(f"duplicate content: the same conversation as line {line}")
        elif (line := ids.get(row.id)) is not None:
            yield raw, RowError(f'duplicate id: "{row.id}" is also in line {line}')
        else:
            contents[row.content_hash] = ids[row.id] = raw.line
            yield raw, row


def _check_known(path: Path, lines: Mapping[str, Sequence[int]], categories: tuple[str, ...]) -> None:
    unknown = [_unknown(name, lines[name], categories) for name in sorted(lines.keys() - set(categories))]
    if unknown:
        raise InputError(
            f"--labelled {path}: has categories that --categories does not list: {'; '.join(unknown)}. Correct them, "
            "or add them to the list."
        )


def _unknown(name: str, lines: Sequence[int], categories: tuple[str, ...]) -> str:
    named = ", ".join(map(str, lines[:_LINES_NAMED])) + (", …" if len(lines) > _LINES_NAMED else "")
    near = difflib.get_close_matches(name, categories, n=1)
    return f'"{name}" (line {named}{f"; nearest: {near[0]}" if near else ""})'


def _check_enough(path: Path, rows: Sequence[Instruction], categories: tuple[str, ...] | None) -> None:
    counts = Counter(row.category for row in rows)
    wanted = categories or tuple(sorted(counts))
    if short := [f"{name} has {counts[name]}" for name in wanted if counts[name] < FOLDS]:
        raise InputError(
            f"--labelled {path}: {', '.join(short)} labelled rows; expected at least {FOLDS} of every category "
            "(20 are a good start). Add rows, or leave the category out."
        )
    if len(wanted) < 2:
        raise InputError(
            f"--labelled {path}: all rows have the category {wanted[0]}; expected at least two categories. Add rows "
            "of others."
        )
