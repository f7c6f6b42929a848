"""The rows of a pool that need no category yet, one at a time, and a bounded sample of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tasks.errors import InputError
from tasks.pool.config import FilesSource, RowFormat
from tasks.pool.formats import RowError, to_instruction
from tasks.pool.instruction import UNTAGGED, Instruction, RejectedRow
from tasks.pool.rows import RawRow, iter_rows

_CATEGORY = "category of an untagged row"


@dataclass(frozen=True)
class UntaggedSource:
    """Files whose rows are to be tagged.

    Attributes:
        paths: JSON lines or Parquet; patterns as `pool: kind: files` takes them.
        format: how a row holds its conversation.
        id_field: the field that holds the id.
        native_field: a field with native labels to compare with; None if there is none.
        source_field: the field that says where a row came from; optional in the data.
    """

    paths: tuple[str, ...]
    format: RowFormat = "auto"
    id_field: str = "id"
    native_field: str | None = None
    source_field: str = "source"


@dataclass(frozen=True, slots=True)
class UntaggedRow:
    """One usable row.

    Attributes:
        file, line: its place, for messages.
        instruction: its category is `UNTAGGED`.
        native: the native label; "" where the row or the source has none.
    """

    file: str
    line: int
    instruction: Instruction
    native: str = ""


def untagged_rows(source: UntaggedSource) -> Iterator[UntaggedRow | RejectedRow]:
    """Stream the rows in order; one that holds no usable conversation comes as a `RejectedRow`.

    Raises:
        InputError: see `tasks.pool.rows.iter_rows`; or no row of a file has the field for native labels.
    """
    # A field for native labels must be there; it is read as the category's.
    native = source.native_field
    reading = FilesSource(
        paths=source.paths,
        format=source.format,
        id_field=source.id_field,
        source_field=source.source_field,
        category_field=native or _CATEGORY,
    )
    with_category = reading.model_copy(update={"category_field": _CATEGORY})
    rows = iter_rows(reading, categories=False)
    for row in rows if native is None else _with_native(rows, native):
        yield _row(row, native, with_category)


def _with_native(rows: Iterator[RawRow], field: str) -> Iterator[RawRow]:
    """The same rows, refused where none of a file has the field."""
    found: dict[str, bool] = {}
    fields: tuple[str, ...] = ()
    for row in rows:
        if row.value is not None:
            found[row.file] = found.get(row.file, False) or field in row.value
            fields = fields or tuple(map(str, row.value))[:30]
            if not found[row.file] and row.file.endswith(".parquet"):
                break  # its rows have the same fields
        yield row
    if lacking := [file for file, there in found.items() if not there]:
        raise InputError(
            f'{lacking[0]}: no row has the field "{field}" for native labels; fields of the first row: '
            f"{', '.join(fields)}. Correct the name (--compare-with; compare_with in an experiment), or leave it out."
        )


def sample(
    source: UntaggedSource, size: int, seed: int, on_row: Callable[[int], None] | None = None
) -> list[Instruction]:
    """At most `size` instructions, each usable row with the same chance; memory does not grow with the pool.

    Raises:
        InputError: see `untagged_rows`.
    """
    generator = random.Random(seed)  # noqa: S311 - a sample, no secret
    kept: list[Instruction] = []
    usable = 0
    for number, row in enumerate(untagged_rows(source), start=1):
        if on_row is not None:
            on_row(number)
        if isinstance(row, RejectedRow):
            continue
        usable += 1
        if len(kept) < size:
            kept.append(row.instruction)
        elif (place := generator.randrange(usable)) < size:
            kept[place] = row.instruction
    return kept


def _row(row: RawRow, native_field: str | None, with_category: FilesSource) -> UntaggedRow | RejectedRow:
    if row.value is None:
        return RejectedRow(row.file, row.line, row.problem)
    try:
        instruction = to_instruction({**row.value, _CATEGORY: UNTAGGED}, with_category)
    except RowError as error:
        return RejectedRow(row.file, row.line, str(error))
    native = row.value.get(native_field) if native_field else None
    return UntaggedRow(row.file, row.line, instruction, "" if native in (None, UNTAGGED) else str(native))
