"""A stream in consecutive parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

from tasks.pool.instruction import Instruction

T = TypeVar("T")


def batches(rows: Iterable[T], size: int) -> Iterator[tuple[T, ...]]:
    """Consecutive rows, `size` at a time, the last part shorter; reads no further than the part it gives."""
    stream = iter(rows)
    while part := tuple(islice(stream, size)):
        yield part


def text_batches(rows: Iterable[Instruction], size: int, characters: int) -> Iterator[tuple[Instruction, ...]]:
    """Consecutive rows, at most `size` at a time, and no more once they hold `characters` of text."""
    part: list[Instruction] = []
    held = 0
    for row in rows:
        part.append(row)
        held += sum(len(content) for _, content in row.messages)
        if len(part) == size or held >= characters:
            yield tuple(part)
            part, held = [], 0
    if part:
        yield tuple(part)
