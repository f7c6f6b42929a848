"""Read a pool from files or a Hugging Face data set: what is kept, what is rejected and why."""

from __future__ import annotations

import heapq
import json
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from tasks.errors import InputError
from tasks.pool.config import FilesSource, HubSource
from tasks.pool.formats import RowError, to_instruction
from tasks.pool.instruction import UNTAGGED, Instruction, Pool, RejectedRow
from tasks.pool.lines_file import write_lines
from tasks.pool.rows import RawRow, iter_rows

PROGRESS_ROWS = 1000
"""Rows between two calls of the progress callback."""


def read_pool(
    source: FilesSource | HubSource, progress: Callable[[int], None] | None = None, untagged: bool = False
) -> Pool:
    """Read every row of a source into a pool.

    A row that cannot be used is in the pool's `rejected`, with its file, line and reason, in reading order. Of rows
    with equal conversations or equal ids the first stays.

    Args:
        source: what to read.
        progress: called with the number of rows read so far, every `PROGRESS_ROWS` rows and at the end.
        untagged: a row without a category is kept, with the category `UNTAGGED`.

    Raises:
        InputError: a file cannot be read as a whole (see `tasks.pool.rows.iter_rows`), no row can be used, or a
            selected category is nowhere.
    """
    intake = _Intake(source, untagged)
    count = 0
    for count, row in enumerate(iter_rows(source, categories=not untagged), start=1):
        intake.take(row)
        if progress is not None and count % PROGRESS_ROWS == 0:
            progress(count)
    if progress is not None and count % PROGRESS_ROWS:
        progress(count)
    return intake.pool(_name(source), count)


def write_rejects(rejected: Iterable[RejectedRow], path: Path) -> None:
    """Write rejected rows atomically as JSON lines: file, line, reason.

    Raises:
        OSError: see `tasks.pool.lines_file.write_lines`.
    """
    write_lines(
        path,
        (json.dumps({"file": r.file, "line": r.line, "reason": r.reason}, ensure_ascii=False) for r in rejected),
    )


class _Intake:
    """Collects instructions and rejected rows; each carries its position, so that reading order can be restored."""

    def __init__(self, source: FilesSource | HubSource, untagged: bool) -> None:
        self._source = source
        self._untagged = untagged
        self._selected = None if source.categories is None else frozenset(source.categories)
        self._kept: dict[str, list[tuple[int, int, Instruction, RawRow]]] = {}
        self._rejected: list[tuple[int, RejectedRow]] = []
        self._id_of_content: dict[bytes, str] = {}
        self._place_of_id: dict[str, tuple[str, int]] = {}
        self._found: Counter[str] = Counter()
        self._position = 0

    def take(self, row: RawRow) -> None:
        """Keep or reject the next row."""
        self._position += 1
        try:
            instruction, digest = self._accept(row)
        except RowError as error:
            self._reject(self._position, row, str(error))
            return
        # Of a category with too many rows those with the smallest hashes stay: a max-heap by negated hash.
        kept = self._kept.setdefault(instruction.category, [])
        entry = (-int.from_bytes(digest), self._position, instruction, _place(row))
        limit = self._source.max_per_category
        if limit is None or len(kept) < limit:
            heapq.heappush(kept, entry)
            return
        _, position, _, place = heapq.heappushpop(kept, entry)
        self._reject(position, place, f"over the limit: more than {limit} rows (max_per_category) in its category")

    def pool(self, name: str, count: int) -> Pool:
        """What was collected, in reading order."""
        if self._selected is not None and (unknown := sorted(self._selected - set(self._found))):
            found = ", ".join(sorted(self._found)) or "none"
            raise InputError(
                f"{name}: no row has the category {_quoted(unknown)} (selected in categories); "
                f"categories found: {found}. Correct the names in categories."
            )
        rows = sorted((entry for kept in self._kept.values() for entry in kept), key=lambda entry: entry[1])
        rejected = tuple(row for _, row in sorted(self._rejected, key=lambda pair: pair[0]))
        if not rows:
            raise InputError(_nothing_usable(name, count, rejected))
        return Pool(name, tuple(instruction for _, _, instruction, _ in rows), rejected)

    def _accept(self, row: RawRow) -> tuple[Instruction, bytes]:
        if row.value is None:
            raise RowError(row.problem)
        value, field = row.value, self._source.category_field
        if self._untagged and value.get(field) in (None, ""):
            value = {**value, field: UNTAGGED}
        instruction = to_instruction(value, self._source)
        self._found[instruction.category] += 1
        if self._selected is not None and instruction.category not in self._selected:
            raise RowError(f'not selected: category "{instruction.category}"')
        digest = bytes.fromhex(instruction.content_hash)
        if digest in self._id_of_content:
            raise RowError(f'duplicate content: the same conversation as "{self._id_of_content[digest]}"')
        if instruction.id in self._place_of_id:
            file, line = self._place_of_id[instruction.id]
            raise RowError(f'duplicate id: "{instruction.id}" is also in {file}, line {line}')
        self._id_of_content[digest] = instruction.id
        self._place_of_id[instruction.id] = (row.file, row.line)
        return instruction, digest

    def _reject(self, position: int, row: RawRow, reason: str) -> None:
        self._rejected.append((position, RejectedRow(row.file, row.line, reason)))


def _place(row: RawRow) -> RawRow:
    """The row without its content, which would otherwise be held in memory twice."""
    return RawRow(row.file, row.line, None)


def _name(source: FilesSource | HubSource) -> str:
    if isinstance(source, HubSource):
        return "/".join(part for part in (source.dataset, source.config, source.split) if part)
    more = len(source.paths) - 1
    return source.paths[0] if not more else f"{source.paths[0]} and {more} more"


def _nothing_usable(name: str, count: int, rejected: tuple[RejectedRow, ...]) -> str:
    if not count:
        return f"{name}: holds no rows; expected at least one instruction. Check that the file was written completely."
    kinds = ", ".join(f"{kind} ({n})" for kind, n in Counter(row.kind for row in rejected).most_common(5))
    first = rejected[0]
    return (
        f"{name}: none of {count} rows can be used: {kinds}. First: {first.file}, line {first.line}: {first.reason}. "
        "Expected chat messages, Alpaca or ShareGPT rows with a category and an answer."
    )


def _quoted(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
